//! Devices that ggml registered.

use crate::backend::{init, owned};
use crate::{Error, Result, sys};

/// Name of the device that is always there.
pub const CPU: &str = "CPU";

/// What kind of processor a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// The host processor.
    Cpu,
    /// A GPU with its own memory.
    Gpu,
    /// A GPU that shares the host's memory (a Jetson reports as one).
    IntegratedGpu,
    /// Anything else (BLAS and the like).
    Accelerator,
}

impl DeviceKind {
    /// Whether it is a GPU, with memory of its own or without.
    pub fn is_gpu(self) -> bool {
        matches!(self, DeviceKind::Gpu | DeviceKind::IntegratedGpu)
    }
}

/// One device that ggml registered in this process.
#[derive(Clone, Debug)]
pub struct DeviceInfo {
    /// ggml's name for it, e.g. `CPU` or `CUDA0`.
    pub name: String,
    /// The hardware in words.
    pub description: String,
    /// Its kind.
    pub kind: DeviceKind,
    /// Free memory in bytes, as the driver reports it.
    pub memory_free: usize,
    /// Total memory in bytes.
    pub memory_total: usize,
    /// Whether tensors may live in memory that the host mapped, without a copy.
    pub maps_host_memory: bool,
}

/// The devices of this process, the CPU included.
pub fn devices() -> Vec<DeviceInfo> {
    raw_devices().into_iter().map(describe).collect()
}

pub(crate) fn raw_devices() -> Vec<sys::ggml_backend_dev_t> {
    init();
    // SAFETY: the registry is initialised; indices below the count are valid.
    unsafe { (0..sys::ggml_backend_dev_count()).map(|i| sys::ggml_backend_dev_get(i)).collect() }
}

fn describe(dev: sys::ggml_backend_dev_t) -> DeviceInfo {
    // SAFETY: an all-zero props struct is valid (null strings, zero sizes) and ggml fills it;
    // `dev` comes from the registry, whose devices live for the whole process.
    let props = unsafe {
        let mut props: sys::ggml_backend_dev_props = std::mem::zeroed();
        sys::ggml_backend_dev_get_props(dev, &mut props);
        props
    };
    DeviceInfo {
        name: owned(props.name),
        description: owned(props.description),
        kind: match props.type_ {
            sys::GGML_BACKEND_DEVICE_TYPE_CPU => DeviceKind::Cpu,
            sys::GGML_BACKEND_DEVICE_TYPE_GPU => DeviceKind::Gpu,
            sys::GGML_BACKEND_DEVICE_TYPE_IGPU => DeviceKind::IntegratedGpu,
            _ => DeviceKind::Accelerator,
        },
        memory_free: props.memory_free,
        memory_total: props.memory_total,
        maps_host_memory: props.caps.buffer_from_host_ptr,
    }
}

/// The device of that name (case-insensitive).
pub(crate) fn find_device(name: &str) -> Result<(sys::ggml_backend_dev_t, DeviceInfo)> {
    let all = raw_devices().into_iter().map(|dev| (dev, describe(dev)));
    let found = all.clone().find(|(_, info)| info.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        #[cfg(feature = "dynamic-cpu")]
        if all.clone().next().is_none() {
            return crate::modules::missing();
        }
        let known: Vec<_> = all.map(|(_, info)| info.name).collect();
        Error::UnknownDevice { name: name.into(), known: known.join(", ") }
    })
}

/// A device's name; for the null pointer the CPU's: some of ggml's host buffers have no device.
pub(crate) fn device_name(dev: sys::ggml_backend_dev_t) -> String {
    match dev.is_null() {
        true => CPU.into(),
        // SAFETY: devices live for the whole process.
        false => owned(unsafe { sys::ggml_backend_dev_name(dev) }),
    }
}

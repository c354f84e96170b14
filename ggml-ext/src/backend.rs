//! Devices that ggml registered, and the backends that run graphs on them.

use crate::cancel::{CancelToken, poll_cancelled};
use crate::winograd::{self, Conv, Workspace};
use crate::{Error, Result, sys};
use llama_cpp_2::llama_backend::LlamaBackend;
use std::ffi::{CStr, c_char};
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

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

fn raw_devices() -> Vec<sys::ggml_backend_dev_t> {
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

/// Copies a C string that ggml owns; null becomes empty.
pub(crate) fn owned(s: *const c_char) -> String {
    if s.is_null() {
        return String::new();
    }
    // SAFETY: non-null strings handed out by ggml and llama.cpp are NUL-terminated and live at
    // least until the next call into the object that owns them; it is copied at once.
    unsafe { CStr::from_ptr(s) }.to_string_lossy().into_owned()
}

/// Initialises ggml and llama.cpp once per process and routes their logs to `tracing`; the value
/// is the proof of it that llama-cpp-2 asks for.
pub(crate) fn init() -> &'static LlamaBackend {
    static ONCE: OnceLock<LlamaBackend> = OnceLock::new();
    ONCE.get_or_init(|| {
        crate::logging::install();
        // Somebody else in the process may have initialised the library: as good for us.
        LlamaBackend::init().unwrap_or(LlamaBackend {})
    })
}

/// How long idle threads look for work before they sleep, in units of 131,072 looks: some milliseconds. It bridges the gap
/// between two tokens. ggml's default of 50 bridges a tenth of a second, in which the threads of the image side would keep
/// the language model's from the processors, and the other way round.
const POLL: u32 = 1;

/// A pool of worker threads. Without one, every graph run would start and stop threads, which
/// costs more than a small graph itself.
pub(crate) struct ThreadPool(NonNull<sys::ggml_threadpool>);

// SAFETY: the pool is an opaque handle whose functions lock internally; it is bound to no thread.
unsafe impl Send for ThreadPool {}
// SAFETY: shared use is only handing the pointer to backends, each of which serialises its runs.
unsafe impl Sync for ThreadPool {}

impl ThreadPool {
    pub(crate) fn new(n_threads: usize) -> Result<Self> {
        let n = n_threads.clamp(1, 512) as i32;
        // SAFETY: params are initialised by ggml before use; the pool copies them.
        let raw = unsafe {
            let mut params = sys::ggml_threadpool_params_default(n);
            params.poll = POLL;
            sys::ggml_threadpool_new(&mut params)
        };
        NonNull::new(raw)
            .map(ThreadPool)
            .ok_or_else(|| Error::Create { action: format!("start {n} threads") })
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::ggml_threadpool {
        self.0.as_ptr()
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        // SAFETY: created by ggml_threadpool_new, freed once, and every user holds the owner.
        unsafe { sys::ggml_threadpool_free(self.0.as_ptr()) }
    }
}

/// A device opened for computing. Clones share it; runs on one backend are serialised.
#[derive(Clone)]
pub struct Backend {
    inner: Arc<Inner>,
}

struct Inner {
    raw: NonNull<sys::ggml_backend>,
    device: sys::ggml_backend_dev_t,
    info: DeviceInfo,
    n_threads: usize,
    cancel: CancelToken,
    running: Mutex<()>,
    /// Scratch space of custom ops that is in use by a graph. Runs are serialised, so graphs share it.
    scratch: Mutex<Vec<Weak<Workspace>>>,
    scratch_limit: AtomicUsize,
    // Freed after the backend: fields drop in order, and `raw` is freed in `drop` before any field.
    _pool: Option<ThreadPool>,
}

// SAFETY: a ggml backend is bound to no thread, and `running` serialises every compute call.
unsafe impl Send for Inner {}
// SAFETY: as above; the remaining shared calls are read-only queries.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: created by ggml_backend_dev_init, freed once.
        unsafe { sys::ggml_backend_free(self.raw.as_ptr()) }
    }
}

impl Backend {
    /// The CPU with `n_threads` worker threads.
    ///
    /// # Errors
    /// If ggml cannot start the threads.
    pub fn cpu(n_threads: usize, cancel: CancelToken) -> Result<Backend> {
        Self::open(CPU, n_threads, cancel)
    }

    /// The device of that name (case-insensitive, as [`devices`] lists it).
    ///
    /// # Errors
    /// [`Error::UnknownDevice`] if nothing of that name is registered, [`Error::Create`] if it
    /// cannot be opened.
    pub fn open(name: &str, n_threads: usize, cancel: CancelToken) -> Result<Backend> {
        let found = raw_devices()
            .into_iter()
            .map(|dev| (dev, describe(dev)))
            .find(|(_, info)| info.name.eq_ignore_ascii_case(name));
        let Some((device, info)) = found else {
            let known: Vec<_> = devices().into_iter().map(|d| d.name).collect();
            return Err(Error::UnknownDevice { name: name.into(), known: known.join(", ") });
        };
        let n_threads = n_threads.clamp(1, 512);
        let pool = match info.kind {
            DeviceKind::Cpu => Some(ThreadPool::new(n_threads)?),
            _ => None,
        };
        // SAFETY: `device` is registered; null parameters mean defaults.
        let raw = unsafe { sys::ggml_backend_dev_init(device, std::ptr::null()) };
        let raw = NonNull::new(raw)
            .ok_or_else(|| Error::Create { action: format!("open device `{}`", info.name) })?;
        if let Some(pool) = &pool {
            // SAFETY: `raw` is a CPU backend; pool and token are stored beside it and outlive it.
            unsafe {
                sys::ggml_backend_cpu_set_n_threads(raw.as_ptr(), n_threads as i32);
                sys::ggml_backend_cpu_set_threadpool(raw.as_ptr(), pool.as_ptr());
                sys::ggml_backend_cpu_set_abort_callback(
                    raw.as_ptr(),
                    Some(poll_cancelled),
                    cancel.as_user_data(),
                );
            }
        }
        let (running, scratch) = (Mutex::new(()), Mutex::default());
        let scratch_limit = AtomicUsize::new(winograd::Options::default().budget);
        let inner = Inner {
            raw,
            device,
            info,
            n_threads,
            cancel,
            running,
            scratch,
            scratch_limit,
            _pool: pool,
        };
        Ok(Backend { inner: Arc::new(inner) })
    }

    /// What the backend runs on.
    pub fn info(&self) -> &DeviceInfo {
        &self.inner.info
    }

    /// Whether ggml custom ops (host code) can run here.
    pub fn is_cpu(&self) -> bool {
        self.inner.info.kind == DeviceKind::Cpu
    }

    /// Worker threads of a CPU backend.
    pub fn n_threads(&self) -> usize {
        self.inner.n_threads
    }

    /// Most bytes of scratch space that convolutions made from now on shall take.
    pub fn limit_scratch(&self, bytes: usize) {
        self.inner.scratch_limit.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn scratch_limit(&self) -> usize {
        self.inner.scratch_limit.load(Ordering::Relaxed)
    }

    /// The token that stops runs on this backend.
    pub fn cancel_token(&self) -> &CancelToken {
        &self.inner.cancel
    }

    pub(crate) fn raw(&self) -> sys::ggml_backend_t {
        self.inner.raw.as_ptr()
    }

    pub(crate) fn device(&self) -> sys::ggml_backend_dev_t {
        self.inner.device
    }

    pub(crate) fn buffer_type(&self) -> sys::ggml_backend_buffer_type_t {
        // SAFETY: the device is registered for the life of the process.
        unsafe { sys::ggml_backend_dev_buffer_type(self.inner.device) }
    }

    /// Scratch space for a convolution, shared with others that run here.
    pub(crate) fn scratch(
        &self,
        conv: &Conv,
    ) -> std::result::Result<Arc<Workspace>, winograd::Error> {
        let mut scratch = self.inner.scratch.lock().unwrap_or_else(|p| p.into_inner());
        scratch.retain(|w| w.strong_count() > 0);
        if let Some(w) = scratch.iter().filter_map(Weak::upgrade).find(|w| conv.can_use(w)) {
            return Ok(w);
        }
        let workspace = Arc::new(conv.workspace()?);
        scratch.push(Arc::downgrade(&workspace));
        Ok(workspace)
    }

    /// Runs a graph; one at a time on this backend.
    ///
    /// # Safety
    /// `graph` must be allocated on this backend and everything that it references must be alive.
    pub(crate) unsafe fn compute(&self, graph: *mut sys::ggml_cgraph) -> sys::ggml_status {
        let _guard = self.inner.running.lock().unwrap_or_else(|p| p.into_inner());
        // SAFETY: passed on to the caller.
        unsafe { sys::ggml_backend_graph_compute(self.raw(), graph) }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("device", &self.inner.info.name)
            .field("n_threads", &self.inner.n_threads)
            .finish_non_exhaustive()
    }
}

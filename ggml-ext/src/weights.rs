//! Named tensors with storage: mapped from a file, or allocated on a device.

use crate::tensor::Context;
use crate::{Backend, DType, Error, Rehearsal, Result, sys};
use memmap2::Mmap;
use std::collections::HashMap;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, RwLock};

/// Where one tensor of a file lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTensor {
    /// Its name.
    pub name: String,
    /// Its element type.
    pub dtype: DType,
    /// Its shape in ggml order, 1 to 4 dimensions.
    pub ne: Vec<usize>,
    /// Absolute offset of its first byte in the file.
    pub offset: usize,
    /// Its size in bytes.
    pub n_bytes: usize,
}

/// How weights get to the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residence {
    /// Use the mapped file in place where the device can, copy tensor by tensor where it cannot.
    #[default]
    Mapped,
    /// Always copy into memory of the device's own.
    Copied,
}

/// ggml's CPU kernels read rows with aligned vector loads.
pub(crate) const HOST_ALIGNMENT: usize = 32;

/// A set of named tensors on one device. Immutable once made, except through graphs that store
/// into it ([`crate::graph::Builder::store`]).
pub struct TensorSet {
    tensors: HashMap<String, NonNull<sys::ggml_tensor>>,
    mapped: bool,
    /// Held for writing by graphs that store into the set, for reading by everybody else.
    lock: RwLock<()>,
    // Dropped in this order: buffer before the mapping that it may lie in.
    _buffer: Buffer,
    _ctx: Context,
    _map: Option<Arc<Mmap>>,
}

// SAFETY: tensors point into storage that the set owns; nothing is bound to a thread.
unsafe impl Send for TensorSet {}
// SAFETY: metadata is immutable; data is read and written under `lock`, mapped data only read.
unsafe impl Sync for TensorSet {}

/// Storage of tensors.
#[derive(Debug)]
pub(crate) struct Buffer(NonNull<sys::ggml_backend_buffer>);

// SAFETY: a handle that is bound to no thread.
unsafe impl Send for Buffer {}
// SAFETY: what is done through `&self` only reads the handle.
unsafe impl Sync for Buffer {}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: created by ggml, freed once.
        unsafe { sys::ggml_backend_buffer_free(self.0.as_ptr()) }
    }
}

impl Buffer {
    /// A buffer over a whole mapping, for reading; `largest` is the size of its largest tensor.
    ///
    /// # Safety
    /// The mapping must outlive the buffer, and `device` be one of ggml's.
    pub(crate) unsafe fn over_mapping(
        device: sys::ggml_backend_dev_t,
        map: &Mmap,
        largest: usize,
    ) -> Result<Buffer> {
        let base = map.as_ptr().cast_mut().cast();
        // SAFETY: the mapping covers `map.len()` bytes; the rest is passed on to the caller.
        let raw =
            unsafe { sys::ggml_backend_dev_buffer_from_host_ptr(device, base, map.len(), largest) };
        let refused = || Error::Create { action: "use mapped memory on a device".into() };
        NonNull::new(raw).map(Buffer).ok_or_else(refused)
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::ggml_backend_buffer {
        self.0.as_ptr()
    }
}

impl TensorSet {
    /// Allocates tensors `(name, type, shape)` on a device, all zero.
    ///
    /// # Errors
    /// [`Error::Create`] if the device's memory does not suffice.
    pub fn allocate(backend: &Backend, specs: &[(&str, DType, &[usize])]) -> Result<TensorSet> {
        let ctx = Context::with_room(specs.len(), 0)?;
        let tensors: HashMap<_, _> = specs
            .iter()
            .map(|&(name, dtype, ne)| (name.to_owned(), ctx.new_tensor(dtype, ne).raw()))
            .collect();
        let buffer = match backend.is_rehearsal() {
            true => rehearse_all(&ctx, backend, &tensors, |r| &mut r.tensors)?,
            false => allocate_all(&ctx, backend)?,
        };
        // SAFETY: the buffer is alive. Nothing that was in the memory before can be read.
        unsafe { sys::ggml_backend_buffer_clear(buffer.0.as_ptr(), 0) };
        let lock = RwLock::default();
        Ok(TensorSet { tensors, mapped: false, lock, _buffer: buffer, _ctx: ctx, _map: None })
    }

    /// One tensor of floats that never change.
    ///
    /// # Errors
    /// [`Error::Create`] if the device's memory does not suffice.
    pub(crate) fn of_floats(backend: &Backend, name: &str, data: &[f32]) -> Result<TensorSet> {
        let set = TensorSet::allocate(backend, &[(name, DType::F32, &[data.len()])])?;
        if !backend.is_rehearsal() {
            crate::graph::set_floats(set.tensors[name], data)?;
        }
        Ok(set)
    }

    /// Makes tensors of a mapped file available to a device.
    ///
    /// # Errors
    /// [`Error::Gguf`] if a tensor lies outside the mapping, is misaligned or its size is not
    /// that of its shape; [`Error::Create`] if the device's memory does not suffice.
    pub fn load(
        path: &Path,
        map: &Arc<Mmap>,
        stored: &[StoredTensor],
        backend: &Backend,
        residence: Residence,
    ) -> Result<TensorSet> {
        for t in stored {
            check_placement(t, map.len())
                .map_err(|reason| Error::Gguf { path: path.into(), reason })?;
        }
        let ctx = Context::with_room(stored.len(), 0)?;
        let tensors: HashMap<_, _> =
            stored.iter().map(|t| (t.name.clone(), ctx.new_tensor(t.dtype, &t.ne).raw())).collect();
        let mapped = residence == Residence::Mapped && backend.info().maps_host_memory;
        let buffer = match mapped {
            true => {
                backend.note(|r| r.mapped += stored.iter().map(|t| t.n_bytes).sum::<usize>());
                place_in_mapping(map, stored, &tensors, backend)?
            }
            false if backend.is_rehearsal() => {
                rehearse_all(&ctx, backend, &tensors, |r| &mut r.weights)?
            }
            false => {
                let buffer = allocate_all(&ctx, backend)?;
                copy_from_mapping(map, stored, &tensors);
                buffer
            }
        };
        let map = mapped.then(|| map.clone());
        let lock = RwLock::default();
        Ok(TensorSet { tensors, mapped, lock, _buffer: buffer, _ctx: ctx, _map: map })
    }

    /// Whether the data is used in place in the mapped file.
    pub fn is_mapped(&self) -> bool {
        self.mapped
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Bytes of a tensor; `None` if there is no such one.
    pub fn n_bytes(&self, name: &str) -> Option<usize> {
        // SAFETY: the set keeps its tensors alive.
        self.raw(name).map(|t| unsafe { sys::ggml_nbytes(t.as_ptr()) })
    }

    pub(crate) fn raw(&self, name: &str) -> Option<NonNull<sys::ggml_tensor>> {
        self.tensors.get(name).copied()
    }

    pub(crate) fn lock(&self) -> &RwLock<()> {
        &self.lock
    }

    /// Reads a float tensor back into `out`, which is resized to fit.
    ///
    /// # Panics
    /// If there is no tensor of that name, or it does not hold floats.
    pub fn read(&self, name: &str, out: &mut Vec<f32>) {
        let _guard = self.lock.read().unwrap_or_else(|p| p.into_inner());
        crate::graph::read_floats(self.tensors[name], out);
    }
}

fn check_placement(t: &StoredTensor, file_len: usize) -> std::result::Result<(), String> {
    let rows = t.ne.iter().skip(1).try_fold(1usize, |n, &d| n.checked_mul(d));
    let row = t.ne.first().and_then(|&n| t.dtype.row_size(n));
    let expected = rows.zip(row).and_then(|(n, bytes)| n.checked_mul(bytes));
    if expected != Some(t.n_bytes) {
        return Err(format!(
            "tensor `{}`: {} bytes do not fit its shape {:?}",
            t.name, t.n_bytes, t.ne
        ));
    }
    match t.offset.checked_add(t.n_bytes) {
        Some(end) if end <= file_len => {}
        _ => {
            return Err(format!("tensor `{}` lies outside the file: truncated?", t.name));
        }
    }
    if !t.offset.is_multiple_of(HOST_ALIGNMENT) {
        return Err(format!("tensor `{}` is not aligned to {HOST_ALIGNMENT} bytes", t.name));
    }
    Ok(())
}

fn allocate_all(ctx: &Context, backend: &Backend) -> Result<Buffer> {
    // SAFETY: context and backend are alive.
    let raw = unsafe { sys::ggml_backend_alloc_ctx_tensors(ctx.as_ptr(), backend.raw()) };
    NonNull::new(raw).map(Buffer).ok_or_else(|| Error::Create {
        action: format!("allocate tensors on device `{}`", backend.info().name),
    })
}

/// Storage of no size, which tells graphs that the tensors have some. What they would take is added to `sum`.
fn rehearse_all(
    ctx: &Context,
    backend: &Backend,
    tensors: &HashMap<String, NonNull<sys::ggml_tensor>>,
    sum: impl FnOnce(&mut Rehearsal) -> &mut usize,
) -> Result<Buffer> {
    let buffer_type = backend.buffer_type();
    // SAFETY: context and buffer type are alive.
    let (n_bytes, raw) = unsafe {
        let n = sys::ggml_backend_alloc_ctx_tensors_from_buft_size(ctx.as_ptr(), buffer_type);
        (n, sys::ggml_backend_buft_alloc_buffer(buffer_type, 0))
    };
    backend.note(|r| *sum(r) += n_bytes);
    let refused = || Error::Create { action: "make an empty buffer".into() };
    let buffer = NonNull::new(raw).map(Buffer).ok_or_else(refused)?;
    for t in tensors.values() {
        // SAFETY: the tensor belongs to the set that will hold the buffer, and its data stays null, which nobody reads:
        // graphs on this backend refuse to run and to set inputs.
        unsafe { (*t.as_ptr()).buffer = buffer.as_ptr() };
    }
    Ok(buffer)
}

fn place_in_mapping(
    map: &Arc<Mmap>,
    stored: &[StoredTensor],
    tensors: &HashMap<String, NonNull<sys::ggml_tensor>>,
    backend: &Backend,
) -> Result<Buffer> {
    let base = map.as_ptr().cast_mut();
    let largest = stored.iter().map(|t| t.n_bytes).max().unwrap_or(0);
    // SAFETY: the set holds buffer and mapping and drops the buffer first. The mapping is
    // read-only, and `Builder::store` refuses mapped sets.
    let buffer = unsafe { Buffer::over_mapping(backend.device(), map, largest)? };
    for t in stored {
        // SAFETY: `check_placement` proved that the range lies inside the mapping.
        let status = unsafe {
            let addr = base.add(t.offset).cast();
            sys::ggml_backend_tensor_alloc(buffer.0.as_ptr(), tensors[&t.name].as_ptr(), addr)
        };
        if status != sys::GGML_STATUS_SUCCESS {
            return Err(Error::Create { action: format!("place tensor `{}`", t.name) });
        }
    }
    Ok(buffer)
}

/// Copies tensor by tensor and gives the file's pages back at once, so that no more than one
/// tensor is held twice.
fn copy_from_mapping(
    map: &Arc<Mmap>,
    stored: &[StoredTensor],
    tensors: &HashMap<String, NonNull<sys::ggml_tensor>>,
) {
    for t in stored {
        let bytes = &map[t.offset..t.offset + t.n_bytes];
        // SAFETY: the tensor is allocated and has exactly `n_bytes` bytes (`check_placement`).
        unsafe {
            let tensor = tensors[&t.name].as_ptr();
            sys::ggml_backend_tensor_set(tensor, bytes.as_ptr().cast(), 0, bytes.len());
        }
        #[cfg(unix)]
        // SAFETY: dropping clean pages of a read-only file mapping loses nothing: they are read
        // again on the next access.
        unsafe {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // Advice only: if the kernel refuses it, memory is freed later.
            let _ = map.unchecked_advise_range(advice, t.offset, t.n_bytes);
        }
    }
}

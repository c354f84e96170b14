//! Opening a model without reading its weights.
//!
//! llama.cpp's own mapping asks the kernel for the whole file at once (`MAP_POPULATE`), and nothing
//! that can be set changes that. But it also makes models from metadata alone and calls back for
//! each tensor's data. The memory that it reserves for them is not written to and therefore takes up
//! address space only; the callback points the tensors into a mapping of the file instead, in the
//! kind of buffer that llama.cpp makes for its own mappings.
//!
//! Such a model has every optional tensor of its architecture. Those that the file lacks get values
//! that change nothing ([`place`]), and [`Storage::skip_neutral`] takes what they would cost out
//! of the graphs.
//!
//! Every step is checked. If one does not go as expected, the model is dropped and the caller falls
//! back on llama.cpp's mapping.

mod place;

use super::LoadOptions;
use super::model::Loading;
use crate::gguf::Gguf;
use crate::weights::{Buffer, HOST_ALIGNMENT};
use crate::{Error, Result, sys};
use llama_cpp_2::model::LlamaModel;
use memmap2::Mmap;
use place::{Placing, on_tensor};
use std::collections::HashSet;
use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

/// The mapped storage of a model's tensors; must outlive the model.
#[derive(Debug)]
pub(super) struct Storage {
    /// Addresses of tensors that the file lacks and that change nothing.
    neutral: HashSet<usize>,
    // Dropped in this order: buffer before the mapping that it lies in.
    buffer: Buffer,
    _map: Arc<Mmap>,
}

/// Whether the weights may stay in the file: nothing asks for all of them at once, no GPU wants a
/// copy, and memory that is reserved costs nothing before it is written to.
pub(super) fn is_possible(options: &LoadOptions) -> bool {
    cfg!(target_os = "linux")
        && options.mmap
        && !options.mlock
        && !options.repack
        && !options.uses_gpu()
}

/// Loads a model whose tensors lie in a mapping of the file.
pub(super) fn load(
    params: sys::llama_model_params,
    loading: &mut Loading,
) -> Result<(LlamaModel, Storage)> {
    loading.report(0.0)?;
    let gguf = Gguf::open(loading.path())?;
    let mut storage = Storage::new(&gguf)?;
    let metadata = Metadata::read(loading)?;
    let mut placing = Placing::new(&gguf, &storage.buffer);
    let data = std::ptr::from_mut(&mut placing).cast();
    // SAFETY: metadata and callback data outlive the call.
    let load = |params| unsafe {
        sys::llama_model_init_from_user(metadata.0.as_ptr(), Some(on_tensor), data, params)
    };
    // SAFETY: the loader's result is passed on.
    let model = unsafe { loading.run(params, load)? };
    // On failure the model is dropped here, before the storage.
    let neutral = placing.finish()?;
    storage.neutral = neutral;
    loading.report(1.0)?;
    Ok((model, storage))
}

/// The C library's view of the header.
struct Metadata(NonNull<sys::gguf_context>);

impl Drop for Metadata {
    fn drop(&mut self) {
        // SAFETY: created by gguf_init_from_file, freed once.
        unsafe { sys::gguf_free(self.0.as_ptr()) }
    }
}

impl Metadata {
    fn read(loading: &Loading) -> Result<Metadata> {
        let refused = || loading.failed("its header cannot be read");
        let name = loading.path().to_str().and_then(|p| CString::new(p).ok());
        let name = name.ok_or_else(refused)?;
        let params = sys::gguf_init_params { no_alloc: true, ctx: std::ptr::null_mut() };
        // SAFETY: the path is NUL-terminated.
        let raw = unsafe { sys::gguf_init_from_file(name.as_ptr(), params) };
        NonNull::new(raw).map(Metadata).ok_or_else(refused)
    }
}

impl Storage {
    fn new(gguf: &Gguf) -> Result<Storage> {
        if let Some(t) = gguf.tensors().iter().find(|t| !t.offset.is_multiple_of(HOST_ALIGNMENT)) {
            let action = format!("use tensor `{}` in place: it is not aligned", t.name);
            return Err(Error::Create { action });
        }
        let largest = gguf.tensors().iter().map(|t| t.nbytes).max().unwrap_or(0);
        let map = gguf.map().clone();
        // SAFETY: the CPU is always registered; buffer and mapping are stored together, and the
        // buffer is dropped first.
        let buffer = unsafe {
            let cpu = sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU);
            let buffer = Buffer::over_mapping(cpu, &map, largest)?;
            // As llama.cpp marks its own.
            let usage = sys::GGML_BACKEND_BUFFER_USAGE_WEIGHTS;
            sys::ggml_backend_buffer_set_usage(buffer.as_ptr(), usage);
            buffer
        };
        Ok(Storage { neutral: HashSet::new(), buffer, _map: map })
    }

    /// Takes a node out of its graph if it would add or multiply by a neutral tensor in place, which
    /// leaves the memory as it is.
    ///
    /// # Safety
    /// `node` must be of an allocated graph that is not being computed.
    pub(super) unsafe fn skip_neutral(&self, node: *mut sys::ggml_tensor) {
        // SAFETY: passed on to the caller; sources of a node are alive.
        unsafe {
            let [x, y, ..] = (*node).src;
            if matches!((*node).op, sys::GGML_OP_ADD | sys::GGML_OP_MUL)
                && self.neutral.contains(&y.addr())
                && (*x).data == (*node).data
            {
                (*node).op = sys::GGML_OP_NONE;
            }
        }
    }
}

//! Placing a model's tensors in the mapped file, as llama.cpp asks for their data.

use crate::backend::owned;
use crate::gguf::{Gguf, TensorInfo};
use crate::weights::Buffer;
use crate::{Error, Result, sys};
use std::collections::HashSet;
use std::ffi::c_void;

/// What llama.cpp's callback for a tensor's data works on.
pub(super) struct Placing<'a> {
    gguf: &'a Gguf,
    /// Covers the mapping of `gguf`.
    buffer: &'a Buffer,
    placed: HashSet<&'a str>,
    neutral: HashSet<usize>,
    refused: Option<String>,
}

impl<'a> Placing<'a> {
    pub(super) fn new(gguf: &'a Gguf, buffer: &'a Buffer) -> Placing<'a> {
        Placing { gguf, buffer, placed: HashSet::new(), neutral: HashSet::new(), refused: None }
    }

    /// Addresses of the model's tensors that the file does not have.
    pub(super) fn finish(mut self) -> Result<HashSet<usize>> {
        let missed = self.gguf.tensors().iter().find(|t| !self.placed.contains(t.name.as_str()));
        if let Some(t) = missed {
            self.refused.get_or_insert(format!("place tensor `{}`", t.name));
        }
        match self.refused {
            Some(action) => Err(Error::Create { action }),
            None => Ok(self.neutral),
        }
    }

    /// # Safety
    /// `t` must be a live tensor with storage that nobody reads or writes meanwhile.
    unsafe fn visit(&mut self, t: *mut sys::ggml_tensor) {
        // SAFETY: passed on to the caller.
        unsafe {
            let name = owned((*t).name.as_ptr());
            let gguf = self.gguf;
            let done = match gguf.tensor(&name) {
                Some(info) => self.place(t, info),
                None => self.neutralise(t, &name),
            };
            if !done {
                self.refused.get_or_insert(format!("use tensor `{name}` in place"));
            }
        }
    }

    /// Points a tensor into the mapping.
    unsafe fn place(&mut self, t: *mut sys::ggml_tensor, info: &'a TensorInfo) -> bool {
        // SAFETY: the caller's tensor; `Gguf` checked that the range lies inside the mapping, which
        // the buffer covers, and the tensor has that size. The storage that it had belongs to the
        // model, which frees it.
        unsafe {
            let fits = (*t).type_ == info.raw_type
                && (*t).ne.iter().zip(info.ne).all(|(&a, b)| u64::try_from(a) == Ok(b))
                && sys::ggml_nbytes(t) == info.nbytes
                && (*t).view_src.is_null()
                && sys::ggml_backend_buffer_is_host((*t).buffer);
            if !fits {
                return false;
            }
            ((*t).buffer, (*t).data) = (std::ptr::null_mut(), std::ptr::null_mut());
            let addr = self.gguf.map().as_ptr().add(info.offset).cast_mut();
            self.placed.insert(&info.name);
            let status = sys::ggml_backend_tensor_alloc(self.buffer.as_ptr(), t, addr.cast());
            status == sys::GGML_STATUS_SUCCESS
        }
    }

    /// Fills a tensor that is optional to llama.cpp and absent from the file so that it changes no
    /// bit: x + -0 and x * 1 are x.
    unsafe fn neutralise(&mut self, t: *mut sys::ggml_tensor, name: &str) -> bool {
        // llama.cpp's own names, which it gives in every architecture; no file of ours has them.
        let value = match name.rsplit('.').next() {
            Some("bias") => -0.0f32,
            Some("scale" | "input_scale") => 1.0,
            _ if name == "rope_freqs.weight" => 1.0,
            _ => return false,
        };
        // SAFETY: the caller's tensor, whose storage is the model's own, of exactly that size.
        unsafe {
            if (*t).type_ != sys::GGML_TYPE_F32 || !sys::ggml_is_contiguous(t) {
                return false;
            }
            let values = vec![value; sys::ggml_nelements(t) as usize];
            sys::ggml_backend_tensor_set(t, values.as_ptr().cast(), 0, values.len() * 4);
        }
        self.neutral.insert(t.addr());
        true
    }
}

/// llama.cpp's callback for the data of a tensor.
pub(super) unsafe extern "C" fn on_tensor(t: *mut sys::ggml_tensor, data: *mut c_void) {
    // SAFETY: `data` is the Placing that `load` lends for the call of the loader, which has this
    // tensor allocated and not in use.
    unsafe { (*data.cast::<Placing>()).visit(t) }
}

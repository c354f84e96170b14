//! llama.cpp's own quantiser, as a reference: whole file in, whole file out.
//!
//! The converter does the same work tensor by tensor while it reads a checkpoint; this is what its
//! bytes, time and memory are compared with.

use crate::{Error, FileType, Result, backend, logging, sys};
use std::ffi::CString;
use std::path::Path;

/// Reads the language model `input` and writes it to `output` in another mix of types, on
/// `n_threads` threads (0: as many as the machine has).
///
/// `input` is to be a file of one's own making: llama.cpp ends the process on some malformed ones.
///
/// # Errors
/// [`Error::Unrepresentable`] for a path with a NUL; [`Error::Create`] with what llama.cpp said if
/// it refuses the model or cannot write the file.
pub fn quantize_file(
    input: &Path,
    output: &Path,
    file_type: FileType,
    n_threads: u32,
) -> Result<()> {
    backend::init();
    let (c_input, c_output) = (c_path(input)?, c_path(output)?);
    // SAFETY: returns a plain struct by value.
    let mut params = unsafe { sys::llama_model_quantize_default_params() };
    params.ftype = file_type.raw();
    params.nthread = i32::try_from(n_threads).unwrap_or(i32::MAX);
    logging::take_error();
    // SAFETY: both strings are NUL-terminated and `params` is initialised with null pointers for
    // everything optional; all three outlive the call, which keeps none of them. C++ exceptions
    // are caught inside.
    let status = unsafe {
        sys::llama_model_quantize(c_input.as_ptr(), c_output.as_ptr(), &raw const params)
    };
    if status == 0 {
        return Ok(());
    }
    let reason = logging::take_error().unwrap_or_else(|| format!("status {status}"));
    Err(Error::Create { action: format!("quantise {}: {reason}", input.display()) })
}

fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Error::Unrepresentable {
        what: path.display().to_string(),
        reason: "it has a NUL in it".into(),
    })
}

//! ggml's CPU backend as modules, one for each generation of processors: the best one that this processor can run is
//! loaded. The modules lie beside ggml's own library, or, as in a build tree, in `backends` beside its folder.

use crate::{Error, sys};
use std::ffi::{CStr, CString, OsStr, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Loads the modules; gives whether there is a CPU backend now. No other folder is looked at, above all not the working
/// directory, where llama.cpp would look of its own accord.
pub(crate) fn load() -> bool {
    for folder in folders() {
        if let Ok(path) = CString::new(folder.as_os_str().as_bytes()) {
            // SAFETY: a NUL-terminated path.
            unsafe { sys::ggml_backend_load_all_from_path(path.as_ptr()) }
        }
        // SAFETY: no precondition.
        if !unsafe { sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU) }.is_null() {
            return true;
        }
    }
    false
}

/// That no module could be loaded, and where they should be.
pub(crate) fn missing() -> Error {
    let folders: Vec<_> = folders().iter().map(|f| f.display().to_string()).collect();
    Error::NoCpu { folders: folders.join(" or ") }
}

fn folders() -> Vec<PathBuf> {
    let Some(library) = ggml_path() else { return Vec::new() };
    let Some(folder) = library.parent() else { return Vec::new() };
    let beside = folder.parent().map(|up| up.join("backends"));
    let is_folder = |f: &PathBuf| f.is_dir();
    [folder.to_owned()].into_iter().chain(beside.filter(is_folder)).collect()
}

/// Where the library lies that ggml's registry is in.
fn ggml_path() -> Option<PathBuf> {
    let inside = sys::ggml_backend_load_all_from_path as *const c_void;
    // SAFETY: a struct of pointers, which may be null; `dladdr` fills it, and its path lasts as long as the library is
    // loaded, which is linked.
    let path = unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(inside, &mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        CStr::from_ptr(info.dli_fname)
    };
    Path::new(OsStr::from_bytes(path.to_bytes())).canonicalize().ok()
}

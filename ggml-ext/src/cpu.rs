//! Functions of ggml's CPU backend beyond those that all backends have. They are asked of ggml's registry, not of the
//! linker: with the feature `dynamic-cpu` the backend is a module that is loaded at run time.

use crate::device::{CPU, find_device};
use crate::{Error, Result, sys};
use std::ffi::{CStr, c_int, c_void};
use std::sync::OnceLock;

type ThreadPoolNew =
    unsafe extern "C" fn(*mut sys::ggml_threadpool_params) -> *mut sys::ggml_threadpool;
type ThreadPoolFree = unsafe extern "C" fn(*mut sys::ggml_threadpool);
type SetThreads = unsafe extern "C" fn(sys::ggml_backend_t, c_int);
type SetThreadPool = unsafe extern "C" fn(sys::ggml_backend_t, *mut sys::ggml_threadpool);
type SetAbort = unsafe extern "C" fn(sys::ggml_backend_t, sys::ggml_abort_callback, *mut c_void);

// The types are those of the bindings; constants that nobody uses need nothing of the linker.
const _: ThreadPoolNew = sys::ggml_threadpool_new;
const _: ThreadPoolFree = sys::ggml_threadpool_free;
const _: SetThreads = sys::ggml_backend_cpu_set_n_threads;
const _: SetThreadPool = sys::ggml_backend_cpu_set_threadpool;
const _: SetAbort = sys::ggml_backend_cpu_set_abort_callback;

/// The functions; backends that they are given must be of the CPU.
pub(crate) struct Functions {
    pub(crate) threadpool_new: ThreadPoolNew,
    pub(crate) threadpool_free: ThreadPoolFree,
    pub(crate) set_n_threads: SetThreads,
    pub(crate) set_threadpool: SetThreadPool,
    pub(crate) set_abort_callback: SetAbort,
}

/// The functions of the CPU backend of this process.
///
/// # Errors
/// [`Error::NoCpu`] if there is no such backend, [`Error::Create`] if it lacks one of the functions.
pub(crate) fn functions() -> Result<&'static Functions> {
    static FUNCTIONS: OnceLock<Functions> = OnceLock::new();
    if let Some(known) = FUNCTIONS.get() {
        return Ok(known);
    }
    let found = look_up()?;
    Ok(FUNCTIONS.get_or_init(|| found))
}

fn look_up() -> Result<Functions> {
    let (device, _) = find_device(CPU)?;
    // SAFETY: the device is registered for the life of the process.
    let reg = unsafe { sys::ggml_backend_dev_backend_reg(device) };
    let address = |name: &CStr| {
        // SAFETY: `reg` is the backend of a device; the name is NUL-terminated.
        let found = unsafe { sys::ggml_backend_reg_get_proc_address(reg, name.as_ptr()) };
        let action = || format!("find `{}` in its CPU backend", name.to_string_lossy());
        (!found.is_null()).then_some(found).ok_or_else(|| Error::Create { action: action() })
    };
    macro_rules! function {
        ($name:literal, $type:ty) => {
            // SAFETY: not null; under this name the backend gives a function of this type.
            unsafe { std::mem::transmute::<*mut c_void, $type>(address($name)?) }
        };
    }
    Ok(Functions {
        threadpool_new: function!(c"ggml_threadpool_new", ThreadPoolNew),
        threadpool_free: function!(c"ggml_threadpool_free", ThreadPoolFree),
        set_n_threads: function!(c"ggml_backend_set_n_threads", SetThreads),
        set_threadpool: function!(c"ggml_backend_cpu_set_threadpool", SetThreadPool),
        set_abort_callback: function!(c"ggml_backend_set_abort_callback", SetAbort),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_backend_has_all_functions() {
        assert!(super::functions().is_ok());
    }
}

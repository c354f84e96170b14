//! C logs to `tracing`, and what went wrong first for our own errors.

use crate::backend::owned;
use crate::sys;
use std::cell::RefCell;
use std::ffi::{c_char, c_void};
use std::sync::Mutex;

/// The first error line that the C libraries logged since it was taken, for error messages of calls
/// that return null: the cause comes first, then each caller's complaint.
static FIRST_ERROR: Mutex<String> = Mutex::new(String::new());

/// Sends the logs of ggml and llama.cpp to `tracing` (target `llama.cpp`).
pub(crate) fn install() {
    // SAFETY: the callback is a plain function without user data.
    unsafe { sys::llama_log_set(Some(forward), std::ptr::null_mut()) }
}

/// Takes the first error message that was logged since the previous call, if any.
pub(crate) fn take_error() -> Option<String> {
    let mut first = FIRST_ERROR.lock().unwrap_or_else(|p| p.into_inner());
    (!first.is_empty()).then(|| std::mem::take(&mut *first))
}

/// Runs `f` and gives the lines that the C libraries logged meanwhile on this thread, too.
pub(crate) fn listen<R>(f: impl FnOnce() -> R) -> (R, Vec<String>) {
    let before = HEARD.replace(Some(Vec::new()));
    let result = f();
    (result, HEARD.replace(before).unwrap_or_default())
}

thread_local! {
    /// Lines that somebody listens for.
    static HEARD: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
    /// The unfinished line: the C side prints some lines in pieces.
    static LINE: RefCell<(sys::ggml_log_level, String)> =
        const { RefCell::new((sys::GGML_LOG_LEVEL_NONE, String::new())) };
}

unsafe extern "C" fn forward(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    let text = owned(text);
    LINE.with_borrow_mut(|(line_level, line)| {
        if level != sys::GGML_LOG_LEVEL_CONT {
            *line_level = level;
        }
        line.push_str(&text);
        if line.ends_with('\n') {
            emit(*line_level, line.trim_end());
            line.clear();
        }
    });
}

fn emit(level: sys::ggml_log_level, line: &str) {
    if line.chars().all(|c| c == '.' || c.is_whitespace()) {
        return;
    }
    HEARD.with_borrow_mut(|heard| heard.iter_mut().for_each(|lines| lines.push(line.to_owned())));
    match level {
        sys::GGML_LOG_LEVEL_ERROR => {
            let mut first = FIRST_ERROR.lock().unwrap_or_else(|p| p.into_inner());
            if first.is_empty() {
                line.clone_into(&mut first);
            }
            drop(first);
            tracing::error!(target: "llama.cpp", "{line}");
        }
        sys::GGML_LOG_LEVEL_WARN => tracing::warn!(target: "llama.cpp", "{line}"),
        sys::GGML_LOG_LEVEL_INFO => tracing::info!(target: "llama.cpp", "{line}"),
        _ => tracing::debug!(target: "llama.cpp", "{line}"),
    }
}

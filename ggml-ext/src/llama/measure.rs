//! What a model's context would take, before it is made.

use super::context::raw_params;
use super::model::Loading;
use super::{ContextParams, LoadOptions};
use crate::{CancelToken, Error, Result, backend, logging, sys};
use std::path::Path;

/// What llama.cpp says in front of the size of a buffer for intermediate values.
const COMPUTE: &str = " compute buffer size =";

/// Bytes of the buffers that a context needs for intermediate values, each with the name of its type: the device's
/// for its own memory, another for host memory that it can reach. Weights and the KV cache are not among them.
///
/// The file's header is read, and nothing is allocated. llama.cpp tells these sizes in its log only.
///
/// # Errors
/// As [`super::Model::load`] and [`super::Context::new`], and if llama.cpp tells no sizes.
pub fn compute_buffers(
    path: &Path,
    options: &LoadOptions,
    params: &ContextParams,
) -> Result<Vec<(String, usize)>> {
    backend::init();
    let nothing = LoadOptions { mmap: false, mlock: false, ..options.clone() };
    let raw = nothing.raw()?;
    let params_raw = sys::llama_model_params { no_alloc: true, ..raw.params() };
    let mut progress = |_: f32| true;
    let model = Loading::new(path, &mut progress).run_plain(params_raw, false)?;
    let cancel = CancelToken::new();
    let raw_params = raw_params(params, &cancel, None);
    logging::take_error();
    let (is_made, lines) = logging::listen(|| {
        // SAFETY: the model outlives the context, which is freed at once and never run.
        unsafe {
            let context = sys::llama_init_from_model(model.raw(), raw_params);
            let is_made = !context.is_null();
            if is_made {
                sys::llama_free(context);
            }
            is_made
        }
    });
    let sizes: Vec<_> = lines.iter().filter_map(|line| compute_buffer(line)).collect();
    match is_made && !sizes.is_empty() {
        true => Ok(sizes),
        false => {
            let why = logging::take_error().unwrap_or_else(|| "no sizes were told".into());
            Err(Error::Create { action: format!("measure a context: {why}") })
        }
    }
}

/// `FUNCTION:   NAME compute buffer size =   12.34 MiB`
fn compute_buffer(line: &str) -> Option<(String, usize)> {
    let (before, size) = line.split_once(COMPUTE)?;
    let name = before.rsplit(' ').next()?;
    let mib: f64 = size.trim().strip_suffix("MiB")?.trim().parse().ok()?;
    // Sizes are told with two digits: what was cut off is added.
    Some((name.to_owned(), ((mib + 0.01) * f64::from(1 << 20)) as usize))
}

#[cfg(test)]
mod tests {
    use super::compute_buffer;

    #[test]
    fn sizes_are_read_from_lines_of_the_log() {
        let line = "sched_reserve:    Vulkan0 compute buffer size =    70.50 MiB";
        let (name, bytes) = compute_buffer(line).expect("a size");
        assert_eq!((name.as_str(), bytes >> 20), ("Vulkan0", 70));
        for line in ["x: CPU KV buffer size = 1.00 MiB", "x: CPU compute buffer size = 1 GiB", ""] {
            assert_eq!(compute_buffer(line), None, "{line}");
        }
    }
}

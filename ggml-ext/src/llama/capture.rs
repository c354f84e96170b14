//! What happens to a graph's nodes before and after they are computed: those that do nothing are taken
//! out, some become ours where those are faster, and copies of chosen ones are kept for comparing with a reference.

use super::Model;
use crate::backend::owned;
use crate::float_gemm::Floats;
use crate::graph::{PlacedNode, placed_node};
use crate::replace::Replacements;
use crate::{Result, sys};
use std::collections::HashMap;
use std::ffi::c_void;

/// Keeps the last row of every tensor whose name starts with the prefix, if there is one.
pub(super) struct Capture {
    prefix: Option<String>,
    model: Model,
    /// For models of the CPU.
    replacements: Option<Replacements>,
    rows: HashMap<String, Vec<f32>>,
    /// Every node that was computed, by its name.
    nodes: HashMap<String, PlacedNode>,
}

impl Capture {
    /// `None` if no node of the model's graphs is of interest.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub(super) fn new(
        prefix: Option<String>,
        model: &Model,
        n_threads: usize,
    ) -> Result<Option<Capture>> {
        let plain = model.is_in_place();
        let replacements = if model.is_on_cpu() {
            Some(Replacements::new(n_threads, plain, Floats::in_vectors())?)
        } else {
            None
        };
        let wanted = prefix.is_some() || replacements.is_some();
        let (rows, nodes) = Default::default();
        Ok(wanted.then(|| Capture { prefix, model: model.clone(), replacements, rows, nodes }))
    }

    pub(super) fn row(&self, name: &str) -> Option<&[f32]> {
        self.rows.get(name).map(Vec::as_slice)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &PlacedNode> {
        self.nodes.values()
    }

    unsafe fn keep_last_row(&mut self, name: String, t: *mut sys::ggml_tensor) {
        // SAFETY: the scheduler hands over a computed tensor; only contiguous float matrices are
        // read, within their size.
        unsafe {
            if (*t).type_ != sys::GGML_TYPE_F32 || !sys::ggml_is_contiguous(t) {
                return;
            }
            let (n, rows) = ((*t).ne[0] as usize, sys::ggml_nrows(t) as usize);
            if rows == 0 {
                return;
            }
            let mut row = vec![0.0f32; n];
            let offset = (rows - 1) * n * 4;
            sys::ggml_backend_tensor_get(t, row.as_mut_ptr().cast(), offset, n * 4);
            self.rows.insert(name, row);
        }
    }
}

/// llama.cpp's evaluation callback: asked first whether the tensor is wanted, then called with it.
pub(super) unsafe extern "C" fn on_eval(
    t: *mut sys::ggml_tensor,
    ask: bool,
    data: *mut c_void,
) -> bool {
    // SAFETY: `data` is the boxed Capture that the context owns; callbacks run one at a time on
    // the thread that decodes, which holds the context mutably. It is asked about a node of an
    // allocated graph, whose inputs are set, before that is computed, by the context's threads, which are as many as `replacements` was made for.
    unsafe {
        let capture = &mut *data.cast::<Capture>();
        if ask {
            if let Some(storage) = capture.model.storage() {
                storage.skip_neutral(t);
            }
            if let Some(replacements) = &mut capture.replacements {
                replacements.replace(t);
                replacements.foresee(t);
            }
        }
        let Some(prefix) = &capture.prefix else { return !ask };
        if ask {
            let node = placed_node(t);
            capture.nodes.insert(node.name.clone(), node);
        }
        let name = owned((*t).name.as_ptr());
        if !name.starts_with(prefix) {
            return !ask;
        }
        if !ask {
            capture.keep_last_row(name, t);
        }
        true
    }
}

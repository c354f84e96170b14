//! Attention ([`crate::attention`]).

use super::filling::Filling;
use super::{OpParams, op_params};
use crate::attention::{Cells, Mask, Order, Room, Rows, Run, Shape};
use crate::simd::Isa;
use crate::stable_box::StableBox;
use crate::{Result, sys};
use std::ffi::{c_int, c_void};

/// Where a node that was replaced keeps the factor of its scores.
const SCALE: usize = 15;

/// Replaces attention.
pub(super) struct Attention {
    state: StableBox<State>,
    op_params: OpParams,
}

/// What our nodes work on.
struct State {
    isa: Isa,
    n_threads: usize,
    room: Room,
    filling: Filling,
}

impl Attention {
    /// # Errors
    /// If memory does not suffice.
    pub(super) fn new(n_threads: usize) -> Result<Attention> {
        let state = StableBox::new(State {
            isa: Isa::detect(),
            n_threads,
            room: Room::default(),
            filling: Filling::default(),
        });
        let op_params = op_params(run, state.as_ptr().cast())?;
        Ok(Attention { state, op_params })
    }

    /// Bytes of memory that the nodes share.
    pub(super) fn bytes(&self) -> usize {
        self.state.get().room.bytes()
    }

    /// Learns in which order the cache is filled: a result depends on nothing but what is seen, then.
    ///
    /// # Safety
    /// As for [`super::Replacements::foresee`].
    pub(super) unsafe fn foresee(&mut self, node: *const sys::ggml_tensor) {
        let filling = &mut self.state.get_mut().filling;
        // SAFETY: the caller's node.
        unsafe {
            let params = (*node).op_params;
            match (*node).op {
                sys::GGML_OP_SET_ROWS => filling.write(node),
                // All but the last of the numbers are the same in all nodes of ours.
                sys::GGML_OP_CUSTOM if params[..SCALE] == self.op_params[..SCALE] => {
                    filling.sort((*(*node).src[1]).ne[1] as usize);
                }
                _ => {}
            }
        }
    }

    /// Makes a custom op of a node that is attention of a kind that there is code for.
    ///
    /// # Safety
    /// As for [`super::Replacements::replace`].
    pub(super) unsafe fn replace(&mut self, node: *mut sys::ggml_tensor) {
        // SAFETY: the caller's node.
        unsafe {
            let [scale, max_bias, soft_cap] =
                [0, 1, 2].map(|i| f32::from_bits((*node).op_params[i].cast_unsigned()));
            let Some(shape) = shape(node).filter(|s| s.is_known()) else { return };
            if max_bias != 0.0 || soft_cap != 0.0 || !(*node).src[4].is_null() {
                return;
            }
            let State { room, n_threads, .. } = self.state.get_mut();
            room.reserve(&shape, *n_threads);
            (*node).op = sys::GGML_OP_CUSTOM;
            (*node).op_params = self.op_params;
            (*node).op_params[SCALE] = scale.to_bits().cast_signed();
        }
    }
}

/// ggml's entry point.
unsafe extern "C" fn run(node: *mut sys::ggml_tensor, ith: c_int, nth: c_int, data: *mut c_void) {
    // SAFETY: `data` is the state that `Attention` keeps alive, and only read while a graph is run. ggml calls this on all of its
    // threads at once with the same node, which `Attention::replace` made of a known one, and runs one node at a time.
    unsafe {
        let State { isa, room, filling, .. } = &*data.cast::<State>();
        let Some(shape) = shape(node) else { return };
        let [queries, keys, values, mask, ..] = (*node).src;
        let mask = (!mask.is_null()).then(|| Mask {
            first: (*mask).data.cast_const().cast(),
            stride: (*mask).nb[1] / size_of::<half::f16>(),
        });
        let run = Run {
            shape,
            room,
            scale: f32::from_bits((*node).op_params[SCALE].cast_unsigned()),
            queries: rows(queries),
            keys: rows(keys),
            values: rows(values),
            mask,
            order: Order(filling.order(shape.n_kv)),
            output: (*node).data.cast(),
            ith: ith as usize,
            nth: nth as usize,
        };
        run.run(*isa);
    }
}

/// Rows of a tensor `[n_embd, n, n_head]`.
unsafe fn rows(t: *const sys::ggml_tensor) -> Rows {
    // SAFETY: the caller's tensor is alive; only fields are read.
    unsafe { Rows { first: (*t).data.cast_const().cast(), stride: (*t).nb[1], head: (*t).nb[2] } }
}

/// The sizes of attention, if it is of one stream, and all is of types and layouts that are read here.
unsafe fn shape(node: *const sys::ggml_tensor) -> Option<Shape> {
    // SAFETY: the caller's node, whose sources are alive; only fields are read.
    unsafe {
        let [queries, keys, values, mask, ..] = (*node).src;
        let cells = match (*keys).type_ {
            sys::GGML_TYPE_F16 => Cells::F16,
            sys::GGML_TYPE_F32 => Cells::F32,
            _ => return None,
        };
        let [q, k, v] = [queries, keys, values].map(|t| (*t).ne.map(|n| n as usize));
        let whole = |t: *const sys::ggml_tensor| (*t).nb[0] == sys::ggml_type_size((*t).type_);
        let same = (*values).type_ == (*keys).type_ && k == v && k[0] == q[0];
        let plain = [queries, keys, values].iter().all(|&t| whole(t) && (*t).ne[3] == 1);
        let floats = (*queries).type_ == sys::GGML_TYPE_F32 && (*node).type_ == sys::GGML_TYPE_F32;
        let seen = mask.is_null() || {
            let [n_kv, rows, heads, streams] = (*mask).ne.map(|n| n as usize);
            let f16s = (*mask).type_ == sys::GGML_TYPE_F16 && whole(mask);
            f16s && n_kv >= k[1] && rows >= q[1] && heads == 1 && streams == 1
        };
        (same && plain && floats && seen && sys::ggml_is_contiguous(node)).then_some(Shape {
            cells,
            n_embd: q[0],
            n_queries: q[1],
            n_head: q[2],
            n_head_kv: k[2],
            n_kv: k[1],
        })
    }
}

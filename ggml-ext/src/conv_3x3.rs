//! 3x3 convolution of several maps by one kernel, as a graph node.
//!
//! On the CPU it is ours ([`crate::winograd`]), which needs a quarter of the multiplications;
//! elsewhere, and for kernels or channels that it does not take, ggml's direct convolution of each
//! map.

use crate::graph::Builder;
use crate::stable_box::StableBox;
use crate::tensor::Tensor;
use crate::winograd::{self, Conv, Job, Kernel, Moments, Options, Workspace};
use crate::{DType, Error, Result, sys};
use half::{bf16, f16};
use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::ptr::slice_from_raw_parts_mut;
use std::sync::Arc;

/// What a node needs beyond its inputs.
pub(crate) struct ConvState {
    conv: Conv,
    workspace: Arc<Workspace>,
    channels: [usize; 2],
    /// Written by every run, read by nobody.
    moments: Box<[UnsafeCell<Moments>]>,
}

// SAFETY: moments are written only by the runs of their graph, and the workspace by those of all
// graphs on its backend; a backend runs one graph at a time, and a graph one node.
unsafe impl Sync for ConvState {}

impl<'g> Builder<'g> {
    /// Convolves maps `[W, H, Cin]` with one kernel `[3, 3, Cin, Cout]` (`[Cout, Cin, 3, 3]`),
    /// stride and padding 1, without bias, giving maps `[W, H, Cout]`.
    ///
    /// # Errors
    /// [`Error::Create`] if there is no memory for scratch space.
    pub fn conv_3x3(&self, maps: &[Tensor<'g>], kernel: Tensor<'g>) -> Result<Vec<Tensor<'g>>> {
        if !self.takes_winograd(kernel) {
            return Ok(maps.iter().map(|&map| self.conv_2d(map, kernel, 1, 1)).collect());
        }
        let sides: Vec<_> = maps.iter().map(|m| [m.ne()[0], m.ne()[1]]).collect();
        let flat = maps.iter().map(|&map| self.channels_first(map));
        let Some(x) = flat.reduce(|a, b| self.concat(a, b, 1)) else { return Ok(Vec::new()) };
        let y = self.winograd(x, kernel, &sides)?;
        let mut first = 0;
        let map = |&[w, h]: &[usize; 2]| {
            let part = self.slice(y, 1, first, w * h);
            first += w * h;
            self.reshape(self.transposed(part), &[w, h, kernel.ne()[3]])
        };
        Ok(sides.iter().map(map).collect())
    }

    /// [`Builder::conv_3x3`] of `n` maps of one size, `[W, H, Cin, n]`.
    ///
    /// # Errors
    /// As there.
    pub fn conv_3x3_batch(&self, maps: Tensor<'g>, kernel: Tensor<'g>) -> Result<Tensor<'g>> {
        if !self.takes_winograd(kernel) {
            return Ok(self.conv_2d(maps, kernel, 1, 1));
        }
        let ([w, h, _, n], [.., c_in, c_out]) = (maps.ne(), kernel.ne());
        let x = self.reshape(self.channels_first(maps), &[c_in, w * h * n]);
        let y = self.winograd(x, kernel, &vec![[w, h]; n])?;
        let y = self.transposed(self.reshape(y, &[c_out, w * h, n]));
        Ok(self.reshape(y, &[w, h, c_out, n]))
    }

    fn takes_winograd(&self, kernel: Tensor<'g>) -> bool {
        let [kw, kh, c_in, c_out] = kernel.ne();
        let typed = matches!(kernel.dtype(), DType::F32 | DType::F16 | DType::Bf16);
        self.backend.is_cpu() && typed && [kw, kh] == [3, 3] && c_in % 4 == 0 && c_out % 4 == 0
    }

    /// `[W, H, C, n]` to `[C, W * H, n]`.
    fn channels_first(&self, maps: Tensor<'g>) -> Tensor<'g> {
        let [w, h, c, n] = maps.ne();
        self.transposed(self.reshape(maps, &[w * h, c, n]))
    }

    fn transposed(&self, x: Tensor<'g>) -> Tensor<'g> {
        self.cont(self.permute(x, [1, 0, 2, 3]))
    }

    /// x `[Cin, pixels]`, all maps one after the other, to `[Cout, pixels]`.
    fn winograd(
        &self,
        x: Tensor<'g>,
        kernel: Tensor<'g>,
        sides: &[[usize; 2]],
    ) -> Result<Tensor<'g>> {
        let [.., c_in, c_out] = kernel.ne();
        let options = Options { n_threads: self.backend.n_threads(), ..Options::default() };
        let failed = |e: winograd::Error| Error::Create { action: format!("convolve: {e}") };
        let conv = Conv::new(sides, [c_in, c_out], options).map_err(failed)?;
        let workspace = self.backend.scratch(&conv).map_err(failed)?;
        let moments = std::iter::repeat_with(UnsafeCell::default).take(sides.len() * c_out);
        let moments = moments.collect();
        let state = ConvState { conv, workspace, channels: [c_in, c_out], moments };
        Ok(self.winograd_node(x, kernel, state))
    }

    fn winograd_node(&self, x: Tensor<'g>, kernel: Tensor<'g>, state: ConvState) -> Tensor<'g> {
        let (n_pixels, [_, c_out]) = (state.conv.n_pixels(), state.channels);
        let state = StableBox::new(state);
        let user_data = state.as_ptr();
        self.convs.borrow_mut().push(state);
        // SAFETY: both tensors are alive for 'g; the state is boxed and owned by the graph, so its
        // address holds as long as the node.
        let raw = unsafe {
            let mut args = [x.as_ptr(), kernel.as_ptr()];
            sys::ggml_custom_4d(
                self.ctx.as_ptr(),
                sys::GGML_TYPE_F32,
                c_out as i64,
                n_pixels as i64,
                1,
                1,
                args.as_mut_ptr(),
                2,
                Some(run),
                self.backend.n_threads() as c_int,
                user_data.cast(),
            )
        };
        self.node(raw, "conv_3x3")
    }
}

/// ggml's entry point: thread `ith` of `nth` does its share.
unsafe extern "C" fn run(dst: *mut sys::ggml_tensor, ith: c_int, nth: c_int, data: *mut c_void) {
    // SAFETY: `data` is the state that `winograd_node` registered; the graph owns it and is borrowed
    // by the run. `dst` and its sources are contiguous, allocated, and of the recorded shapes and
    // types. ggml calls this on all of its `nth` threads at once, at most as many as were planned
    // for, with the same tensors; nothing else touches `dst`, workspace or moments meanwhile.
    unsafe {
        let state = &*data.cast::<ConvState>();
        let [c_in, c_out] = state.channels;
        let [x, w, ..] = (*dst).src;
        let n = 9 * c_in * c_out;
        let kernel = match (*w).type_ {
            sys::GGML_TYPE_F16 => {
                Kernel::F16(std::slice::from_raw_parts((*w).data.cast::<f16>(), n))
            }
            sys::GGML_TYPE_BF16 => {
                Kernel::Bf16(std::slice::from_raw_parts((*w).data.cast::<bf16>(), n))
            }
            _ => Kernel::F32(std::slice::from_raw_parts((*w).data.cast::<f32>(), n)),
        };
        let n_pixels = state.conv.n_pixels();
        let x = std::slice::from_raw_parts((*x).data.cast::<f32>(), n_pixels * c_in);
        let y = slice_from_raw_parts_mut((*dst).data.cast::<f32>(), n_pixels * c_out);
        let moments = UnsafeCell::raw_get(state.moments.as_ptr());
        let moments = slice_from_raw_parts_mut(moments, state.moments.len());
        let job = Job::from_raw(x, kernel, y, moments);
        state.conv.run(&state.workspace, &job, ith as usize, nth as usize, &mut ());
    }
}

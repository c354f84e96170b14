//! Layers, named as in PyTorch. Shapes are in ggml order (fastest first), PyTorch order in brackets.

use crate::graph::Builder;
use crate::sys;
use crate::tensor::Tensor;

/// Factor of the sigmoid that stands for the error function in CLIP's GELU.
const QUICK: f32 = 1.702;

impl<'g> Builder<'g> {
    /// `x . w^T`: x `[K, n, ...]`, w `[K, m]` (`[m, K]`) gives `[m, n, ...]`.
    pub fn mul_mat(&self, w: Tensor<'g>, x: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: both tensors are alive for 'g; ggml checks the shapes. The node is a product.
        let raw = unsafe {
            let raw = sys::ggml_mul_mat(self.ctx.as_ptr(), w.as_ptr(), x.as_ptr());
            // GPUs would add up in half precision, which rows of 200,000 elements do not bear.
            sys::ggml_mul_mat_set_prec(raw, sys::GGML_PREC_F32);
            raw
        };
        self.node(raw, "mul_mat")
    }

    /// Fully connected layer: x `[K, n]`, weight `[K, m]` (`[m, K]`), bias `[m]`, gives `[m, n]`.
    pub fn linear(
        &self,
        x: Tensor<'g>,
        weight: Tensor<'g>,
        bias: Option<Tensor<'g>>,
    ) -> Tensor<'g> {
        let y = self.mul_mat(weight, x);
        match bias {
            Some(b) => self.add(y, b),
            None => y,
        }
    }

    /// Sum; `b` is repeated along the dimensions where it has size one.
    pub fn add(&self, a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: both tensors are alive for 'g; ggml checks that `b` can be repeated.
        self.node(unsafe { sys::ggml_add(self.ctx.as_ptr(), a.as_ptr(), b.as_ptr()) }, "add")
    }

    /// Product, element by element; `b` is repeated as in [`Builder::add`].
    pub fn mul(&self, a: Tensor<'g>, b: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: both tensors are alive for 'g; ggml checks that `b` can be repeated.
        self.node(unsafe { sys::ggml_mul(self.ctx.as_ptr(), a.as_ptr(), b.as_ptr()) }, "mul")
    }

    /// LayerNorm over the fastest dimension, in float32.
    pub fn layer_norm(
        &self,
        x: Tensor<'g>,
        weight: Tensor<'g>,
        bias: Tensor<'g>,
        eps: f32,
    ) -> Tensor<'g> {
        // SAFETY: `x` is alive for 'g.
        let n = self.node(unsafe { sys::ggml_norm(self.ctx.as_ptr(), x.as_ptr(), eps) }, "norm");
        self.add(self.mul(n, weight), bias)
    }

    /// GroupNorm over a map `[W, H, C]` (`[C, H, W]`): `n_groups` groups of consecutive channels,
    /// biased variance, then one weight and bias (`[C]`) per channel.
    pub fn group_norm(
        &self,
        x: Tensor<'g>,
        n_groups: usize,
        weight: Tensor<'g>,
        bias: Tensor<'g>,
        eps: f32,
    ) -> Tensor<'g> {
        // SAFETY: `x` is alive for 'g.
        let n =
            unsafe { sys::ggml_group_norm(self.ctx.as_ptr(), x.as_ptr(), n_groups as i32, eps) };
        let n = self.node(n, "group_norm");
        let per_channel = |t: Tensor<'g>| self.reshape(t, &[1, 1, t.ne()[0]]);
        self.add(self.mul(n, per_channel(weight)), per_channel(bias))
    }

    /// max(x, 0).
    pub fn relu(&self, x: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: `x` is alive for 'g.
        self.node(unsafe { sys::ggml_relu(self.ctx.as_ptr(), x.as_ptr()) }, "relu")
    }

    /// CLIP's GELU: `x * sigmoid(1.702 x)`.
    ///
    /// Written as `silu(1.702 x) / 1.702`: ggml's own op looks it up in a half-precision table on the CPU, and of the
    /// ops that it can be made of only this one is vectorised there.
    pub fn gelu_quick(&self, x: Tensor<'g>) -> Tensor<'g> {
        let scaled = self.scale(x, QUICK);
        // SAFETY: `scaled` is alive for 'g.
        let gated = unsafe { sys::ggml_silu(self.ctx.as_ptr(), scaled.as_ptr()) };
        self.scale(self.node(gated, "silu"), 1.0 / QUICK)
    }

    /// `x * factor`.
    fn scale(&self, x: Tensor<'g>, factor: f32) -> Tensor<'g> {
        // SAFETY: `x` is alive for 'g.
        self.node(unsafe { sys::ggml_scale(self.ctx.as_ptr(), x.as_ptr(), factor) }, "scale")
    }

    /// The exact GELU, with the error function.
    pub fn gelu_erf(&self, x: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: `x` is alive for 'g.
        self.node(unsafe { sys::ggml_gelu_erf(self.ctx.as_ptr(), x.as_ptr()) }, "gelu_erf")
    }

    /// `softmax(x * scale)` over the fastest dimension.
    pub fn soft_max(&self, x: Tensor<'g>, scale: f32) -> Tensor<'g> {
        // SAFETY: `x` is alive for 'g; a null mask means none.
        let raw = unsafe {
            let no_mask = std::ptr::null_mut();
            sys::ggml_soft_max_ext(self.ctx.as_ptr(), x.as_ptr(), no_mask, scale, 0.0)
        };
        self.node(raw, "soft_max")
    }

    /// Multi-head attention without a mask. q, k, v `[n_embd, n_tokens]`, result likewise; heads
    /// are consecutive slices of the embedding.
    ///
    /// One op on the CPU; the other backends' take keys and values in half precision only.
    pub fn attention(
        &self,
        q: Tensor<'g>,
        k: Tensor<'g>,
        v: Tensor<'g>,
        n_head: usize,
    ) -> Tensor<'g> {
        if !self.backend.is_cpu() {
            return self.attention_in_steps(q, k, v, n_head);
        }
        let ne = q.ne();
        let (scale, [q, k, v]) = split_heads(self, [q, k, v], n_head);
        let no_mask = std::ptr::null_mut();
        // SAFETY: the tensors are alive for 'g; a null mask means none.
        let raw = unsafe {
            let [q, k, v] = [q, k, v].map(Tensor::as_ptr);
            sys::ggml_flash_attn_ext(self.ctx.as_ptr(), q, k, v, no_mask, scale, 0.0, 0.0)
        };
        self.reshape(self.node(raw, "flash_attn"), &ne[..2])
    }

    /// [`Builder::attention`], of elementary operations.
    pub fn attention_in_steps(
        &self,
        q: Tensor<'g>,
        k: Tensor<'g>,
        v: Tensor<'g>,
        n_head: usize,
    ) -> Tensor<'g> {
        let ne = q.ne();
        let (scale, [q, k, v]) = split_heads(self, [q, k, v], n_head);
        let v = self.cont(self.permute(v, [1, 0, 2, 3])); // [n_tokens, d, n_head]
        let kq = self.soft_max(self.mul_mat(k, q), scale);
        let kqv = self.permute(self.mul_mat(v, kq), [0, 2, 1, 3]); // [d, n_head, n_tokens]
        self.reshape(self.cont(kqv), &ne[..2])
    }

    /// Convolution without bias: x `[W, H, Cin, N]`, kernel `[kw, kh, Cin, Cout]`
    /// (`[Cout, Cin, kh, kw]`) of type f32 or f16, gives `[W', H', Cout, N]`. Accumulates in float32;
    /// activations are rounded to half precision only if the kernel is. Scratch space is a few
    /// megabytes whatever the map's size.
    pub fn conv_2d(
        &self,
        x: Tensor<'g>,
        kernel: Tensor<'g>,
        stride: usize,
        padding: usize,
    ) -> Tensor<'g> {
        let (k, s, p) = (kernel.as_ptr(), stride as i32, padding as i32);
        // SAFETY: both tensors are alive for 'g; ggml checks the shapes.
        let raw =
            unsafe { sys::ggml_conv_2d_direct(self.ctx.as_ptr(), k, x.as_ptr(), s, s, p, p, 1, 1) };
        self.node(raw, "conv_2d")
    }

    /// Bilinear resize of a map `[W, H, C]` to `[w, h, C]` with aligned corners:
    /// `src = i * (in - 1) / (out - 1)`.
    pub fn resize_aligned(&self, x: Tensor<'g>, w: usize, h: usize) -> Tensor<'g> {
        if x.ne()[..2] == [w, h] {
            return x;
        }
        let [_, _, c, n] = x.ne().map(|v| v as i64);
        let mode = sys::GGML_SCALE_MODE_BILINEAR | sys::GGML_SCALE_FLAG_ALIGN_CORNERS;
        // SAFETY: `x` is alive for 'g.
        let raw = unsafe {
            let (w, h) = (w as i64, h as i64);
            sys::ggml_interpolate(self.ctx.as_ptr(), x.as_ptr(), w, h, c, n, mode)
        };
        self.node(raw, "resize")
    }

    /// Joins two tensors along dimension `dim`.
    pub fn concat(&self, a: Tensor<'g>, b: Tensor<'g>, dim: usize) -> Tensor<'g> {
        // SAFETY: both tensors are alive for 'g; ggml checks the other dimensions.
        let raw =
            unsafe { sys::ggml_concat(self.ctx.as_ptr(), a.as_ptr(), b.as_ptr(), dim as i32) };
        self.node(raw, "concat")
    }

    /// The same elements in another shape; `x` must be contiguous.
    pub fn reshape(&self, x: Tensor<'g>, ne: &[usize]) -> Tensor<'g> {
        let mut full = [1i64; 4];
        for (dst, &n) in full.iter_mut().zip(ne) {
            *dst = n as i64;
        }
        let [a, b, c, d] = full;
        // SAFETY: `x` is alive for 'g; ggml checks contiguity and the element count.
        let raw = unsafe {
            match ne.len() {
                1 => sys::ggml_reshape_1d(self.ctx.as_ptr(), x.as_ptr(), a),
                2 => sys::ggml_reshape_2d(self.ctx.as_ptr(), x.as_ptr(), a, b),
                3 => sys::ggml_reshape_3d(self.ctx.as_ptr(), x.as_ptr(), a, b, c),
                _ => sys::ggml_reshape_4d(self.ctx.as_ptr(), x.as_ptr(), a, b, c, d),
            }
        };
        self.node(raw, "reshape")
    }

    /// Moves dimension `i` to place `axes[i]` (a view; the inverse convention of PyTorch).
    pub fn permute(&self, x: Tensor<'g>, axes: [i32; 4]) -> Tensor<'g> {
        let [a, b, c, d] = axes;
        // SAFETY: `x` is alive for 'g; ggml checks that the axes are a permutation.
        let raw = unsafe { sys::ggml_permute(self.ctx.as_ptr(), x.as_ptr(), a, b, c, d) };
        self.node(raw, "permute")
    }

    /// A contiguous copy.
    pub fn cont(&self, x: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: `x` is alive for 'g.
        self.node(unsafe { sys::ggml_cont(self.ctx.as_ptr(), x.as_ptr()) }, "cont")
    }

    /// Elements `start..start + len` along `dim` (a view).
    ///
    /// # Panics
    /// If the range leaves the tensor.
    pub fn slice(&self, x: Tensor<'g>, dim: usize, start: usize, len: usize) -> Tensor<'g> {
        let mut ne = x.ne();
        assert!(start + len <= ne[dim], "slice {start}+{len} of dimension {dim} of {ne:?}");
        ne[dim] = len;
        let [a, b, c, d] = ne.map(|n| n as i64);
        // SAFETY: the strides are those of `x`, alive for 'g, and the range lies inside it.
        let raw = unsafe {
            let nb = (*x.as_ptr()).nb;
            let offset = start * nb[dim];
            let ctx = self.ctx.as_ptr();
            sys::ggml_view_4d(ctx, x.as_ptr(), a, b, c, d, nb[1], nb[2], nb[3], offset)
        };
        self.node(raw, "slice")
    }
}

/// The factor of attention's softmax, and each tensor `[n_embd, n_tokens]` as `[d, n_tokens, n_head]`.
fn split_heads<'g, const N: usize>(
    g: &Builder<'g>,
    tensors: [Tensor<'g>; N],
    n_head: usize,
) -> (f32, [Tensor<'g>; N]) {
    let [n_embd, n_tokens, ..] = tensors[0].ne();
    let d = n_embd / n_head;
    let split = |t| g.permute(g.reshape(t, &[d, n_head, n_tokens]), [0, 2, 1, 3]);
    (1.0 / (d as f32).sqrt(), tensors.map(split))
}

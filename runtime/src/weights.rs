//! Looking up a model's tensors while a graph is built.

use crate::error::{Error, Result};
use ggml_ext::graph::Builder;
use ggml_ext::maps::Maps;
use ggml_ext::weights::TensorSet;
use ggml_ext::{DType, Tensor};
use gpt4roi_models::names;
use std::sync::Arc;

/// The tensors of a file, seen from a graph under construction.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a, 'g> {
    g: &'a Builder<'g>,
    set: &'a Arc<TensorSet>,
}

impl<'a, 'g> Weights<'a, 'g> {
    pub(crate) fn new(g: &'a Builder<'g>, set: &'a Arc<TensorSet>) -> Self {
        Weights { g, set }
    }

    /// A tensor by its full name.
    pub(crate) fn tensor(&self, name: &str) -> Result<Tensor<'g>> {
        let missing = || Error::internal(format!("tensor `{name}` was not loaded"));
        self.g.tensor(self.set, name).ok_or_else(missing)
    }

    /// `BASE.weight`.
    pub(crate) fn weight(&self, base: &str) -> Result<Tensor<'g>> {
        self.tensor(&names::weight(base))
    }

    /// `BASE.bias`.
    pub(crate) fn bias(&self, base: &str) -> Result<Tensor<'g>> {
        self.tensor(&names::bias(base))
    }

    /// Linear layer with bias: x `[K, n]` gives `[m, n]`.
    pub(crate) fn linear(&self, x: Tensor<'g>, base: &str) -> Result<Tensor<'g>> {
        Ok(self.g.linear(x, self.weight(base)?, Some(self.bias(base)?)))
    }

    /// LayerNorm with scale and bias over the fastest dimension.
    pub(crate) fn layer_norm(&self, x: Tensor<'g>, base: &str, eps: f32) -> Result<Tensor<'g>> {
        Ok(self.g.layer_norm(x, self.weight(base)?, self.bias(base)?, eps))
    }

    /// 3x3 convolution of maps, without bias.
    pub(crate) fn conv_3x3(&self, maps: &Maps<'g>, base: &str) -> Result<Maps<'g>> {
        Ok(self.g.conv_3x3(maps, self.weight(base)?)?)
    }

    /// The same, added to other maps.
    pub(crate) fn conv_3x3_onto(
        &self,
        maps: &Maps<'g>,
        base: &str,
        onto: Option<&Maps<'g>>,
    ) -> Result<Maps<'g>> {
        Ok(self.g.conv_3x3_onto(maps, self.weight(base)?, onto)?)
    }

    /// Convolution of any kernel without bias.
    pub(crate) fn conv_2d(
        &self,
        x: Tensor<'g>,
        base: &str,
        stride: usize,
        padding: usize,
    ) -> Result<Tensor<'g>> {
        Ok(self.g.conv_2d(x, self.weight(base)?, stride, padding))
    }
}

/// Allocates float tensors on the device for what one stage hands to the next.
pub(crate) fn slots(
    backend: &ggml_ext::Backend,
    shapes: &[(String, Vec<usize>)],
) -> Result<Arc<TensorSet>> {
    let specs: Vec<_> =
        shapes.iter().map(|(name, ne)| (name.as_str(), DType::F32, ne.as_slice())).collect();
    Ok(Arc::new(TensorSet::allocate(backend, &specs)?))
}

/// Makes the graph keep `t` as `name` of `slots`.
pub(crate) fn store<'g>(
    g: &Builder<'g>,
    t: Tensor<'g>,
    slots: &Arc<TensorSet>,
    name: &str,
) -> Result<()> {
    g.store(t, slots, name).ok_or_else(|| Error::internal(format!("no slot `{name}`")))
}

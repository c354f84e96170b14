//! Every tensor of the two files: its name, shape, source in the checkpoints and allowed types.

mod llm;
mod mmproj;
mod vision;

pub use llm::llm_specs;
pub use mmproj::mmproj_specs;
pub use vision::foreign_vision_tensors;

/// A tensor of one of the two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the GGUF file.
    pub name: String,
    /// Shape in ggml order (fastest first).
    pub shape: Vec<u64>,
    /// Where the converter finds it.
    pub source: Source,
    /// What happens to the values on the way.
    pub transform: Transform,
    /// What it is, which decides the types that it may have.
    pub kind: Kind,
    /// Which of the three types of a conversion applies to it.
    pub part: Part,
}

impl TensorSpec {
    /// Number of elements.
    pub fn n_elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Elements of one row, the unit of quantisation.
    pub fn n_per_row(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }
}

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which checkpoint.
    pub checkpoint: Checkpoint,
    /// Name there.
    pub name: String,
    /// Shape there, in PyTorch order (slowest first). Same elements in the same order as the
    /// target, but there may be more dimensions of size one, as 1x1 kernels have.
    pub shape: Vec<u64>,
}

/// The checkpoints that a model is converted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checkpoint {
    /// Language model, image projector and region extractor.
    Language,
    /// The vision tower: CLIP, or another of its kind.
    Clip,
    /// None: the converter makes the tensor up, for other programs; the runtime has no use for it.
    Generated,
}

/// What happens to the values of a tensor on the way into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// Nothing.
    None,
    /// Rows of each head are reordered from halves to pairs: row `j` of the first half and row `j`
    /// of the second become neighbours, as llama.cpp's rotation of neighbouring values needs it.
    PermuteRope {
        /// Heads of this matrix.
        n_head: u32,
    },
}

/// What a tensor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Matrix of a linear layer (or 1x1 convolution): any type whose blocks divide its rows.
    Matrix,
    /// Convolution kernel, ggml order [kw, kh, in, out]: f32 or f16. Rows of a kernel's width hold no
    /// blocks, and backends convolve with few other types.
    Conv,
    /// Scale of a norm, or of what a block adds (LayerScale): f32.
    Norm,
    /// Bias: f32.
    Bias,
    /// Small table that is added to activations (class token, positions): f32.
    Table,
    /// Token embeddings: like a matrix, with its own place in a mix of types.
    Embedding,
    /// Identity matrix: a small type that holds 0 and 1 exactly.
    Identity,
    /// Output matrix of the language model: like a matrix, with its own place in a mix of types.
    Output,
}

impl Kind {
    /// Whether the tensor is f32 in every file.
    pub fn is_always_f32(self) -> bool {
        matches!(self, Kind::Norm | Kind::Bias | Kind::Table)
    }

    /// Whether the tensor may hold a type made of blocks.
    pub fn is_quantizable(self) -> bool {
        matches!(self, Kind::Matrix | Kind::Embedding | Kind::Output | Kind::Identity)
    }
}

/// The parts of a model for which types are chosen apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Language model.
    Llm,
    /// Vision tower and image projector.
    Vision,
    /// Region extractor.
    Region,
}

/// Collects specs of one part from one checkpoint.
struct Builder {
    specs: Vec<TensorSpec>,
    checkpoint: Checkpoint,
    part: Part,
}

impl Builder {
    fn new(checkpoint: Checkpoint, part: Part) -> Builder {
        Builder { specs: Vec::new(), checkpoint, part }
    }

    /// Adds a tensor under full names; `shape` in ggml order.
    fn tensor(&mut self, kind: Kind, name: &str, source: &str, shape: &[u32]) -> &mut TensorSpec {
        let shape: Vec<u64> = shape.iter().map(|&n| n.into()).collect();
        let mut pytorch = shape.clone();
        pytorch.reverse();
        let source =
            Source { checkpoint: self.checkpoint, name: source.to_owned(), shape: pytorch };
        let spec = TensorSpec {
            name: name.to_owned(),
            shape,
            source,
            transform: Transform::None,
            kind,
            part: self.part,
        };
        self.specs.push(spec);
        let last = self.specs.len() - 1;
        &mut self.specs[last]
    }

    /// Adds `NAME.weight`.
    fn weight(&mut self, kind: Kind, name: &str, source: &str, shape: &[u32]) -> &mut TensorSpec {
        let (name, source) = (crate::names::weight(name), crate::names::weight(source));
        self.tensor(kind, &name, &source, shape)
    }

    /// Adds `NAME.bias`.
    fn bias(&mut self, name: &str, source: &str, n: u32) {
        let (name, source) = (crate::names::bias(name), crate::names::bias(source));
        self.tensor(Kind::Bias, &name, &source, &[n]);
    }

    /// Adds a linear layer with bias, `n_in` to `n_out`.
    fn linear(&mut self, name: &str, source: &str, n_in: u32, n_out: u32) {
        self.weight(Kind::Matrix, name, source, &[n_in, n_out]);
        self.bias(name, source, n_out);
    }

    /// Adds a norm with scale and bias.
    fn norm(&mut self, name: &str, source: &str, n: u32) {
        self.weight(Kind::Norm, name, source, &[n]);
        self.bias(name, source, n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;
    use crate::presets::Preset;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_short_and_shapes_agree_with_their_source() {
        for preset in Preset::ALL {
            let groups = [llm_specs(&preset.llm()), mmproj_specs(&preset.mmproj())];
            for specs in &groups {
                let unique: HashSet<_> = specs.iter().map(|s| &s.name).collect();
                assert_eq!(unique.len(), specs.len());
            }
            for spec in groups.iter().flatten() {
                assert!(spec.name.len() <= names::gguf::MAX_LEN, "{}", spec.name);
                assert!(spec.shape.len() <= 4 && spec.n_elements() > 0, "{}", spec.name);
                let there: u64 = spec.source.shape.iter().product();
                assert_eq!(spec.n_elements(), there, "{}", spec.name);
            }
        }
    }

    #[test]
    fn parameter_counts_of_the_published_model() {
        let count = |specs: &[TensorSpec], part| {
            specs.iter().filter(|s| s.part == part).map(TensorSpec::n_elements).sum::<u64>()
        };
        let mm = mmproj_specs(&Preset::B7.mmproj());
        assert_eq!(count(&mm, Part::Region) / 100_000, 2991);
        let llm = llm_specs(&Preset::B7.llm());
        assert_eq!(count(&llm, Part::Llm) / 1_000_000, 6738);
        assert_eq!(llm.len(), 3 + 32 * 9);
    }

    #[test]
    fn one_by_one_kernels_are_matrices_here_and_four_dimensional_there() {
        let mm = mmproj_specs(&Preset::B7.mmproj());
        let conv = mm.iter().find(|s| s.name == "r.input_conv.3.weight").unwrap();
        assert_eq!(conv.shape, [1026, 1024]);
        assert_eq!(conv.source.shape, [1024, 1026, 1, 1]);
        let fuse = mm.iter().find(|s| s.name == "r.fuse.0.conv.weight").unwrap();
        assert_eq!(fuse.shape, [3, 3, 1024, 1024]);
        assert_eq!(fuse.kind, Kind::Conv);
    }
}

//! How far a stage may be from the reference, given the types of the files.

use ggml_ext::DType;

/// Bounds for one pair of files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Largest NMSE of a stage's result.
    pub stage_nmse: f64,
    /// Largest NMSE of the logits.
    pub logits_nmse: f64,
    /// Smallest cosine of the logits.
    pub logits_cosine: f64,
    /// Whether the greedy tokens must be the same.
    pub same_tokens: bool,
}

impl Bounds {
    /// The bounds for files whose matrices have these types: the coarsest one decides.
    pub fn for_types(types: impl IntoIterator<Item = DType>) -> Bounds {
        types.into_iter().map(Self::for_type).fold(EXACT, |a, b| Bounds {
            stage_nmse: a.stage_nmse.max(b.stage_nmse),
            logits_nmse: a.logits_nmse.max(b.logits_nmse),
            logits_cosine: a.logits_cosine.min(b.logits_cosine),
            same_tokens: a.same_tokens && b.same_tokens,
        })
    }

    fn for_type(t: DType) -> Bounds {
        let rounded = |nmse: f64, cosine: f64| Bounds {
            stage_nmse: nmse,
            logits_nmse: nmse,
            logits_cosine: cosine,
            same_tokens: false,
        };
        match t {
            DType::F32 | DType::I32 => EXACT,
            DType::F16 => rounded(1e-4, 0.999),
            // Eight times coarser than half precision, so 64 times in squares.
            DType::Bf16 => rounded(6.4e-3, 0.99),
            // A relative distance of 8e-2.
            DType::Q8_0 => rounded(6.4e-3, 0.99),
            // Random weights amplify these types' rounding far more than trained ones do. The
            // bounds only tell it from a wrong shape or order, whose NMSE is 1 or more.
            DType::Q6K => rounded(5e-2, 0.95),
            DType::Q5_0 | DType::Q5_1 | DType::Q5K => rounded(2.5e-1, 0.85),
            DType::Q4_0 | DType::Q4_1 | DType::Q4K => rounded(5e-1, 0.75),
        }
    }
}

/// 32-bit files: only the order of additions differs.
const EXACT: Bounds =
    Bounds { stage_nmse: 1e-7, logits_nmse: 1e-6, logits_cosine: 0.999_999, same_tokens: true };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarsest_type_decides() {
        assert_eq!(Bounds::for_types([DType::F32]), EXACT);
        let mixed = Bounds::for_types([DType::F32, DType::F16, DType::F32]);
        assert_eq!(mixed.stage_nmse, 1e-4);
        assert!(!mixed.same_tokens);
    }
}

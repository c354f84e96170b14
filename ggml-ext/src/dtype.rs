//! Element types of tensors.

use crate::sys;
use std::fmt;
use std::str::FromStr;

macro_rules! dtypes {
    ($($(#[$doc:meta])* $variant:ident = $raw:ident, $name:literal;)*) => {
        /// Element type of a tensor: the subset of ggml's types that this project reads and writes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum DType { $($(#[$doc])* $variant,)* }

        impl DType {
            /// Every type, in the order of the enum.
            pub const ALL: &'static [DType] = &[$(DType::$variant,)*];

            /// ggml's number for the type.
            pub(crate) fn raw(self) -> sys::ggml_type {
                match self { $(DType::$variant => sys::$raw,)* }
            }

            /// The type of that number, if it is one that this project handles.
            pub(crate) fn from_raw(raw: sys::ggml_type) -> Option<DType> {
                match raw { $(sys::$raw => Some(DType::$variant),)* _ => None }
            }

            /// The usual lower-case name, e.g. `q4_k`.
            pub fn name(self) -> &'static str {
                match self { $(DType::$variant => $name,)* }
            }
        }
    };
}

dtypes! {
    /// 32-bit float.
    F32 = GGML_TYPE_F32, "f32";
    /// IEEE half.
    F16 = GGML_TYPE_F16, "f16";
    /// Brain float.
    Bf16 = GGML_TYPE_BF16, "bf16";
    /// 32-bit integer.
    I32 = GGML_TYPE_I32, "i32";
    /// Blocks of 32, 4 bits, one scale.
    Q4_0 = GGML_TYPE_Q4_0, "q4_0";
    /// Blocks of 32, 4 bits, scale and minimum.
    Q4_1 = GGML_TYPE_Q4_1, "q4_1";
    /// Blocks of 32, 5 bits, one scale.
    Q5_0 = GGML_TYPE_Q5_0, "q5_0";
    /// Blocks of 32, 5 bits, scale and minimum.
    Q5_1 = GGML_TYPE_Q5_1, "q5_1";
    /// Blocks of 32, 8 bits, one scale.
    Q8_0 = GGML_TYPE_Q8_0, "q8_0";
    /// Super-blocks of 256, 4 bits.
    Q4K = GGML_TYPE_Q4_K, "q4_k";
    /// Super-blocks of 256, 5 bits.
    Q5K = GGML_TYPE_Q5_K, "q5_k";
    /// Super-blocks of 256, 6 bits.
    Q6K = GGML_TYPE_Q6_K, "q6_k";
}

impl DType {
    /// Elements in one block of the type (1 for plain types).
    pub fn block_size(self) -> usize {
        // SAFETY: a pure table look-up, valid for every ggml_type of the enum.
        unsafe { sys::ggml_blck_size(self.raw()) as usize }
    }

    /// Bytes of one row of `n` elements. `None` if the type's blocks do not divide the row, or on overflow.
    pub fn row_size(self, n: usize) -> Option<usize> {
        if !n.is_multiple_of(self.block_size()) {
            return None;
        }
        // SAFETY: a pure table look-up, valid for every ggml_type of the enum.
        let block_bytes = unsafe { sys::ggml_type_size(self.raw()) };
        (n / self.block_size()).checked_mul(block_bytes)
    }

    /// Whether values are stored as blocks of small integers.
    pub fn is_quantized(self) -> bool {
        self.block_size() > 1
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DType {
    type Err = String;

    fn from_str(s: &str) -> Result<DType, String> {
        DType::ALL
            .iter()
            .copied()
            .find(|t| t.name() == s)
            .ok_or_else(|| format!("unknown type `{s}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_round_trip() {
        for &t in DType::ALL {
            assert_eq!(t.name().parse::<DType>(), Ok(t));
            assert_eq!(DType::from_raw(t.raw()), Some(t));
        }
        assert!("q3_x".parse::<DType>().is_err());
    }

    #[test]
    fn row_sizes() {
        assert_eq!(DType::F32.row_size(3), Some(12));
        assert_eq!(DType::Q8_0.row_size(64), Some(68));
        assert_eq!(DType::Q8_0.row_size(33), None);
        assert_eq!(DType::Q4K.row_size(256), Some(144));
        assert_eq!(DType::F32.row_size(usize::MAX), None);
    }
}

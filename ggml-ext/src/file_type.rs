//! llama.cpp's mixes of types, among which a user chooses.

use crate::{DType, sys};
use std::fmt;
use std::str::FromStr;

/// Type of a part of the model: a plain type, or one of llama.cpp's mixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// 32-bit float.
    F32,
    /// IEEE half.
    F16,
    /// Brain float.
    Bf16,
    /// 8 bits.
    Q8_0,
    /// 6 bits.
    Q6K,
    /// 5 bits, sensitive matrices with 6.
    Q5KM,
    /// 4 bits, sensitive matrices with 6.
    Q4KM,
    /// 4 bits in blocks of 32, output matrix with 6.
    Q4_0,
}

impl FileType {
    /// All types, from large to small.
    pub const ALL: [FileType; 8] = [
        FileType::F32,
        FileType::F16,
        FileType::Bf16,
        FileType::Q8_0,
        FileType::Q6K,
        FileType::Q5KM,
        FileType::Q4KM,
        FileType::Q4_0,
    ];

    /// The name used on command lines.
    pub fn name(self) -> &'static str {
        match self {
            FileType::F32 => "f32",
            FileType::F16 => "f16",
            FileType::Bf16 => "bf16",
            FileType::Q8_0 => "q8_0",
            FileType::Q6K => "q6_k",
            FileType::Q5KM => "q5_k_m",
            FileType::Q4KM => "q4_k_m",
            FileType::Q4_0 => "q4_0",
        }
    }

    /// The type of most matrices.
    pub fn base(self) -> DType {
        match self {
            FileType::F32 => DType::F32,
            FileType::F16 => DType::F16,
            FileType::Bf16 => DType::Bf16,
            FileType::Q8_0 => DType::Q8_0,
            FileType::Q6K => DType::Q6K,
            FileType::Q5KM => DType::Q5K,
            FileType::Q4KM => DType::Q4K,
            FileType::Q4_0 => DType::Q4_0,
        }
    }

    /// llama.cpp's number for a file of this type.
    #[allow(clippy::unnecessary_cast, reason = "C enums are signed on some platforms")]
    pub fn number(self) -> u32 {
        self.raw() as u32
    }

    pub(crate) fn raw(self) -> sys::llama_ftype {
        match self {
            FileType::F32 => sys::LLAMA_FTYPE_ALL_F32,
            FileType::F16 => sys::LLAMA_FTYPE_MOSTLY_F16,
            FileType::Bf16 => sys::LLAMA_FTYPE_MOSTLY_BF16,
            FileType::Q8_0 => sys::LLAMA_FTYPE_MOSTLY_Q8_0,
            FileType::Q6K => sys::LLAMA_FTYPE_MOSTLY_Q6_K,
            FileType::Q5KM => sys::LLAMA_FTYPE_MOSTLY_Q5_K_M,
            FileType::Q4KM => sys::LLAMA_FTYPE_MOSTLY_Q4_K_M,
            FileType::Q4_0 => sys::LLAMA_FTYPE_MOSTLY_Q4_0,
        }
    }

    /// The name as it stands in file names.
    pub fn label(self) -> String {
        self.name().to_uppercase()
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FileType {
    type Err = String;

    fn from_str(s: &str) -> Result<FileType, String> {
        let wanted = s.to_lowercase();
        FileType::ALL.into_iter().find(|t| t.name() == wanted).ok_or_else(|| {
            let known: Vec<_> = FileType::ALL.iter().map(|t| t.name()).collect();
            format!("unknown type `{s}`: there are {}", known.join(", "))
        })
    }
}

//! What can be wrong with a convolution's description.

use super::Isa;
use std::fmt;

/// Why a convolution cannot be planned or given its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Numbers of channels must be positive multiples of 4.
    Channels {
        /// Channels of the input.
        c_in: usize,
        /// Channels of the output.
        c_out: usize,
    },
    /// There must be a level, and no side may be 0.
    Levels,
    /// The number of threads must be positive.
    Threads,
    /// Sizes in memory would overflow.
    TooLarge,
    /// This processor does not have the instruction set.
    Isa(Isa),
    /// The scratch memory could not be allocated.
    Memory {
        /// Its size.
        bytes: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Channels { c_in, c_out } => {
                write!(f, "{c_in} input and {c_out} output channels: not positive multiples of 4")
            }
            Error::Levels => write!(f, "no level, or one without pixels"),
            Error::Threads => write!(f, "a convolution needs a thread"),
            Error::TooLarge => write!(f, "the convolution is too large for the address space"),
            Error::Isa(isa) => write!(f, "the processor does not have `{isa:?}`"),
            Error::Memory { bytes } => write!(f, "no {bytes} bytes of scratch memory"),
        }
    }
}

impl std::error::Error for Error {}

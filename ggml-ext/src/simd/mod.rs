//! What the CPU kernels are made of: vectors of each instruction set behind one trait, and the
//! types of stored kernels.

// Rows and columns of small matrices: with indices the loops read like the formulas, and everything
// is sure to be inlined where the instruction set is enabled.
#![allow(clippy::needless_range_loop)]

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
pub(crate) mod gemm;
pub(crate) mod isa;
pub(crate) mod kernel;
pub(crate) mod lanes;

pub use isa::Isa;
pub use kernel::Kernel;

/// Whether the processor has AMX, and the system lets this process use it.
pub(crate) fn has_amx() -> bool {
    #[cfg(target_arch = "x86_64")]
    return amx::is_available();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

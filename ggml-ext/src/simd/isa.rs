//! Instruction sets, and the micro kernel's shape on each.

use super::lanes::Lanes;
#[cfg(target_arch = "aarch64")]
use super::lanes::neon::Neon;
use super::lanes::portable::Portable;
#[cfg(target_arch = "x86_64")]
use super::lanes::x86::{Avx2, Avx512};

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// AVX-512F.
    Avx512,
    /// AVX2 with FMA and F16C.
    Avx2,
    /// NEON of 64-bit Arm.
    Neon,
    /// Whatever the build is for.
    Portable,
}

/// The micro kernel's shape: `tiles` x `vectors` accumulators of `lanes` output channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Micro {
    pub(crate) tiles: usize,
    pub(crate) vectors: usize,
    pub(crate) lanes: usize,
}

impl Micro {
    /// Output channels of a micro kernel.
    pub(crate) fn outs(&self) -> usize {
        self.vectors * self.lanes
    }
}

impl Isa {
    /// The fastest instruction set of this processor.
    pub fn detect() -> Isa {
        let all = [Isa::Avx512, Isa::Avx2, Isa::Neon];
        all.into_iter().find(|isa| isa.is_available()).unwrap_or(Isa::Portable)
    }

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Isa::Portable => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// Accumulators fill 24 of 32 registers, or 12 of 16; the rest holds weights and a value.
    pub(crate) const fn micro(self) -> Micro {
        match self {
            Isa::Avx512 => Micro { tiles: 8, vectors: 3, lanes: 16 },
            Isa::Avx2 => Micro { tiles: 6, vectors: 2, lanes: 8 },
            Isa::Neon => Micro { tiles: 8, vectors: 3, lanes: 4 },
            Isa::Portable => Micro { tiles: 4, vectors: 2, lanes: 4 },
        }
    }

    /// Runs `work` with this instruction set.
    ///
    /// # Safety
    /// The processor has it; and what the work asks for.
    pub(crate) unsafe fn run<W: ForIsa>(self, work: W) {
        const fn tiles(isa: Isa) -> usize {
            isa.micro().tiles
        }
        const fn vectors(isa: Isa) -> usize {
            isa.micro().vectors
        }
        // SAFETY: the caller's word.
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => {
                    work.run::<Avx512, { tiles(Isa::Avx512) }, { vectors(Isa::Avx512) }>()
                }
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => work.run::<Avx2, { tiles(Isa::Avx2) }, { vectors(Isa::Avx2) }>(),
                #[cfg(target_arch = "aarch64")]
                Isa::Neon => work.run::<Neon, { tiles(Isa::Neon) }, { vectors(Isa::Neon) }>(),
                _ => work.run::<Portable, { tiles(Isa::Portable) }, { vectors(Isa::Portable) }>(),
            }
        }
    }
}

/// Work that is written once for all instruction sets, with the micro kernel's shape on each:
/// `MR` tiles and `NV` vectors of outputs.
pub(crate) trait ForIsa {
    /// # Safety
    /// The processor has the instruction set; and what the work asks for.
    unsafe fn run<L: Lanes, const MR: usize, const NV: usize>(self);
}

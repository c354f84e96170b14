//! The convolution's kernel as it is stored.

use super::lanes::Lanes;
use half::{bf16, f16};

/// A kernel `[3, 3, C_in, C_out]` (`[C_out, C_in, 3, 3]`), contiguous.
#[derive(Clone, Copy, Debug)]
pub enum Kernel<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Half precision.
    F16(&'a [f16]),
    /// The upper half of single precision.
    Bf16(&'a [bf16]),
}

impl Kernel<'_> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Kernel::F32(w) => w.len(),
            Kernel::F16(w) => w.len(),
            Kernel::Bf16(w) => w.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element `i` as `f32`, exactly.
    ///
    /// # Panics
    /// If there is no such element.
    pub fn get(&self, i: usize) -> f32 {
        match self {
            Kernel::F32(w) => w[i],
            Kernel::F16(w) => w[i].to_f32(),
            Kernel::Bf16(w) => w[i].to_f32(),
        }
    }
}

/// An element type of kernels.
pub(super) trait Element: Copy {
    /// # Safety
    /// The processor has the instruction set; `L::N` elements can be read at `src`.
    unsafe fn load<L: Lanes>(src: *const Self) -> L;

    fn to_f32(self) -> f32;
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(src: *const Self) -> L {
        // SAFETY: the caller's word.
        unsafe { L::load(src) }
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
}

impl Element for f16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(src: *const Self) -> L {
        // SAFETY: the caller's word.
        unsafe { L::load_f16(src) }
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
}

impl Element for bf16 {
    #[inline(always)]
    unsafe fn load<L: Lanes>(src: *const Self) -> L {
        // SAFETY: the caller's word.
        unsafe { L::load_bf16(src) }
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        bf16::to_f32(self)
    }
}

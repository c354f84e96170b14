//! The convolution's kernel as it is stored.

use super::lanes::{Lanes, MAX, load_first};
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
pub(crate) trait Element: Copy {
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

/// Elements of a kernel of one input and one output channel.
pub(crate) const TAPS: usize = 9;

/// Elements of up to `MAX` input channels, lanes of output channels.
pub(crate) type Taps = [[f32; MAX]; TAPS * MAX];

/// Elements of `n <= N` input channels from `c` on, of `N` output channels from `out` on; output
/// channels that do not exist count as zero. In the file the output channels lie far apart, so squares of
/// output channels x consecutive elements are transposed.
///
/// # Safety
/// The processor has the instruction set; the kernel has `9 * c_in * c_out` elements, and the input
/// channels exist.
#[inline(always)]
pub(crate) unsafe fn gather<L: Lanes, E: Element>(
    kernel: &[E],
    [c_in, c_out]: [usize; 2],
    taps: &mut Taps,
    out: usize,
    c: usize,
    n: usize,
) {
    let mut start = 0;
    while start < n * TAPS {
        let len = L::N.min(n * TAPS - start);
        // SAFETY: `len` elements from `start` on belong to channels that exist, of outputs
        // that are checked to exist; `taps` has `TAPS * MAX` rows, and `start + N` is at most
        // `TAPS * N`.
        unsafe {
            let mut square = [L::splat(0.0); MAX];
            for i in 0..L::N {
                if out + i < c_out {
                    let at = ((out + i) * c_in + c) * TAPS + start;
                    square[i] = load_elements(kernel.as_ptr().add(at), len);
                }
            }
            L::transpose(&mut square);
            for i in 0..L::N {
                square[i].store(taps[start + i].as_mut_ptr());
            }
        }
        start += L::N;
    }
}

/// # Safety
/// The processor has the instruction set; `n <= N` elements can be read at `src`.
#[inline(always)]
unsafe fn load_elements<L: Lanes, E: Element>(src: *const E, n: usize) -> L {
    // SAFETY: the caller's word; a row has `MAX >= n` floats.
    unsafe {
        if n == L::N {
            return E::load(src);
        }
        let mut row = [0.0; MAX];
        for i in 0..n {
            row[i] = (*src.add(i)).to_f32();
        }
        load_first(row.as_ptr(), n)
    }
}

//! Vectors of `f32` of one instruction set, behind one trait.
//!
//! The kernels are written once over [`Lanes`]. A piece of work is a [`Task`], and [`Lanes::call`]
//! is the function that carries the `target_feature` attribute: everything below it is
//! `#[inline(always)]`, so that it is compiled with the instructions of that one function, in a
//! build for any processor. Closures and iterator adaptors would not be sure to be inlined there,
//! hence the plain loops of the kernels.

#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod portable;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

use half::{bf16, f16};

/// The most lanes that a vector has here.
pub(crate) const MAX: usize = 16;

/// A piece of work, compiled for the instruction set of `L`.
pub(crate) trait Task<L> {
    /// # Safety
    /// The processor has the instruction set of `L`; the fields are as the type's documentation
    /// asks for.
    unsafe fn run(self);
}

/// `N` values of `f32`.
///
/// A value can be made by `unsafe` functions only, whose callers know that the processor has the
/// instructions: whoever holds a value may calculate with it.
pub(crate) trait Lanes: Copy {
    /// Number of lanes: 4, 8 or 16.
    const N: usize;

    /// Runs a task with the instruction set enabled.
    ///
    /// # Safety
    /// The processor has the instruction set; and what the task asks for.
    unsafe fn call<T: Task<Self>>(task: T);

    /// `v` in all lanes.
    ///
    /// # Safety
    /// The processor has the instruction set.
    unsafe fn splat(v: f32) -> Self;

    /// # Safety
    /// The processor has the instruction set; `N` values can be read at `src`, at any alignment of
    /// the element type.
    unsafe fn load(src: *const f32) -> Self;

    /// # Safety
    /// As for [`Lanes::load`].
    #[inline(always)]
    unsafe fn load_f16(src: *const f16) -> Self {
        let mut row = [0.0; MAX];
        // SAFETY: `N` values can be read, by the caller's word; `row` has `MAX >= N`.
        unsafe {
            for (i, v) in row.iter_mut().enumerate().take(Self::N) {
                *v = (*src.add(i)).to_f32();
            }
            Self::load(row.as_ptr())
        }
    }

    /// # Safety
    /// As for [`Lanes::load`].
    #[inline(always)]
    unsafe fn load_bf16(src: *const bf16) -> Self {
        let mut row = [0.0; MAX];
        // SAFETY: `N` values can be read, by the caller's word; `row` has `MAX >= N`.
        unsafe {
            for (i, v) in row.iter_mut().enumerate().take(Self::N) {
                *v = (*src.add(i)).to_f32();
            }
            Self::load(row.as_ptr())
        }
    }

    /// # Safety
    /// `N` values can be written at `dst`, at any alignment of `f32`.
    unsafe fn store(self, dst: *mut f32);

    /// `self + other`
    fn add(self, other: Self) -> Self;

    /// `self - other`
    fn sub(self, other: Self) -> Self;

    /// `self * other`
    fn mul(self, other: Self) -> Self;

    /// `self + a * b`, rounded once where the processor can.
    fn add_product(self, a: Self, b: Self) -> Self;

    /// The larger of `self` and zero; zero for what is not a number.
    fn relu(self) -> Self;

    /// `self * k`
    #[inline(always)]
    fn scaled(self, k: f32) -> Self {
        // SAFETY: a value exists, hence the instruction set does.
        self.mul(unsafe { Self::splat(k) })
    }

    /// `self + k * a`
    #[inline(always)]
    fn add_scaled(self, a: Self, k: f32) -> Self {
        // SAFETY: a value exists, hence the instruction set does.
        self.add_product(a, unsafe { Self::splat(k) })
    }

    /// Transposes the square of the first `N` rows; what the rest then holds is not defined.
    fn transpose(rows: &mut [Self; MAX]);

    /// Hints that the cache line at `src`, which need not exist, will be read soon.
    #[inline(always)]
    fn prefetch(_src: *const f32) {}
}

/// The first `n` lanes from memory, the rest zero.
///
/// # Safety
/// The processor has the instruction set; `n <= N` values can be read at `src`.
#[inline(always)]
pub(crate) unsafe fn load_first<L: Lanes>(src: *const f32, n: usize) -> L {
    debug_assert!(n <= L::N);
    let mut row = [0.0f32; MAX];
    // SAFETY: the caller's word; `row` has room for `MAX >= N` values.
    unsafe {
        std::ptr::copy_nonoverlapping(src, row.as_mut_ptr(), n);
        L::load(row.as_ptr())
    }
}

/// Writes the first `n` lanes.
///
/// # Safety
/// `n <= N` values can be written at `dst`.
#[inline(always)]
pub(crate) unsafe fn store_first<L: Lanes>(v: L, dst: *mut f32, n: usize) {
    debug_assert!(n <= L::N);
    let mut row = [0.0f32; MAX];
    // SAFETY: the caller's word; `row` has room for `MAX >= N` values.
    unsafe {
        v.store(row.as_mut_ptr());
        std::ptr::copy_nonoverlapping(row.as_ptr(), dst, n);
    }
}

/// The first `n` lanes from memory, quickly if those are all of them.
///
/// # Safety
/// As for [`load_first`].
#[inline(always)]
pub(crate) unsafe fn load_up_to<L: Lanes>(src: *const f32, n: usize) -> L {
    // SAFETY: the caller's word.
    unsafe { if n == L::N { L::load(src) } else { load_first(src, n) } }
}

/// Writes the first `n` lanes, quickly if those are all of them.
///
/// # Safety
/// As for [`store_first`].
#[inline(always)]
pub(crate) unsafe fn store_up_to<L: Lanes>(v: L, dst: *mut f32, n: usize) {
    // SAFETY: the caller's word.
    unsafe { if n == L::N { v.store(dst) } else { store_first(v, dst, n) } }
}

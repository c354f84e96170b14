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

    /// Writes a cache line without reading it first, and without keeping it, if a vector is as long as one.
    ///
    /// # Safety
    /// As for [`Lanes::store`]; `dst` begins a cache line. Other threads may read it behind [`Lanes::fence`].
    #[inline(always)]
    unsafe fn stream(self, dst: *mut f32) {
        // SAFETY: the caller's word.
        unsafe { self.store(dst) }
    }

    /// Makes what [`Lanes::stream`] wrote visible before anything that is written later.
    #[inline(always)]
    fn fence() {}

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

    /// `other` where it is larger, `self` elsewhere: so what is not a number stays.
    fn max(self, other: Self) -> Self;

    /// `self * 2^n`, where `n`, of -126 to 127, is in the lowest bits of another number's.
    fn times_two_to(self, n: Self) -> Self;

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

    /// The sum of the lanes of each of the first `N` rows: of one row always in the same order.
    fn lane_sums(rows: &[Self; MAX]) -> Self;

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

/// Bytes of a result that are too many to be in a cache when it is read.
const STREAMED: usize = 24 << 20;

/// Whether rows of `n` floats are better written past the caches, by [`write_up_to`] at whole cache lines.
pub(crate) fn is_streamed(rows: *mut [f32], n: usize) -> bool {
    const LINE: usize = MAX * size_of::<f32>();
    let whole = rows.addr().is_multiple_of(LINE) && n.is_multiple_of(MAX);
    whole && rows.len() * size_of::<f32>() > STREAMED
}

/// As [`store_up_to`], past the caches if `streamed`.
///
/// # Safety
/// As for [`store_first`], and [`Lanes::stream`] if `streamed`.
#[inline(always)]
pub(crate) unsafe fn write_up_to<L: Lanes>(v: L, dst: *mut f32, n: usize, streamed: bool) {
    // SAFETY: the caller's word.
    unsafe {
        match (n == L::N, streamed) {
            (true, true) => v.stream(dst),
            (true, false) => v.store(dst),
            _ => store_first(v, dst, n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;
    use crate::simd::isa::ForIsa;

    /// Values at which instruction sets tend to differ; the second is a signalling NaN.
    const ODD: [u32; 16] = [
        0x7fc0_0000,
        0x7f80_0001,
        0xffc0_0000,
        0x8000_0000,
        0,
        0x3f80_0000,
        0xbf80_0000,
        0x7f80_0000,
        0xff80_0000,
        1,
        0x8000_0001,
        0x7f7f_ffff,
        0xff7f_ffff,
        0x3400_0000,
        0x4049_0fdb,
        0xc2f6_e979,
    ];

    /// What an instruction set makes of values, against plain Rust.
    struct Compare;

    impl ForIsa for Compare {
        unsafe fn run<L: Lanes, const MR: usize, const NV: usize>(self) {
            // SAFETY: the caller's word.
            unsafe { L::call(self) }
        }
    }

    impl<L: Lanes> Task<L> for Compare {
        #[inline(always)]
        unsafe fn run(self) {
            // SAFETY: the caller's word.
            unsafe {
                arithmetic::<L>();
                halves::<L>();
                transposed::<L>();
            }
        }
    }

    /// # Safety
    /// The processor has the instruction set.
    #[inline(always)]
    unsafe fn stored<L: Lanes>(v: L) -> [f32; MAX] {
        let mut out = [0.0; MAX];
        // SAFETY: there is room for `MAX >= N` values.
        unsafe { v.store(out.as_mut_ptr()) }
        out
    }

    #[track_caller]
    fn same(got: &[f32; MAX], want: impl Fn(usize) -> f32, n: usize, what: &str) {
        for i in 0..n {
            let (got, want) = (got[i], want(i));
            let equal = got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan();
            assert!(equal, "{what}, lane {i}: {got:?} instead of {want:?}");
        }
    }

    /// # Safety
    /// The processor has the instruction set.
    #[inline(always)]
    unsafe fn arithmetic<L: Lanes>() {
        let odd = ODD.map(f32::from_bits);
        for turn in 0..MAX {
            let other: [f32; MAX] = std::array::from_fn(|i| odd[(i * 7 + turn) % MAX]);
            // Lanes may be fewer than odd values: all of them come by.
            let one: [f32; MAX] = std::array::from_fn(|i| odd[(i + turn) % MAX]);
            // SAFETY: the caller's word; `MAX >= N` values can be read.
            unsafe {
                let (a, b) = (L::load(one.as_ptr()), L::load(other.as_ptr()));
                let relu = |i: usize| if one[i] > 0.0 { one[i] } else { 0.0 };
                same(&stored(a.relu()), relu, L::N, "relu");
                same(&stored(a.add(b)), |i| one[i] + other[i], L::N, "add");
                same(&stored(a.sub(b)), |i| one[i] - other[i], L::N, "sub");
                same(&stored(a.mul(b)), |i| one[i] * other[i], L::N, "mul");
                let max = |i: usize| if other[i] > one[i] { other[i] } else { one[i] };
                same(&stored(a.max(b)), max, L::N, "max");
                let exponents = [-126, -1, 0, 1, 127, 5, -77, 31];
                let n: [i32; MAX] = std::array::from_fn(|i| exponents[(i + turn) % 8]);
                let bits =
                    n.map(|n| f32::from_bits(12_582_912f32.to_bits().wrapping_add_signed(n)));
                let power = |i: usize| other[i] * 2f32.powi(n[i]);
                let got = b.times_two_to(L::load(bits.as_ptr()));
                same(&stored(got), power, L::N, "times_two_to");
                // Exact in either rounding: of small integers.
                let small: [f32; MAX] = std::array::from_fn(|i| (i + turn) as f32 - 9.0);
                let s = L::load(small.as_ptr());
                let product = |i: usize| small[i] + small[i] * 3.0;
                same(&stored(s.add_scaled(s, 3.0)), product, L::N, "add_product");
            }
        }
    }

    /// # Safety
    /// The processor has the instruction set.
    #[inline(always)]
    unsafe fn halves<L: Lanes>() {
        for start in (0..=u16::MAX).step_by(L::N) {
            let f16s: [f16; MAX] =
                std::array::from_fn(|i| f16::from_bits(start.wrapping_add(i as u16)));
            let bf16s: [bf16; MAX] =
                std::array::from_fn(|i| bf16::from_bits(start.wrapping_add(i as u16)));
            // SAFETY: the caller's word; `MAX >= N` values can be read.
            unsafe {
                same(&stored(L::load_f16(f16s.as_ptr())), |i| exactly(f16s[i]), L::N, "f16");
                let wide = |i: usize| f32::from_bits(u32::from(bf16s[i].to_bits()) << 16);
                same(&stored(L::load_bf16(bf16s.as_ptr())), wide, L::N, "bf16");
            }
        }
    }

    /// The value by its parts, without anybody's instructions for halves.
    fn exactly(v: f16) -> f32 {
        let bits = v.to_bits();
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
        match exponent {
            31 if fraction == 0.0 => sign * f32::INFINITY,
            31 => f32::NAN,
            0 => sign * fraction * 2f32.powi(-24),
            _ => sign * (1024.0 + fraction) * 2f32.powi(exponent - 25),
        }
    }

    /// # Safety
    /// The processor has the instruction set.
    #[inline(always)]
    unsafe fn transposed<L: Lanes>() {
        let value = |row: usize, lane: usize| (row * MAX + lane) as f32;
        // SAFETY: the caller's word; `MAX >= N` values can be read.
        unsafe {
            let mut rows: [L; MAX] = std::array::from_fn(|row| {
                let values: [f32; MAX] = std::array::from_fn(|lane| value(row, lane));
                L::load(values.as_ptr())
            });
            let sum = |row: usize| (0..L::N).map(|lane| value(row, lane)).sum();
            same(&stored(L::lane_sums(&rows)), sum, L::N, "lane_sums");
            L::transpose(&mut rows);
            for (row, &v) in rows.iter().enumerate().take(L::N) {
                same(&stored(v), |lane| value(lane, row), L::N, "transpose");
            }
        }
    }

    #[test]
    fn every_instruction_set_computes_as_plain_rust_does() {
        let all = [Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Portable];
        for isa in all.into_iter().filter(|isa| isa.is_available()) {
            // SAFETY: the processor has it.
            unsafe { isa.run(Compare) }
        }
    }
}

//! Vectors of one instruction set that hold four neighbouring bytes of each of several rows.

pub(super) mod x86;

use crate::simd::lanes::Task;
use half::f16;

/// The most rows that a vector holds something of.
pub(super) const MAX_ROWS: usize = 16;

/// A place in each of [`Quads::ROWS`] rows.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub(super) first: *const u8,
    /// Bytes from a row to the next.
    pub(super) stride: usize,
}

impl Rows {
    /// The place `offset` bytes further on.
    #[inline(always)]
    pub(super) fn at(self, offset: usize) -> Rows {
        Rows { first: self.first.wrapping_add(offset), ..self }
    }

    /// The place in row `i`.
    #[inline(always)]
    pub(super) fn row(self, i: usize) -> *const u8 {
        self.first.wrapping_add(i * self.stride)
    }
}

/// The vectors. Everything is `#[inline(always)]` and therefore compiled with the instructions of the function that
/// [`Quads::call`] is.
///
/// # Safety
/// Of all functions: the processor has the instruction set; and what each asks for.
pub(super) trait Quads: Sized {
    /// Rows side by side in a vector.
    const ROWS: usize;
    /// Columns whose sums fit into registers.
    const TILE: usize;
    /// Whether sums of a few products have 32 bits, and values may be as large as bytes can be.
    const WIDE: bool;
    /// Four bytes of each row.
    type Bytes: Copy;
    /// A float of each row.
    type Floats: Copy;
    /// A sum of a few products for each row, or for each half of one.
    type Few: Copy;
    /// A whole number of each row.
    type Whole: Copy;

    /// How many times [`Quads::dot`] may be called in a row for weights of at most `largest` before its sums could overflow, in powers of
    /// two up to `most`.
    fn lasts(largest: usize, most: usize) -> usize;

    /// Runs a task with the instruction set enabled.
    unsafe fn call<T: Task<Self>>(task: T);

    /// The first sixteen bytes of each of [`Quads::ROWS`] rows, four by four.
    unsafe fn gather(rows: Rows) -> [Self::Bytes; 4];
    /// Hints that what lies at `src`, which need not exist, will be read later: into the second cache.
    unsafe fn prefetch(src: *const u8);
    unsafe fn load_bytes(src: *const u8) -> Self::Bytes;
    unsafe fn store_bytes(v: Self::Bytes, dst: *mut u8);
    unsafe fn and(v: Self::Bytes, mask: u8) -> Self::Bytes;
    unsafe fn xor(v: Self::Bytes, mask: u8) -> Self::Bytes;
    unsafe fn or(a: Self::Bytes, b: Self::Bytes) -> Self::Bytes;
    /// Shifts right; what a byte gets from its neighbour has to be masked away.
    unsafe fn shr(v: Self::Bytes, bits: i32) -> Self::Bytes;
    /// Shifts left, likewise.
    unsafe fn shl(v: Self::Bytes, bits: i32) -> Self::Bytes;
    /// Byte `i` of each row.
    unsafe fn byte(v: Self::Bytes, i: i32) -> Self::Whole;
    /// Byte `i` of each row, signed.
    unsafe fn signed_byte(v: Self::Bytes, i: i32) -> Self::Whole;
    /// The two halves that each row's bytes are.
    unsafe fn halves(v: Self::Bytes) -> [Self::Floats; 2];

    /// A half of each row.
    unsafe fn load_halves(src: *const f16) -> Self::Floats;
    unsafe fn splat(v: f32) -> Self::Floats;
    unsafe fn load(src: *const f32) -> Self::Floats;
    unsafe fn store(v: Self::Floats, dst: *mut f32);
    unsafe fn mul(a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `sum + a * b`, rounded once.
    unsafe fn add_product(sum: Self::Floats, a: Self::Floats, b: Self::Floats) -> Self::Floats;

    unsafe fn zero() -> Self::Few;
    /// Sums that begin at `v`, where they have the bits for it: [`Quads::WIDE`].
    unsafe fn splat_whole(v: i32) -> Self::Few;
    /// Adds the products of each row's bytes, unsigned, with the four signed ones at `column`.
    unsafe fn dot(sums: Self::Few, weights: Self::Bytes, column: *const i8) -> Self::Few;
    unsafe fn whole(sums: Self::Few) -> Self::Whole;
    /// Numbers of up to 16 bits, as [`Quads::times`] wants them.
    unsafe fn factors(v: Self::Whole) -> Self::Whole;
    unsafe fn times(sums: Self::Few, factors: Self::Whole) -> Self::Whole;
    unsafe fn add(a: Self::Whole, b: Self::Whole) -> Self::Whole;
    unsafe fn sub(a: Self::Whole, b: Self::Whole) -> Self::Whole;
    unsafe fn load_whole(src: *const i32) -> Self::Whole;
    unsafe fn store_whole(v: Self::Whole, dst: *mut i32);
    unsafe fn to_floats(v: Self::Whole) -> Self::Floats;
    /// Whole numbers that are floats already.
    unsafe fn to_whole(v: Self::Floats) -> Self::Whole;
}

//! The transform of the output: `A^T m A` of each tile's sums `m` gives its pixels, whose sums and sums of
//! squares are collected on the way.

use super::geometry::Geometry;
use super::moments::segment;
use super::scheme::Lines;
use crate::simd::lanes::{Lanes, Task, load_up_to, write_up_to};

/// Makes the output of `tiles` in the output channels of a group.
///
/// `m` is the first panel's place in M, all points computed; `y` the whole output, `sums` all
/// segments. Nobody else accesses those pixels in those channels, nor those segments' sums of
/// those channels meanwhile. `tiles` begin with a panel, and end with one or with the last tile.
pub(super) struct TransformOutput<
    'a,
    S,
    const MR: usize,
    const NV: usize,
    const IN: usize,
    const OUT: usize,
> {
    pub(super) scheme: S,
    pub(super) geometry: &'a Geometry,
    pub(super) tiles: std::ops::Range<usize>,
    pub(super) m: *const f32,
    pub(super) m_point: usize,
    pub(super) first_out: usize,
    pub(super) n_outs: usize,
    pub(super) c_out: usize,
    pub(super) c_pad: usize,
    pub(super) y: *mut f32,
    /// What is added to, laid out like the output.
    pub(super) onto: Option<*const f32>,
    /// Whether pixels begin cache lines, and are not read soon.
    pub(super) streamed: bool,
    pub(super) sums: *mut f32,
}

/// One tile's pixels in the output, of which those outside of the map do not exist.
struct Target {
    first: *mut f32,
    /// Distance of rows and of pixels.
    strides: [usize; 2],
    n_rows: usize,
    n_columns: usize,
    n_lanes: usize,
    streamed: bool,
}

impl<L, S, const MR: usize, const NV: usize, const IN: usize, const OUT: usize> Task<L>
    for TransformOutput<'_, S, MR, NV, IN, OUT>
where
    L: Lanes,
    S: Lines<IN, OUT>,
{
    #[inline(always)]
    unsafe fn run(self) {
        let outs = NV * L::N;
        for tile in self.tiles.clone() {
            let at = self.geometry.locate(tile);
            let level = &self.geometry.levels[at.level];
            let pixel = level.first_pixel + at.y * level.w + at.x;
            let is_first = tile == level.first_tile || tile.is_multiple_of(MR);
            let segment = segment(tile / MR, at.level);
            let mut out = self.first_out;
            while out < self.c_out.min(self.first_out + self.n_outs) {
                // SAFETY: tile, segment and output channels exist; the target is cut to what lies
                // in the map, and in the channels that exist.
                unsafe {
                    let (tile, lane) = (tile - self.tiles.start, out - self.first_out);
                    let (panel, kernel) = (tile / MR, lane / outs);
                    let m = self.m.add(panel * IN * IN * self.m_point);
                    let m = m.add((kernel * MR + tile % MR) * outs + lane % outs);
                    let mut pixels = transform::<L, S, IN, OUT>(self.scheme, m, self.m_point);
                    let first = pixel * self.c_out + out;
                    let target = Target {
                        first: self.y.add(first),
                        strides: [level.w * self.c_out, self.c_out],
                        n_rows: OUT.min(level.h - at.y),
                        n_columns: OUT.min(level.w - at.x),
                        n_lanes: L::N.min(self.c_out - out),
                        streamed: self.streamed,
                    };
                    if let Some(onto) = self.onto {
                        target.add(&mut pixels, onto.add(first));
                    }
                    let moments = target.write(&pixels);
                    let sums = self.sums.add(segment * 2 * self.c_pad + out);
                    add(moments, sums, self.c_pad, is_first);
                }
                out += L::N;
            }
        }
        L::fence();
    }
}

/// # Safety
/// The processor has the instruction set; `N` floats can be read at each of the points.
#[inline(always)]
unsafe fn transform<L: Lanes, S: Lines<IN, OUT>, const IN: usize, const OUT: usize>(
    scheme: S,
    m: *const f32,
    point: usize,
) -> [[L; OUT]; OUT] {
    // SAFETY: the caller's word.
    unsafe {
        let mut columns = [[L::splat(0.0); IN]; OUT];
        for x in 0..IN {
            let mut column = [L::splat(0.0); IN];
            for y in 0..IN {
                column[y] = L::load(m.add((y * IN + x) * point));
            }
            let column = scheme.output(column);
            for y in 0..OUT {
                columns[y][x] = column[y];
            }
        }
        let mut pixels = [[L::splat(0.0); OUT]; OUT];
        for y in 0..OUT {
            pixels[y] = scheme.output(columns[y]);
        }
        pixels
    }
}

impl Target {
    /// Adds what is there for the same tile, `first` for its first pixel, to the pixels that exist.
    ///
    /// # Safety
    /// The processor has the instruction set; the pixels that exist can be read there, `n_lanes` floats each.
    #[inline(always)]
    unsafe fn add<L: Lanes, const OUT: usize>(
        &self,
        pixels: &mut [[L; OUT]; OUT],
        first: *const f32,
    ) {
        for y in 0..self.n_rows {
            for x in 0..self.n_columns {
                // SAFETY: the caller's word; only pixels that exist are read.
                unsafe {
                    let from = first.add(y * self.strides[0] + x * self.strides[1]);
                    pixels[y][x] = load_up_to::<L>(from, self.n_lanes).add(pixels[y][x]);
                }
            }
        }
    }

    /// Writes the pixels that exist; gives their sum and sum of squares.
    ///
    /// # Safety
    /// The pixels that exist can be written, `n_lanes` floats each.
    #[inline(always)]
    unsafe fn write<L: Lanes, const OUT: usize>(&self, pixels: &[[L; OUT]; OUT]) -> [L; 2] {
        let whole = self.n_rows == OUT && self.n_columns == OUT && self.n_lanes == L::N;
        // SAFETY: the caller's word; the values that are written exist, hence the instruction set.
        unsafe { if whole { self.write_whole(pixels) } else { self.write_part(pixels) } }
    }

    /// # Safety
    /// All pixels can be written, `N` floats each.
    #[inline(always)]
    unsafe fn write_whole<L: Lanes, const OUT: usize>(&self, pixels: &[[L; OUT]; OUT]) -> [L; 2] {
        let sum = |rows: [L; OUT]| rows[1..].iter().fold(rows[0], |sum, v| sum.add(*v));
        let (mut sums, mut squares) = (pixels[0], pixels[0]);
        for y in 0..OUT {
            for x in 0..OUT {
                // SAFETY: the caller's word.
                unsafe { write_up_to(pixels[y][x], self.pixel(y, x), L::N, self.streamed) }
            }
            let row = pixels[y];
            sums[y] = sum(row);
            let first = row[0].mul(row[0]);
            squares[y] = row[1..].iter().fold(first, |sum, v| sum.add_product(*v, *v));
        }
        [sum(sums), sum(squares)]
    }

    /// # Safety
    /// The processor has the instruction set; the pixels that exist can be written.
    #[inline(always)]
    unsafe fn write_part<L: Lanes, const OUT: usize>(&self, pixels: &[[L; OUT]; OUT]) -> [L; 2] {
        // SAFETY: the caller's word; only pixels that exist are written.
        unsafe {
            let mut moments = [L::splat(0.0); 2];
            for y in 0..OUT {
                for x in 0..OUT {
                    if y < self.n_rows && x < self.n_columns {
                        let v = pixels[y][x];
                        write_up_to(v, self.pixel(y, x), self.n_lanes, self.streamed);
                        moments = [moments[0].add(v), moments[1].add_product(v, v)];
                    }
                }
            }
            moments
        }
    }

    /// # Safety
    /// The pixel exists.
    #[inline(always)]
    unsafe fn pixel(&self, y: usize, x: usize) -> *mut f32 {
        // SAFETY: the caller's word.
        unsafe { self.first.add(y * self.strides[0] + x * self.strides[1]) }
    }
}

/// Adds to a segment's sums, or begins them.
///
/// # Safety
/// `N` floats can be read and written at `sums` and `c_pad` after it.
#[inline(always)]
unsafe fn add<L: Lanes>(moments: [L; 2], sums: *mut f32, c_pad: usize, is_first: bool) {
    for i in 0..2 {
        // SAFETY: the caller's word.
        unsafe {
            let sums = sums.add(i * c_pad);
            let v = if is_first { moments[i] } else { L::load(sums).add(moments[i]) };
            v.store(sums);
        }
    }
}

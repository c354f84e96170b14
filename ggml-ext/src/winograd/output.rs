//! The transform of the output: `A^T m A` of each tile's 64 sums `m` gives 6 x 6 pixels, whose sums
//! and sums of squares are collected on the way.

use super::geometry::{Geometry, IN, OUT, POINTS};
use super::moments::segment;
use crate::simd::lanes::{Lanes, Task, store_first};

/// Makes the output of `tiles` in the output channels of a group.
///
/// `m` is the first panel's place in M, all points computed; `y` the whole output, `sums` all
/// segments. Nobody else accesses those pixels in those channels, nor those segments' sums of
/// those channels meanwhile. `tiles` begin with a panel, and end with one or with the last tile.
pub(super) struct TransformOutput<'a, const MR: usize, const NV: usize> {
    pub(super) geometry: &'a Geometry,
    pub(super) tiles: std::ops::Range<usize>,
    pub(super) m: *const f32,
    pub(super) m_point: usize,
    pub(super) first_out: usize,
    pub(super) n_outs: usize,
    pub(super) c_out: usize,
    pub(super) c_pad: usize,
    pub(super) y: *mut f32,
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
}

impl<L: Lanes, const MR: usize, const NV: usize> Task<L> for TransformOutput<'_, MR, NV> {
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
                    let m = self.m.add(panel * POINTS * self.m_point);
                    let m = m.add((kernel * MR + tile % MR) * outs + lane % outs);
                    let pixels = transform::<L>(m, self.m_point);
                    let target = Target {
                        first: self.y.add(pixel * self.c_out + out),
                        strides: [level.w * self.c_out, self.c_out],
                        n_rows: OUT.min(level.h - at.y),
                        n_columns: OUT.min(level.w - at.x),
                        n_lanes: L::N.min(self.c_out - out),
                    };
                    let moments = target.write(&pixels);
                    let sums = self.sums.add(segment * 2 * self.c_pad + out);
                    add(moments, sums, self.c_pad, is_first);
                }
                out += L::N;
            }
        }
    }
}

/// # Safety
/// The processor has the instruction set; `N` floats can be read at each of the points.
#[inline(always)]
unsafe fn transform<L: Lanes>(m: *const f32, point: usize) -> [[L; OUT]; OUT] {
    // SAFETY: the caller's word.
    unsafe {
        let mut columns = [[L::splat(0.0); IN]; OUT];
        for x in 0..IN {
            let mut column = [L::splat(0.0); IN];
            for y in 0..IN {
                column[y] = L::load(m.add((y * IN + x) * point));
            }
            let column = line(column);
            for y in 0..OUT {
                columns[y][x] = column[y];
            }
        }
        let mut pixels = [[L::splat(0.0); OUT]; OUT];
        for y in 0..OUT {
            pixels[y] = line(columns[y]);
        }
        pixels
    }
}

/// `A^T m`, for the points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity:
///
/// ```text
/// 1 1  1  1   1 32  32 0
/// 0 1 -1  2  -2 16 -16 0
/// 0 1  1  4   4  8   8 0
/// 0 1 -1  8  -8  4  -4 0
/// 0 1  1 16  16  2   2 0
/// 0 1 -1 32 -32  1  -1 1
/// ```
#[inline(always)]
fn line<L: Lanes>(m: [L; IN]) -> [L; OUT] {
    let (even1, odd1) = (m[1].add(m[2]), m[1].sub(m[2]));
    let (even2, odd2) = (m[3].add(m[4]), m[3].sub(m[4]));
    let (even3, odd3) = (m[5].add(m[6]), m[5].sub(m[6]));
    [
        m[0].add(even1).add(even2).add_scaled(even3, 32.0),
        odd1.add_scaled(odd2, 2.0).add_scaled(odd3, 16.0),
        even1.add_scaled(even2, 4.0).add_scaled(even3, 8.0),
        odd1.add_scaled(odd2, 8.0).add_scaled(odd3, 4.0),
        even1.add_scaled(even2, 16.0).add_scaled(even3, 2.0),
        m[7].add(odd1).add_scaled(odd2, 32.0).add(odd3),
    ]
}

impl Target {
    /// Writes the pixels that exist; gives their sum and sum of squares.
    ///
    /// # Safety
    /// The pixels that exist can be written, `n_lanes` floats each.
    #[inline(always)]
    unsafe fn write<L: Lanes>(&self, pixels: &[[L; OUT]; OUT]) -> [L; 2] {
        let whole = self.n_rows == OUT && self.n_columns == OUT && self.n_lanes == L::N;
        // SAFETY: the caller's word; the values that are written exist, hence the instruction set.
        unsafe { if whole { self.write_whole(pixels) } else { self.write_part(pixels) } }
    }

    /// # Safety
    /// All pixels can be written, `N` floats each.
    #[inline(always)]
    unsafe fn write_whole<L: Lanes>(&self, pixels: &[[L; OUT]; OUT]) -> [L; 2] {
        let mut rows = [[pixels[0][0]; 2]; OUT];
        for y in 0..OUT {
            let [a, b, c, d, e, f] = pixels[y];
            for x in 0..OUT {
                // SAFETY: the caller's word.
                unsafe { pixels[y][x].store(self.pixel(y, x)) }
            }
            let squares = a.mul(a).add_product(b, b).add_product(c, c);
            let squares = squares.add(d.mul(d).add_product(e, e).add_product(f, f));
            rows[y] = [a.add(b).add(c).add(d.add(e).add(f)), squares];
        }
        let [[a, aa], [b, bb], [c, cc], [d, dd], [e, ee], [f, ff]] = rows;
        [a.add(b).add(c).add(d.add(e).add(f)), aa.add(bb).add(cc).add(dd.add(ee).add(ff))]
    }

    /// # Safety
    /// The processor has the instruction set; the pixels that exist can be written.
    #[inline(always)]
    unsafe fn write_part<L: Lanes>(&self, pixels: &[[L; OUT]; OUT]) -> [L; 2] {
        // SAFETY: the caller's word; only pixels that exist are written.
        unsafe {
            let mut moments = [L::splat(0.0); 2];
            for y in 0..OUT {
                for x in 0..OUT {
                    if y < self.n_rows && x < self.n_columns {
                        let v = pixels[y][x];
                        store_first(v, self.pixel(y, x), self.n_lanes);
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

//! The transform of the input: `B^T d B` of each tile `d`.
//!
//! Lanes are channels while transforming. The matrix products want a panel's tiles side by side,
//! so squares of tiles x channels are transposed on the way out.

use super::geometry::Geometry;
use super::scheme::Lines;
use crate::simd::lanes::{Lanes, MAX, Task, load_up_to, store_first};

/// The pixels of a tile as pointers to their first channels; outside of the map, to zeros.
pub(super) type Pixels<const IN: usize> = [[*const f32; IN]; IN];

/// Makes V of one panel and the channels `first..last`.
///
/// `pixels` are valid to read for `last` floats each; `dst`, the panel's place in V for point 0,
/// is valid to write in rows `first..last` of `MR` floats at each point, and nobody else accesses
/// those rows meanwhile.
pub(super) struct TransformInput<'a, S, const MR: usize, const IN: usize, const OUT: usize> {
    pub(super) scheme: S,
    pub(super) pixels: &'a [Pixels<IN>; MR],
    pub(super) dst: *mut f32,
    pub(super) point_stride: usize,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// Floats of a cache line.
const LINE: usize = 16;

/// Transformed channels of a tile.
type Row<const IN: usize> = [[[f32; MAX]; IN]; IN];

impl<L: Lanes, S: Lines<IN, OUT>, const MR: usize, const IN: usize, const OUT: usize> Task<L>
    for TransformInput<'_, S, MR, IN, OUT>
{
    #[inline(always)]
    unsafe fn run(self) {
        const { assert!(MR <= MAX && (MR <= L::N || MR.is_multiple_of(L::N))) };
        let mut rows: [Row<IN>; MR] = [[[[0.0; MAX]; IN]; IN]; MR];
        let mut c = self.first;
        while c < self.last {
            let n = L::N.min(self.last - c);
            for tile in 0..MR {
                self.prefetch::<L>(tile, c);
                // SAFETY: channels `c..c + n` of each pixel can be read.
                let mut d = unsafe { load_tile::<L, IN>(&self.pixels[tile], c, n) };
                transform(self.scheme, &mut d);
                for p in 0..IN * IN {
                    let row = &mut rows[tile][p / IN][p % IN];
                    // SAFETY: a row of `rows` has room for `MAX >= N` values.
                    unsafe { d[p / IN][p % IN].store(row.as_mut_ptr()) }
                }
            }
            for p in 0..IN * IN {
                // SAFETY: rows `c..c + n` of V at this point can be written.
                unsafe {
                    let dst = self.dst.add(p * self.point_stride + c * MR);
                    pack::<L, MR, IN>(&rows, p, dst, n);
                }
            }
            c += n;
        }
    }
}

impl<S, const MR: usize, const IN: usize, const OUT: usize> TransformInput<'_, S, MR, IN, OUT> {
    /// Fetches what the next tile reads, and this tile's share of what the channels from `c` on
    /// write: the lines lie too far apart for the processor to see it coming.
    #[inline(always)]
    fn prefetch<L: Lanes>(&self, tile: usize, c: usize) {
        let (next, next_c) = if tile + 1 < MR { (tile + 1, c) } else { (0, c + L::N) };
        for pixel in self.pixels[next].as_flattened() {
            L::prefetch(pixel.wrapping_add(next_c));
        }
        for p in tile * IN * IN / MR..(tile + 1) * IN * IN / MR {
            let rows = self.dst.wrapping_add(p * self.point_stride + c * MR);
            for line in 0..(L::N * MR).div_ceil(LINE) {
                L::prefetch(rows.wrapping_add(line * LINE));
            }
        }
    }
}

/// # Safety
/// `n <= N` floats from channel `c` on can be read of each pixel.
#[inline(always)]
unsafe fn load_tile<L: Lanes, const IN: usize>(
    pixels: &Pixels<IN>,
    c: usize,
    n: usize,
) -> [[L; IN]; IN] {
    // SAFETY: the caller's word.
    unsafe {
        let mut d = [[L::splat(0.0); IN]; IN];
        for y in 0..IN {
            for x in 0..IN {
                d[y][x] = load_up_to(pixels[y][x].add(c), n);
            }
        }
        d
    }
}

/// Writes `n` rows of `MR` floats: the transposed `rows` at point `p`.
///
/// # Safety
/// `n * MR` floats can be written at `dst`.
#[inline(always)]
unsafe fn pack<L: Lanes, const MR: usize, const IN: usize>(
    rows: &[Row<IN>; MR],
    p: usize,
    dst: *mut f32,
    n: usize,
) {
    let mut tile = 0;
    while tile < MR {
        // SAFETY: a row of a point has `MAX >= N` floats. Each store is of row `i < n` at `dst`;
        // where it is wider than what is left of the row, the next row is written later, and the
        // last one is cut.
        unsafe {
            let mut square = [L::splat(0.0); MAX];
            for i in 0..L::N {
                if tile + i < MR {
                    square[i] = L::load(rows[tile + i][p / IN][p % IN].as_ptr());
                }
            }
            L::transpose(&mut square);
            for i in 0..L::N {
                let dst = dst.add(i * MR + tile);
                if i + 1 < n || (i + 1 == n && tile + L::N <= MR) {
                    square[i].store(dst);
                } else if i + 1 == n {
                    store_first(square[i], dst, MR - tile);
                }
            }
        }
        tile += L::N;
    }
}

/// `B^T d B`
#[inline(always)]
fn transform<L: Lanes, S: Lines<IN, OUT>, const IN: usize, const OUT: usize>(
    scheme: S,
    d: &mut [[L; IN]; IN],
) {
    for x in 0..IN {
        let mut column = d[0];
        for y in 0..IN {
            column[y] = d[y][x];
        }
        let column = scheme.input(column);
        for y in 0..IN {
            d[y][x] = column[y];
        }
    }
    for y in 0..IN {
        d[y] = scheme.input(d[y]);
    }
}

/// The pixels of a panel, whose first tile is `first`; tiles past the end read zeros.
pub(super) fn panel_pixels<const MR: usize, const IN: usize>(
    geometry: &Geometry,
    first: usize,
    x: &[f32],
    c_in: usize,
    zeros: *const f32,
) -> [Pixels<IN>; MR] {
    let mut panel = [[[zeros; IN]; IN]; MR];
    for (i, pixels) in panel.iter_mut().enumerate().take(geometry.n_tiles - first) {
        let at = geometry.locate(first + i);
        let level = &geometry.levels[at.level];
        for (p, pixel) in pixels.as_flattened_mut().iter_mut().enumerate() {
            // One before the first pixel wraps around, and is then as far outside as any.
            let px = (at.x + p % IN).wrapping_sub(1);
            let py = (at.y + p / IN).wrapping_sub(1);
            if px < level.w && py < level.h {
                *pixel = x[(level.first_pixel + py * level.w + px) * c_in..].as_ptr();
            }
        }
    }
    panel
}

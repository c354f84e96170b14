//! The transform of the input: `B^T d B` of each tile `d` of 8 x 8 pixels.
//!
//! Lanes are channels while transforming. The matrix products want a panel's tiles side by side,
//! so squares of tiles x channels are transposed on the way out.

use super::geometry::{Geometry, IN, POINTS};
use crate::simd::lanes::{Lanes, MAX, Task, load_up_to, store_first};

/// The pixels of a tile as pointers to their first channels; outside of the map, to zeros.
pub(super) type Pixels = [*const f32; POINTS];

/// Makes V of one panel and the channels `first..last`.
///
/// `pixels` are valid to read for `last` floats each; `dst`, the panel's place in V for point 0,
/// is valid to write in rows `first..last` of `MR` floats at each point, and nobody else accesses
/// those rows meanwhile.
pub(super) struct TransformInput<'a, const MR: usize> {
    pub(super) pixels: &'a [Pixels; MR],
    pub(super) dst: *mut f32,
    pub(super) point_stride: usize,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// Floats of a cache line.
const LINE: usize = 16;

/// Transformed channels of a tile.
type Row = [[f32; MAX]; POINTS];

impl<L: Lanes, const MR: usize> Task<L> for TransformInput<'_, MR> {
    #[inline(always)]
    unsafe fn run(self) {
        const { assert!(MR <= MAX && (MR <= L::N || MR.is_multiple_of(L::N))) };
        let mut rows: [Row; MR] = [[[0.0; MAX]; POINTS]; MR];
        let mut c = self.first;
        while c < self.last {
            let n = L::N.min(self.last - c);
            for tile in 0..MR {
                self.prefetch::<L>(tile, c);
                // SAFETY: channels `c..c + n` of each pixel can be read.
                let mut d = unsafe { load_tile::<L>(&self.pixels[tile], c, n) };
                transform(&mut d);
                for p in 0..POINTS {
                    // SAFETY: a row of `rows` has room for `MAX >= N` values.
                    unsafe { d[p / IN][p % IN].store(rows[tile][p].as_mut_ptr()) }
                }
            }
            for p in 0..POINTS {
                // SAFETY: rows `c..c + n` of V at this point can be written.
                unsafe { pack::<L, MR>(&rows, p, self.dst.add(p * self.point_stride + c * MR), n) }
            }
            c += n;
        }
    }
}

impl<const MR: usize> TransformInput<'_, MR> {
    /// Fetches what the next tile reads, and this tile's share of what the channels from `c` on
    /// write: the lines lie too far apart for the processor to see it coming.
    #[inline(always)]
    fn prefetch<L: Lanes>(&self, tile: usize, c: usize) {
        let (next, next_c) = if tile + 1 < MR { (tile + 1, c) } else { (0, c + L::N) };
        for p in 0..POINTS {
            L::prefetch(self.pixels[next][p].wrapping_add(next_c));
        }
        for p in tile * POINTS / MR..(tile + 1) * POINTS / MR {
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
unsafe fn load_tile<L: Lanes>(pixels: &Pixels, c: usize, n: usize) -> [[L; IN]; IN] {
    // SAFETY: the caller's word.
    unsafe {
        let mut d = [[L::splat(0.0); IN]; IN];
        for p in 0..POINTS {
            let src = pixels[p].add(c);
            d[p / IN][p % IN] = load_up_to(src, n);
        }
        d
    }
}

/// Writes `n` rows of `MR` floats: the transposed `rows` at point `p`.
///
/// # Safety
/// `n * MR` floats can be written at `dst`.
#[inline(always)]
unsafe fn pack<L: Lanes, const MR: usize>(rows: &[Row; MR], p: usize, dst: *mut f32, n: usize) {
    let mut tile = 0;
    while tile < MR {
        // SAFETY: a row of a point has `MAX >= N` floats. Each store is of row `i < n` at `dst`;
        // where it is wider than what is left of the row, the next row is written later, and the
        // last one is cut.
        unsafe {
            let mut square = [L::splat(0.0); MAX];
            for i in 0..L::N {
                if tile + i < MR {
                    square[i] = L::load(rows[tile + i][p].as_ptr());
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
fn transform<L: Lanes>(d: &mut [[L; IN]; IN]) {
    for x in 0..IN {
        let mut column = d[0];
        for y in 0..IN {
            column[y] = d[y][x];
        }
        let column = line(column);
        for y in 0..IN {
            d[y][x] = column[y];
        }
    }
    for y in 0..IN {
        d[y] = line(d[y]);
    }
}

/// `B^T d`, for the points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity:
///
/// ```text
/// 1    0 -21/4     0  21/4     0 -1 0
/// 0    1     1 -17/4 -17/4     1  1 0
/// 0   -1     1  17/4 -17/4    -1  1 0
/// 0  1/2   1/4  -5/2  -5/4     2  1 0
/// 0 -1/2   1/4   5/2  -5/4    -2  1 0
/// 0    2     4  -5/2    -5   1/2  1 0
/// 0   -2     4   5/2    -5  -1/2  1 0
/// 0   -1     0  21/4     0 -21/4  0 1
/// ```
#[inline(always)]
fn line<L: Lanes>(d: [L; IN]) -> [L; IN] {
    let even1 = d[2].add(d[6]).add_scaled(d[4], -4.25);
    let odd1 = d[1].add(d[5]).add_scaled(d[3], -4.25);
    let even2 = d[6].add_scaled(d[2], 0.25).add_scaled(d[4], -1.25);
    let odd2 = d[1].scaled(0.5).add_scaled(d[3], -2.5).add_scaled(d[5], 2.0);
    let even3 = d[6].add_scaled(d[2], 4.0).add_scaled(d[4], -5.0);
    let odd3 = d[5].scaled(0.5).add_scaled(d[3], -2.5).add_scaled(d[1], 2.0);
    [
        d[0].sub(d[6]).add_scaled(d[4].sub(d[2]), 5.25),
        even1.add(odd1),
        even1.sub(odd1),
        even2.add(odd2),
        even2.sub(odd2),
        even3.add(odd3),
        even3.sub(odd3),
        d[7].sub(d[1]).add_scaled(d[3].sub(d[5]), 5.25),
    ]
}

/// The pixels of a panel, whose first tile is `first`; tiles past the end read zeros.
pub(super) fn panel_pixels<const MR: usize>(
    geometry: &Geometry,
    first: usize,
    x: &[f32],
    c_in: usize,
    zeros: *const f32,
) -> [Pixels; MR] {
    let mut panel = [[zeros; POINTS]; MR];
    for (i, pixels) in panel.iter_mut().enumerate().take(geometry.n_tiles - first) {
        let at = geometry.locate(first + i);
        let level = &geometry.levels[at.level];
        for (p, pixel) in pixels.iter_mut().enumerate() {
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

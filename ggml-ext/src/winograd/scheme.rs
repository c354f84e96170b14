//! Sizes of tiles, and the matrices that belong to them.
//!
//! Larger tiles need fewer multiplications, and make more of the weights: 64 values for nine with tiles of 6 x 6, 36 with
//! those of 4 x 4, which is what counts where a kernel meets few tiles.

use crate::simd::lanes::Lanes;

/// A size of tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// F(6 x 6, 3 x 3).
    Six,
    /// F(4 x 4, 3 x 3).
    Four,
}

impl Scheme {
    /// All, the largest first.
    pub const ALL: [Scheme; 2] = [Scheme::Six, Scheme::Four];

    /// Side of a tile's output.
    pub const fn side(self) -> usize {
        match self {
            Scheme::Six => 6,
            Scheme::Four => 4,
        }
    }

    /// Values that the transform makes of a tile, which has a pixel more on each side, and of a kernel.
    pub(super) const fn n_points(self) -> usize {
        (self.side() + 2) * (self.side() + 2)
    }
}

/// The transforms of a line of a tile of `IN` x `IN` input and `OUT` x `OUT` output pixels.
pub(super) trait Lines<const IN: usize, const OUT: usize>: Copy {
    /// `B^T d`
    fn input<L: Lanes>(self, d: [L; IN]) -> [L; IN];

    /// `G g`
    fn kernel<L: Lanes>(self, g: [L; 3]) -> [L; IN];

    /// `A^T m`
    fn output<L: Lanes>(self, m: [L; IN]) -> [L; OUT];
}

/// The points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity.
#[derive(Clone, Copy)]
pub(super) struct Six;

impl Lines<8, 6> for Six {
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
    fn input<L: Lanes>(self, d: [L; 8]) -> [L; 8] {
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

    /// ```text
    ///    1     0     0
    /// -2/9  -2/9  -2/9
    /// -2/9   2/9  -2/9
    /// 1/90  1/45  2/45
    /// 1/90 -1/45  2/45
    /// 1/45  1/90 1/180
    /// 1/45 -1/90 1/180
    ///    0     0     1
    /// ```
    #[inline(always)]
    fn kernel<L: Lanes>(self, g: [L; 3]) -> [L; 8] {
        let even1 = g[0].add(g[2]).scaled(-2.0 / 9.0);
        let even2 = g[0].scaled(1.0 / 90.0).add_scaled(g[2], 2.0 / 45.0);
        let even3 = g[0].scaled(1.0 / 45.0).add_scaled(g[2], 1.0 / 180.0);
        [
            g[0],
            even1.add_scaled(g[1], -2.0 / 9.0),
            even1.add_scaled(g[1], 2.0 / 9.0),
            even2.add_scaled(g[1], 1.0 / 45.0),
            even2.add_scaled(g[1], -1.0 / 45.0),
            even3.add_scaled(g[1], 1.0 / 90.0),
            even3.add_scaled(g[1], -1.0 / 90.0),
            g[2],
        ]
    }

    /// ```text
    /// 1 1  1  1   1 32  32 0
    /// 0 1 -1  2  -2 16 -16 0
    /// 0 1  1  4   4  8   8 0
    /// 0 1 -1  8  -8  4  -4 0
    /// 0 1  1 16  16  2   2 0
    /// 0 1 -1 32 -32  1  -1 1
    /// ```
    #[inline(always)]
    fn output<L: Lanes>(self, m: [L; 8]) -> [L; 6] {
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
}

/// The points 0, 1, -1, 2, -2 and infinity.
#[derive(Clone, Copy)]
pub(super) struct Four;

impl Lines<6, 4> for Four {
    /// ```text
    /// 4  0 -5  0 1 0
    /// 0 -4 -4  1 1 0
    /// 0  4 -4 -1 1 0
    /// 0 -2 -1  2 1 0
    /// 0  2 -1 -2 1 0
    /// 0  4  0 -5 0 1
    /// ```
    #[inline(always)]
    fn input<L: Lanes>(self, d: [L; 6]) -> [L; 6] {
        let (even1, odd1) = (d[4].add_scaled(d[2], -4.0), d[3].add_scaled(d[1], -4.0));
        let (even2, odd2) = (d[4].sub(d[2]), d[3].sub(d[1]).scaled(2.0));
        [
            d[4].add_scaled(d[2], -5.0).add_scaled(d[0], 4.0),
            even1.add(odd1),
            even1.sub(odd1),
            even2.add(odd2),
            even2.sub(odd2),
            d[5].add_scaled(d[3], -5.0).add_scaled(d[1], 4.0),
        ]
    }

    /// ```text
    ///  1/4     0    0
    /// -1/6  -1/6 -1/6
    /// -1/6   1/6 -1/6
    /// 1/24  1/12  1/6
    /// 1/24 -1/12  1/6
    ///    0     0    1
    /// ```
    #[inline(always)]
    fn kernel<L: Lanes>(self, g: [L; 3]) -> [L; 6] {
        let even1 = g[0].add(g[2]).scaled(-1.0 / 6.0);
        let even2 = g[0].scaled(1.0 / 24.0).add_scaled(g[2], 1.0 / 6.0);
        [
            g[0].scaled(0.25),
            even1.add_scaled(g[1], -1.0 / 6.0),
            even1.add_scaled(g[1], 1.0 / 6.0),
            even2.add_scaled(g[1], 1.0 / 12.0),
            even2.add_scaled(g[1], -1.0 / 12.0),
            g[2],
        ]
    }

    /// ```text
    /// 1 1  1 1  1 0
    /// 0 1 -1 2 -2 0
    /// 0 1  1 4  4 0
    /// 0 1 -1 8 -8 1
    /// ```
    #[inline(always)]
    fn output<L: Lanes>(self, m: [L; 6]) -> [L; 4] {
        let (even1, odd1) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (even2, odd2) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(even1).add(even2),
            odd1.add_scaled(odd2, 2.0),
            even1.add_scaled(even2, 4.0),
            m[5].add(odd1).add_scaled(odd2, 8.0),
        ]
    }
}

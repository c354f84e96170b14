//! Levels of a pyramid, cut into square tiles of output pixels.

use super::Error;

/// One map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) w: usize,
    pub(super) h: usize,
    tiles_x: usize,
    pub(super) first_tile: usize,
    pub(super) n_tiles: usize,
    pub(super) first_pixel: usize,
}

/// All maps; tiles are numbered row by row, level after level.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    pub(super) levels: Vec<Level>,
    /// Of a tile.
    side: usize,
    pub(super) n_tiles: usize,
    pub(super) n_pixels: usize,
}

/// Where a tile lies: its level, and its first output pixel there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) level: usize,
    pub(super) x: usize,
    pub(super) y: usize,
}

impl Geometry {
    /// Of levels as width and height, for tiles of `side` x `side`.
    pub(super) fn new(sides: &[[usize; 2]], side: usize) -> Result<Geometry, Error> {
        if sides.is_empty() || sides.iter().any(|s| s.contains(&0)) {
            return Err(Error::Levels);
        }
        let levels = Vec::with_capacity(sides.len());
        let mut g = Geometry { levels, side, n_tiles: 0, n_pixels: 0 };
        for &[w, h] in sides {
            let n_pixels = w.checked_mul(h).and_then(|n| n.checked_add(g.n_pixels));
            let n_pixels = n_pixels.ok_or(Error::TooLarge)?;
            // Not more than pixels: no overflow.
            let (tiles_x, tiles_y) = (w.div_ceil(side), h.div_ceil(side));
            let (first_tile, first_pixel, n_tiles) = (g.n_tiles, g.n_pixels, tiles_x * tiles_y);
            g.levels.push(Level { w, h, tiles_x, first_tile, n_tiles, first_pixel });
            g.n_tiles += n_tiles;
            g.n_pixels = n_pixels;
        }
        Ok(g)
    }

    /// # Panics
    /// If there is no such tile.
    pub(super) fn locate(&self, tile: usize) -> Place {
        assert!(tile < self.n_tiles);
        let level = self.levels.partition_point(|l| l.first_tile <= tile) - 1;
        let l = &self.levels[level];
        let i = tile - l.first_tile;
        Place { level, x: i % l.tiles_x * self.side, y: i / l.tiles_x * self.side }
    }
}

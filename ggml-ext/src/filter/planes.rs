//! Rows, channel by channel.

use super::QUAD;
use std::ops::Range;

/// The channels of the used pixels, `[lane][channel][pixel]`.
pub(super) struct Planes {
    pub(super) bytes: Vec<u8>,
    pub(super) n_words: usize,
}

impl Planes {
    pub(super) fn plane(&self, lane: usize, c: usize) -> &[u8] {
        let len = self.n_words * QUAD;
        &self.bytes[(lane * 3 + c) * len..][..len]
    }

    #[inline(always)]
    pub(super) fn split(&mut self, row: &[u8], used: &[Range<usize>], lane: usize) {
        let len = self.n_words * QUAD;
        let planes = &mut self.bytes[lane * 3 * len..][..3 * len];
        let (red, rest) = planes.split_at_mut(len);
        let (green, blue) = rest.split_at_mut(len);
        let mut first = 0;
        for pixels in used {
            let row = &row[pixels.start * 3..pixels.end * 3];
            let place = first..first + pixels.len();
            let [r, g, b] = [&mut *red, &mut *green, &mut *blue].map(|p| &mut p[place.clone()]);
            for (((pixel, r), g), b) in row.chunks_exact(3).zip(r).zip(g).zip(b) {
                [*r, *g, *b] = [pixel[0], pixel[1], pixel[2]];
            }
            first = place.end;
        }
    }
}

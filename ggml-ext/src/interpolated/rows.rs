//! Interpolation along one axis as a sparse matrix.

/// For every position of an axis, the cells that it is interpolated from, in order, with their weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows(Vec<Vec<(usize, f64)>>);

impl Rows {
    /// From `n` cells to `n` positions, as they are.
    pub fn identity(n: usize) -> Rows {
        Rows((0..n).map(|i| vec![(i, 1.0)]).collect())
    }

    /// Bilinear, from `from` cells to `to` positions with aligned corners:
    /// `cell = i * (from - 1) / (to - 1)`.
    pub fn aligned(from: usize, to: usize) -> Rows {
        if from == to {
            return Rows::identity(to);
        }
        let scale = (from - 1) as f64 / to.saturating_sub(1).max(1) as f64;
        let row = |i: usize| {
            let at = i as f64 * scale;
            let cell = (at as usize).min(from - 1);
            let fraction = at - cell as f64;
            let mut row = vec![(cell, 1.0 - fraction)];
            if fraction > 0.0 && cell + 1 < from {
                row.push((cell + 1, fraction));
            }
            row
        };
        Rows((0..to).map(row).collect())
    }

    /// This interpolation, then another one.
    ///
    /// # Panics
    /// If `next` reads more cells than this has positions.
    pub fn then(&self, next: &Rows) -> Rows {
        let row = |taps: &Vec<(usize, f64)>| {
            let mut row: Vec<(usize, f64)> = Vec::new();
            for &(i, outer) in taps {
                for &(cell, inner) in &self.0[i] {
                    match row.iter_mut().find(|(c, _)| *c == cell) {
                        Some((_, weight)) => *weight += outer * inner,
                        None => row.push((cell, outer * inner)),
                    }
                }
            }
            row.sort_unstable_by_key(|&(cell, _)| cell);
            row
        };
        Rows(next.0.iter().map(row).collect())
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no positions.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What position `i` is interpolated from: cells and weights.
    ///
    /// # Panics
    /// If there is no such position.
    pub fn taps(&self, i: usize) -> impl Iterator<Item = (usize, f64)> {
        self.row(i).iter().copied()
    }

    pub(crate) fn row(&self, i: usize) -> &[(usize, f64)] {
        &self.0[i]
    }

    /// The most cells, from the first to the last, of a position.
    pub(crate) fn window(&self) -> usize {
        let width = |row: &Vec<(usize, f64)>| match (row.first(), row.last()) {
            (Some(first), Some(last)) => last.0 - first.0 + 1,
            _ => 0,
        };
        self.0.iter().map(width).max().unwrap_or(0)
    }

    /// One more than the last cell that is read.
    pub(crate) fn n_cells(&self) -> usize {
        self.0.iter().flatten().map(|&(cell, _)| cell + 1).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Rows;

    #[test]
    fn corners_stay_and_weights_sum_to_one() {
        for (from, to) in [(16, 128), (16, 33), (128, 16), (5, 5), (7, 1), (1, 4)] {
            let rows = Rows::aligned(from, to);
            assert_eq!(rows.len(), to);
            assert_eq!(rows.row(0)[0], (0, 1.0));
            if to > 1 {
                let last = rows.row(to - 1);
                let mean: f64 = last.iter().map(|&(c, w)| c as f64 * w).sum();
                assert!((mean - (from - 1) as f64).abs() < 1e-9, "{from} to {to}: {last:?}");
            }
            for i in 0..to {
                let sum: f64 = rows.row(i).iter().map(|r| r.1).sum();
                assert!((sum - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn one_after_the_other_is_both() {
        let ([a, b], c) = ([16, 40], 23);
        let both = Rows::aligned(a, b).then(&Rows::aligned(b, c));
        let values: Vec<f64> = (0..a).map(|i| (i * i % 7) as f64).collect();
        let apply = |rows: &Rows, x: &[f64]| -> Vec<f64> {
            (0..rows.len()).map(|i| rows.row(i).iter().map(|&(c, w)| w * x[c]).sum()).collect()
        };
        let twice = apply(&Rows::aligned(b, c), &apply(&Rows::aligned(a, b), &values));
        for (x, y) in twice.iter().zip(apply(&both, &values)) {
            assert!((x - y).abs() < 1e-12);
        }
        assert!(both.window() <= 3);
    }
}

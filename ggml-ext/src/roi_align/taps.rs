//! The interpolation weights of one box along one axis.

use super::RoiAlignParams;
use std::ops::Range;

/// First coordinate and bin size, in cells, of a box from `lo` to `hi`.
fn bins(p: &RoiAlignParams, lo: f32, hi: f32) -> (f32, f32) {
    let start = lo * p.spatial_scale - 0.5;
    let end = hi * p.spatial_scale - 0.5;
    (start, (end - start) / p.output_size as f32)
}

/// Samples per bin along an axis of a box from `lo` to `hi`.
pub(super) fn n_samples(p: &RoiAlignParams, lo: f32, hi: f32) -> usize {
    match p.sampling_ratio {
        0 => bins(p, lo, hi).1.ceil() as usize,
        n => n,
    }
}

/// For every bin the cells that it reads and their weights, the mean over samples included.
/// Refilling reuses the memory.
#[derive(Default)]
pub(super) struct AxisTaps {
    starts: Vec<u32>,
    cells: Vec<u32>,
    weights: Vec<f32>,
}

impl AxisTaps {
    /// `n_bins` bins that read nothing.
    pub(super) fn empty(n_bins: usize) -> AxisTaps {
        AxisTaps { starts: vec![0; n_bins + 1], ..AxisTaps::default() }
    }

    /// Computes the weights of a box from `lo` to `hi` on an axis of `n_cells` cells.
    pub(super) fn fill(&mut self, p: &RoiAlignParams, lo: f32, hi: f32, n_cells: usize) {
        self.starts.clear();
        self.cells.clear();
        self.weights.clear();
        self.starts.push(0);
        let (start, bin) = bins(p, lo, hi);
        let samples = n_samples(p, lo, hi);
        let share = 1.0 / samples.max(1) as f32;
        for i in 0..p.output_size {
            for s in 0..samples {
                let at = start + i as f32 * bin + (s as f32 + 0.5) * bin / samples as f32;
                self.add_sample(at, n_cells, share);
            }
            self.starts.push(self.cells.len() as u32);
        }
    }

    /// One sample: nothing beyond a cell outside, otherwise two neighbouring cells (one where the
    /// coordinate is at or past the last cell).
    fn add_sample(&mut self, at: f32, n_cells: usize, share: f32) {
        if !(-1.0..=n_cells as f32).contains(&at) {
            return;
        }
        let at = at.max(0.0);
        let cell = at as usize;
        if cell >= n_cells - 1 {
            return self.add(n_cells - 1, share);
        }
        let fraction = at - cell as f32;
        self.add(cell, (1.0 - fraction) * share);
        self.add(cell + 1, fraction * share);
    }

    /// A cell that the bin reads already gets more weight.
    fn add(&mut self, cell: usize, weight: f32) {
        let bin = self.starts.last().map_or(0, |&s| s as usize);
        match self.cells[bin..].iter().rposition(|&c| c as usize == cell) {
            Some(i) => self.weights[bin + i] += weight,
            None => {
                self.cells.push(cell as u32);
                self.weights.push(weight);
            }
        }
    }

    /// From the first cell that is read to the last.
    pub(super) fn cells(&self) -> Range<usize> {
        let cells = || self.cells.iter().map(|&cell| cell as usize);
        cells().min().unwrap_or(0)..cells().max().map_or(0, |last| last + 1)
    }

    /// The weight that a bin gives a cell.
    #[inline(always)]
    pub(super) fn weight(&self, bin: usize, cell: usize) -> f32 {
        let (cells, weights) = self.bin(bin);
        for i in 0..cells.len() {
            if cells[i] as usize == cell {
                return weights[i];
            }
        }
        0.0
    }

    /// The cells that a bin reads, and their weights.
    #[inline(always)]
    pub(super) fn bin(&self, i: usize) -> (&[u32], &[f32]) {
        let range = self.starts[i] as usize..self.starts[i + 1] as usize;
        (&self.cells[range.clone()], &self.weights[range])
    }
}

//! The convolution of interpolated maps against that of the maps themselves.

use crate::noise;
use ggml_ext::interpolated::{Conv, Job, Level, Moments, Part, Rows};
use ggml_ext::numeric;
use ggml_ext::winograd::{Isa, Kernel, conv3x3_reference};
use half::{bf16, f16};

const NMSE: f64 = 1e-11;

struct Case {
    grid: [usize; 2],
    sides: Vec<[usize; 2]>,
    channels: [usize; 2],
}

impl Case {
    /// Half of a level's channels from its own grid, the rest from the next, by way of its size.
    fn levels(&self) -> Vec<Level> {
        let c = self.channels[0];
        let level = |l: usize| {
            let [width, height] = self.sides[l];
            let part = |from: usize, channels: std::ops::Range<usize>| {
                let rows = [0, 1].map(|axis| {
                    let through = self.sides[from][axis];
                    let to = self.sides[l][axis];
                    Rows::aligned(self.grid[axis], through).then(&Rows::aligned(through, to))
                });
                Part { grid: from, channels, rows }
            };
            let next = (l + 1) % self.sides.len();
            Level { width, height, parts: vec![part(l, 0..c / 2), part(next, c / 2..c)] }
        };
        (0..self.sides.len()).map(level).collect()
    }

    fn check(&self, isa: Isa, n_threads: usize) {
        let [c_in, c_out] = self.channels;
        let n_cells = self.grid[0] * self.grid[1];
        let grids: Vec<Vec<f32>> =
            (0..self.sides.len()).map(|l| noise(n_cells * c_in, l as u64 + 1)).collect();
        let levels = self.levels();
        let weights = noise(9 * c_in * c_out, 9);
        let halves: Vec<f16> = weights.iter().map(|&w| f16::from_f32(w)).collect();
        let brief: Vec<bf16> = weights.iter().map(|&w| bf16::from_f32(w)).collect();
        let x = upsampled(&grids, self.grid[0], c_in, &levels);
        for kernel in [Kernel::F32(&weights), Kernel::F16(&halves), Kernel::Bf16(&brief)] {
            let expected = conv3x3_reference(&x, &self.sides, self.channels, kernel);
            let (y, moments) = self.run(isa, &grids, &levels, kernel, n_threads);
            let expected32: Vec<f32> = expected.iter().map(|&v| v as f32).collect();
            let error = numeric::nmse(&y, &expected32);
            assert!(error < NMSE, "{isa:?}, {:?}, {:?}: {error:e}", self.sides, self.channels);
            let mut first = 0;
            for (&[w, h], moments) in self.sides.iter().zip(moments.chunks(c_out)) {
                for (c, m) in moments.iter().enumerate() {
                    let values: Vec<f64> =
                        (0..w * h).map(|p| expected[(first + p) * c_out + c]).collect();
                    let sum_sq: f64 = values.iter().map(|v| v * v).sum();
                    let near =
                        |a: f64, b: f64| (a - b).abs() <= 1e-5 * ((w * h) as f64 * sum_sq).sqrt();
                    assert!(near(m.sum, values.iter().sum()), "{isa:?}: sum {m:?}");
                    assert!((m.sum_sq - sum_sq).abs() <= 1e-5 * sum_sq, "{isa:?}: squares {m:?}");
                }
                first += w * h;
            }
        }
    }

    fn run(
        &self,
        isa: Isa,
        grids: &[Vec<f32>],
        levels: &[Level],
        kernel: Kernel<'_>,
        n_threads: usize,
    ) -> (Vec<f32>, Vec<Moments>) {
        let c_out = self.channels[1];
        let n = grids.len();
        let conv = Conv::new(isa, self.grid, n, levels, self.channels, n_threads).expect("sizes");
        let mut packed = vec![f32::NAN; conv.packed_len()];
        let grid_len = packed.len() / n;
        for (x, dst) in grids.iter().zip(packed.chunks_mut(grid_len)) {
            conv.pack(x, 0..conv.n_panels(), dst);
        }
        let mut y = vec![f32::NAN; conv.n_pixels() * c_out];
        let mut moments = vec![Moments::default(); levels.len() * c_out];
        let job = Job { packed: &packed, kernel, y: &mut y[..], moments: &mut moments[..] };
        for ith in 0..n_threads {
            // SAFETY: one after the other, each number once; nobody else has the job's memory.
            unsafe { conv.run(&job, ith, n_threads) }
        }
        (y, moments)
    }
}

/// The maps themselves, `[C, W, H]` one after the other.
fn upsampled(grids: &[Vec<f32>], grid_width: usize, c: usize, levels: &[Level]) -> Vec<f32> {
    let mut x = Vec::new();
    for level in levels {
        for row in 0..level.height {
            for column in 0..level.width {
                for part in &level.parts {
                    for channel in part.channels.clone() {
                        let mut sum = 0.0;
                        for (cy, wy) in part.rows[1].taps(row) {
                            for (cx, wx) in part.rows[0].taps(column) {
                                let cell = cy * grid_width + cx;
                                sum += wx * wy * f64::from(grids[part.grid][cell * c + channel]);
                            }
                        }
                        x.push(sum as f32);
                    }
                }
            }
        }
    }
    x
}

#[test]
fn it_is_the_convolution_of_the_maps() {
    let cases = [
        Case { grid: [4, 4], sides: vec![[16, 16], [8, 8], [4, 4]], channels: [16, 32] },
        Case { grid: [5, 3], sides: vec![[11, 7], [4, 9]], channels: [8, 12] },
        Case { grid: [16, 16], sides: vec![[40, 40], [7, 7]], channels: [20, 36] },
        Case { grid: [1, 1], sides: vec![[3, 2], [1, 1]], channels: [4, 4] },
    ];
    for isa in [Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Portable] {
        if isa.is_available() {
            for (i, case) in cases.iter().enumerate() {
                case.check(isa, 1 + i % 3);
            }
        }
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let level = |rows: [Rows; 2], channels| Level {
        width: 8,
        height: 8,
        parts: vec![Part { grid: 0, channels, rows }],
    };
    let rows = |from, to| [Rows::aligned(from, to), Rows::aligned(from, to)];
    let conv = |level| Conv::new(Isa::detect(), [4, 4], 1, &[level], [8, 8], 1);
    assert!(conv(level(rows(4, 8), 0..8)).is_some());
    assert!(conv(level(rows(4, 7), 0..8)).is_none(), "not the level's size");
    assert!(conv(level(rows(5, 8), 0..8)).is_none(), "not the grid's size");
    assert!(conv(level(rows(4, 8), 0..7)).is_none(), "not all channels");
    assert!(conv(level(rows(4, 8), 1..9)).is_none(), "channels that do not exist");
}

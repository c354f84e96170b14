//! GroupNorm, ReLU and exchange of channels in one pass over packed maps.

use super::convolve::Convolved;
use super::{GroupNorm, Maps, Part, SharedMoments};
use crate::custom::{CustomOp, Node};
use crate::graph::Builder;
use crate::interpolated::Rows;
use crate::simd::Isa;
use crate::simd::isa::ForIsa;
use crate::simd::lanes::{Lanes, MAX, Task, is_streamed, load_up_to, write_up_to};
use crate::tensor::Tensor;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::Arc;

struct Mix {
    isa: Isa,
    levels: Vec<Level>,
    /// Channels of the source, and of the result.
    channels: [usize; 2],
    n_groups: usize,
    eps: f32,
    moments: Arc<SharedMoments>,
    /// Per thread, level and channel of the source, what a value is multiplied by, and what is added:
    /// `[thread][level][2][C]`.
    affine: Box<[UnsafeCell<f32>]>,
}

// SAFETY: each thread of a run touches its own part of `affine`.
unsafe impl Sync for Mix {}

struct Level {
    width: usize,
    height: usize,
    first_pixel: usize,
    parts: Vec<MixPart>,
}

struct MixPart {
    from: Part,
    /// First channel in the result.
    to: usize,
    /// For each column and row, where it lies on the other level; `None` for the same level.
    axes: Option<[Vec<Between>; 2]>,
}

/// A place between two cells.
#[derive(Clone, Copy)]
struct Between {
    cells: [usize; 2],
    /// How much of the second.
    fraction: f32,
}

impl Between {
    fn of(rows: &Rows) -> Vec<Between> {
        let place = |i| match *rows.row(i) {
            [(a, _), (b, weight)] => Between { cells: [a, b], fraction: weight as f32 },
            [(a, _), ..] => Between { cells: [a, a], fraction: 0.0 },
            [] => Between { cells: [0, 0], fraction: 0.0 },
        };
        (0..rows.len()).map(place).collect()
    }
}

impl<'g> Builder<'g> {
    /// max(norm, 0) of convolved maps, of whose sides `maps` tells, in parts: `[C, pixels]`.
    pub(super) fn normed_and_mixed(
        &self,
        of: &Convolved<'g>,
        norm: &GroupNorm<'g>,
        maps: &Maps<'g>,
        parts: Vec<Vec<Part>>,
    ) -> Tensor<'g> {
        let c_in = maps.n_channels;
        let c_out = parts[0].iter().map(|p| p.n).sum();
        let level = |(l, parts): (usize, Vec<Part>)| Level::new(maps, l, &parts);
        let levels: Vec<_> = parts.into_iter().enumerate().map(level).collect();
        let n_affine = self.backend.n_threads() * levels.len() * 2 * c_in;
        let op = Mix {
            isa: Isa::detect(),
            levels,
            channels: [c_in, c_out],
            n_groups: norm.n_groups,
            eps: norm.eps,
            moments: of.moments.clone(),
            affine: std::iter::repeat_with(UnsafeCell::default).take(n_affine).collect(),
        };
        let ne = [c_out, maps.n_pixels()];
        self.custom(&ne, &[of.values, norm.scale, norm.bias], Arc::new(op), "norm_relu_mix")
    }
}

impl Level {
    fn new(maps: &Maps<'_>, l: usize, parts: &[Part]) -> Level {
        let [width, height] = maps.sides[l];
        let mut to = 0;
        let part = |from: &Part| {
            let axes = (from.level != l).then(|| {
                let [w, h] = maps.sides[from.level];
                [Between::of(&Rows::aligned(w, width)), Between::of(&Rows::aligned(h, height))]
            });
            to += from.n;
            MixPart { from: *from, to: to - from.n, axes }
        };
        let parts = parts.iter().map(part).collect();
        Level { width, height, first_pixel: maps.pixels(l)[0], parts }
    }
}

impl CustomOp for Mix {
    unsafe fn run(&self, node: &Node, ith: usize, nth: usize) {
        let n_pixels: usize = self.levels.iter().map(|l| l.width * l.height).sum();
        let share = n_pixels.div_ceil(nth);
        let pixels = (ith * share).min(n_pixels)..((ith + 1) * share).min(n_pixels);
        let len = self.levels.len() * 2 * self.channels[0];
        let work = Pixels {
            mix: self,
            x: node.floats(0),
            scale: node.floats(1),
            bias: node.floats(2),
            y: node.result(),
            pixels,
            // SAFETY: this thread's part of `affine`.
            affine: unsafe {
                let first = UnsafeCell::raw_get(self.affine.as_ptr().add(ith * len));
                std::slice::from_raw_parts_mut(first, len)
            },
        };
        assert_eq!(work.x.len(), n_pixels * self.channels[0], "length of x");
        assert_eq!(work.y.len(), n_pixels * self.channels[1], "length of y");
        // SAFETY: the processor has the instruction set; pixels are no other thread's.
        unsafe { self.isa.run(work) }
    }
}

/// A thread's work.
struct Pixels<'a> {
    mix: &'a Mix,
    x: &'a [f32],
    scale: &'a [f32],
    bias: &'a [f32],
    y: *mut [f32],
    pixels: Range<usize>,
    affine: &'a mut [f32],
}

impl ForIsa for Pixels<'_> {
    unsafe fn run<L: Lanes, const MR: usize, const NV: usize>(mut self) {
        for l in 0..self.mix.levels.len() {
            // SAFETY: the moments are complete: the node that wrote them is a source of this one.
            unsafe { self.set_affine(l) }
        }
        // SAFETY: the caller's word.
        unsafe { L::call(self) }
    }
}

impl<L: Lanes> Task<L> for Pixels<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: the caller's word.
        unsafe { self.all::<L>() }
    }
}

impl Pixels<'_> {
    /// From sums to what a value of each channel is multiplied by, and what is added.
    ///
    /// # Safety
    /// Nobody writes the moments.
    unsafe fn set_affine(&mut self, l: usize) {
        let (mix, level) = (self.mix, &self.mix.levels[l]);
        let ([c, _], n_groups) = (mix.channels, mix.n_groups);
        // SAFETY: the caller's word.
        let moments = unsafe { &(&*mix.moments.as_ptr())[l * c..][..c] };
        let (factors, added) = self.affine[2 * l * c..][..2 * c].split_at_mut(c);
        let per_group = c / n_groups;
        let n = (per_group * level.width * level.height) as f64;
        for (g, group) in moments.chunks(per_group).enumerate() {
            let mean = group.iter().map(|m| m.sum).sum::<f64>() / n;
            let square = group.iter().map(|m| m.sum_sq).sum::<f64>() / n;
            let variance = (square - mean * mean).max(0.0);
            let inverse = 1.0 / (variance + f64::from(mix.eps)).sqrt();
            for i in g * per_group..(g + 1) * per_group {
                let factor = f64::from(self.scale[i]) * inverse;
                factors[i] = factor as f32;
                added[i] = (f64::from(self.bias[i]) - mean * factor) as f32;
            }
        }
    }

    /// # Safety
    /// The processor has the instruction set; nobody else accesses the pixels.
    #[inline(always)]
    unsafe fn all<L: Lanes>(&self) {
        let streamed = is_streamed(self.y, self.mix.channels[1]);
        for level in &self.mix.levels {
            let end = level.first_pixel + level.width * level.height;
            let mine = self.pixels.start.max(level.first_pixel)..self.pixels.end.min(end);
            for pixel in mine {
                let i = pixel - level.first_pixel;
                let (column, row) = (i % level.width, i / level.width);
                for part in &level.parts {
                    // SAFETY: pixel and part exist.
                    unsafe {
                        let [c_in, c_out] = self.mix.channels;
                        let y = self.y.cast::<f32>().add(pixel * c_out + part.to);
                        let streamed = streamed && part.to.is_multiple_of(MAX);
                        match &part.axes {
                            None => self.own::<L>(part, &self.x[pixel * c_in..], y, streamed),
                            Some([x, y_]) => {
                                self.between::<L>(part, [x[column], y_[row]], y, streamed)
                            }
                        }
                    }
                }
            }
        }
        L::fence();
    }

    /// Factors and what is added, of the channels of a part.
    #[inline(always)]
    fn affine(&self, part: &MixPart) -> [*const f32; 2] {
        let c = self.mix.channels[0];
        let first = 2 * part.from.level * c + part.from.first;
        [self.affine[first..].as_ptr(), self.affine[first + c..].as_ptr()]
    }

    /// # Safety
    /// The processor has the instruction set; the part's channels can be read from pixel `x` and
    /// written at `y`, which begins a cache line if `streamed`.
    #[inline(always)]
    unsafe fn own<L: Lanes>(&self, part: &MixPart, x: &[f32], y: *mut f32, streamed: bool) {
        let [factors, added] = self.affine(part);
        let x = x[part.from.first..][..part.from.n].as_ptr();
        let mut c = 0;
        while c < part.from.n {
            let n = L::N.min(part.from.n - c);
            // SAFETY: the caller's word; channels `c..c + n` exist.
            unsafe {
                let v = load_up_to::<L>(added.add(c), n);
                let v =
                    v.add_product(load_up_to(x.add(c), n), load_up_to(factors.add(c), n)).relu();
                write_up_to(v, y.add(c), n, streamed);
            }
            c += n;
        }
    }

    /// # Safety
    /// The processor has the instruction set; the part's channels can be written at `to`, which begins a cache line if `streamed`.
    #[inline(always)]
    unsafe fn between<L: Lanes>(
        &self,
        part: &MixPart,
        [x, y]: [Between; 2],
        to: *mut f32,
        streamed: bool,
    ) {
        let [factors, added] = self.affine(part);
        let level = &self.mix.levels[part.from.level];
        let corner = |i: usize| {
            let cell = y.cells[i / 2] * level.width + x.cells[i % 2];
            let first = (level.first_pixel + cell) * self.mix.channels[0] + part.from.first;
            self.x[first..][..part.from.n].as_ptr()
        };
        let corners = [corner(0), corner(1), corner(2), corner(3)];
        let mut c = 0;
        while c < part.from.n {
            let n = L::N.min(part.from.n - c);
            // SAFETY: the caller's word; channels `c..c + n` exist, and were checked for the corners.
            unsafe {
                let (factor, more) =
                    (load_up_to::<L>(factors.add(c), n), load_up_to::<L>(added.add(c), n));
                let mut v = [L::splat(0.0); 4];
                for i in 0..4 {
                    v[i] = more.add_product(load_up_to(corners[i].add(c), n), factor).relu();
                }
                let upper = v[0].add_scaled(v[1].sub(v[0]), x.fraction);
                let lower = v[2].add_scaled(v[3].sub(v[2]), x.fraction);
                let v = upper.add_scaled(lower.sub(upper), y.fraction);
                write_up_to(v, to.add(c), n, streamed);
            }
            c += n;
        }
    }
}

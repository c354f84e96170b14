//! 3 x 3 convolution of regions that are pooled from a map, without pooling them.
//!
//! Pooling is linear, and so is the convolution. With `x` the map, `g_k` the kernel's nine taps and `P` the pooling of a region,
//!
//! ```text
//! y(p) = sum over taps of  [P (g_k x)](p + k)        (zero outside of the region)
//! ```
//!
//! so that the channels are multiplied once for each cell of the map, however many regions there are. What is left for a region is
//! to pool what the taps gave, separably: each row of the map that it reads along x, for all taps of a kernel's row together, then along y.

// As in `crate::simd`.
#![allow(clippy::needless_range_loop)]

use super::fused::{Region, RoiState};
use crate::interpolated::products::{Multiply, Shape, Weights};
use crate::maps::Mosaic;
use crate::scratch::LINE;
use crate::simd::isa::ForIsa;
use crate::simd::kernel::{Element, TAPS};
use crate::simd::lanes::{Lanes, Task, load_up_to, store_up_to};
use crate::simd::{Isa, Kernel};

/// The most bins a side.
const MAX_BINS: usize = 32;

/// What a bin of a row reads: from where on in a row of products, and with which weight.
#[derive(Clone, Copy)]
struct Tap {
    at: u32,
    weight: f32,
}

/// Where the taps of each bin end.
type Ends = [usize; MAX_BINS];

/// A convolution of given sizes.
pub(crate) struct Conv {
    isa: Isa,
    pub(crate) shape: Shape,
    out: usize,
    mosaic: Mosaic,
}

/// What a run reads and writes.
pub(crate) struct Job<'a> {
    /// Of the regions.
    pub(crate) state: &'a RoiState,
    /// The packed map, see [`Shape::pack`].
    pub(crate) packed: &'a [f32],
    pub(crate) kernel: Kernel<'a>,
    /// What is added to, a mosaic `[C_out, pixels]` like the result.
    pub(crate) onto: Option<&'a [f32]>,
    /// Of which the lines between regions are not written.
    pub(crate) y: *mut [f32],
    /// Of all threads, [`Conv::scratch`] each.
    pub(crate) scratch: *mut f32,
}

impl Conv {
    /// Of `out x out` bins of regions of a map of the given sides. `None` if it is not one for this.
    pub(crate) fn new(
        map: [usize; 2],
        out: usize,
        mosaic: Mosaic,
        [c_in, c_out]: [usize; 2],
    ) -> Option<Conv> {
        let isa = Isa::detect();
        let fits = out <= MAX_BINS && c_out.is_multiple_of(4) && !map.contains(&0);
        fits.then(|| Conv { isa, shape: Shape::new(isa, map, [c_in, c_out]), out, mosaic })
    }

    /// Roughly the time of a run for `n` regions, in multiply-adds, less what it would take to pool them.
    pub(crate) fn cost(&self, n: usize) -> f64 {
        /// Of bringing a value of the kernel to its place.
        const WEIGHT: f64 = 26.0;
        /// Of making a value of the result, less that of pooling one.
        const POOL: f64 = 100.0;
        let (s, f) = (&self.shape, |n: usize| n as f64);
        let c_out = f(s.c_out.next_multiple_of(s.outs));
        let products = f(TAPS) * f(s.c_in) * c_out * (f(s.cells()) + WEIGHT);
        products + f(n * self.out * self.out) * c_out * POOL
    }

    /// Multiply-adds of the matrix products, without the filling up of panels and channels.
    pub(crate) fn n_products(&self) -> u64 {
        let Shape { grid: [w, h], c_in, c_out, .. } = self.shape;
        (TAPS * w * h) as u64 * (c_in * c_out) as u64
    }

    /// Floats of scratch memory of a thread: a group's weights, products, sums of a region, a pooled row, and taps.
    pub(crate) fn scratch(&self) -> usize {
        let taps = 3 * self.out * self.shape.grid[0] * size_of::<Tap>() / size_of::<f32>();
        let room = self.shape.weights() + self.shape.products() + self.sums() + taps;
        room.next_multiple_of(LINE)
    }

    /// Floats of the sums of a region, and a row.
    fn sums(&self) -> usize {
        (self.out + 1) * self.out * self.shape.outs
    }

    /// Does the share of thread `ith` of `nth`: groups of output channels. Threads do not wait for each other.
    ///
    /// # Safety
    /// Each `ith` below `nth` runs once with the same job. Until all have returned, nobody else accesses the scratch memory and what
    /// is written, both valid to write, and as long as the convolution asks for.
    ///
    /// # Panics
    /// If a length does not fit.
    pub(crate) unsafe fn run(&self, job: &Job<'_>, ith: usize, nth: usize) {
        let Shape { c_in, c_out, grid, .. } = self.shape;
        let n_regions = job.state.regions().len();
        assert!(job.state.fits(grid, n_regions, self.out), "regions of another map");
        assert_eq!(job.packed.len(), self.shape.packed(), "length of the map");
        assert_eq!(job.kernel.len(), TAPS * c_in * c_out, "length of the kernel");
        assert_eq!(job.y.len(), self.mosaic.n_pixels() * c_out, "length of the result");
        assert!(job.onto.is_none_or(|o| o.len() == job.y.len()), "length of what is added to");
        // SAFETY: the instruction set was detected; the rest is the caller's word, and above.
        unsafe {
            match job.kernel {
                Kernel::F32(kernel) => self.isa.run(Share { conv: self, job, kernel, ith, nth }),
                Kernel::F16(kernel) => self.isa.run(Share { conv: self, job, kernel, ith, nth }),
                Kernel::Bf16(kernel) => self.isa.run(Share { conv: self, job, kernel, ith, nth }),
            }
        }
    }
}

struct Share<'a, E> {
    conv: &'a Conv,
    job: &'a Job<'a>,
    kernel: &'a [E],
    ith: usize,
    nth: usize,
}

impl<E: Element> ForIsa for Share<'_, E> {
    unsafe fn run<L: Lanes, const MR: usize, const NV: usize>(self) {
        let Share { conv, job, kernel, ith, nth } = self;
        let (shape, outs) = (&conv.shape, NV * L::N);
        let channels = [shape.c_in, shape.c_out];
        for group in (ith..shape.c_out.div_ceil(outs)).step_by(nth) {
            let first_out = group * outs;
            // SAFETY: groups are one thread's each, as is its part of the scratch memory, of whose parts each begins where the one
            // before ends. Lengths of the job were checked.
            unsafe {
                let weights = job.scratch.add(ith * conv.scratch());
                let products = weights.add(shape.weights());
                let sums = products.add(shape.products());
                L::call(Weights::<E, NV> { kernel, channels, first_out, dst: weights });
                L::call(Multiply::<MR, NV> {
                    shape,
                    first: 0,
                    first_in: 0,
                    n: shape.c_in,
                    packed: job.packed.as_ptr(),
                    weights,
                    to: products,
                });
                let taps = sums.add(conv.sums()).cast();
                L::call(Pool::<NV> { conv, job, products, sums, taps, first_out });
            }
        }
    }
}

/// Makes all regions' bins in the output channels of one group.
///
/// `products` are `[tap][cell][out]`; `sums` is scratch memory for `[bin][bin][out]` and a row, `taps` for those of a row.
/// They, and those channels of the result, are accessed by nobody else meanwhile.
struct Pool<'a, const NV: usize> {
    conv: &'a Conv,
    job: &'a Job<'a>,
    products: *const f32,
    sums: *mut f32,
    taps: *mut Tap,
    first_out: usize,
}

impl<L: Lanes, const NV: usize> Task<L> for Pool<'_, NV> {
    #[inline(always)]
    unsafe fn run(self) {
        for (i, region) in self.job.state.regions().iter().enumerate() {
            // SAFETY: the caller's word.
            unsafe {
                self.add_up::<L>(region);
                self.write::<L>(i);
            }
        }
    }
}

impl<const NV: usize> Pool<'_, NV> {
    /// Sums up a region's bins, row by row of the map.
    ///
    /// # Safety
    /// The processor has the instruction set; the rest is the word of whoever made the task.
    #[inline(always)]
    unsafe fn add_up<L: Lanes>(&self, region: &Region) {
        let (out, shape) = (self.conv.out, &self.conv.shape);
        let line = out * shape.outs;
        // SAFETY: the caller's word; cells that a region reads exist on the map.
        unsafe {
            for i in (0..out * line).step_by(L::N) {
                L::splat(0.0).store(self.sums.add(i));
            }
            let row = self.sums.add(out * line);
            let ends = self.collect_taps(region);
            for y in region.y.cells() {
                let mut weights = [0.0; MAX_BINS];
                for bin in 0..out {
                    weights[bin] = region.y.weight(bin, y);
                }
                for k in 0..3 {
                    let cells = (3 * k) * shape.cells() + y * shape.grid[0];
                    self.along_x::<L>(&ends, self.products.add(cells * shape.outs), row);
                    for bin in 0..out {
                        // The tap above reads the bin above: its weight is the next bin's.
                        let to = (bin + 1).wrapping_sub(k);
                        if weights[bin] != 0.0 && to < out {
                            add_scaled::<L>(row, weights[bin], self.sums.add(to * line), line);
                        }
                    }
                }
            }
        }
    }

    /// What each bin of a row reads, of all three taps of a kernel's row.
    ///
    /// # Safety
    /// As for [`Pool::add_up`].
    #[inline(always)]
    unsafe fn collect_taps(&self, region: &Region) -> Ends {
        let (out, shape) = (self.conv.out, &self.conv.shape);
        let (mut ends, mut n) = ([0; MAX_BINS], 0);
        for column in 0..out {
            for k in 0..3 {
                let bin = (column + k).wrapping_sub(1);
                if bin >= out {
                    continue;
                }
                let (cells, weights) = region.x.bin(bin);
                for i in 0..cells.len() {
                    let cell = k * shape.cells() + cells[i] as usize;
                    let tap = Tap { at: (cell * shape.outs) as u32, weight: weights[i] };
                    // SAFETY: there is room for as many cells as a row has, three times for each bin.
                    unsafe { self.taps.add(n).write(tap) }
                    n += 1;
                }
            }
            ends[column] = n;
        }
        ends
    }

    /// One row of the map, for three taps `[cell][out]` from `from` on, to a row of bins.
    ///
    /// # Safety
    /// As for [`Pool::add_up`]; the region's taps are collected.
    #[inline(always)]
    unsafe fn along_x<L: Lanes>(&self, ends: &Ends, from: *const f32, row: *mut f32) {
        let mut first = 0;
        for column in 0..self.conv.out {
            // SAFETY: the caller's word.
            unsafe {
                let mut sums = [L::splat(0.0); NV];
                for i in first..ends[column] {
                    let Tap { at, weight } = *self.taps.add(i);
                    for j in 0..NV {
                        let v = L::load(from.add(at as usize + j * L::N));
                        sums[j] = sums[j].add_scaled(v, weight);
                    }
                }
                for j in 0..NV {
                    sums[j].store(row.add((column * NV + j) * L::N));
                }
            }
            first = ends[column];
        }
    }

    /// Brings the sums of region `i` to their places.
    ///
    /// # Safety
    /// As for [`Pool::add_up`].
    #[inline(always)]
    unsafe fn write<L: Lanes>(&self, i: usize) {
        let (out, Shape { c_out, outs, .. }) = (self.conv.out, self.conv.shape);
        for y in 0..out {
            for x in 0..out {
                let to = (self.conv.mosaic.pixel(i, y) + x) * c_out + self.first_out;
                for j in 0..NV {
                    let n = c_out.saturating_sub(self.first_out + j * L::N).min(L::N);
                    // SAFETY: the caller's word; only channels that exist are read and written.
                    unsafe {
                        let mut v = L::load(self.sums.add((y * out + x) * outs + j * L::N));
                        if let Some(onto) = self.job.onto {
                            v = v.add(load_up_to(onto.as_ptr().wrapping_add(to + j * L::N), n));
                        }
                        store_up_to(v, self.job.y.cast::<f32>().wrapping_add(to + j * L::N), n);
                    }
                }
            }
        }
    }
}

/// Adds `weight` times `n` floats, whole vectors.
///
/// # Safety
/// The processor has the instruction set; that much can be read and written.
#[inline(always)]
unsafe fn add_scaled<L: Lanes>(from: *const f32, weight: f32, to: *mut f32, n: usize) {
    for i in (0..n).step_by(L::N) {
        // SAFETY: the caller's word.
        unsafe { L::load(to.add(i)).add_scaled(L::load(from.add(i)), weight).store(to.add(i)) }
    }
}

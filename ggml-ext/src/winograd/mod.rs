//! 3 x 3 convolution on the CPU by Winograd's minimal filtering, F(n x n, 3 x 3) for n = 6 and 4.
//!
//! Several maps (the levels of a pyramid) share one kernel; padding and stride are 1, and there is
//! no bias. A tile of n x n output pixels reads n + 2 by n + 2 input pixels `d`; with a kernel `g` of one
//! input and one output channel,
//!
//! ```text
//! y = A^T [ (G g G^T) * (B^T d B) ] A        (* element by element)
//! ```
//!
//! so that a convolution becomes (n + 2)^2 matrix products over the channels: for n = 6, with a fifth of the
//! multiplications. Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (2015). Ours
//! correlate, as deep learning's convolutions do. Everything is single precision; rounding errors are some
//! 7e-6 of the result's magnitude for n = 6 (root mean square, 512 channels), and less for n = 4.
//!
//! The transformed weights would take seven times the memory of the kernel in single precision. They
//! are made when needed, for a group of output and a chunk of input channels at a time, and never kept. That is most of the work
//! where there are few tiles, and less of it for a smaller n, which is why n depends on their number. `plan` says how
//! the work is cut up; the other modules do one step each.
//!
//! # Shapes
//! In ggml's order: maps are `[C_in, W, H]` (channels last, `[h][w][C_in]`), one after the other,
//! the kernel is `[3, 3, C_in, C_out]` (`[C_out, C_in, 3, 3]`), the output as the maps, with
//! `C_out` channels. Sides are arbitrary; channels are multiples of 4.
//!
//! # Example
//! ```
//! use ggml_ext::winograd::{Conv, Job, Kernel, Moments, Options};
//!
//! let conv = Conv::new(&[[5, 3], [2, 2]], [4, 8], Options::default())?;
//! let mut workspace = conv.workspace()?;
//! let (x, w) = (vec![1.0; 19 * 4], vec![0.5; 9 * 4 * 8]);
//! let (mut y, mut moments) = (vec![0.0; 19 * 8], vec![Moments::default(); 2 * 8]);
//! conv.compute(&mut workspace, Job::new(&x, Kernel::F32(&w), &mut y, &mut moments), 1);
//! assert!((y[0] - 8.0).abs() < 1e-5); // a corner: four pixels of four channels
//! # Ok::<(), ggml_ext::winograd::Error>(())
//! ```

// Rows and columns of small matrices: with indices the loops read like the formulas, and everything
// is sure to be inlined where the instruction set is enabled.
#![allow(clippy::needless_range_loop)]

mod error;
mod gemm;
mod geometry;
mod input;
mod moments;
mod output;
mod plan;
mod probe;
mod reference;
mod scheme;
mod weights;
mod worker;
mod workspace;

pub use crate::simd::{Isa, Kernel};
pub use error::Error;
pub use moments::Moments;
pub use probe::{Phase, Probe};
pub use reference::conv3x3_reference;
pub use scheme::Scheme;
pub use workspace::Workspace;

use geometry::Geometry;
use plan::{Plan, Problem};
use std::marker::PhantomData;
use worker::Worker;

/// How a convolution is to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most threads of a run.
    pub n_threads: usize,
    /// Bytes of scratch memory. With less the weights are transformed more often; the results are
    /// the same. It is exceeded only if the smallest possible plan needs more.
    pub budget: usize,
    /// The instruction set; the fastest if `None`. Results differ in rounding.
    pub isa: Option<Isa>,
    /// The size of tiles; the one that is expected to be the fastest if `None`. Results differ in rounding.
    pub scheme: Option<Scheme>,
}

impl Default for Options {
    /// One thread, 130 MB.
    fn default() -> Options {
        Options { n_threads: 1, budget: 130_000_000, isa: None, scheme: None }
    }
}

/// A convolution of given sizes, planned for any number of threads up to a largest.
#[derive(Clone, Debug)]
pub struct Conv {
    geometry: Geometry,
    problem: Problem,
    isa: Isa,
    /// For 1, 2, ... threads.
    plans: Vec<Plan>,
}

/// What a run reads and writes. The same for all of its threads.
#[derive(Debug)]
pub struct Job<'a> {
    x: &'a [f32],
    kernel: Kernel<'a>,
    onto: Option<&'a [f32]>,
    y: *mut [f32],
    moments: *mut [Moments],
    /// The two above.
    written: PhantomData<(&'a mut [f32], &'a mut [Moments])>,
}

// SAFETY: the memory that is written is the job's, as if by `&mut`, and of `Send` types; through a
// shared reference it is reached only by `Conv::run`, whose callers promise to coordinate.
unsafe impl Send for Job<'_> {}
// SAFETY: as above.
unsafe impl Sync for Job<'_> {}

impl<'a> Job<'a> {
    /// Convolves `x` with the kernel into `y`, whose sums per level and channel,
    /// `[C_out, n_levels]` (`[level][channel]`), go into `moments`. For other sizes than the
    /// convolution's, a run panics.
    pub fn new(
        x: &'a [f32],
        kernel: Kernel<'a>,
        y: &'a mut [f32],
        moments: &'a mut [Moments],
    ) -> Job<'a> {
        Job { x, kernel, onto: None, y, moments, written: PhantomData }
    }

    /// Adds what is at the same place here, of the output's size, to each value of the output.
    pub fn onto(self, onto: &'a [f32]) -> Job<'a> {
        Job { onto: Some(onto), ..self }
    }

    /// [`Job::new`] from pointers, for threads that do not share a `Job`.
    ///
    /// # Safety
    /// For `'a`, `y` and `moments` are valid to write, aligned, initialised, and accessed by nobody
    /// but runs of such jobs.
    pub unsafe fn from_raw(
        x: &'a [f32],
        kernel: Kernel<'a>,
        y: *mut [f32],
        moments: *mut [Moments],
    ) -> Job<'a> {
        Job { x, kernel, onto: None, y, moments, written: PhantomData }
    }
}

impl Conv {
    /// Of levels given as width and height, and numbers of input and output channels.
    ///
    /// # Errors
    /// [`Error::Levels`], [`Error::Channels`], [`Error::Threads`] and [`Error::TooLarge`] for sizes
    /// that cannot be; [`Error::Isa`] for an instruction set that the processor does not have.
    pub fn new(
        sides: &[[usize; 2]],
        [c_in, c_out]: [usize; 2],
        options: Options,
    ) -> Result<Conv, Error> {
        if [c_in, c_out].iter().any(|c| *c == 0 || !c.is_multiple_of(4)) {
            return Err(Error::Channels { c_in, c_out });
        }
        if options.n_threads == 0 {
            return Err(Error::Threads);
        }
        let isa = options.isa.unwrap_or_else(Isa::detect);
        if !isa.is_available() {
            return Err(Error::Isa(isa));
        }
        let problem = |scheme: Scheme| {
            let geometry = Geometry::new(sides, scheme.side())?;
            let (n_tiles, n_levels, micro) = (geometry.n_tiles, sides.len(), isa.micro());
            let problem = Problem { scheme, c_in, c_out, n_tiles, n_levels, micro };
            let fits = problem.fits(geometry.n_pixels, options.n_threads);
            if fits { Ok((geometry, problem)) } else { Err(Error::TooLarge) }
        };
        let mut best = problem(options.scheme.unwrap_or(Scheme::Six))?;
        if options.scheme.is_none() {
            let four = problem(Scheme::Four)?;
            if four.1.cost() < best.1.cost() {
                best = four;
            }
        }
        let (geometry, problem) = best;
        let plan = |n| Plan::new(&problem, n, options.budget);
        let plans = (1..=options.n_threads).map(plan).collect();
        Ok(Conv { geometry, problem, isa, plans })
    }

    /// The instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The size of tiles in use.
    pub fn scheme(&self) -> Scheme {
        self.problem.scheme
    }

    /// Number of levels.
    pub fn n_levels(&self) -> usize {
        self.problem.n_levels
    }

    /// Pixels of all levels.
    pub fn n_pixels(&self) -> usize {
        self.geometry.n_pixels
    }

    /// Bytes of scratch memory that runs of any number of threads need.
    pub fn scratch_bytes(&self) -> usize {
        (self.scratch_len() + self.problem.c_in) * size_of::<f32>()
    }

    /// One line on how a run with `n_threads` is cut up.
    ///
    /// # Panics
    /// If it is planned for fewer threads, or that is none.
    pub fn describe(&self, n_threads: usize) -> String {
        let p = self.plan(n_threads);
        let tiles = p.block_panels * self.problem.micro.tiles;
        format!(
            "{:?}, {:?}: {} blocks of {tiles} tiles, {} groups of {} channels, {} input channels at a time, {} teams of {}",
            self.isa,
            self.scheme(),
            p.n_blocks,
            p.n_groups,
            p.width,
            p.chunk,
            p.n_teams,
            p.team_size
        )
    }

    /// Multiply-adds of the matrix products, without the filling up of tiles and channels.
    pub fn n_products(&self) -> u64 {
        let p = &self.problem;
        (p.scheme.n_points() * p.n_tiles) as u64 * (p.c_in * p.c_out) as u64
    }

    /// Roughly the time of a run, in multiply-adds.
    pub(crate) fn cost(&self) -> f64 {
        self.problem.cost()
    }

    /// Scratch memory for this convolution; another's will do if it has no fewer bytes, input channels
    /// and threads.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough.
    pub fn workspace(&self) -> Result<Workspace, Error> {
        Workspace::new(self.scratch_len(), self.problem.c_in, self.plans.len())
    }

    /// Whether runs of any number of threads can use that workspace.
    pub fn can_use(&self, workspace: &Workspace) -> bool {
        let teams = self.plans.iter().map(|p| p.n_teams).max().unwrap_or(0);
        workspace.len() >= self.scratch_len()
            && workspace.zeros.len() >= self.problem.c_in
            && workspace.teams.len() >= teams
    }

    /// Runs on `n_threads` threads, the caller's included.
    ///
    /// # Panics
    /// As [`Conv::run`]; if a thread cannot be started.
    pub fn compute(&self, workspace: &mut Workspace, job: Job<'_>, n_threads: usize) {
        self.check(workspace, &job, n_threads);
        let (workspace, job) = (&*workspace, &job);
        std::thread::scope(|scope| {
            for ith in 1..n_threads {
                // SAFETY: each number is used once, all at once; workspace and job are exclusively
                // ours until the scope ends.
                scope.spawn(move || unsafe { self.run(workspace, job, ith, n_threads, &mut ()) });
            }
            // SAFETY: as above.
            unsafe { self.run(workspace, job, 0, n_threads, &mut ()) }
        });
    }

    /// Does the share of thread `ith` of `nth`, and waits for the others where it must: on return,
    /// this thread's work is done, but not necessarily all.
    ///
    /// # Safety
    /// * `nth` threads call it at the same time, one for each `ith` below `nth`, with the same
    ///   arguments otherwise: this convolution, one workspace, one job (or jobs of equal parts).
    /// * Until all of them have returned, nobody else uses the workspace, or accesses what the job
    ///   writes.
    ///
    /// # Panics
    /// Before anything is done, and on all threads alike: if `nth` is 0 or more than was planned
    /// for; if the workspace is too small; if a length in `job` is not the convolution's.
    pub unsafe fn run<P: Probe>(
        &self,
        workspace: &Workspace,
        job: &Job<'_>,
        ith: usize,
        nth: usize,
        probe: &mut P,
    ) {
        self.check(workspace, job, nth);
        assert!(ith < nth, "thread {ith} of {nth}");
        macro_rules! run {
            ($scheme:expr) => {{
                let (scheme, plan) = ($scheme, self.plan(nth));
                let worker = Worker { scheme, conv: self, plan, workspace, job, ith, nth };
                // SAFETY: the caller's word; sizes are checked above.
                unsafe { worker.run(probe) }
            }};
        }
        match self.scheme() {
            Scheme::Six => run!(scheme::Six),
            Scheme::Four => run!(scheme::Four),
        }
    }

    fn check(&self, workspace: &Workspace, job: &Job<'_>, nth: usize) {
        let p = &self.problem;
        let plan = self.plan(nth);
        assert!(workspace.len() >= plan.layout.len, "the workspace is too small");
        assert!(workspace.zeros.len() >= p.c_in, "the workspace is for fewer channels");
        assert!(workspace.teams.len() >= plan.n_teams, "the workspace is for fewer threads");
        assert_eq!(job.x.len(), self.geometry.n_pixels * p.c_in, "length of x");
        assert_eq!(job.y.len(), self.geometry.n_pixels * p.c_out, "length of y");
        assert!(job.onto.is_none_or(|o| o.len() == job.y.len()), "length of what is added to");
        assert_eq!(job.kernel.len(), 9 * p.c_in * p.c_out, "length of the kernel");
        assert_eq!(job.moments.len(), p.n_levels * p.c_out, "length of the moments");
    }

    fn plan(&self, n_threads: usize) -> &Plan {
        let most = self.plans.len();
        assert!((1..=most).contains(&n_threads), "{n_threads} threads, planned for up to {most}");
        &self.plans[n_threads - 1]
    }

    fn scratch_len(&self) -> usize {
        self.plans.iter().map(|p| p.layout.len).max().unwrap_or(0)
    }
}

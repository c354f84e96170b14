//! How a convolution is cut up: blocks of tiles, groups of output channels, teams of threads; and
//! where everything lies in the scratch memory.
//!
//! All threads share a block of transformed input (V). A team of threads shares the transformed
//! weights (U) of a group of output channels and divides the block's tiles; teams take groups. One
//! team per thread needs no waiting but a U each; one team of all threads needs one U. Several
//! blocks need less V, but transform the weights once each. U of a chunk of the input channels is multiplied out of a nearer
//! cache than U of all of them, but the products (M) of all of a thread's tiles have to stay, and are read and written again for
//! each chunk. The plan is the cheapest, by a rough model of the costs, of those that fit the budget.

use super::scheme::Scheme;
use crate::simd::isa::Micro;

/// Floats of a cache line.
const LINE: usize = 16;
/// The most output channels of a group: U of a point and group should leave room in a 1 MB cache.
const MAX_WIDTH: usize = 128;
/// Bytes of U of a point and group that are aimed at.
const MAX_U_POINT: usize = 512 << 10;
/// Bytes of M of a thread that are tried. For each piece all of U is read once more, from memory where it does not fit
/// into the last cache; M, which is as large, is written and read only once.
const MAX_M: [usize; 4] = [8 << 20, 4 << 20, 2 << 20, 1 << 20];

/// Input channels of a chunk that are tried, beside all.
const CHUNKS: [usize; 4] = [256, 128, 64, 32];

/// Some consecutive channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first: usize,
    pub(super) n: usize,
}

/// What is to be planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Problem {
    pub(super) scheme: Scheme,
    pub(super) c_in: usize,
    pub(super) c_out: usize,
    pub(super) n_tiles: usize,
    pub(super) n_levels: usize,
    pub(super) micro: Micro,
}

impl Problem {
    /// Panels, each of the micro kernel's number of tiles.
    pub(super) fn n_panels(&self) -> usize {
        self.n_tiles.div_ceil(self.micro.tiles)
    }

    fn n_points(&self) -> usize {
        self.scheme.n_points()
    }

    /// Output channels, filled up to whole micro kernels.
    pub(super) fn c_pad(&self) -> usize {
        self.c_out.next_multiple_of(self.micro.outs())
    }

    /// Roughly the time of a run, in multiply-adds, whatever the plan: results shall not depend on threads and budget.
    pub(super) fn cost(&self) -> f64 {
        /// Of making a value of U, and of bringing it to the products.
        const WEIGHT: f64 = 23.0;
        let f = |n: usize| n as f64;
        let tiles = f(self.n_panels() * self.micro.tiles);
        f(self.n_points()) * f(self.c_in) * f(self.c_pad()) * (tiles + WEIGHT)
    }

    /// Whether no size that a plan computes can overflow. The three large arrays take less than
    /// 4 bytes x (at most) 64 points x one of these products each, roundings included.
    pub(super) fn fits(&self, n_pixels: usize, n_threads: usize) -> bool {
        let (c_in, c_out) = (self.c_in.saturating_add(64), self.c_out.saturating_add(64));
        let n_pixels = n_pixels.saturating_add(64);
        let fits = |factors: [usize; 4]| {
            let product = factors.iter().try_fold(1usize, |p, &f| p.checked_mul(f));
            product.is_some_and(|p| p <= isize::MAX as usize)
        };
        fits([4096, n_threads, n_pixels, c_in.max(c_out)]) && fits([4096, n_threads, c_in, c_out])
    }
}

/// Offsets and strides in the scratch memory, in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Sums and sums of squares: `[segment][2][c_pad]`, see `moments`.
    pub(super) sums: usize,
    /// V: `[point][panel][c_in][tile of the panel]`
    pub(super) v: usize,
    pub(super) v_point: usize,
    pub(super) v_panel: usize,
    /// U of each team: `[point][micro kernel's outputs][input channel of the chunk][output]`
    pub(super) u: usize,
    pub(super) u_team: usize,
    pub(super) u_point: usize,
    /// M of each thread: `[panel of the piece][point][micro kernel's outputs][tile of the panel][output]`
    pub(super) m: usize,
    pub(super) m_point: usize,
    pub(super) m_thread: usize,
    /// Floats in all.
    pub(super) len: usize,
}

/// How a run with a given number of threads goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) n_teams: usize,
    pub(super) team_size: usize,
    /// Output channels of a group; the last group may have fewer.
    pub(super) width: usize,
    pub(super) n_groups: usize,
    /// Input channels of a chunk; the last chunk may have fewer.
    pub(super) chunk: usize,
    /// Panels of a block; the last block may have fewer.
    pub(super) block_panels: usize,
    pub(super) n_blocks: usize,
    /// Panels that a thread multiplies before it transforms their output.
    pub(super) piece_panels: usize,
    pub(super) layout: Layout,
}

/// What a plan is made of.
#[derive(Clone, Copy)]
struct Cut {
    team_size: usize,
    width: usize,
    chunk: usize,
    /// Bytes of M of a thread.
    max_m: usize,
}

impl Plan {
    /// The cheapest plan for `n_threads` that keeps to `budget` bytes; if there is none, the
    /// smallest.
    pub(super) fn new(problem: &Problem, n_threads: usize, budget: usize) -> Plan {
        let mut best: Option<(f64, Plan)> = None;
        for team_size in (1..=n_threads).filter(|s| n_threads.is_multiple_of(*s)) {
            for cut in Cut::all(problem, team_size) {
                let Some(plan) = Plan::within(problem, n_threads, cut, budget) else {
                    continue;
                };
                let cost = plan.cost(problem);
                if best.is_none_or(|(least, _)| cost < least) {
                    best = Some((cost, plan));
                }
            }
        }
        let (width, chunk) = (problem.micro.outs(), problem.c_in);
        let cut = Cut { team_size: n_threads, width, chunk, max_m: 0 };
        let smallest = || Plan::with(problem, n_threads, cut, 1);
        best.map_or_else(smallest, |(_, plan)| plan)
    }

    /// The input channels, chunk by chunk.
    pub(super) fn chunks(&self, c_in: usize) -> impl Iterator<Item = Span> {
        let chunk = self.chunk;
        (0..c_in).step_by(chunk).map(move |first| Span { first, n: chunk.min(c_in - first) })
    }

    /// The plan with the fewest blocks within the budget.
    fn within(problem: &Problem, n_threads: usize, cut: Cut, budget: usize) -> Option<Plan> {
        let plan = |panels| Plan::with(problem, n_threads, cut, panels);
        let budget = (budget / size_of::<f32>()).saturating_sub(problem.c_in);
        let fits = |panels| plan(panels).layout.len <= budget;
        // The largest number of panels that fits: memory grows with it.
        let (mut fitting, mut above) = (0, problem.n_panels() + 1);
        while above - fitting > 1 {
            let middle = fitting + (above - fitting) / 2;
            if fits(middle) { fitting = middle } else { above = middle }
        }
        if fitting == 0 {
            return None;
        }
        // As many blocks as that needs, of equal size.
        let n_blocks = problem.n_panels().div_ceil(fitting);
        let plan = plan(problem.n_panels().div_ceil(n_blocks));
        // M of all chunks is the sum: it has to stay.
        let keeps_m = plan.piece_panels >= plan.block_panels.div_ceil(cut.team_size);
        (cut.chunk == problem.c_in || keeps_m).then_some(plan)
    }

    fn with(problem: &Problem, n_threads: usize, cut: Cut, block_panels: usize) -> Plan {
        let Cut { team_size, width, chunk, max_m } = cut;
        let n_teams = n_threads / team_size;
        let m_panel = problem.n_points() * width * problem.micro.tiles * size_of::<f32>();
        let piece_panels = (max_m / m_panel).clamp(1, block_panels.div_ceil(team_size));
        Plan {
            n_teams,
            team_size,
            width,
            n_groups: problem.c_pad().div_ceil(width),
            chunk,
            block_panels,
            n_blocks: problem.n_panels().div_ceil(block_panels),
            piece_panels,
            layout: Layout::new(problem, n_threads, cut, [block_panels, piece_panels]),
        }
    }

    /// Roughly the time of a thread, in multiply-adds.
    fn cost(&self, problem: &Problem) -> f64 {
        /// Of making a value of U, where that of a team stays in a second cache, nearly does, and does not.
        const MAKE: [f64; 3] = [20.0, 24.0, 40.0];
        /// Of loading a float of V from the last cache, and from main memory.
        const LOAD: [f64; 2] = [1.5, 3.0];
        /// Of loading a float of U of a piece, likewise.
        const LOAD_U: [f64; 3] = [1.0, 3.0, 20.0];
        /// Bytes of U up to which it stays, and nearly does.
        const NEAR: [usize; 2] = [1 << 20, 4 << 20];
        /// Of adding to a float of M what a chunk contributes, where that of a thread stays in a second cache, and does not.
        const ADD: [f64; 2] = [12.0, 60.0];
        /// Bytes of V that the last cache holds.
        const LAST_CACHE: usize = 24 << 20;
        /// Of a meeting of the team.
        const MEETING: f64 = 30_000.0;
        /// What members of a team, who do not all run equally fast, wait for each other.
        const JITTER: f64 = 1.04;
        let f = |n: usize| n as f64;
        let rounds = f(self.n_blocks) * f(self.n_groups.div_ceil(self.n_teams));
        let points = f(problem.n_points());
        let u_bytes = self.layout.u_team * size_of::<f32>();
        let distance = NEAR.iter().filter(|&&near| u_bytes > near).count();
        let weights = points * MAKE[distance] * f(self.width) * f(problem.c_in) / f(self.team_size);
        let tiles = f(self.block_panels.div_ceil(self.team_size) * problem.micro.tiles);
        let v_bytes = problem.n_points() * self.layout.v_point * size_of::<f32>();
        let load = LOAD[usize::from(v_bytes > LAST_CACHE)];
        let n_pieces = self.block_panels.div_ceil(self.team_size).div_ceil(self.piece_panels);
        let pieces = LOAD_U[distance] * f(n_pieces) * f(self.width);
        let m_bytes = self.layout.m_thread * size_of::<f32>();
        let add = ADD[usize::from(m_bytes > NEAR[0])];
        let n_chunks = f(problem.c_in.div_ceil(self.chunk));
        let sums = (n_chunks - 1.0) * f(self.width) * tiles * add;
        let products = f(problem.c_in) * (tiles * (f(self.width) + load) + pieces);
        let products = points * (products + sums);
        if self.team_size == 1 {
            return rounds * (weights + products);
        }
        rounds * ((weights + products) * JITTER + 2.0 * n_chunks * MEETING)
    }
}

impl Cut {
    fn all(problem: &Problem, team_size: usize) -> impl Iterator<Item = Cut> {
        let chunks = CHUNKS.into_iter().filter(|&c| c < problem.c_in).chain([problem.c_in]);
        let pairs = widths(problem).flat_map(move |width| chunks.clone().map(move |c| (width, c)));
        pairs.flat_map(move |(width, chunk)| {
            MAX_M.map(|max_m| Cut { team_size, width, chunk, max_m })
        })
    }
}

/// The widths of groups that are tried.
fn widths(problem: &Problem) -> impl Iterator<Item = usize> {
    let (outs, c_pad, c_in) = (problem.micro.outs(), problem.c_pad(), problem.c_in);
    let sensible = move |&width: &usize| {
        let u_point = width * c_in * size_of::<f32>();
        width == outs || (width <= MAX_WIDTH && width <= c_pad && u_point <= MAX_U_POINT)
    };
    (0..8).map(move |k| outs << k).filter(sensible)
}

impl Layout {
    fn new(
        problem: &Problem,
        n_threads: usize,
        Cut { team_size, width, chunk, .. }: Cut,
        [block_panels, piece_panels]: [usize; 2],
    ) -> Layout {
        let mut len = 0;
        let mut take = |n: usize| {
            let start = len;
            len += n.next_multiple_of(LINE);
            start
        };
        let sums = take((problem.n_panels() + problem.n_levels) * 2 * problem.c_pad());
        let v_panel = odd_lines(problem.c_in * problem.micro.tiles);
        let v_point = odd_lines(v_panel * block_panels);
        let v = take(problem.n_points() * v_point);
        let u_point = odd_lines(width * chunk);
        let u_team = problem.n_points() * u_point;
        let u = take(n_threads / team_size * u_team);
        let m_point = odd_lines(width * problem.micro.tiles);
        let m_thread = problem.n_points() * m_point * piece_panels;
        let m = take(n_threads * m_thread);
        Layout { sums, v, v_point, v_panel, u, u_team, u_point, m, m_point, m_thread, len }
    }
}

/// Rounds up to an odd number of cache lines: 64 streams at a distance of a power of two would
/// fall into the same few sets of the caches.
fn odd_lines(n: usize) -> usize {
    (n.div_ceil(LINE) | 1) * LINE
}

//! What one thread of a run does.

use super::gemm::Multiply;
use super::input::{TransformInput, panel_pixels};
use super::moments::reduce;
use super::output::TransformOutput;
use super::plan::{Plan, Span};
use super::probe::{Phase, Probe};
use super::scheme::Lines;
use super::weights::TransformWeights;
use super::workspace::Workspace;
use super::{Conv, Job};
use crate::simd::isa::ForIsa;
use crate::simd::kernel::{Element, Kernel};
use crate::simd::lanes::{Lanes, is_streamed};
use std::ops::Range;
use std::sync::atomic::Ordering;

/// Channels of a panel that are transformed at a time: a piece of work that threads take.
const SLAB: usize = 256;

/// A thread of a run.
pub(super) struct Worker<'a, S, const IN: usize, const OUT: usize> {
    pub(super) scheme: S,
    pub(super) conv: &'a Conv,
    pub(super) plan: &'a Plan,
    pub(super) workspace: &'a Workspace,
    pub(super) job: &'a Job<'a>,
    /// Number of this thread, and of all.
    pub(super) ith: usize,
    pub(super) nth: usize,
}

/// What a thread does, for any instruction set.
struct Share<'a, S, P, const IN: usize, const OUT: usize> {
    worker: &'a Worker<'a, S, IN, OUT>,
    probe: &'a mut P,
}

impl<S, P, const IN: usize, const OUT: usize> ForIsa for Share<'_, S, P, IN, OUT>
where
    S: Lines<IN, OUT>,
    P: Probe,
{
    unsafe fn run<L: Lanes, const MR: usize, const NV: usize>(self) {
        // SAFETY: the caller's word.
        unsafe { self.worker.work::<L, MR, NV, P>(self.probe) }
    }
}

/// Weights that are transformed and multiplied together.
#[derive(Clone, Copy)]
struct Part {
    /// Output channels: a group, filled up to whole micro kernels.
    outs: Span,
    /// Input channels.
    chunk: Span,
}

impl<S: Lines<IN, OUT>, const IN: usize, const OUT: usize> Worker<'_, S, IN, OUT> {
    /// This thread's share of the run.
    ///
    /// # Safety
    /// As for [`Conv::run`]; the plan is the one for `nth` threads, the workspace large enough, and
    /// the job of the convolution's sizes.
    pub(super) unsafe fn run<P: Probe>(&self, probe: &mut P) {
        // SAFETY: the instruction set is available, as checked when the convolution was made; the
        // rest is the caller's word.
        unsafe { self.conv.isa.run(Share { worker: self, probe }) }
    }

    /// # Safety
    /// As for [`Worker::run`]; the processor has the instruction set, for which the plan is.
    unsafe fn work<L: Lanes, const MR: usize, const NV: usize, P: Probe>(&self, probe: &mut P) {
        let (plan, workspace) = (self.plan, self.workspace);
        let n_panels = self.conv.problem.n_panels();
        for block in 0..plan.n_blocks {
            let first = (block * plan.block_panels).min(n_panels);
            let panels = first..(first + plan.block_panels).min(n_panels);
            if self.ith == 0 {
                // All threads have left the previous block, and none takes a group before the
                // barrier below.
                workspace.next_group.0.store(0, Ordering::Relaxed);
            }
            probe.enter(Phase::Input);
            // SAFETY: V of the previous block is not read any more: its last barrier is passed.
            unsafe { self.transform_input::<L, MR>(panels.clone()) };
            probe.enter(Phase::Wait);
            workspace.barrier.wait(self.nth);
            if self.ith == 0 {
                // All have left the loop over the input, and enter it after the barrier below.
                workspace.next_input.0.store(0, Ordering::Relaxed);
            }
            // SAFETY: V of the block is complete.
            unsafe { self.run_groups::<L, MR, NV, P>(panels, probe) };
            probe.enter(Phase::Wait);
            workspace.barrier.wait(self.nth);
        }
        probe.enter(Phase::Moments);
        // SAFETY: all output is written, and all segments are summed.
        unsafe { self.reduce_moments(MR) };
        probe.enter(Phase::Wait);
    }

    /// Transforms what this thread gets hold of a block's input.
    ///
    /// # Safety
    /// All threads do so, and nobody reads V meanwhile.
    unsafe fn transform_input<L: Lanes, const MR: usize>(&self, panels: Range<usize>) {
        let (c_in, layout) = (self.conv.problem.c_in, &self.plan.layout);
        let n_slabs = c_in.div_ceil(SLAB);
        loop {
            let i = self.workspace.next_input.0.fetch_add(1, Ordering::Relaxed);
            let (panel, slab) = (i / n_slabs, i % n_slabs);
            if panel >= panels.len() {
                return;
            }
            let zeros = self.workspace.zeros.as_ptr();
            let (geometry, first) = (&self.conv.geometry, (panels.start + panel) * MR);
            let task = TransformInput::<S, MR, IN, OUT> {
                scheme: self.scheme,
                pixels: &panel_pixels::<MR, IN>(geometry, first, self.job.x, c_in, zeros),
                dst: self.floats(layout.v + panel * layout.v_panel),
                point_stride: layout.v_point,
                first: slab * SLAB,
                last: c_in.min((slab + 1) * SLAB),
            };
            // SAFETY: pixels and zeros have `c_in` floats each, as checked; this
            // panel and slab of V are inside of the workspace and no other thread's, since the
            // counter gives each number once. The processor has the instruction set.
            unsafe { L::call(task) }
        }
    }

    /// Computes the groups that this thread's team gets hold of, for the team's tiles.
    ///
    /// # Safety
    /// All threads do so; V of the block is complete.
    unsafe fn run_groups<L: Lanes, const MR: usize, const NV: usize, P: Probe>(
        &self,
        panels: Range<usize>,
        probe: &mut P,
    ) {
        let size = self.plan.team_size;
        let (team, member) = (self.ith / size, self.ith % size);
        let state = &self.workspace.teams[team];
        loop {
            probe.enter(Phase::Wait);
            if member == 0 {
                // The others read the number between the two barriers below, hence not now.
                let next = self.workspace.next_group.0.fetch_add(1, Ordering::Relaxed);
                state.group.store(next, Ordering::Relaxed);
            }
            // After it, nobody of the team reads the previous group's U.
            state.barrier.wait(size);
            let group = state.group.load(Ordering::Relaxed);
            if group >= self.plan.n_groups {
                return;
            }
            for chunk in self.plan.chunks(self.c_in()) {
                if chunk.first > 0 {
                    probe.enter(Phase::Wait);
                    // Nobody of the team reads the previous chunk's U.
                    state.barrier.wait(size);
                }
                let part = Part { outs: self.group(group), chunk };
                // SAFETY: nobody of the team reads U.
                unsafe { self.run_part::<L, MR, NV, P>(part, &panels, probe) };
            }
        }
    }

    /// Adds what a chunk of input channels contributes to a group, for this thread's tiles.
    ///
    /// # Safety
    /// All of the team do so, for the chunks of a group one after the other; nobody reads U before, and V of the block is complete.
    unsafe fn run_part<L: Lanes, const MR: usize, const NV: usize, P: Probe>(
        &self,
        part: Part,
        panels: &Range<usize>,
        probe: &mut P,
    ) {
        let size = self.plan.team_size;
        let (team, member) = (self.ith / size, self.ith % size);
        probe.enter(Phase::Weights);
        let channels = share(part.chunk.n, member, size);
        // SAFETY: the members transform different input channels, and none reads U.
        unsafe { self.transform_weights::<L, NV>(team, part, channels) };
        probe.enter(Phase::Wait);
        self.workspace.teams[team].barrier.wait(size);
        let mine = share(panels.len(), member, size);
        let mut first = mine.start;
        while first < mine.end {
            let last = mine.end.min(first + self.plan.piece_panels);
            // SAFETY: U of the part and V are complete and not written; the members have
            // different panels, hence different parts of the output and of the sums; teams
            // have different groups, hence different channels.
            unsafe { self.compute::<L, MR, NV, P>(part, panels, first..last, probe) };
            first = last;
        }
    }

    fn group(&self, i: usize) -> Span {
        let first = i * self.plan.width;
        Span { first, n: self.plan.width.min(self.conv.problem.c_pad() - first) }
    }

    fn c_in(&self) -> usize {
        self.conv.problem.c_in
    }

    /// # Safety
    /// Nobody else accesses the team's U of those input channels, counted from the chunk's first, meanwhile. The processor has the
    /// instruction set.
    unsafe fn transform_weights<L: Lanes, const NV: usize>(
        &self,
        team: usize,
        part: Part,
        channels: Range<usize>,
    ) {
        // SAFETY: the caller's word.
        unsafe {
            match self.job.kernel {
                Kernel::F32(w) => self.transform_elements::<L, f32, NV>(w, team, part, channels),
                Kernel::F16(w) => self.transform_elements::<L, _, NV>(w, team, part, channels),
                Kernel::Bf16(w) => self.transform_elements::<L, _, NV>(w, team, part, channels),
            }
        }
    }

    /// # Safety
    /// As for [`Worker::transform_weights`].
    unsafe fn transform_elements<L: Lanes, E: Element, const NV: usize>(
        &self,
        kernel: &[E],
        team: usize,
        Part { outs, chunk }: Part,
        channels: Range<usize>,
    ) {
        let layout = &self.plan.layout;
        let task = TransformWeights::<E, S, NV, IN, OUT> {
            scheme: self.scheme,
            kernel,
            c_in: self.c_in(),
            c_out: self.conv.problem.c_out,
            first_out: outs.first,
            n_outs: outs.n,
            chunk,
            first: chunk.first + channels.start,
            last: chunk.first + channels.end,
            dst: self.floats(layout.u + team * layout.u_team),
            point_stride: layout.u_point,
        };
        // SAFETY: the kernel's length was checked; U of the team is inside of the workspace; the
        // rest is the caller's word.
        unsafe { L::call(task) }
    }

    /// Multiplies and, behind the last chunk, writes the output, for the panels `mine` of the block.
    ///
    /// # Safety
    /// U and V are complete; nobody else accesses output and sums of those panels and channels. If the chunk is not the first, M is
    /// what those before it left. The processor has the instruction set.
    unsafe fn compute<L: Lanes, const MR: usize, const NV: usize, P: Probe>(
        &self,
        Part { outs, chunk }: Part,
        block: &Range<usize>,
        mine: Range<usize>,
        probe: &mut P,
    ) {
        let (layout, problem) = (&self.plan.layout, &self.conv.problem);
        let team = self.ith / self.plan.team_size;
        let m = self.floats(layout.m + self.ith * layout.m_thread);
        let multiply = Multiply::<MR, NV> {
            v: self.floats(layout.v + mine.start * layout.v_panel + chunk.first * MR),
            v_point: layout.v_point,
            v_panel: layout.v_panel,
            u: self.floats(layout.u + team * layout.u_team),
            u_point: layout.u_point,
            m,
            m_point: layout.m_point,
            n_points: IN * IN,
            n_panels: mine.len(),
            n_outs: outs.n,
            n_channels: chunk.n,
            begin: chunk.first == 0,
        };
        let first_tile = (block.start + mine.start) * MR;
        let output = TransformOutput::<S, MR, NV, IN, OUT> {
            scheme: self.scheme,
            geometry: &self.conv.geometry,
            tiles: first_tile..((block.start + mine.end) * MR).min(problem.n_tiles),
            m,
            m_point: layout.m_point,
            first_out: outs.first,
            n_outs: outs.n,
            c_out: problem.c_out,
            c_pad: problem.c_pad(),
            y: self.job.y.cast(),
            onto: self.job.onto.map(<[f32]>::as_ptr),
            streamed: is_streamed(self.job.y, problem.c_out),
            sums: self.floats(layout.sums),
        };
        // SAFETY: everything is inside of the workspace, or of the output, whose length was
        // checked; the rest is the caller's word.
        unsafe {
            probe.enter(Phase::Multiply);
            L::call(multiply);
            if chunk.first + chunk.n == problem.c_in {
                probe.enter(Phase::Output);
                L::call(output);
            }
        }
    }

    /// # Safety
    /// The sums of all segments are complete.
    unsafe fn reduce_moments(&self, panel: usize) {
        let (problem, layout) = (&self.conv.problem, &self.plan.layout);
        let channels = share(problem.c_out, self.ith, self.nth);
        let sums = self.floats(layout.sums).cast_const();
        let (c_pad, moments) = (problem.c_pad(), self.job.moments.cast());
        // SAFETY: sums and moments have the lengths that are asked for; each thread has channels of
        // its own.
        unsafe {
            reduce(&self.conv.geometry, panel, sums, c_pad, moments, problem.c_out, channels);
        }
    }

    /// The workspace from an offset on.
    fn floats(&self, offset: usize) -> *mut f32 {
        debug_assert!(offset <= self.workspace.len());
        self.workspace.floats().wrapping_add(offset)
    }
}

/// The `i`-th of `n` nearly equal parts of `0..len`.
fn share(len: usize, i: usize, n: usize) -> Range<usize> {
    let (each, rest) = (len / n, len % n);
    let start = i * each + i.min(rest);
    start..start + each + usize::from(i < rest)
}

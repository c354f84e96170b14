//! Compute graphs: built once, allocated once, run many times.
//!
//! [`Graph::build`] hands a [`Builder`] to a closure that reads like a PyTorch forward. Inputs and
//! outputs leave the closure as small handles; after that a run allocates nothing.

use crate::custom::CustomOp;
use crate::device::{CPU, device_name};
pub use crate::memory::Memory;
use crate::memory::{Floating, Turn, fresh_id};
use crate::rehearsal::{GraphPlan, NodePlan};
use crate::roi_align::RoiState;
use crate::stable_box::StableBox;
use crate::tensor::{Brand, Context, Tensor, ne_of};
use crate::weights::TensorSet;
use crate::{Backend, Error, Result, sys};
use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

/// Handle of an input of one graph; see [`Graph::set`].
#[derive(Clone, Copy, Debug)]
pub struct Input(usize);

/// Handle of an output of one graph; see [`Graph::get`].
#[derive(Clone, Copy, Debug)]
pub struct Output(usize);

/// Records the nodes of a graph under construction.
///
/// The operations are in [`crate::nn`]. Handing over tensors whose shapes do not fit is a
/// programming error and ends the process inside ggml: check shapes that come from a file first.
///
/// A tensor belongs to the graph that it was made in:
///
/// ```compile_fail
/// # use ggml_ext::{Backend, Error, graph::Graph};
/// # fn mix(backend: &Backend) -> Result<(), Error> {
/// Graph::build("outer", backend, 8, |outer| {
///     let (x, _) = outer.input("x", &[1]);
///     let inner = Graph::build("inner", backend, 8, |g| Ok::<_, Error>(g.output(x, "y")))?;
///     Ok::<_, Error>(inner)
/// })?;
/// # Ok(())
/// # }
/// ```
pub struct Builder<'g> {
    pub(crate) ctx: &'g Context,
    pub(crate) backend: &'g Backend,
    graph: NonNull<sys::ggml_cgraph>,
    sources: RefCell<Vec<Source>>,
    inputs: RefCell<Vec<NonNull<sys::ggml_tensor>>>,
    outputs: RefCell<Vec<NonNull<sys::ggml_tensor>>>,
    pub(crate) rois: RefCell<Vec<StableBox<RoiState>>>,
    pub(crate) ops: RefCell<Vec<Arc<dyn CustomOp>>>,
    n_unnamed: Cell<usize>,
    rooms: RefCell<Vec<NonNull<sys::ggml_tensor>>>,
    brand: Brand<'g>,
}

/// A set that a graph reads, or writes too.
struct Source {
    set: Arc<TensorSet>,
    written: bool,
}

impl<'g> Builder<'g> {
    /// Brings a tensor of a weights file, or of another stage, into the graph and keeps its
    /// storage alive as long as the graph. `None` if the set has no tensor of that name.
    pub fn tensor(&self, set: &Arc<TensorSet>, name: &str) -> Option<Tensor<'g>> {
        let raw = set.raw(name)?;
        self.use_set(set, false);
        Some(Tensor::new(raw))
    }

    /// Lends the graph a tensor that it may write anything into while it runs, as the next place of
    /// [`Builder::put_into_room`]. `None` if there is no such tensor, or it cannot be written.
    pub(crate) fn lend(&self, set: &Arc<TensorSet>, name: &str) -> Option<()> {
        let room = set.raw(name).filter(|_| !set.is_mapped())?;
        self.use_set(set, true);
        self.rooms.borrow_mut().push(room);
        Some(())
    }

    /// Puts a fresh node into lent tensor `i` if there is one of the same size that the node does not read.
    pub(crate) fn put_into_room(&self, node: Tensor<'g>, i: usize) {
        let (Some(&room), node) = (self.rooms.borrow().get(i), node.as_ptr()) else {
            return;
        };
        // SAFETY: both tensors are alive for 'g, as are the node's sources. The lent tensor is allocated on the graph's
        // backend and holds as many bytes as the node needs, as checked; that the node's memory is set
        // tells the allocator to leave it alone.
        unsafe {
            let room = room.as_ptr();
            let (sources, n_bytes) = ((*node).src, sys::ggml_nbytes(room));
            let start = (*room).data.addr();
            // Addresses are those of one buffer only on some devices, and there are none in a rehearsal. Views have theirs
            // from the start, so a part of the tensor is found, too.
            let is_inside = |src: *mut sys::ggml_tensor| {
                let root = if (*src).view_src.is_null() { src } else { (*src).view_src };
                let range = start..start + n_bytes;
                (*root).buffer == (*room).buffer
                    && (start == 0 || range.contains(&(*src).data.addr()))
            };
            let reads = sources.iter().any(|&src| !src.is_null() && is_inside(src));
            if !reads && n_bytes == sys::ggml_nbytes(node) {
                ((*node).data, (*node).buffer) = ((*room).data, (*room).buffer);
            }
        }
    }

    fn use_set(&self, set: &Arc<TensorSet>, written: bool) {
        let mut sources = self.sources.borrow_mut();
        match sources.iter_mut().find(|s| Arc::ptr_eq(&s.set, set)) {
            Some(source) => source.written |= written,
            None => sources.push(Source { set: set.clone(), written }),
        }
    }

    /// A float input of shape `ne` (ggml order). It must be set before every run: the allocator
    /// may reuse its memory once the last node that reads it has run.
    pub fn input(&self, name: &str, ne: &[usize]) -> (Tensor<'g>, Input) {
        let t = self.leaf(name, ne);
        (t, self.register_input(t))
    }

    fn leaf(&self, name: &str, ne: &[usize]) -> Tensor<'g> {
        let t = self.ctx.new_tensor(crate::DType::F32, ne);
        // SAFETY: `t` belongs to this builder's context.
        unsafe { sys::ggml_set_input(t.as_ptr()) };
        self.named(t, name)
    }

    fn register_input(&self, t: Tensor<'g>) -> Input {
        let mut inputs = self.inputs.borrow_mut();
        inputs.push(t.raw());
        Input(inputs.len() - 1)
    }

    /// Has the graph compute `t` here, before what is added later; other nodes come when a result needs them. The order
    /// decides how much must be kept at the same time.
    pub(crate) fn expand(&self, t: Tensor<'g>) -> Tensor<'g> {
        // SAFETY: graph and node are alive.
        unsafe { sys::ggml_build_forward_expand(self.graph.as_ptr(), t.as_ptr()) };
        t
    }

    /// Marks `t` as a result under `name`; its value stays readable until the next run, of this graph or of another in
    /// the same memory.
    pub fn output(&self, t: Tensor<'g>, name: &str) -> Output {
        self.named(t, name);
        // SAFETY: `t` belongs to this builder's context.
        unsafe { sys::ggml_set_output(t.as_ptr()) };
        self.expand(t);
        let mut outputs = self.outputs.borrow_mut();
        outputs.push(t.raw());
        Output(outputs.len() - 1)
    }

    /// Adds a copy of `t` into tensor `name` of `set` to the graph: how a stage hands large results
    /// on without a way through host memory. `None` if the set has no such tensor, or if it is
    /// mapped from a file, which cannot be written.
    pub fn store(&self, t: Tensor<'g>, set: &Arc<TensorSet>, name: &str) -> Option<()> {
        let to = set.raw(name).filter(|_| !set.is_mapped())?;
        self.use_set(set, true);
        // SAFETY: both tensors are alive; ggml checks that their element counts agree.
        let copy = unsafe { sys::ggml_cpy(self.ctx.as_ptr(), t.as_ptr(), to.as_ptr()) };
        self.expand(self.named(Tensor::from_ptr(copy), &format!("store.{name}")));
        Some(())
    }

    /// Names a node; returns it for chaining. Names over 63 bytes are cut.
    pub fn named(&self, t: Tensor<'g>, name: &str) -> Tensor<'g> {
        let name = CString::new(name.replace('\0', "")).unwrap_or_default();
        // SAFETY: `t` is alive and ggml copies the string, cutting it to its fixed buffer.
        unsafe { sys::ggml_set_name(t.as_ptr(), name.as_ptr()) };
        t
    }

    /// Wraps a fresh node, giving it a readable name from its operation.
    pub(crate) fn node(&self, raw: *mut sys::ggml_tensor, op: &str) -> Tensor<'g> {
        let t = Tensor::from_ptr(raw);
        let n = self.n_unnamed.get();
        self.n_unnamed.set(n + 1);
        self.named(t, &format!("{op}.{n}"))
    }
}

/// A node of an allocated graph, and where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedNode {
    /// Its name.
    pub name: String,
    /// ggml's name of the operation.
    pub op: String,
    /// The device that its result lies on, which is the one that computes it; empty for a tensor without storage.
    pub device: String,
}

/// A graph on one backend, and the storage that its tensors live in when it is their turn.
pub struct Graph {
    name: String,
    id: u64,
    graph: NonNull<sys::ggml_cgraph>,
    inputs: Vec<NonNull<sys::ggml_tensor>>,
    outputs: Vec<NonNull<sys::ggml_tensor>>,
    rois: Vec<StableBox<RoiState>>,
    /// Kept for the nodes that point to them.
    _ops: Vec<Arc<dyn CustomOp>>,
    memory: Memory,
    floating: Floating,
    /// In the order of their addresses, which is the order in which they are locked.
    sources: Vec<Source>,
    /// Whether the last run succeeded: outputs hold nothing before.
    has_run: Cell<bool>,
    _ctx: Context,
}

// SAFETY: all pointers lead into storage that the graph owns or keeps alive through Arc, or into the
// memory that it takes turns with, and those are followed only while the graph holds that memory's
// lock and has its turn; nothing is bound to a thread, and `run` takes `&mut self`.
unsafe impl Send for Graph {}

impl Graph {
    /// Builds and allocates a graph of at most `max_nodes` nodes. `build` records the nodes and
    /// returns whatever handles the caller needs.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the backend lacks a kernel for a node (nothing falls back to
    /// another device), [`Error::Create`] if its memory does not suffice, and whatever `build`
    /// returns.
    pub fn build<R, E: From<Error>>(
        name: &str,
        backend: &Backend,
        max_nodes: usize,
        build: impl for<'g> FnOnce(&Builder<'g>) -> std::result::Result<R, E>,
    ) -> std::result::Result<(Graph, R), E> {
        Self::build_in(name, &Memory::new(backend)?, max_nodes, build)
    }

    /// Like [`Graph::build`], in memory that the graph takes turns with.
    ///
    /// # Errors
    /// As [`Graph::build`].
    pub fn build_in<R, E: From<Error>>(
        name: &str,
        memory: &Memory,
        max_nodes: usize,
        build: impl for<'g> FnOnce(&Builder<'g>) -> std::result::Result<R, E>,
    ) -> std::result::Result<(Graph, R), E> {
        let backend = memory.backend();
        let ctx = Context::for_graph(max_nodes)?;
        let graph = ctx.new_graph(max_nodes);
        let builder = Builder {
            ctx: &ctx,
            backend,
            graph,
            sources: RefCell::default(),
            inputs: RefCell::default(),
            outputs: RefCell::default(),
            rois: RefCell::default(),
            ops: RefCell::default(),
            n_unnamed: Cell::new(0),
            rooms: RefCell::default(),
            brand: PhantomData,
        };
        let handles = build(&builder)?;
        if !backend.is_rehearsal() {
            check_supported(backend, graph)?;
        }
        // SAFETY: they belong to this graph, which is not run yet, and then by `Backend::compute`; it keeps its sources alive.
        unsafe { backend.replace_nodes(&nodes(graph).collect::<Vec<_>>()) }
        let (mut sources, inputs) = (builder.sources.take(), builder.inputs.take());
        sources.sort_by_key(|s| Arc::as_ptr(&s.set).addr());
        let (outputs, rois) = (builder.outputs.take(), builder.rois.take());
        let ops = builder.ops.take();
        let graph = Graph {
            name: name.into(),
            id: fresh_id(),
            graph,
            inputs,
            outputs,
            rois,
            _ops: ops,
            memory: memory.clone(),
            floating: Floating::of(&ctx),
            sources,
            has_run: Cell::new(false),
            _ctx: ctx,
        };
        if !backend.note(|r| r.graphs.push(graph.plan())) {
            graph.take(&mut memory.lock())?;
            tracing::debug!(name, bytes = graph.buffer_size(), "graph allocated");
        }
        Ok((graph, handles))
    }

    /// Bytes of the memory that holds the graph's intermediate tensors.
    pub fn buffer_size(&self) -> usize {
        self.memory.lock().bytes()
    }

    /// Takes the memory, if another graph has it: what this one had in it is lost.
    fn take(&self, turn: &mut Turn) -> Result<()> {
        if turn.is_of(self.id) {
            return Ok(());
        }
        self.has_run.set(false);
        // SAFETY: the graph is alive, with all tensors of its context, which nobody else has.
        match unsafe { turn.take(self.id, self.graph, &self.floating) } {
            true => Ok(()),
            false => {
                Err(Error::Create { action: format!("allocate memory for graph `{}`", self.name) })
            }
        }
    }

    /// What it would take, for a rehearsal.
    fn plan(&self) -> GraphPlan {
        let backend = self.memory.backend();
        // SAFETY: the graph is alive, and in a rehearsal nothing lies anywhere.
        let bytes = unsafe { self.memory.lock().need(self.graph) };
        let nodes = nodes(self.graph).map(|node| {
            let ((name, op), is_supported) = (describe_node(node), is_supported(backend, node));
            NodePlan { name, op, is_supported }
        });
        let (name, memory) = (self.name.clone(), self.memory.id());
        GraphPlan { name, memory, bytes, nodes: nodes.collect() }
    }

    /// Fills an input.
    ///
    /// # Errors
    /// [`Error::Length`] if the number of elements differs, [`Error::Create`] if the graph lacks memory that it has had to
    /// give away.
    pub fn set(&mut self, input: Input, data: &[f32]) -> Result<()> {
        if self.memory.backend().is_rehearsal() {
            return Ok(());
        }
        let mut turn = self.memory.lock();
        self.take(&mut turn)?;
        set_floats(self.inputs[input.0], data)
    }

    /// The interpolation state of a RoIAlign node.
    pub(crate) fn roi_mut(&mut self, index: usize) -> &mut RoiState {
        self.rois[index].get_mut()
    }

    /// Runs every node.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the backend's token was cancelled, [`Error::Compute`] otherwise.
    pub fn run(&mut self) -> Result<()> {
        let backend = self.memory.backend();
        if backend.cancel_token().is_cancelled() {
            return Err(Error::Cancelled);
        }
        let failed = |reason: String| Error::Compute { graph: self.name.clone(), reason };
        if backend.is_rehearsal() {
            return Err(failed("this is a rehearsal".into()));
        }
        let mut turn = self.memory.lock();
        if !turn.is_of(self.id) && !self.inputs.is_empty() {
            return Err(failed("another graph took its memory after its inputs were set".into()));
        }
        self.take(&mut turn)?;
        self.has_run.set(false);
        let graph = self.graph.as_ptr();
        // SAFETY: it has its memory on this backend; `self` keeps all storage alive, and the memory and the sets that it
        // shares with other graphs are locked.
        match locked(&self.sources, &mut || unsafe { backend.compute(graph) }) {
            sys::GGML_STATUS_SUCCESS => {
                self.has_run.set(true);
                Ok(())
            }
            sys::GGML_STATUS_ABORTED => Err(Error::Cancelled),
            sys::GGML_STATUS_ALLOC_FAILED => Err(failed("out of memory".into())),
            other => Err(failed(format!("status {other}"))),
        }
    }

    /// Reads an output of the last run into `out`, which is resized to fit.
    ///
    /// # Panics
    /// If the graph was not run, its last run failed, or another graph has taken its memory.
    pub fn get(&self, output: Output, out: &mut Vec<f32>) {
        let turn = self.memory.lock();
        let has_results = self.has_run.get() && turn.is_of(self.id);
        assert!(has_results, "graph `{}` has no results", self.name);
        read_floats(self.outputs[output.0], out);
    }

    /// Shape of an output in ggml order.
    pub fn output_ne(&self, output: Output) -> [usize; 4] {
        ne_of(self.outputs[output.0])
    }

    /// Every node in the order in which they run. Takes the memory: results of others in it are lost.
    ///
    /// # Errors
    /// [`Error::Create`] if there is not enough of it.
    pub fn nodes(&self) -> Result<Vec<PlacedNode>> {
        let mut turn = self.memory.lock();
        self.take(&mut turn)?;
        // SAFETY: they belong to this graph, which has its memory.
        Ok(nodes(self.graph).map(|node| unsafe { placed_node(node) }).collect())
    }
}

/// Runs `f` with every set locked, for writing where the graph writes. Recursive, so that nothing
/// is allocated for the guards.
fn locked<R>(sources: &[Source], f: &mut dyn FnMut() -> R) -> R {
    let Some((source, rest)) = sources.split_first() else { return f() };
    if source.written {
        let _guard = source.set.lock().write().unwrap_or_else(|p| p.into_inner());
        locked(rest, f)
    } else {
        let _guard = source.set.lock().read().unwrap_or_else(|p| p.into_inner());
        locked(rest, f)
    }
}

/// Copies `data` into a float tensor.
pub(crate) fn set_floats(t: NonNull<sys::ggml_tensor>, data: &[f32]) -> Result<()> {
    // SAFETY: `t` is alive (held by the caller's owner), float and contiguous; the size is checked
    // before the copy.
    unsafe {
        let expected = sys::ggml_nelements(t.as_ptr()) as usize;
        if expected != data.len() {
            let name = crate::backend::owned((*t.as_ptr()).name.as_ptr());
            return Err(Error::Length { name, expected, got: data.len() });
        }
        let bytes = std::mem::size_of_val(data);
        sys::ggml_backend_tensor_set(t.as_ptr(), data.as_ptr().cast(), 0, bytes);
    }
    Ok(())
}

/// Copies a contiguous float tensor into `out`, which is resized to fit.
pub(crate) fn read_floats(t: NonNull<sys::ggml_tensor>, out: &mut Vec<f32>) {
    // SAFETY: `t` is alive (held by the caller's owner), float and contiguous; `out` is resized to
    // its element count first.
    unsafe {
        assert_eq!((*t.as_ptr()).type_, sys::GGML_TYPE_F32, "only float tensors are read back");
        let n = sys::ggml_nelements(t.as_ptr()) as usize;
        out.resize(n, 0.0);
        sys::ggml_backend_tensor_get(t.as_ptr(), out.as_mut_ptr().cast(), 0, n * 4);
    }
}

fn nodes(graph: NonNull<sys::ggml_cgraph>) -> impl Iterator<Item = *mut sys::ggml_tensor> {
    // SAFETY: the graph is alive while its owner is borrowed by the callers in this file, and the
    // indices are below its node count.
    unsafe {
        let n = sys::ggml_graph_n_nodes(graph.as_ptr());
        (0..n).map(move |i| sys::ggml_graph_node(graph.as_ptr(), i))
    }
}

fn describe_node(node: *mut sys::ggml_tensor) -> (String, String) {
    // SAFETY: a node of a live graph; both strings are NUL-terminated.
    unsafe {
        let name = crate::backend::owned((*node).name.as_ptr());
        (name, crate::backend::owned(sys::ggml_op_desc(node)))
    }
}

/// A node and where its result lies. What lies in host memory, pinned for a GPU or not, is computed by the CPU.
///
/// # Safety
/// `node` belongs to a live graph with its storage.
pub(crate) unsafe fn placed_node(node: *mut sys::ggml_tensor) -> PlacedNode {
    let (name, op) = describe_node(node);
    // SAFETY: by the caller; a buffer has a type, which lives as long as the process.
    let device = unsafe {
        let root = if (*node).view_src.is_null() { node } else { (*node).view_src };
        if (*root).buffer.is_null() {
            return PlacedNode { name, op, device: String::new() };
        }
        let buffer_type = sys::ggml_backend_buffer_get_type((*root).buffer);
        match sys::ggml_backend_buft_is_host(buffer_type) {
            true => CPU.into(),
            false => device_name(sys::ggml_backend_buft_get_device(buffer_type)),
        }
    };
    PlacedNode { name, op, device }
}

fn is_supported(backend: &Backend, node: *mut sys::ggml_tensor) -> bool {
    // SAFETY: device and node are alive.
    unsafe { sys::ggml_backend_dev_supports_op(backend.device(), node) }
}

fn check_supported(backend: &Backend, graph: NonNull<sys::ggml_cgraph>) -> Result<()> {
    match nodes(graph).find(|&node| !is_supported(backend, node)) {
        None => Ok(()),
        Some(node) => {
            let (node, op) = describe_node(node);
            Err(Error::Unsupported { device: backend.info().name.clone(), node, op })
        }
    }
}

//! Devices opened for computing.

use crate::cancel::{CancelToken, poll_cancelled};
use crate::device::{CPU, DeviceInfo, DeviceKind, find_device};
use crate::float_gemm::Floats;
use crate::rehearsal::Rehearsal;
use crate::replace::Replacements;
use crate::winograd::{self, Conv, Workspace};
use crate::{Error, Result, cpu, sys};
use llama_cpp_2::llama_backend::LlamaBackend;
use std::ffi::{CStr, c_char};
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// Copies a C string that ggml owns; null becomes empty.
pub(crate) fn owned(s: *const c_char) -> String {
    if s.is_null() {
        return String::new();
    }
    // SAFETY: non-null strings handed out by ggml and llama.cpp are NUL-terminated and live at
    // least until the next call into the object that owns them; it is copied at once.
    unsafe { CStr::from_ptr(s) }.to_string_lossy().into_owned()
}

/// Initialises ggml and llama.cpp once per process and routes their logs to `tracing`; the value
/// is the proof of it that llama-cpp-2 asks for.
pub(crate) fn init() -> &'static LlamaBackend {
    static ONCE: OnceLock<LlamaBackend> = OnceLock::new();
    ONCE.get_or_init(|| {
        crate::logging::install();
        // Without a backend, llama.cpp would look for modules in the working directory.
        #[cfg(feature = "dynamic-cpu")]
        if !crate::modules::load() {
            return LlamaBackend {};
        }
        // Somebody else in the process may have initialised the library: as good for us.
        LlamaBackend::init().unwrap_or(LlamaBackend {})
    })
}

/// How long idle threads look for work before they sleep, in units of 131,072 looks: some milliseconds. It bridges the gap
/// between two tokens. ggml's default of 50 bridges a tenth of a second, in which the threads of the image side would keep
/// the language model's from the processors, and the other way round.
const POLL: u32 = 1;

/// A pool of worker threads. Without one, every graph run would start and stop threads, which
/// costs more than a small graph itself.
pub(crate) struct ThreadPool {
    raw: NonNull<sys::ggml_threadpool>,
    cpu: &'static cpu::Functions,
}

// SAFETY: the pool is an opaque handle whose functions lock internally; it is bound to no thread.
unsafe impl Send for ThreadPool {}
// SAFETY: shared use is only handing the pointer to backends, each of which serialises its runs.
unsafe impl Sync for ThreadPool {}

impl ThreadPool {
    pub(crate) fn new(n_threads: usize) -> Result<Self> {
        let cpu = cpu::functions()?;
        let n = n_threads.clamp(1, 512) as i32;
        // SAFETY: params are initialised by ggml before use; the pool copies them.
        let raw = unsafe {
            let mut params = sys::ggml_threadpool_params_default(n);
            params.poll = POLL;
            (cpu.threadpool_new)(&mut params)
        };
        let raw = NonNull::new(raw)
            .ok_or_else(|| Error::Create { action: format!("start {n} threads") })?;
        Ok(ThreadPool { raw, cpu })
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::ggml_threadpool {
        self.raw.as_ptr()
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        // SAFETY: created by ggml_threadpool_new, freed once, and every user holds the owner.
        unsafe { (self.cpu.threadpool_free)(self.raw.as_ptr()) }
    }
}

/// A device opened for computing. Clones share it; runs on one backend are serialised.
#[derive(Clone)]
pub struct Backend {
    inner: Arc<Inner>,
}

struct Inner {
    raw: NonNull<sys::ggml_backend>,
    device: sys::ggml_backend_dev_t,
    info: DeviceInfo,
    n_threads: usize,
    cancel: CancelToken,
    running: Mutex<()>,
    /// Scratch space of custom ops that is in use by a graph. Runs are serialised, so graphs share it.
    scratch: Mutex<Vec<Weak<Workspace>>>,
    scratch_limit: AtomicUsize,
    /// Of the CPU, if it has instructions for them; shared by graphs as scratch space is.
    replacements: Option<Mutex<Replacements>>,
    plain_nodes: AtomicBool,
    /// What would have been allocated, if nothing is.
    rehearsal: Option<Mutex<Rehearsal>>,
    // Freed after the backend: fields drop in order, and `raw` is freed in `drop` before any field.
    _pool: Option<ThreadPool>,
}

// SAFETY: a ggml backend is bound to no thread, and `running` serialises every compute call.
unsafe impl Send for Inner {}
// SAFETY: as above; the remaining shared calls are read-only queries.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: created by ggml_backend_dev_init, freed once.
        unsafe { sys::ggml_backend_free(self.raw.as_ptr()) }
    }
}

impl Backend {
    /// The CPU with `n_threads` worker threads.
    ///
    /// # Errors
    /// If ggml cannot start the threads.
    pub fn cpu(n_threads: usize, cancel: CancelToken) -> Result<Backend> {
        Self::open(CPU, n_threads, cancel)
    }

    /// The device of that name (case-insensitive, as [`crate::devices`] lists it).
    ///
    /// # Errors
    /// [`Error::UnknownDevice`] if nothing of that name is registered, [`Error::Create`] if it
    /// cannot be opened.
    pub fn open(name: &str, n_threads: usize, cancel: CancelToken) -> Result<Backend> {
        let (device, info) = find_device(name)?;
        Self::open_as(device, info, n_threads, cancel, None)
    }

    /// Like [`Backend::open`], but for finding out what graphs and tensors would take: they can be made, and take no
    /// memory of the device. [`Backend::rehearsal`] tells their needs. A node without a kernel is no error here.
    ///
    /// # Errors
    /// As [`Backend::open`].
    pub fn rehearse(name: &str, n_threads: usize) -> Result<Backend> {
        let (device, info) = find_device(name)?;
        Self::open_as(device, info, n_threads, CancelToken::new(), Some(Mutex::default()))
    }

    /// Like [`Backend::rehearse`], for some GPU with memory of its own, which this machine need not have: graphs are made as
    /// for GPUs. Which operations a GPU has kernels for is not known here.
    ///
    /// # Errors
    /// [`Error::Create`] if ggml's CPU device, which stands in for it, cannot be opened.
    pub fn rehearse_gpu() -> Result<Backend> {
        let (device, cpu) = find_device(CPU)?;
        let (name, kind) = ("GPU".into(), DeviceKind::Gpu);
        let info = DeviceInfo { name, kind, maps_host_memory: false, ..cpu };
        Self::open_as(device, info, 1, CancelToken::new(), Some(Mutex::default()))
    }

    fn open_as(
        device: sys::ggml_backend_dev_t,
        info: DeviceInfo,
        n_threads: usize,
        cancel: CancelToken,
        rehearsal: Option<Mutex<Rehearsal>>,
    ) -> Result<Backend> {
        let n_threads = n_threads.clamp(1, 512);
        let pool = match info.kind {
            DeviceKind::Cpu => Some(ThreadPool::new(n_threads)?),
            _ => None,
        };
        // SAFETY: `device` is registered; null parameters mean defaults.
        let raw = unsafe { sys::ggml_backend_dev_init(device, std::ptr::null()) };
        let raw = NonNull::new(raw)
            .ok_or_else(|| Error::Create { action: format!("open device `{}`", info.name) })?;
        if let Some(pool) = &pool {
            // SAFETY: `raw` is a CPU backend; pool and token are stored beside it and outlive it.
            unsafe {
                (pool.cpu.set_n_threads)(raw.as_ptr(), n_threads as i32);
                (pool.cpu.set_threadpool)(raw.as_ptr(), pool.as_ptr());
                (pool.cpu.set_abort_callback)(
                    raw.as_ptr(),
                    Some(poll_cancelled),
                    cancel.as_user_data(),
                );
            }
        }
        let replacements = match info.kind {
            DeviceKind::Cpu => Some(Mutex::new(Replacements::new(n_threads, true, Floats::new())?)),
            _ => None,
        };
        let (running, scratch) = (Mutex::new(()), Mutex::default());
        let scratch_limit = AtomicUsize::new(winograd::Options::default().budget);
        let inner = Inner {
            raw,
            device,
            info,
            n_threads,
            cancel,
            running,
            scratch,
            scratch_limit,
            replacements,
            plain_nodes: AtomicBool::new(false),
            rehearsal,
            _pool: pool,
        };
        Ok(Backend { inner: Arc::new(inner) })
    }

    /// What the backend runs on.
    pub fn info(&self) -> &DeviceInfo {
        &self.inner.info
    }

    /// Whether ggml custom ops (host code) can run here.
    pub fn is_cpu(&self) -> bool {
        self.inner.info.kind == DeviceKind::Cpu
    }

    /// Worker threads of a CPU backend.
    pub fn n_threads(&self) -> usize {
        self.inner.n_threads
    }

    /// Most bytes of scratch space that convolutions made from now on shall take.
    pub fn limit_scratch(&self, bytes: usize) {
        self.inner.scratch_limit.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn scratch_limit(&self) -> usize {
        self.inner.scratch_limit.load(Ordering::Relaxed)
    }

    /// Whether products and attention of graphs made from now on are all ggml's. Otherwise attention is ours, and products are where
    /// this processor is faster with ours. For comparisons.
    pub fn keep_plain_nodes(&self, plain: bool) {
        self.inner.plain_nodes.store(plain, Ordering::Relaxed);
    }

    /// What was made on a backend that only rehearses; `None` on others.
    pub fn rehearsal(&self) -> Option<Rehearsal> {
        let rehearsal = self.inner.rehearsal.as_ref()?.lock().unwrap_or_else(|p| p.into_inner());
        let mut rehearsal = rehearsal.clone();
        let scratch = self.inner.scratch.lock().unwrap_or_else(|p| p.into_inner());
        rehearsal.scratch = scratch.iter().filter_map(Weak::upgrade).map(|w| w.bytes()).sum();
        if let Some(replacements) = &self.inner.replacements {
            rehearsal.scratch += replacements.lock().unwrap_or_else(|p| p.into_inner()).bytes();
        }
        Some(rehearsal)
    }

    /// Notes what would be made, if this is a rehearsal; gives whether it is.
    pub(crate) fn note(&self, note: impl FnOnce(&mut Rehearsal)) -> bool {
        let Some(rehearsal) = &self.inner.rehearsal else { return false };
        note(&mut rehearsal.lock().unwrap_or_else(|p| p.into_inner()));
        true
    }

    pub(crate) fn is_rehearsal(&self) -> bool {
        self.inner.rehearsal.is_some()
    }

    /// The token that stops runs on this backend.
    pub fn cancel_token(&self) -> &CancelToken {
        &self.inner.cancel
    }

    pub(crate) fn raw(&self) -> sys::ggml_backend_t {
        self.inner.raw.as_ptr()
    }

    pub(crate) fn device(&self) -> sys::ggml_backend_dev_t {
        self.inner.device
    }

    pub(crate) fn buffer_type(&self) -> sys::ggml_backend_buffer_type_t {
        // SAFETY: the device is registered for the life of the process.
        unsafe { sys::ggml_backend_dev_buffer_type(self.inner.device) }
    }

    /// Scratch space for a convolution, shared with others that run here.
    pub(crate) fn scratch(
        &self,
        conv: &Conv,
    ) -> std::result::Result<Arc<Workspace>, winograd::Error> {
        self.shared_scratch(|w| conv.can_use(w), || conv.workspace())
    }

    /// Scratch space of `n` floats, likewise.
    pub(crate) fn scratch_of(
        &self,
        n: usize,
    ) -> std::result::Result<Arc<Workspace>, winograd::Error> {
        self.shared_scratch(|w| w.len() >= n, || Workspace::new(n, 0, 0))
    }

    fn shared_scratch(
        &self,
        will_do: impl Fn(&Workspace) -> bool,
        make: impl FnOnce() -> std::result::Result<Workspace, winograd::Error>,
    ) -> std::result::Result<Arc<Workspace>, winograd::Error> {
        let mut scratch = self.inner.scratch.lock().unwrap_or_else(|p| p.into_inner());
        scratch.retain(|w| w.strong_count() > 0);
        if let Some(w) = scratch.iter().filter_map(Weak::upgrade).find(|w| will_do(w)) {
            return Ok(w);
        }
        let workspace = Arc::new(make()?);
        scratch.push(Arc::downgrade(&workspace));
        Ok(workspace)
    }

    /// Makes nodes of our own of a graph's, where there are faster ones than ggml's.
    ///
    /// # Safety
    /// `nodes` are those of a graph that is only run by [`Backend::compute`] of this backend, and not at present. Sources are alive.
    pub(crate) unsafe fn replace_nodes(&self, nodes: &[*mut sys::ggml_tensor]) {
        let Some(replacements) = &self.inner.replacements else { return };
        if self.inner.plain_nodes.load(Ordering::Relaxed) {
            return;
        }
        // Room may move: no graph may run meanwhile.
        let _guard = self.inner.running.lock().unwrap_or_else(|p| p.into_inner());
        let mut replacements = replacements.lock().unwrap_or_else(|p| p.into_inner());
        for &node in nodes {
            // SAFETY: the caller's nodes. Runs are serialised, and the threads are the backend's. Weights that a backend of the CPU can
            // use lie in buffers of its own kind, or are mapped: both are plain.
            unsafe { replacements.replace(node) }
        }
    }

    /// Runs a graph; one at a time on this backend.
    ///
    /// # Safety
    /// `graph` must be allocated on this backend and everything that it references must be alive.
    pub(crate) unsafe fn compute(&self, graph: *mut sys::ggml_cgraph) -> sys::ggml_status {
        let _guard = self.inner.running.lock().unwrap_or_else(|p| p.into_inner());
        // SAFETY: passed on to the caller.
        unsafe { sys::ggml_backend_graph_compute(self.raw(), graph) }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("device", &self.inner.info.name)
            .field("n_threads", &self.inner.n_threads)
            .finish_non_exhaustive()
    }
}

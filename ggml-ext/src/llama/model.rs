//! Loading a model and its vocabulary.

use super::in_place::{self, Storage};
use crate::device::find_device;
use crate::{Error, Result, backend, logging, sys};
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;
use std::ffi::{CString, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

/// How to load a model.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// Map the file instead of reading it. Where the weights are used in the host's memory, opening
    /// reads none of them ([`Model::is_in_place`]).
    pub mmap: bool,
    /// Lock the weights in memory.
    pub mlock: bool,
    /// Copy weights into layouts of their own for the CPU's kernels: faster tokens on some
    /// processors, but the whole file is read on opening and held in memory of the process's own.
    pub repack: bool,
    /// Names of the devices that layers may be placed on; none of them means the CPU, `None` all GPUs.
    pub devices: Option<Vec<String>>,
    /// Layers to place on them: the output counts as one and comes first, then the blocks from the last one on. `None`
    /// means all.
    pub gpu_layers: Option<u32>,
    /// What share of the layers each device gets, as proportions; empty means by their free memory.
    pub tensor_split: Vec<f32>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions {
            mmap: true,
            mlock: false,
            repack: false,
            devices: None,
            gpu_layers: None,
            tensor_split: Vec::new(),
        }
    }
}

/// llama.cpp's parameters, with what they point to.
pub(super) struct RawOptions {
    params: sys::llama_model_params,
    /// Ends with null.
    devices: Option<Vec<sys::ggml_backend_dev_t>>,
    /// One for each device that llama.cpp can handle, or empty.
    tensor_split: Vec<f32>,
}

impl RawOptions {
    /// The parameters; they are good as long as `self`.
    pub(super) fn params(&self) -> sys::llama_model_params {
        let mut params = self.params;
        if let Some(devices) = &self.devices {
            params.devices = devices.as_ptr().cast_mut();
        }
        if !self.tensor_split.is_empty() {
            params.tensor_split = self.tensor_split.as_ptr();
        }
        params
    }
}

impl LoadOptions {
    /// Whether a GPU may get a part of the model.
    pub(super) fn uses_gpu(&self) -> bool {
        match &self.devices {
            Some(names) => !names.is_empty(),
            None => crate::devices().iter().any(|d| d.kind.is_gpu()),
        }
    }

    fn raw_devices(&self) -> Result<Option<Vec<sys::ggml_backend_dev_t>>> {
        let Some(names) = &self.devices else { return Ok(None) };
        let found = names.iter().map(|name| find_device(name).map(|(dev, _)| dev));
        found.chain([Ok(std::ptr::null_mut())]).collect::<Result<_>>().map(Some)
    }

    /// # Errors
    /// [`Error::UnknownDevice`].
    pub(super) fn raw(&self) -> Result<RawOptions> {
        // SAFETY: returns a plain struct.
        let mut raw = unsafe { sys::llama_model_default_params() };
        raw.load_mode = match (self.mmap, self.mlock) {
            (false, false) => sys::LLAMA_LOAD_MODE_NONE,
            (true, false) => sys::LLAMA_LOAD_MODE_MMAP,
            (false, true) => sys::LLAMA_LOAD_MODE_MLOCK,
            (true, true) => sys::LLAMA_LOAD_MODE_MMAP_MLOCK,
        };
        raw.use_extra_bufts = self.repack;
        if let Some(n) = self.gpu_layers {
            raw.n_gpu_layers = i32::try_from(n).unwrap_or(i32::MAX);
        }
        let mut tensor_split = self.tensor_split.clone();
        if !tensor_split.is_empty() {
            // SAFETY: returns a constant.
            tensor_split.resize(unsafe { sys::llama_max_devices() }, 0.0);
        }
        Ok(RawOptions { params: raw, devices: self.raw_devices()?, tensor_split })
    }
}

/// An entry of a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its spelling, with U+2581 for blanks and `<0x0A>` for a byte.
    pub text: String,
    /// What it stands for.
    pub kind: TokenKind,
}

/// What a vocabulary entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// Its text.
    Text,
    /// One byte.
    Byte,
    /// Nothing that is shown.
    Control,
}

/// A loaded language model. Clones share it.
#[derive(Clone, Debug)]
pub struct Model(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    model: LlamaModel,
    on_cpu: bool,
    // After the model, whose tensors lie in it.
    storage: Option<Storage>,
}

// `Loading::run` and `raw` rely on it: `LlamaModel` is `repr(transparent)` over one non-null pointer.
const _: () = assert!(size_of::<Option<LlamaModel>>() == size_of::<*mut sys::llama_model>());

/// A load under way: its file, who hears of its progress, and whether that asked to stop.
pub(super) struct Loading<'a> {
    path: &'a Path,
    callback: &'a mut dyn FnMut(f32) -> bool,
    stopped: bool,
}

unsafe extern "C" fn on_progress(done: f32, data: *mut c_void) -> bool {
    // SAFETY: `data` is the Loading that `Loading::run` has borrowed, which is not touched by
    // anybody else while llama.cpp loads.
    let loading = unsafe { &mut *data.cast::<Loading>() };
    loading.stopped |= !(loading.callback)(done);
    !loading.stopped
}

impl<'a> Loading<'a> {
    pub(super) fn new(path: &'a Path, callback: &'a mut dyn FnMut(f32) -> bool) -> Loading<'a> {
        Loading { path, callback, stopped: false }
    }

    pub(super) fn path(&self) -> &Path {
        self.path
    }

    /// Tells how much is done.
    pub(super) fn report(&mut self, done: f32) -> Result<()> {
        if (self.callback)(done) { Ok(()) } else { Err(Error::Cancelled) }
    }

    pub(super) fn failed(&self, reason: impl Into<String>) -> Error {
        Error::ModelLoad { path: self.path.into(), reason: reason.into() }
    }

    /// Runs one of llama.cpp's loaders.
    ///
    /// # Safety
    /// `load` must return what that loader returned.
    pub(super) unsafe fn run(
        &mut self,
        mut params: sys::llama_model_params,
        load: impl FnOnce(sys::llama_model_params) -> *mut sys::llama_model,
    ) -> Result<LlamaModel> {
        params.progress_callback = Some(on_progress);
        params.progress_callback_user_data = std::ptr::from_mut(self).cast();
        logging::take_error();
        match NonNull::new(load(params)) {
            Some(raw) => {
                // SAFETY: `LlamaModel` is `repr(transparent)` over a `repr(transparent)` wrapper of
                // `NonNull<llama_model>` in the pinned version, and owns the model from here on.
                Ok(unsafe { std::mem::transmute::<NonNull<sys::llama_model>, LlamaModel>(raw) })
            }
            None if self.stopped => Err(Error::Cancelled),
            None => Err(self.failed(logging::take_error().unwrap_or("it gives no reason".into()))),
        }
    }

    /// llama.cpp's own way: the file is read, or mapped and asked for at once.
    pub(super) fn run_plain(
        &mut self,
        params: sys::llama_model_params,
        on_cpu: bool,
    ) -> Result<Model> {
        let name = self.path.to_str().and_then(|p| CString::new(p).ok());
        let name = name.ok_or_else(|| self.failed("its path is not UTF-8"))?;
        // SAFETY: the path is NUL-terminated.
        let load = |params| unsafe { sys::llama_model_load_from_file(name.as_ptr(), params) };
        // SAFETY: the loader's result is passed on.
        let model = unsafe { self.run(params, load)? };
        Ok(Model(Arc::new(Inner { model, on_cpu, storage: None })))
    }
}

impl Model {
    /// Loads a GGUF file. llama.cpp ends the process on some malformed files: check metadata of
    /// files from outside before.
    ///
    /// With `mmap`, and neither `mlock` nor `repack`, the weights are used where the file is mapped
    /// and none are read before they are needed; this takes Linux and a model that no GPU has a part of.
    /// Everything else is left to llama.cpp's own loader.
    ///
    /// `progress` is called with 0.0 to 1.0 and stops the load by returning false.
    ///
    /// # Errors
    /// [`Error::ModelLoad`] with what llama.cpp said; [`Error::Cancelled`] if `progress` stopped it.
    pub fn load(
        path: &Path,
        options: &LoadOptions,
        progress: &mut dyn FnMut(f32) -> bool,
    ) -> Result<Model> {
        backend::init();
        let mut loading = Loading::new(path, progress);
        let raw = options.raw()?;
        let params = raw.params();
        if in_place::is_possible(options) {
            match in_place::load(params, &mut loading) {
                Ok((model, storage)) => {
                    let storage = Some(storage);
                    return Ok(Model(Arc::new(Inner { model, on_cpu: true, storage })));
                }
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(e) => tracing::warn!("the language model is read as a whole, because: {e}"),
            }
        } else {
            tracing::debug!("the language model is left to llama.cpp's own loader");
        }
        loading.run_plain(params, !options.uses_gpu())
    }

    /// Whether the weights are used where the file is mapped, without having been read on opening.
    pub fn is_in_place(&self) -> bool {
        self.0.storage.is_some()
    }

    /// Whether no GPU may have a part of it.
    pub(super) fn is_on_cpu(&self) -> bool {
        self.0.on_cpu
    }

    pub(super) fn storage(&self) -> Option<&Storage> {
        self.0.storage.as_ref()
    }

    fn inner(&self) -> &LlamaModel {
        &self.0.model
    }

    pub(crate) fn raw(&self) -> *mut sys::llama_model {
        // SAFETY: `LlamaModel` is `repr(transparent)` over a `repr(transparent)` wrapper of a
        // `NonNull<llama_model>` in the pinned version; the size is asserted above.
        unsafe { *std::ptr::from_ref::<LlamaModel>(self.inner()).cast::<*mut sys::llama_model>() }
    }

    /// Width of a token embedding.
    pub fn n_embd(&self) -> usize {
        self.inner().n_embd().max(0) as usize
    }

    /// Number of tokens in the vocabulary.
    pub fn n_vocab(&self) -> usize {
        self.inner().n_vocab().max(0) as usize
    }

    /// Number of transformer blocks.
    pub fn n_layer(&self) -> usize {
        self.inner().n_layer() as usize
    }

    /// The context length that the model was trained with.
    pub fn n_ctx_train(&self) -> usize {
        self.inner().n_ctx_train() as usize
    }

    /// Ids of plain text: no special token is recognised or added; a SentencePiece vocabulary
    /// gets its leading blank.
    pub fn tokenize(&self, text: &str) -> Vec<i32> {
        let tokens = self.inner().vocab().tokenize(text.as_bytes(), false, false);
        tokens.into_iter().map(|t| t.0).collect()
    }

    /// A vocabulary entry; `None` if there is no such id.
    pub fn token(&self, id: i32) -> Option<Token> {
        if !(0..self.n_vocab() as i32).contains(&id) {
            return None;
        }
        let (vocab, id) = (self.inner().vocab(), LlamaToken(id));
        let text = vocab.text(id)?.to_string_lossy().into_owned();
        let attr = vocab.attr(id);
        let kind = if attr.contains(LlamaTokenAttr::Byte) {
            TokenKind::Byte
        } else if attr.contains(LlamaTokenAttr::Control) || attr.contains(LlamaTokenAttr::Unknown) {
            TokenKind::Control
        } else {
            TokenKind::Text
        };
        Some(Token { text, kind })
    }
}

//! Loading a model and its vocabulary.

use crate::{Error, Result, backend, logging, sys};
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;
use std::ffi::{CString, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

/// How to load a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Map the file instead of reading it.
    pub mmap: bool,
    /// Lock the weights in memory.
    pub mlock: bool,
    /// Copy weights into layouts of their own for the CPU's kernels: faster tokens on some
    /// processors, but the whole file is read on opening and held in memory of the process's own.
    pub repack: bool,
    /// Layers to place on a GPU; `None` leaves it to llama.cpp (all that fit).
    pub gpu_layers: Option<u32>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions { mmap: true, mlock: false, repack: false, gpu_layers: None }
    }
}

impl LoadOptions {
    fn raw(&self) -> sys::llama_model_params {
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
        raw
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
pub struct Model(Arc<LlamaModel>);

// `load` and `raw` rely on it: `LlamaModel` is `repr(transparent)` over one non-null pointer.
const _: () = assert!(size_of::<Option<LlamaModel>>() == size_of::<*mut sys::llama_model>());

/// A progress callback, and whether it asked to stop.
struct Progress<'a> {
    callback: &'a mut dyn FnMut(f32) -> bool,
    stopped: bool,
}

unsafe extern "C" fn on_progress(done: f32, data: *mut c_void) -> bool {
    // SAFETY: `data` is the Progress on the stack of `load`, which is not touched by anybody else
    // while llama.cpp loads.
    let progress = unsafe { &mut *data.cast::<Progress>() };
    progress.stopped |= !(progress.callback)(done);
    !progress.stopped
}

impl Model {
    /// Loads a GGUF file. llama.cpp ends the process on some malformed files: check metadata of
    /// files from outside before.
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
        let fail = |reason: String| Error::ModelLoad { path: path.into(), reason };
        let name = path.to_str().and_then(|p| CString::new(p).ok());
        let name = name.ok_or_else(|| fail("its path is not UTF-8".into()))?;
        let mut progress = Progress { callback: progress, stopped: false };
        let mut params = options.raw();
        params.progress_callback = Some(on_progress);
        params.progress_callback_user_data = std::ptr::from_mut(&mut progress).cast();
        logging::take_error();
        // SAFETY: the path is NUL-terminated; the callback's data outlives the call.
        let raw = unsafe { sys::llama_model_load_from_file(name.as_ptr(), params) };
        match NonNull::new(raw) {
            // SAFETY: `LlamaModel` is `repr(transparent)` over a `repr(transparent)` wrapper of
            // `NonNull<llama_model>` in the pinned version, and owns the model from here on.
            Some(raw) => Ok(Model(Arc::new(unsafe {
                std::mem::transmute::<NonNull<sys::llama_model>, LlamaModel>(raw)
            }))),
            None if progress.stopped => Err(Error::Cancelled),
            None => Err(fail(logging::take_error().unwrap_or_else(|| "it gives no reason".into()))),
        }
    }

    pub(crate) fn raw(&self) -> *mut sys::llama_model {
        // SAFETY: `LlamaModel` is `repr(transparent)` over a `repr(transparent)` wrapper of a
        // `NonNull<llama_model>` in the pinned version; the size is asserted above.
        unsafe { *std::ptr::from_ref::<LlamaModel>(&self.0).cast::<*mut sys::llama_model>() }
    }

    /// Width of a token embedding.
    pub fn n_embd(&self) -> usize {
        self.0.n_embd().max(0) as usize
    }

    /// Number of tokens in the vocabulary.
    pub fn n_vocab(&self) -> usize {
        self.0.n_vocab().max(0) as usize
    }

    /// Number of transformer blocks.
    pub fn n_layer(&self) -> usize {
        self.0.n_layer() as usize
    }

    /// The context length that the model was trained with.
    pub fn n_ctx_train(&self) -> usize {
        self.0.n_ctx_train() as usize
    }

    /// Ids of plain text: no special token is recognised or added; a SentencePiece vocabulary
    /// gets its leading blank.
    pub fn tokenize(&self, text: &str) -> Vec<i32> {
        let tokens = self.0.vocab().tokenize(text.as_bytes(), false, false);
        tokens.into_iter().map(|t| t.0).collect()
    }

    /// A vocabulary entry; `None` if there is no such id.
    pub fn token(&self, id: i32) -> Option<Token> {
        if !(0..self.n_vocab() as i32).contains(&id) {
            return None;
        }
        let (vocab, id) = (self.0.vocab(), LlamaToken(id));
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

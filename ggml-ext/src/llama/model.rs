//! Loading a model and its vocabulary.

use crate::{Error, Result, backend, logging, sys};
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;
use std::path::Path;
use std::sync::Arc;

/// How to load a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    /// Map the file instead of reading it.
    pub mmap: bool,
    /// Lock the weights in memory.
    pub mlock: bool,
    /// Layers to place on a GPU; `None` leaves it to llama.cpp (all that fit).
    pub gpu_layers: Option<u32>,
}

impl Default for LoadOptions {
    fn default() -> Self {
        LoadOptions { mmap: true, mlock: false, gpu_layers: None }
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

// `raw` relies on it: `LlamaModel` is `repr(transparent)` over one pointer.
const _: () = assert!(size_of::<LlamaModel>() == size_of::<*mut sys::llama_model>());

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
        mut progress: impl FnMut(f32) -> bool + 'static,
    ) -> Result<Model> {
        let proof = backend::init();
        let stopped = crate::CancelToken::new();
        let flag = stopped.clone();
        let mut params = LlamaModelParams::default()
            .with_use_mmap(options.mmap)
            .with_use_mlock(options.mlock)
            .with_progress_callback(move |p| {
                let go_on = progress(p);
                if !go_on {
                    flag.cancel();
                }
                go_on
            });
        if let Some(n) = options.gpu_layers {
            params = params.with_n_gpu_layers(n);
        }
        logging::take_last_error();
        match LlamaModel::load_from_file(proof, path, &params) {
            Ok(model) => Ok(Model(Arc::new(model))),
            Err(_) if stopped.is_cancelled() => Err(Error::Cancelled),
            Err(e) => Err(Error::ModelLoad {
                path: path.into(),
                reason: logging::take_last_error().unwrap_or_else(|| e.to_string()),
            }),
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

    /// Size of all weights in bytes.
    pub fn size(&self) -> u64 {
        self.0.size()
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

    /// Whether generation ends with this id.
    pub fn is_eog(&self, id: i32) -> bool {
        (0..self.n_vocab() as i32).contains(&id) && self.0.vocab().is_eog(LlamaToken(id))
    }
}

//! The JSON files of a checkpoint.

use crate::error::{Error, Result};
use gpt4roi_models::presets::{CLIP_MEAN, CLIP_STD};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// `config.json` of the language checkpoint, as far as it is used.
#[derive(Debug, Deserialize)]
pub struct LanguageConfig {
    pub hidden_size: u32,
    pub num_hidden_layers: u32,
    pub num_attention_heads: u32,
    pub num_key_value_heads: Option<u32>,
    pub intermediate_size: u32,
    pub vocab_size: u32,
    pub rms_norm_eps: f32,
    pub rope_theta: Option<f32>,
    #[serde(default = "default_positions")]
    pub max_position_embeddings: u32,
    #[serde(default = "default_select_layer")]
    pub mm_vision_select_layer: i64,
    #[serde(default = "yes")]
    pub mm_use_im_start_end: bool,
    #[serde(default = "yes")]
    pub use_mm_proj: bool,
    #[serde(default)]
    pub tie_word_embeddings: bool,
}

/// The vision part of CLIP's `config.json`.
#[derive(Debug, Deserialize)]
pub struct ClipConfig {
    pub hidden_size: u32,
    pub num_hidden_layers: u32,
    pub num_attention_heads: u32,
    pub intermediate_size: u32,
    #[serde(default = "default_image_size")]
    pub image_size: u32,
    #[serde(default = "default_patch_size")]
    pub patch_size: u32,
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f32,
    #[serde(default = "default_act")]
    pub hidden_act: String,
}

/// `preprocessor_config.json` of CLIP.
#[derive(Debug, Deserialize)]
pub struct Preprocessor {
    #[serde(default = "default_mean")]
    pub image_mean: [f32; 3],
    #[serde(default = "default_std")]
    pub image_std: [f32; 3],
}

fn yes() -> bool {
    true
}
fn default_positions() -> u32 {
    2048
}
fn default_select_layer() -> i64 {
    -1
}
fn default_image_size() -> u32 {
    224
}
fn default_patch_size() -> u32 {
    14
}
fn default_eps() -> f32 {
    1e-5
}
fn default_act() -> String {
    "quick_gelu".into()
}
fn default_mean() -> [f32; 3] {
    CLIP_MEAN
}
fn default_std() -> [f32; 3] {
    CLIP_STD
}

/// Reads `config.json` of a language checkpoint.
pub fn language(dir: &Path) -> Result<LanguageConfig> {
    let path = dir.join("config.json");
    let config: LanguageConfig = read(&path)?;
    if !config.use_mm_proj || !config.mm_use_im_start_end || config.tie_word_embeddings {
        let reason = "not a GPT4RoI model: needed are use_mm_proj and mm_use_im_start_end, and \
            separate input and output embeddings";
        return Err(Error::malformed(path, reason));
    }
    Ok(config)
}

/// Reads the sizes of the vision tower from `config.json` of a full CLIP or of its vision half.
pub fn clip(dir: &Path) -> Result<ClipConfig> {
    let path = dir.join("config.json");
    let mut value: serde_json::Value = read(&path)?;
    if let Some(vision) = value.get_mut("vision_config") {
        value = vision.take();
    }
    serde_json::from_value(value).map_err(|e| Error::malformed(path, e))
}

/// Reads `preprocessor_config.json` of CLIP; without one, OpenAI's constants hold.
pub fn preprocessor(dir: &Path) -> Result<Preprocessor> {
    let found = read_optional(&dir.join("preprocessor_config.json"))?;
    Ok(found.unwrap_or(Preprocessor { image_mean: CLIP_MEAN, image_std: CLIP_STD }))
}

/// Reads a JSON file that must be there.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    read_optional(path)?.ok_or_else(|| not_found(path))
}

/// Reads a JSON file; `None` if there is none.
pub fn read_optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(path)(e)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|e| Error::malformed(path, e))
}

fn not_found(path: &Path) -> Error {
    Error::NotFound {
        path: PathBuf::from(path),
        what: "the file".into(),
        remedy: "fetch the small files of the checkpoint too, not the weights alone".into(),
    }
}

//! The JSON files of a checkpoint.

use crate::error::{Error, Result};
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
    /// Distance of the hidden states that feed neighbouring levels; the original's is a constant.
    #[serde(default = "default_level_step")]
    pub mm_vision_level_step: u32,
    /// Groups of the region extractor's group norms; the original's is a constant.
    #[serde(default = "default_norm_groups")]
    pub mm_region_norm_groups: u32,
    #[serde(default = "yes")]
    pub mm_use_im_start_end: bool,
    #[serde(default = "yes")]
    pub use_mm_proj: bool,
    #[serde(default)]
    pub tie_word_embeddings: bool,
}

/// `config.json` of a vision tower.
#[derive(Debug)]
pub enum TowerConfig {
    Clip(ClipConfig),
    Dinov2(Dinov2Config),
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

/// `config.json` of DINOv2, with the defaults of Hugging Face's library.
#[derive(Debug, Deserialize)]
pub struct Dinov2Config {
    pub hidden_size: u32,
    pub num_hidden_layers: u32,
    pub num_attention_heads: u32,
    #[serde(default = "default_mlp_ratio")]
    mlp_ratio: f64,
    #[serde(default = "default_image_size")]
    pub image_size: u32,
    #[serde(default = "default_patch_size")]
    pub patch_size: u32,
    #[serde(default = "default_dinov2_eps")]
    pub layer_norm_eps: f32,
    #[serde(default = "default_dinov2_act")]
    pub hidden_act: String,
    #[serde(default)]
    use_swiglu_ffn: bool,
}

impl Dinov2Config {
    /// Inner width of the feed-forward part.
    pub fn n_ff(&self, dir: &Path) -> Result<u32> {
        let n = (f64::from(self.hidden_size) * self.mlp_ratio).trunc();
        if n >= 1.0 && n <= f64::from(u32::MAX) {
            return Ok(n as u32);
        }
        let reason = format!("mlp_ratio {} gives no width", self.mlp_ratio);
        Err(Error::malformed(dir.join("config.json"), reason))
    }
}

/// `preprocessor_config.json` of a vision tower.
#[derive(Debug, Default, Deserialize)]
pub struct Preprocessor {
    pub image_mean: Option<[f32; 3]>,
    pub image_std: Option<[f32; 3]>,
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
fn default_level_step() -> u32 {
    3
}
fn default_norm_groups() -> u32 {
    64
}
fn default_mlp_ratio() -> f64 {
    4.0
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
fn default_dinov2_eps() -> f32 {
    1e-6
}
fn default_dinov2_act() -> String {
    "gelu".into()
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

/// Reads the sizes of the vision tower from `config.json` of a full CLIP, of its vision half, or of
/// DINOv2.
pub fn tower(dir: &Path) -> Result<TowerConfig> {
    let path = dir.join("config.json");
    let mut value: serde_json::Value = read(&path)?;
    let kind = value.get("model_type").and_then(|t| t.as_str()).unwrap_or_default().to_owned();
    if kind.starts_with("dinov2") {
        return dinov2(path, &kind, value).map(TowerConfig::Dinov2);
    }
    if let Some(vision) = value.get_mut("vision_config") {
        value = vision.take();
    }
    serde_json::from_value(value).map(TowerConfig::Clip).map_err(|e| Error::malformed(path, e))
}

fn dinov2(path: PathBuf, kind: &str, value: serde_json::Value) -> Result<Dinov2Config> {
    if kind != "dinov2" {
        let reason = format!("model_type `{kind}` is not supported: plain dinov2 is");
        return Err(Error::malformed(path, reason));
    }
    let config: Dinov2Config =
        serde_json::from_value(value).map_err(|e| Error::malformed(&path, e))?;
    if config.use_swiglu_ffn {
        let reason = "use_swiglu_ffn is not supported: of DINOv2's towers the giant one has it";
        return Err(Error::malformed(path, reason));
    }
    Ok(config)
}

/// Reads `preprocessor_config.json` of a vision tower; all of it is optional.
pub fn preprocessor(dir: &Path) -> Result<Preprocessor> {
    Ok(read_optional(&dir.join("preprocessor_config.json"))?.unwrap_or_default())
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

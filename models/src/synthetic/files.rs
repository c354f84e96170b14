//! The small files of a checkpoint: configuration of both models and of the tokenizer.

use super::tokenizer;
use crate::hparams::{Gelu, LlmHparams, MmprojHparams, VisionHparams};
use crate::presets::Preset;
use serde_json::{Map, Value, json};

/// Distance of the original's levels in hidden states.
const LEVEL_STEP: u32 = 3;

/// File names and contents beside the weights of the language checkpoint.
pub fn language_files(preset: Preset) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", text(&language_config(&preset.llm(), &preset.mmproj()))),
        ("tokenizer.model", tokenizer::model_proto(preset.n_pieces())),
        ("added_tokens.json", text(&added_tokens(preset.n_pieces()))),
        ("tokenizer_config.json", text(&tokenizer_config())),
        ("special_tokens_map.json", text(&special_tokens_map())),
    ]
}

/// File names and contents beside the weights of the vision tower's checkpoint.
pub fn clip_files(preset: Preset) -> Vec<(&'static str, Vec<u8>)> {
    let h = preset.mmproj().vision;
    let config = if h.layer_scale { dinov2_config(&h) } else { clip_config(&h) };
    let preprocessor = json!({
        "crop_size": h.image_size,
        "do_center_crop": true,
        "do_normalize": true,
        "do_resize": true,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": h.image_mean.map(exact),
        "image_std": h.image_std.map(exact),
        "resample": 3,
        "size": h.image_size,
    });
    vec![("config.json", text(&config)), ("preprocessor_config.json", text(&preprocessor))]
}

fn text(value: &Value) -> Vec<u8> {
    let mut text = format!("{value:#}").into_bytes();
    text.push(b'\n');
    text
}

/// The shortest decimal that reads back as the same f32.
fn exact(v: f32) -> f64 {
    v.to_string().parse().unwrap_or(f64::from(v))
}

fn language_config(h: &LlmHparams, mm: &MmprojHparams) -> Value {
    let mut config = json!({
        "architectures": ["SPILlavaMPTForCausalLM"],
        "hidden_act": "silu",
        "hidden_size": h.n_embd,
        "intermediate_size": h.n_ff,
        "max_position_embeddings": h.n_ctx_train,
        "mm_hidden_size": mm.vision.n_embd,
        "mm_use_im_start_end": true,
        "mm_vision_select_layer": i64::from(mm.region.image_tap) - i64::from(mm.vision.n_layer) - 1,
        "mm_vision_tower": "openai/clip-vit-large-patch14",
        "model_type": "llava",
        "num_attention_heads": h.n_head,
        "num_hidden_layers": h.n_layer,
        "rms_norm_eps": exact(h.rms_eps),
        "tie_word_embeddings": false,
        "torch_dtype": "float16",
        "use_mm_proj": true,
        "vocab_size": h.n_vocab,
    });
    // The published configuration has no such field, and the original's constant holds.
    if let [.., a, b] = mm.region.taps[..]
        && b - a != LEVEL_STEP
    {
        config["mm_vision_level_step"] = json!(b - a);
    }
    config
}

fn clip_config(h: &VisionHparams) -> Value {
    json!({
        "architectures": ["CLIPVisionModel"],
        "hidden_act": if h.gelu == Gelu::Quick { "quick_gelu" } else { "gelu" },
        "hidden_size": h.n_embd,
        "image_size": h.image_size,
        "intermediate_size": h.n_ff,
        "layer_norm_eps": exact(h.ln_eps),
        "model_type": "clip_vision_model",
        "num_attention_heads": h.n_head,
        "num_channels": 3,
        "num_hidden_layers": h.n_layer,
        "patch_size": h.patch_size,
    })
}

fn dinov2_config(h: &VisionHparams) -> Value {
    json!({
        "architectures": ["Dinov2Model"],
        "hidden_act": "gelu",
        "hidden_size": h.n_embd,
        "image_size": h.image_size,
        "layer_norm_eps": exact(h.ln_eps),
        "layerscale_value": 1.0,
        "mlp_ratio": h.n_ff / h.n_embd,
        "model_type": "dinov2",
        "num_attention_heads": h.n_head,
        "num_channels": 3,
        "num_hidden_layers": h.n_layer,
        "patch_size": h.patch_size,
        "qkv_bias": true,
        "use_swiglu_ffn": false,
    })
}

fn added_tokens(n_pieces: u32) -> Value {
    let ids = tokenizer::ADDED.iter().zip(n_pieces..);
    Value::Object(ids.map(|(&t, id)| (t.to_owned(), json!(id))).collect::<Map<_, _>>())
}

fn added_token(content: &str) -> Value {
    json!({"content": content, "lstrip": false, "normalized": true, "rstrip": false,
        "single_word": false})
}

fn special_tokens_map() -> Value {
    json!({
        "bos_token": added_token("<s>"),
        "eos_token": added_token("</s>"),
        "pad_token": tokenizer::ADDED[0],
        "unk_token": added_token("<unk>"),
    })
}

fn tokenizer_config() -> Value {
    json!({
        "add_bos_token": true,
        "add_eos_token": false,
        "bos_token": added_token("<s>"),
        "eos_token": added_token("</s>"),
        "model_max_length": 2048,
        "padding_side": "right",
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": added_token("<unk>"),
    })
}

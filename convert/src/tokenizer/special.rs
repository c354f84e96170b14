//! Special tokens, by the rules of the tokenizer that the weights were trained with.

use crate::config;
use crate::error::Result;
use gpt4roi_models::SplitToken;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Placeholder of an image vector.
pub const IM_PATCH: &str = "<im_patch>";
/// Token before the image.
pub const IM_START: &str = "<im_start>";
/// Token after the image.
pub const IM_END: &str = "<im_end>";
/// Placeholder of a region vector.
pub const BBOX: &str = "<bbox>";

/// The dialogue format, for tools that know nothing of GPT4RoI.
pub const CHAT_TEMPLATE: &str = "\
{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}{% else %}\
A chat between a curious human and an artificial intelligence assistant. The assistant gives \
helpful, detailed, and polite answers to the human's questions.{% endif %}{{ '\\n\\n' }}\
{% for message in messages %}\
{% if message['role'] == 'user' %}{{ '### Human: ' + message['content'] + '\\n' }}\
{% elif message['role'] == 'assistant' %}{{ '### Assistant: ' + message['content'] + '\\n' }}\
{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '### ' }}{% endif %}";

/// A token named in the tokenizer's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its text; empty if the configuration says so.
    pub text: String,
    /// Whether white space around it survives: it does unless `special_tokens_map.json` holds the
    /// token as a plain string.
    pub keeps_space: bool,
}

/// Texts of the tokens that every tokenizer has.
#[derive(Debug)]
pub struct Texts {
    pub bos: Named,
    pub eos: Named,
    pub unk: Named,
    pub pad: Option<Named>,
}

/// A token as either file writes it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Written {
    Plain(String),
    Object { content: String },
}

impl Texts {
    /// Reads the texts; `special_tokens_map.json` wins over `tokenizer_config.json`.
    pub fn open(dir: &Path) -> Result<Texts> {
        let map = config::read_optional(&dir.join("special_tokens_map.json"))?;
        let config = config::read_optional(&dir.join("tokenizer_config.json"))?;
        Ok(Texts::new(&map.unwrap_or_default(), &config.unwrap_or_default()))
    }

    fn new(map: &HashMap<String, Value>, config: &HashMap<String, Value>) -> Texts {
        let written = |from: &HashMap<String, Value>, key: &str| {
            from.get(key).and_then(|v| serde_json::from_value::<Written>(v.clone()).ok())
        };
        let find = |key: &str, default: Option<&str>| match written(map, key) {
            Some(Written::Plain(text)) => Some(Named { text, keeps_space: false }),
            Some(Written::Object { content }) => Some(Named { text: content, keeps_space: true }),
            None => {
                let text = match written(config, key) {
                    Some(Written::Plain(text) | Written::Object { content: text }) => Some(text),
                    None => None,
                };
                // An empty text in this file counts as absent.
                let text = text.filter(|t| !t.is_empty()).or(default.map(str::to_owned));
                text.map(|text| Named { text, keeps_space: true })
            }
        };
        let need = |key, default: &str| {
            let fallback = || Named { text: default.to_owned(), keeps_space: true };
            find(key, Some(default)).unwrap_or_else(fallback)
        };
        Texts {
            bos: need("bos_token", "<s>"),
            eos: need("eos_token", "</s>"),
            unk: need("unk_token", "<unk>"),
            pad: find("pad_token", None).filter(|t| !t.text.is_empty()),
        }
    }

    /// All texts at which prompts are split, longest first.
    pub fn split(
        &self,
        added: &BTreeMap<u32, String>,
        id: impl Fn(&str) -> u32,
    ) -> Vec<SplitToken> {
        let core = [&self.bos, &self.eos, &self.unk].map(|t| t.text.as_str());
        let mut texts: Vec<&str> = added.values().map(String::as_str).chain(core).collect();
        texts.retain(|t| !t.is_empty());
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        texts.dedup();
        let token = |text: &str| SplitToken {
            text: text.to_owned(),
            id: id(text),
            strip: !self.keeps_space(text),
        };
        texts.into_iter().map(token).collect()
    }

    fn keeps_space(&self, text: &str) -> bool {
        let named = [Some(&self.bos), Some(&self.eos), Some(&self.unk), self.pad.as_ref()];
        named.into_iter().flatten().any(|t| t.keeps_space && t.text == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn texts(map: Value, config: Value) -> Texts {
        let parse = |v| serde_json::from_value(v).unwrap();
        Texts::new(&parse(map), &parse(config))
    }

    #[test]
    fn the_map_wins_and_plain_strings_strip() {
        let object = json!({"content": "<s>", "lstrip": false});
        let t = texts(
            json!({"bos_token": object, "eos_token": "</s>", "pad_token": "[PAD]"}),
            json!({"bos_token": "</s>", "unk_token": {"content": "<unk>"}, "pad_token": null}),
        );
        assert_eq!(t.bos, Named { text: "<s>".into(), keeps_space: true });
        assert_eq!(t.eos, Named { text: "</s>".into(), keeps_space: false });
        assert_eq!(t.unk, Named { text: "<unk>".into(), keeps_space: true });
        assert_eq!(t.pad, Some(Named { text: "[PAD]".into(), keeps_space: false }));
    }

    #[test]
    fn defaults_fill_what_no_file_names() {
        let t = texts(json!({}), json!({"bos_token": ""}));
        assert_eq!((t.bos.text.as_str(), t.eos.text.as_str()), ("<s>", "</s>"));
        assert_eq!(t.pad, None);
        let t = texts(json!({"bos_token": ""}), json!({}));
        assert_eq!(t.bos.text, "");
    }

    #[test]
    fn split_is_longest_first_and_without_doubles() {
        let t = texts(json!({"bos_token": "</s>", "eos_token": "</s>"}), json!({}));
        let added = BTreeMap::from([(9, "<bbox>".to_owned()), (8, "<b>".to_owned())]);
        let split = t.split(&added, |text| text.len() as u32);
        let seen: Vec<_> = split.iter().map(|s| (s.text.as_str(), s.strip)).collect();
        assert_eq!(seen, [("<bbox>", true), ("<unk>", false), ("</s>", true), ("<b>", true)]);
    }
}

//! Token after token until the answer ends.

use super::Session;
use crate::error::{Error, Result};
use crate::prompt::{AnswerStream, Detokenizer};
use crate::vocabulary::Vocabulary;
use ggml_ext::llama::{Sampler, Sampling as Draw};
use serde::Serialize;
use std::hash::{BuildHasher, RandomState};

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    /// The likeliest token, always.
    Greedy,
    /// A random draw.
    Random {
        /// Divides the logits: 0 means greedy, otherwise at least 0.001.
        temperature: f32,
        /// Keep this many likeliest tokens; 0 keeps all.
        top_k: u32,
        /// Keep the likeliest tokens that together have this probability; 1 keeps all.
        top_p: f32,
        /// Same seed, same text; `None` takes a new one each time.
        seed: Option<u32>,
    },
}

impl Default for Sampling {
    /// The original's settings.
    fn default() -> Sampling {
        Sampling::Random { temperature: 0.2, top_k: 50, top_p: 1.0, seed: None }
    }
}

impl Sampling {
    /// Checks the values and fixes the seed.
    fn resolve(self) -> Result<Draw> {
        let Sampling::Random { temperature, top_k, top_p, seed } = self else {
            return Ok(Draw::Greedy);
        };
        let check = |option, value: f32, ok, allowed| match ok {
            true => Ok(()),
            false => Err(Error::Option { option, value: value.to_string(), allowed }),
        };
        let sane = temperature == 0.0 || (temperature >= 1e-3 && temperature.is_finite());
        check("temperature", temperature, sane, "0 (greedy), or at least 0.001")?;
        check("top-p", top_p, top_p > 0.0 && top_p <= 1.0, "above 0, at most 1")?;
        if temperature == 0.0 {
            return Ok(Draw::Greedy);
        }
        let seed = seed.unwrap_or_else(|| RandomState::new().hash_one(0) as u32);
        Ok(Draw::Random { temperature, top_k, top_p, seed })
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model ended it.
    Stop,
    /// It reached the longest length that was asked for.
    Length,
    /// The context is full.
    ContextFull,
}

/// How to generate.
pub(crate) struct Generation {
    draw: Draw,
    max_tokens: usize,
    ignore_stop: bool,
}

impl Generation {
    /// Up to `max_tokens` tokens, or until the model ends its answer.
    pub(crate) fn new(sampling: Sampling, max_tokens: usize) -> Result<Generation> {
        if max_tokens == 0 {
            let value = "0".to_owned();
            return Err(Error::Option { option: "max-tokens", value, allowed: "at least 1" });
        }
        Ok(Generation { draw: sampling.resolve()?, max_tokens, ignore_stop: false })
    }

    /// Exactly the `n` likeliest tokens, for comparisons.
    pub(crate) fn exactly(n: usize) -> Generation {
        Generation { draw: Draw::Greedy, max_tokens: n, ignore_stop: true }
    }
}

/// What was generated.
pub(crate) struct Generated {
    pub(crate) text: String,
    pub(crate) tokens: Vec<i32>,
    pub(crate) finish: FinishReason,
}

/// Continues the prompt in `session`; `on_text` receives the answer piece by piece.
pub(crate) fn generate(
    session: &mut Session,
    vocabulary: &Vocabulary,
    generation: &Generation,
    on_text: &mut dyn FnMut(&str),
) -> Result<Generated> {
    let mut sampler = Sampler::new(&generation.draw);
    let decoder = Detokenizer::new(vocabulary.special(), vocabulary.has_dummy_prefix());
    let mut stream = AnswerStream::new(decoder);
    let (mut text, mut tokens) = (String::new(), Vec::new());
    let mut show = |piece: String| {
        if !piece.is_empty() {
            on_text(&piece);
            text.push_str(&piece);
        }
    };
    let finish = loop {
        let token = sampler.sample(session.logits()?)?;
        tokens.push(token);
        let step = stream.push(token, vocabulary)?;
        show(step.text);
        if !generation.ignore_stop && (step.stop || vocabulary.is_end(token)) {
            break FinishReason::Stop;
        }
        if tokens.len() == generation.max_tokens {
            break FinishReason::Length;
        }
        if session.len() == session.n_ctx() {
            break FinishReason::ContextFull;
        }
        session.push(token)?;
    };
    show(stream.finish());
    Ok(Generated { text, tokens, finish })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_options_are_errors_that_name_them() {
        let random =
            |temperature, top_p| Sampling::Random { temperature, top_k: 0, top_p, seed: None };
        for (sampling, name) in [
            (random(1e-40, 1.0), "temperature"),
            (random(-1.0, 1.0), "temperature"),
            (random(f32::NAN, 1.0), "temperature"),
            (random(1.0, 0.0), "top-p"),
            (random(1.0, 1.5), "top-p"),
        ] {
            let err = Generation::new(sampling, 1).err().expect("an error").to_string();
            assert!(err.contains(name), "{err}");
        }
        assert!(Generation::new(Sampling::Greedy, 0).is_err());
        assert!(Generation::new(Sampling::default(), 1).is_ok());
        assert_eq!(Generation::new(random(0.0, 1.0), 1).map(|g| g.draw).ok(), Some(Draw::Greedy));
    }
}

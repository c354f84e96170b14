//! Token after token until the answer ends.

use super::Session;
use super::guide::Guide;
use crate::constraint::Constraint;
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
    constraint: Option<Constraint>,
}

impl Generation {
    /// Up to `max_tokens` tokens, or until the model ends its answer, which is one that the constraint allows.
    pub(crate) fn new(
        sampling: Sampling,
        max_tokens: usize,
        constraint: Option<Constraint>,
    ) -> Result<Generation> {
        if max_tokens == 0 {
            let value = "0".to_owned();
            return Err(Error::Option { option: "max-tokens", value, allowed: "at least 1" });
        }
        Ok(Generation { draw: sampling.resolve()?, max_tokens, ignore_stop: false, constraint })
    }

    /// Exactly the `n` likeliest tokens, for comparisons.
    pub(crate) fn exactly(n: usize) -> Generation {
        Generation { draw: Draw::Greedy, max_tokens: n, ignore_stop: true, constraint: None }
    }
}

/// What was generated.
pub(crate) struct Generated {
    pub(crate) text: String,
    pub(crate) tokens: Vec<i32>,
    /// Log-probability of each token.
    pub(crate) logprobs: Vec<f32>,
    pub(crate) finish: FinishReason,
}

/// What becomes of the tokens.
enum Script {
    /// The model writes what it likes.
    Free(Box<AnswerStream>),
    /// It writes what a constraint allows.
    Guided(Box<Guide>),
}

/// An answer on its way.
pub(crate) struct Writer<'v> {
    vocabulary: &'v Vocabulary,
    sampler: Sampler,
    script: Script,
    max_tokens: usize,
    ignore_stop: bool,
    text: String,
    tokens: Vec<i32>,
    logprobs: Vec<f32>,
}

impl<'v> Writer<'v> {
    pub(crate) fn new(vocabulary: &'v Vocabulary, generation: &Generation) -> Writer<'v> {
        let decoder = Detokenizer::new(vocabulary.special(), vocabulary.has_dummy_prefix());
        Writer {
            vocabulary,
            sampler: Sampler::new(&generation.draw),
            script: match &generation.constraint {
                None => Script::Free(Box::new(AnswerStream::new(decoder))),
                Some(c) => Script::Guided(Box::new(Guide::new(c, decoder))),
            },
            max_tokens: generation.max_tokens,
            ignore_stop: generation.ignore_stop,
            text: String::new(),
            tokens: Vec::new(),
            logprobs: Vec::new(),
        }
    }

    /// The tokens so far.
    pub(crate) fn tokens(&self) -> &[i32] {
        &self.tokens
    }

    /// Chooses the next token by the predictions for it, which ends the answer or is to be decoded.
    pub(crate) fn write(
        &mut self,
        logits: &[f32],
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Option<FinishReason>> {
        let token = self.choose(logits)?;
        self.tokens.push(token);
        self.logprobs.push(log_softmax(logits, token as usize) as f32);
        let (text, stop) = self.read(token)?;
        self.show(&text, on_text);
        if stop && !self.ignore_stop {
            return Ok(Some(FinishReason::Stop));
        }
        Ok((self.tokens.len() == self.max_tokens).then_some(FinishReason::Length))
    }

    fn choose(&mut self, logits: &[f32]) -> Result<i32> {
        let Script::Guided(guide) = &self.script else {
            return Ok(self.sampler.sample(logits)?);
        };
        let allowed = |id| guide.allows(id, self.vocabulary);
        self.sampler.sample_allowed(logits, allowed)?.ok_or(Error::Stuck)
    }

    /// Takes a token; gives text to show, and whether the answer is complete.
    fn read(&mut self, token: i32) -> Result<(String, bool)> {
        match &mut self.script {
            Script::Guided(guide) => guide.push(token, self.vocabulary),
            Script::Free(stream) => {
                let step = stream.push(token, self.vocabulary)?;
                Ok((step.text, step.stop || self.vocabulary.is_end(token)))
            }
        }
    }

    /// The whole answer.
    pub(crate) fn finish(self, finish: FinishReason, on_text: &mut dyn FnMut(&str)) -> Generated {
        let Writer { script, mut text, tokens, logprobs, .. } = self;
        let rest = match script {
            Script::Free(stream) => stream.finish(),
            Script::Guided(guide) => guide.finish(),
        };
        if !rest.is_empty() {
            on_text(&rest);
            text.push_str(&rest);
        }
        Generated { text, tokens, logprobs, finish }
    }

    fn show(&mut self, piece: &str, on_text: &mut dyn FnMut(&str)) {
        if !piece.is_empty() {
            on_text(piece);
            self.text.push_str(piece);
        }
    }
}

/// Logarithm of the probability that the logits give to entry `i`.
pub(super) fn log_softmax(logits: &[f32], i: usize) -> f64 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|l| f64::from(l - max).exp()).sum();
    f64::from(logits[i] - max) - sum.ln()
}

/// Continues the prompt in `session`; `on_text` receives the answer piece by piece.
pub(crate) fn generate(
    session: &mut Session,
    vocabulary: &Vocabulary,
    generation: &Generation,
    on_text: &mut dyn FnMut(&str),
) -> Result<Generated> {
    let mut writer = Writer::new(vocabulary, generation);
    loop {
        if let Some(finish) = writer.write(session.logits()?, on_text)? {
            return Ok(writer.finish(finish, on_text));
        }
        if session.len() == session.n_ctx() {
            return Ok(writer.finish(FinishReason::ContextFull, on_text));
        }
        session.push(writer.tokens()[writer.tokens().len() - 1])?;
    }
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
            let err = Generation::new(sampling, 1, None).err().expect("an error").to_string();
            assert!(err.contains(name), "{err}");
        }
        assert!(Generation::new(Sampling::Greedy, 0, None).is_err());
        assert!(Generation::new(Sampling::default(), 1, None).is_ok());
        let never = Generation::new(random(0.0, 1.0), 1, None);
        assert_eq!(never.map(|g| g.draw).ok(), Some(Draw::Greedy));
    }
}

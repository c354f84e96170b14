//! Choosing the next token.

use crate::{Error, Result};
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

/// How to choose.
#[derive(Clone, Debug, PartialEq)]
pub enum Sampling {
    /// The likeliest token, always.
    Greedy,
    /// A random draw.
    Random {
        /// Divides the logits; above 0.
        temperature: f32,
        /// Keep this many likeliest tokens; 0 keeps all.
        top_k: u32,
        /// Keep the likeliest tokens that together have this probability; 1 keeps all.
        top_p: f32,
        /// Same seed, same text; llama.cpp reads the largest as "any", so it counts as the next
        /// smaller one.
        seed: u32,
    },
}

/// Draws tokens from logits.
pub struct Sampler {
    chain: Option<LlamaSampler>,
    candidates: LlamaTokenDataArray,
}

impl Sampler {
    /// A sampler of that kind.
    pub fn new(sampling: &Sampling) -> Sampler {
        crate::backend::init();
        let chain = match *sampling {
            Sampling::Greedy => None,
            Sampling::Random { temperature, top_k, top_p, seed } => {
                let top_k = LlamaSampler::top_k(i32::try_from(top_k).unwrap_or(i32::MAX));
                let temp = LlamaSampler::temp(temperature);
                let seed = seed.min(u32::MAX - 1);
                let (top_p, dist) = (LlamaSampler::top_p(top_p, 1), LlamaSampler::dist(seed));
                // The order of Hugging Face's generate(): temperature before the truncations
                // changes nothing for top-k and is what top-p is defined on there.
                Some(LlamaSampler::chain_simple([temp, top_k, top_p, dist]))
            }
        };
        Sampler { chain, candidates: LlamaTokenDataArray::new(Vec::new(), false) }
    }

    /// The next token.
    ///
    /// # Errors
    /// [`Error::Decode`] if the logits are not all numbers: damaged weights.
    pub fn sample(&mut self, logits: &[f32]) -> Result<i32> {
        let damaged = || Error::Decode {
            n_tokens: 1,
            reason: "the model's predictions are not numbers: damaged weights?".into(),
        };
        if logits.is_empty() || !logits.iter().all(|l| l.is_finite()) {
            return Err(damaged());
        }
        let all = (0..).zip(logits.iter().copied());
        if self.chain.is_none() {
            return Ok(argmax(all).unwrap_or_default());
        }
        self.draw(all)?.ok_or_else(damaged)
    }

    /// The next token of those that are allowed; `None` if none is.
    ///
    /// A token is chosen among all first, and only if it is not allowed among the allowed ones: testing one is
    /// cheap. Without truncation (`top_k`, `top_p`) the outcome is distributed as if there were only those.
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    pub fn sample_allowed(
        &mut self,
        logits: &[f32],
        allowed: impl Fn(i32) -> bool,
    ) -> Result<Option<i32>> {
        let token = self.sample(logits)?;
        if allowed(token) {
            return Ok(Some(token));
        }
        let all = (0..).zip(logits.iter().copied());
        if self.chain.is_some() {
            return self.draw(all.filter(|(id, _)| allowed(*id)));
        }
        // Only what is likelier than the best so far needs the test.
        let mut best: Option<(i32, f32)> = None;
        for (id, l) in all {
            if best.is_none_or(|(_, most)| l > most) && allowed(id) {
                best = Some((id, l));
            }
        }
        Ok(best.map(|(id, _)| id))
    }

    /// Draws one of the candidates; `None` if there are none.
    fn draw(&mut self, from: impl Iterator<Item = (i32, f32)>) -> Result<Option<i32>> {
        let Some(chain) = &mut self.chain else {
            return Ok(None);
        };
        let candidates = &mut self.candidates;
        candidates.data.clear();
        candidates.data.extend(from.map(|(id, l)| LlamaTokenData::new(LlamaToken(id), l, 0.0)));
        if candidates.data.is_empty() {
            return Ok(None);
        }
        candidates.selected = None;
        candidates.sorted = false;
        candidates.apply_sampler(chain);
        let token = candidates.selected_token();
        if let Some(token) = token {
            chain.accept(token);
        }
        Ok(token.map(|t| t.0))
    }
}

/// The entry with the largest value, the first of equals.
fn argmax(entries: impl Iterator<Item = (i32, f32)>) -> Option<i32> {
    let best = entries.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map(|(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: u32) -> Sampling {
        Sampling::Random { temperature: 1.0, top_k: 50, top_p: 1.0, seed }
    }

    #[test]
    fn greedy_takes_the_first_maximum() {
        assert_eq!(Sampler::new(&Sampling::Greedy).sample(&[0.0, 3.0, 3.0, -1.0]).unwrap(), 1);
    }

    #[test]
    fn same_seed_same_draws() {
        let logits: Vec<f32> = (0..100).map(|i| (i as f32 * 0.7).sin()).collect();
        let draw = |seed| {
            let mut s = Sampler::new(&random(seed));
            (0..20).map(|_| s.sample(&logits).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn low_temperature_is_nearly_greedy() {
        let sampling = Sampling::Random { temperature: 0.01, top_k: 50, top_p: 1.0, seed: 1 };
        let mut s = Sampler::new(&sampling);
        assert!((0..50).all(|_| s.sample(&[0.0, 1.0, 2.0, 1.5]).unwrap() == 2));
    }

    #[test]
    fn what_is_not_allowed_is_never_chosen() {
        let logits: Vec<f32> = (0..50).map(|i| (i as f32 * 0.7).sin()).collect();
        for sampling in [Sampling::Greedy, random(3)] {
            let mut s = Sampler::new(&sampling);
            for _ in 0..30 {
                let token = s.sample_allowed(&logits, |id| id % 7 == 3).unwrap().unwrap();
                assert_eq!(token % 7, 3);
            }
            assert_eq!(s.sample_allowed(&logits, |_| false).unwrap(), None);
        }
        let best = Sampler::new(&Sampling::Greedy).sample_allowed(&[3.0, 1.0, 2.0, 2.0], |i| i > 0);
        assert_eq!(best.unwrap(), Some(2));
    }

    #[test]
    fn damaged_logits_are_an_error() {
        assert!(Sampler::new(&random(1)).sample(&[0.0, f32::NAN]).is_err());
        assert!(Sampler::new(&Sampling::Greedy).sample(&[]).is_err());
    }
}

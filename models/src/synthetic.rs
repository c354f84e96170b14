//! A seeded synthetic model of any preset: weights, configuration files and tokenizer.
//!
//! The weights are noise of sane scale, so such a model runs like a real one and answers nonsense.

pub mod files;
pub mod tokenizer;
pub mod weights;

pub use weights::Noise;

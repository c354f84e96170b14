//! One binary for all tests that cross crates: llama.cpp is linked once.

mod cli;
mod conversation;
mod converter;
mod eval;
mod demo;
mod goldens;
#[cfg(feature = "mtmd")]
mod interop;
mod memory;
mod repository;
mod robustness;
mod shapes;
mod towers;

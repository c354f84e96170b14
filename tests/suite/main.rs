//! One binary for all tests that cross crates: llama.cpp is linked once.

mod accuracy;
mod batch_examples;
mod caption;
mod caption_desk;
mod caption_drawn;
mod choose;
mod cli;
mod constraint;
mod conversation;
mod converter;
mod demo;
mod desk;
mod eval;
mod goldens;
#[cfg(feature = "mtmd")]
mod interop;
mod many;
mod memory;
mod metal;
#[cfg(feature = "mqtt")]
mod mosquitto;
#[cfg(feature = "mqtt")]
mod mqtt;
mod pages;
mod placement;
mod repository;
mod robustness;
mod shapes;
mod stream;
mod talking;
mod towers;

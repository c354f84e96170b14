//! Conversions from end to end: one binary, since linking it takes long.

mod bad_input;
mod cli;
mod fixtures;
mod fuzzing;
mod goldens;
mod llama_cpp;
mod pytorch;
mod synthetic;
mod towers;

//! The text stage through its public functions.

mod dialogue;
mod fixture;
#[path = "../golden_files/mod.rs"]
mod golden_files;
mod goldens;
mod properties;

//! The image stage through its public functions.

mod decode;
#[path = "../golden_files/mod.rs"]
mod golden_files;
mod goldens;

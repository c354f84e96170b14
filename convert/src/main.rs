//! `gpt4roi-convert`: converts, inspects, verifies and makes up GPT4RoI models.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}

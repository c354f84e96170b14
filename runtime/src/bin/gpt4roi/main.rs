//! `gpt4roi`: questions about regions of an image, from the command line.

#![forbid(unsafe_code)]

mod args;
mod ask;
mod asking;
mod bench;
mod caption;
mod chat;
mod choose;
mod compare;
mod constraint;
mod demo;
mod demo_model;
mod devices;
mod fit;
mod inspect;
mod merge;
mod output;
mod parse;
mod setup;
mod stream;
mod welcome;

use args::Command;
use gpt4roi::{Error, ErrorKind};
use std::process::ExitCode;

/// Done.
const DONE: u8 = 0;
/// Failed; standard error says why.
const FAILED: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;
/// Stopped by Ctrl-C, as shells expect it: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let args = match parse::args() {
        Ok(args) => args,
        Err(code) => return ExitCode::from(code),
    };
    let result = match &args.command {
        Command::Demo(a) => demo::run(a),
        Command::Ask(a) => ask::run(a),
        Command::Chat(a) => chat::run(a),
        Command::Caption(a) => caption::run(a),
        Command::Merge(a) => merge::run(a),
        Command::Choose(a) => choose::run(a),
        Command::Stream(a) => stream::run(a),
        Command::Devices(a) => devices::run(a),
        Command::Fit(a) => fit::run(a),
        Command::Inspect(a) => inspect::run(a),
        Command::Compare(a) => compare::run(a),
        Command::Bench(a) => bench::run(a),
    };
    ExitCode::from(result.unwrap_or_else(|e| report(&e)))
}

/// Prints an error and chooses the exit code.
fn report(error: &anyhow::Error) -> u8 {
    if output::is_broken_pipe(error) {
        return DONE;
    }
    if error.downcast_ref::<setup::Usage>().is_some() {
        eprintln!("gpt4roi: {error:#}\nTry `gpt4roi --help`.");
        return USAGE;
    }
    match error.downcast_ref::<Error>().map(Error::kind) {
        Some(ErrorKind::Cancelled) => {
            eprintln!("gpt4roi: interrupted");
            INTERRUPTED
        }
        _ => {
            eprintln!("gpt4roi: {error:#}");
            FAILED
        }
    }
}

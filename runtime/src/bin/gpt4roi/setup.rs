//! What every command does before its work: logs, Ctrl-C, opening files.

use anyhow::Context;
use gpt4roi::preprocess::STDIN_NAME;
use gpt4roi::preprocess::load_from;
use gpt4roi::{CancelToken, Engine, EngineOptions, RgbImage8, load_image};
use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing_subscriber::EnvFilter;

/// A mistake on the command line that argh cannot see.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Logs to standard error. Quiet unless asked: errors of the C libraries come back as ours.
pub(crate) fn logs(verbose: u8) {
    let default = match verbose {
        0 => "warn,llama.cpp=off",
        1 => "info,llama.cpp=warn",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("GPT4ROI_LOG").unwrap_or_else(|_| default.into());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // Fails only if there is a subscriber already, which is as good.
    let _ = subscriber.try_init();
}

/// What Ctrl-C does: it stops the engine while that works, and the process otherwise.
pub(crate) struct Interrupt {
    cancel: CancelToken,
    working: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens for Ctrl-C. A second one ends the process even while the engine works.
    pub(crate) fn listen(cancel: CancelToken) -> anyhow::Result<Interrupt> {
        let interrupt = Interrupt { cancel, working: Arc::default() };
        let (cancel, working) = (interrupt.cancel.clone(), interrupt.working.clone());
        ctrlc::set_handler(move || {
            if cancel.is_cancelled() || !working.load(Ordering::Relaxed) {
                std::process::exit(super::INTERRUPTED.into());
            }
            cancel.cancel();
        })
        .context("cannot listen for Ctrl-C")?;
        Ok(interrupt)
    }

    /// Runs work that Ctrl-C stops.
    pub(crate) fn guard<R>(&self, work: impl FnOnce() -> R) -> R {
        self.cancel.reset();
        self.working.store(true, Ordering::Relaxed);
        let result = work();
        self.working.store(false, Ordering::Relaxed);
        result
    }
}

/// Gives image side and language model threads of their own, for when both work at the same time.
pub(crate) fn divide_threads(options: &mut EngineOptions) {
    let all = match options.n_threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    options.vision_threads = (all / 3).max(1);
    options.n_threads = (all - options.vision_threads).max(1);
}

/// Opens the model, showing progress on a terminal.
pub(crate) fn engine(options: &EngineOptions) -> anyhow::Result<Engine> {
    let terminal = std::io::stderr().is_terminal();
    let mut shown = None;
    let progress = move |p: f32| {
        let percent = (p * 100.0) as u32;
        if terminal && shown != Some(percent) {
            shown = Some(percent);
            let end = if percent == 100 { "\r\x1b[K" } else { "" };
            // Progress is a courtesy: a closed standard error must not stop the work.
            let _ = write!(std::io::stderr(), "\rloading {percent:3}%{end}");
        }
        true
    };
    let engine = Engine::open_with_progress(options, progress)?;
    let info = engine.info();
    tracing::info!(name = info.name, n_ctx = info.n_ctx, threads = info.n_threads, "model open");
    Ok(engine)
}

/// Reads the image, from standard input for `-`.
pub(crate) fn image(path: &str) -> anyhow::Result<RgbImage8> {
    let image = match path {
        "-" => load_from(STDIN_NAME, std::io::stdin().lock()),
        path => load_image(path.as_ref()),
    };
    Ok(image.map_err(gpt4roi::Error::from)?)
}

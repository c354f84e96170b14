//! Printing.

use gpt4roi::{CancelToken, Error, caption};
use std::io::{self, Write};

/// Whether standard output was closed by its reader: nobody wants to hear more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let written = match error.downcast_ref::<Error>() {
        Some(Error::Caption(caption::Error::Write { reason, .. })) => Some(reason),
        _ => error.downcast_ref::<io::Error>(),
    };
    written.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let line = serde_json::to_string(value)?;
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}

/// Prints an answer's text as it comes. When nobody reads it any more, the work is cancelled.
pub(crate) struct TextPrinter {
    cancel: CancelToken,
    failed: Option<io::Error>,
}

impl TextPrinter {
    pub(crate) fn new(cancel: CancelToken) -> TextPrinter {
        TextPrinter { cancel, failed: None }
    }

    pub(crate) fn print(&mut self, text: &str) {
        let mut out = io::stdout();
        if let Err(e) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.failed.get_or_insert(e);
            self.cancel.cancel();
        }
    }

    /// What went wrong while printing.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.failed.take().map_or(Ok(()), |e| Err(e.into()))
    }
}

//! Printing.

use std::io::{self, Write};

/// Whether standard output was closed by its reader: nobody wants to hear more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints a value as one line of JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let line = serde_json::to_string(value)?;
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}

/// Prints an answer's text as it comes and remembers whether that went wrong.
#[derive(Default)]
pub(crate) struct TextPrinter {
    failed: Option<io::Error>,
}

impl TextPrinter {
    pub(crate) fn print(&mut self, text: &str) {
        if self.failed.is_none() {
            let mut out = io::stdout();
            self.failed = out.write_all(text.as_bytes()).and_then(|()| out.flush()).err();
        }
    }

    /// Ends the line.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        self.print("\n");
        self.failed.map_or(Ok(()), |e| Err(e.into()))
    }
}

//! Manual pages and shell completions, made of what the programs say with `--help`: nothing is written twice, so
//! nothing can be forgotten. Packages are built with it, see `scripts/package`.

mod help;
mod manual;
mod shells;

pub use help::{Entry, Help};
pub use manual::manual;
pub use shells::{bash, fish, zsh};

use std::path::Path;
use std::process::Command;

/// A program with its commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// What `--version` says behind the name.
    pub version: String,
    /// What it says about itself.
    pub help: Help,
    /// Its commands, with what it says about each.
    pub commands: Vec<(String, Help)>,
}

impl Program {
    /// Asks the program in the file `path`.
    ///
    /// # Errors
    /// If it does not run, or says what is no help.
    pub fn ask(path: &Path) -> anyhow::Result<Program> {
        let name = path.file_stem().and_then(|n| n.to_str());
        let name = name.ok_or_else(|| anyhow::anyhow!("{}: not a program", path.display()))?;
        let help = Help::parse(&output(path, &["--help"])?)?;
        let version = output(path, &["--version"])?;
        let version = version.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        let ask = |entry: &Entry| {
            let help = Help::parse(&output(path, &[entry.long(), "--help"])?)?;
            Ok((entry.long().to_owned(), help))
        };
        let commands = help.commands.iter().map(ask).collect::<anyhow::Result<_>>()?;
        Ok(Program { name: name.into(), version, help, commands })
    }

    /// Every page of the manual: its file's name and its text.
    pub fn manuals(&self) -> Vec<(String, String)> {
        let name = &self.name;
        let main = (format!("{name}.1"), manual(name, self, &self.help));
        let of = |(command, help): &(String, Help)| {
            let name = format!("{name}-{command}");
            (format!("{name}.1"), manual(&name, self, help))
        };
        [main].into_iter().chain(self.commands.iter().map(of)).collect()
    }
}

fn output(path: &Path, args: &[&str]) -> anyhow::Result<String> {
    let shown = || format!("{} {}", path.display(), args.join(" "));
    let out = Command::new(path).args(args).output();
    let out = out.map_err(|e| anyhow::anyhow!("{}: {e}", shown()))?;
    anyhow::ensure!(out.status.success(), "{}: {}", shown(), out.status);
    Ok(String::from_utf8(out.stdout)?)
}

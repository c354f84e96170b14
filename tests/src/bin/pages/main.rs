//! Manual pages and shell completions of a program, for packages: see `scripts/package`.

#![forbid(unsafe_code)]

use anyhow::Context;
use argh::FromArgs;
use gpt4roi_tests::pages::{Program, bash, fish, zsh};
use std::path::{Path, PathBuf};

/// Write manual pages and shell completions of programs, made of their help, below the folder `share` of a package.
#[derive(FromArgs)]
struct Args {
    /// the folder `share`
    #[argh(option, arg_name = "dir")]
    share: PathBuf,
    /// the programs
    #[argh(positional, arg_name = "program")]
    programs: Vec<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args: Args = argh::from_env();
    args.programs.iter().try_for_each(|program| pages(&Program::ask(program)?, &args.share))
}

fn pages(program: &Program, share: &Path) -> anyhow::Result<()> {
    let name = &program.name;
    for (file, text) in program.manuals() {
        write(&share.join("man/man1").join(file), &text)?;
    }
    write(&share.join("bash-completion/completions").join(name), &bash(program))?;
    write(&share.join("zsh/vendor-completions").join(format!("_{name}")), &zsh(program))?;
    write(&share.join("fish/vendor_completions.d").join(format!("{name}.fish")), &fish(program))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let shown = || path.display().to_string();
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(shown)?;
    }
    std::fs::write(path, text).with_context(shown)
}

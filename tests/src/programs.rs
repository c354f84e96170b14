//! The two programs, as a person runs them.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

/// cargo's target folder: test executables are in `TARGET/PROFILE/deps`, programs in `TARGET/PROFILE`.
///
/// # Panics
/// If the executable lies elsewhere.
pub fn target_dir() -> PathBuf {
    let profile = profile_dir();
    profile.parent().expect("a target folder").to_owned()
}

fn profile_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("the path of this executable");
    let folder = exe.parent().expect("a folder");
    let profile = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    profile.expect("a profile's folder").to_owned()
}

/// Path of `gpt4roi` or `gpt4roi-convert`. Cargo has built both when the tests of the whole
/// workspace are run; otherwise they are built here if they are missing.
///
/// # Panics
/// If they cannot be built.
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    let path = |name| profile_dir().join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    BUILT.get_or_init(|| {
        if !path("gpt4roi").is_file() || !path("gpt4roi-convert").is_file() {
            build();
        }
    });
    path(name)
}

fn build() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--workspace", "--bins", "--target-dir"]);
    command.arg(target_dir()).current_dir(crate::workspace());
    if profile_dir().ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().expect("cargo");
    assert!(status.success(), "the programs cannot be built");
}

/// What a program did.
#[derive(Debug)]
pub struct Run {
    /// Exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Run {
    fn from(o: Output) -> Run {
        let text = |b: Vec<u8>| String::from_utf8(b).expect("programs print UTF-8");
        Run { code: o.status.code(), out: text(o.stdout), err: text(o.stderr) }
    }
}

impl Run {
    /// Asserts the exit code.
    ///
    /// # Panics
    /// If it is another one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Asserts that standard error mentions all of `parts`.
    ///
    /// # Panics
    /// If one is missing.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Run {
        for part in parts {
            assert!(self.err.contains(part), "no `{part}` in {self:?}");
        }
        self
    }
}

/// Runs a program to its end with nothing on standard input.
///
/// # Panics
/// If it cannot be started.
pub fn run<S: AsRef<std::ffi::OsStr>>(name: &str, args: &[S]) -> Run {
    let mut command = Command::new(program(name));
    let output = command.args(args).stdin(Stdio::null()).output();
    output.expect("a program").into()
}

/// Runs a program to its end with `input` on standard input.
///
/// # Panics
/// If it cannot be started.
pub fn run_with_input<S: AsRef<std::ffi::OsStr>>(name: &str, args: &[S], input: &[u8]) -> Run {
    let mut child = start(name, args);
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that refuses early does not read its input.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("a program").into()
}

/// Starts a program with pipes on all three streams.
///
/// # Panics
/// If it cannot be started.
pub fn start<S: AsRef<std::ffi::OsStr>>(name: &str, args: &[S]) -> Child {
    let mut command = Command::new(program(name));
    command.args(args).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("a program")
}

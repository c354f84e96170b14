//! The command line, with what argh lacks: `--option=value`, `--version`, exit code 2.

use super::{DONE, USAGE};
use crate::args::Args;
use argh::FromArgs;
use std::io::{self, Write};

/// Parses the process's arguments. On `--help`, `--version` or a mistake everything is printed
/// already and the exit code comes back.
pub(crate) fn args() -> Result<Args, u8> {
    let raw: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|a| a.into_string().map_err(|a| a.to_string_lossy().into_owned()))
        .collect::<Result<_, _>>()
        .map_err(|a| usage(&format!("`{a}` is not valid UTF-8")))?;
    if matches!(raw.first().map(String::as_str), Some("--version" | "-V")) {
        print(concat!("gpt4roi ", env!("CARGO_PKG_VERSION")));
        return Err(DONE);
    }
    if raw.is_empty() {
        eprintln!("{}", crate::welcome::TEXT);
        return Err(USAGE);
    }
    let split = split_values(&raw);
    let split: Vec<&str> = split.iter().map(String::as_str).collect();
    Args::from_args(&["gpt4roi"], &split).map_err(|exit| match exit.status {
        Ok(()) => {
            print(exit.output.trim_end());
            DONE
        }
        Err(()) => usage(exit.output.trim_end()),
    })
}

/// Prints a line; a reader that has left already wants no more of it.
fn print(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn usage(message: &str) -> u8 {
    eprintln!("gpt4roi: {message}\nTry `gpt4roi --help`.");
    USAGE
}

/// `--option=value` becomes two words, up to a lone `--`.
fn split_values(raw: &[String]) -> Vec<String> {
    let mut split = Vec::new();
    let mut options = true;
    for word in raw {
        options &= word != "--";
        match word.split_once('=') {
            Some((name, value)) if options && name.starts_with("--") => {
                split.extend([name.to_owned(), value.to_owned()]);
            }
            _ => split.push(word.clone()),
        }
    }
    split
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split_off_options_only() {
        let raw = ["ask", "--box=1,2,3,4", "a=b", "--", "--c=d"].map(String::from);
        assert_eq!(split_values(&raw), ["ask", "--box", "1,2,3,4", "a=b", "--", "--c=d"]);
    }
}

//! What argh prints for `--help`, read back.

use anyhow::{Context, ensure};

/// An option, a command or another argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As it is written: `-v, --verbose`, `ask`.
    pub term: String,
    /// What it is for.
    pub text: String,
    /// What its value is called, of an option that has one.
    pub value: Option<String>,
}

impl Entry {
    /// The long name.
    pub fn long(&self) -> &str {
        self.names().last().unwrap_or_default()
    }

    /// The first sentence of its text.
    pub fn summary(&self) -> &str {
        first_sentence(&self.text)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        // `--help, help` is how argh introduces its word for help.
        self.term.split(", ").filter(|n| *n != "help")
    }

    /// Whether its value is a file or a folder.
    pub fn takes_path(&self) -> bool {
        matches!(self.value.as_deref(), Some("file" | "dir" | "path"))
    }
}

/// The help of a program or of one of its commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Help {
    /// How it is called.
    pub usage: String,
    /// What it does.
    pub description: String,
    /// Arguments without a dash.
    pub positionals: Vec<Entry>,
    /// Options.
    pub options: Vec<Entry>,
    /// Commands.
    pub commands: Vec<Entry>,
    /// The rest, by their titles, as it is: examples, notes, exit codes.
    pub rest: Vec<(String, String)>,
}

impl Help {
    /// Reads a help text.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> anyhow::Result<Help> {
        let (usage, text) = text.split_once('\n').context("a help text of one line")?;
        let usage = usage.strip_prefix("Usage: ").context("a help text without usage")?;
        let mut help = Help { usage: usage.into(), ..Help::default() };
        for (title, body) in sections(text) {
            match title.as_str() {
                "" => help.description = words(&body),
                "Positional Arguments" => help.positionals = entries(&body, usage),
                "Options" => help.options = entries(&body, usage),
                "Commands" => help.commands = entries(&body, usage),
                _ => help.rest.push((title, body.trim_end().into())),
            }
        }
        ensure!(!help.description.is_empty(), "a help text without description: {usage}");
        ensure!(!help.options.is_empty(), "a help text without options: {usage}");
        Ok(help)
    }

    /// The first sentence of the description.
    pub fn summary(&self) -> &str {
        first_sentence(&self.description)
    }
}

fn first_sentence(text: &str) -> &str {
    let end = text.find(". ").unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

/// Titles and bodies; the first has no title.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut found = vec![(String::new(), String::new())];
    for line in text.lines() {
        let title =
            line.strip_suffix(':').filter(|t| t.starts_with(char::is_uppercase) && t.len() < 24);
        match (title, found.last_mut()) {
            (Some(title), _) => found.push((title.into(), String::new())),
            (None, Some((_, body))) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// Lines of a term and its text; a line that begins where texts do goes on with the one before.
fn entries(body: &str, usage: &str) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    for line in body.lines().filter(|l| !l.trim().is_empty()) {
        match (line.strip_prefix("    "), found.last_mut()) {
            (Some(more), Some(last)) => last.text = words(&format!("{} {more}", last.text)),
            _ => {
                let (term, text) = line.trim().split_once("  ").unwrap_or((line.trim(), ""));
                let entry = Entry { term: term.into(), text: words(text), value: None };
                found.push(Entry { value: value_of(entry.long(), usage), ..entry });
            }
        }
    }
    found
}

/// What the usage calls the value of an option.
fn value_of(option: &str, usage: &str) -> Option<String> {
    let start = usage.find(&format!("{option} <"))? + option.len() + 2;
    let end = start + usage[start..].find('>')?;
    Some(usage[start..end].trim_end_matches("...").into())
}

/// The words of a text that was broken into lines.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Usage: tool ask <question> --box <box...> [--out-of-the-ordinary <file>] [-v]

Answers a question. It takes
a while.

Positional Arguments:
  question          what is asked

Options:
  --box             a box; the first is
                    <region1>
  --out-of-the-ordinary
                    where to write
  -v, --verbose     say more
  --help, help      display usage information

Examples:
  One:
  tool ask --box 1,2,3,4 \"What?\"
";

    #[test]
    fn help_is_read_back() {
        let help = Help::parse(TEXT).expect("a help text");
        assert_eq!(help.summary(), "Answers a question");
        let options: Vec<_> =
            help.options.iter().map(|o| (o.long(), o.value.as_deref(), o.text.as_str())).collect();
        let want = [
            ("--box", Some("box"), "a box; the first is <region1>"),
            ("--out-of-the-ordinary", Some("file"), "where to write"),
            ("--verbose", None, "say more"),
            ("--help", None, "display usage information"),
        ];
        assert_eq!(options, want);
        assert_eq!(help.positionals[0].term, "question");
        assert!(help.rest[0].1.contains("tool ask --box 1,2,3,4 \"What?\""));
    }

    #[test]
    fn what_is_no_help_is_an_error() {
        assert!(Help::parse("gpt4roi 0.1.0\n").is_err());
        assert!(Help::parse("Usage: x\n\nDoes something.\n").is_err());
    }
}

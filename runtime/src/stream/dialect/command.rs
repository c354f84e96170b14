//! `{"cmd": ...}`: what the stream is told to do, between lines of any dialect.

use serde::Deserialize;

use super::error::Fault;
use super::parts::{MAX_NAME, MAX_QUESTION, check};
use crate::dataset::parse_line;
use crate::stream::{Command, Settings};

/// Longest time or highest rate that can be set.
const MOST: f64 = 1e9;

#[derive(Deserialize)]
#[serde(tag = "cmd", rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    // With braces, because serde lets a plain variant pass with fields that nobody knows.
    Stats {},
    Forget {},
    Stop {},
    Set(Box<Set>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    question: Option<String>,
    min_score: Option<f64>,
    labels: Option<Vec<String>>,
    max_regions: Option<usize>,
    tokens_per_second: Option<f64>,
    deadline: Option<f64>,
    refresh: Option<f64>,
}

/// The command of a line, if it is one.
pub(super) fn parse(line: &[u8]) -> Option<Result<Command, Fault>> {
    // Cheap, and right in any line of JSON that has the key.
    let named = line.starts_with(b"{") && line.windows(5).any(|w| w == b"\"cmd\"");
    if !named {
        return None;
    }
    #[derive(Deserialize)]
    struct Probe {
        cmd: Option<serde::de::IgnoredAny>,
    }
    match parse_line::<Probe>(line) {
        Ok(Probe { cmd: Some(_) }) => Some(command(line)),
        _ => None,
    }
}

fn command(line: &[u8]) -> Result<Command, Fault> {
    Ok(match parse_line(line)? {
        Line::Stats {} => Command::Stats,
        Line::Forget {} => Command::Forget,
        Line::Stop {} => Command::Stop,
        Line::Set(set) => Command::Set(Box::new(settings(*set)?)),
    })
}

fn settings(set: Set) -> Result<Settings, Fault> {
    let Set { question, min_score, labels, max_regions, .. } = set;
    let limits = [
        ("tokens_per_second", set.tokens_per_second),
        ("deadline", set.deadline),
        ("refresh", set.refresh),
    ];
    for (field, value) in limits {
        if value.is_some_and(|v| !(0.0..=MOST).contains(&v)) {
            let reason = format!("give a number from 0 (no limit) to {MOST:e}");
            return Err(Fault::field(field)(reason));
        }
    }
    if max_regions == Some(0) {
        return Err(Fault::field("max_regions")("give at least 1"));
    }
    if let Some(question) = &question {
        check("question", Some(question), MAX_QUESTION)?;
        match crate::prompt::n_regions(question) {
            1 => {}
            n => {
                let reason = format!("it names {n} regions; name one, as in `What is <region1>?`");
                return Err(Fault::field("question")(reason));
            }
        }
    }
    for label in labels.iter().flatten() {
        check("labels", Some(label), MAX_NAME)?;
    }
    let Set { tokens_per_second, deadline, refresh, .. } = set;
    Ok(Settings { question, min_score, labels, max_regions, tokens_per_second, deadline, refresh })
}

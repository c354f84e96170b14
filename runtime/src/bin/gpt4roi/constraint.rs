//! `--grammar` and `--json-schema`.

use crate::setup::Usage;
use anyhow::Context;
use gpt4roi::Constraint;
use std::path::Path;

/// What makes a constraint of a file's text.
type Parse = fn(&str) -> Result<Constraint, gpt4roi::constraint::Error>;

/// The constraint in one of the files, if one is named.
pub(crate) fn read(
    grammar: Option<&Path>,
    schema: Option<&Path>,
) -> anyhow::Result<Option<Constraint>> {
    let (path, parse): (_, Parse) = match (grammar, schema) {
        (None, None) => return Ok(None),
        (Some(path), None) => (path, Constraint::from_grammar),
        (None, Some(path)) => (path, Constraint::from_json_schema),
        _ => {
            let message = "--grammar and --json-schema are two ways to say the same: give one";
            return Err(Usage(message.into()).into());
        }
    };
    let text = text(path)?;
    // A file that begins with a byte order mark is as good as one without.
    let parsed = parse(text.trim_start_matches('\u{feff}')).map_err(gpt4roi::Error::from);
    parsed.map(Some).with_context(|| path.display().to_string())
}

/// The text of a file.
pub(crate) fn text(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        anyhow::anyhow!("{}: byte {at} is not UTF-8", path.display())
    })?;
    Ok(text)
}

/// Labels of the command line, and those of a file, one a line.
pub(crate) fn labels(named: &[String], file: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let mut labels = named.to_vec();
    if let Some(path) = file {
        let text = text(path)?;
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        labels.extend(lines.filter(|line| !line.is_empty()).map(str::to_owned));
    }
    Ok(labels)
}

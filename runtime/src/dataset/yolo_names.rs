//! The names of YOLO's classes: a list of lines, or the entry `names` of a YAML file.
//!
//! Of YAML only what such files have is understood: a list or a map in brackets, or in lines of
//! their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Error, folder, input, shape};

/// Names by number of the class.
pub(super) type Names = BTreeMap<u64, String>;

const FILES: [&str; 7] = [
    "data.yaml",
    "dataset.yaml",
    "data.yml",
    "dataset.yml",
    "classes.txt",
    "obj.names",
    "names.txt",
];

/// The file with the names: the one that was given, or one of a usual name in a usual place.
pub(super) fn file_of(given: &Path, root: &Path, image_root: &Path) -> Option<PathBuf> {
    if given.is_file() {
        return Some(given.into());
    }
    let is_part = ["images", "labels"].iter().any(|name| root.ends_with(name));
    let above = is_part.then(|| root.join(".."));
    let mut folders = vec![root.to_path_buf(), root.join("labels"), image_root.to_path_buf()];
    folders.extend(above);
    let mut files = folders.iter().flat_map(|folder| FILES.map(|name| folder.join(name)));
    files.find(|file| file.is_file())
}

/// Whether a file's name is one of YAML.
pub(super) fn is_yaml(path: &Path) -> bool {
    ["yaml", "yml"].iter().any(|extension| folder::has_extension(path, extension))
}

/// Reads the names from a file.
pub(super) fn read(path: &Path) -> Result<Names, Error> {
    let text = input::text(path)?;
    if is_yaml(path) {
        return from_yaml(&text).map_err(|(line, reason)| Error::line(path, line, reason));
    }
    Ok(numbered(text.trim_end().lines().map(|line| line.trim().to_owned())))
}

fn numbered(names: impl Iterator<Item = String>) -> Names {
    (0..).zip(names).collect()
}

/// The names of a YAML file; an error is its line and the reason.
fn from_yaml(text: &str) -> Result<Names, (u64, String)> {
    let mut lines = (1..).zip(text.lines().map(without_comment));
    let Some((at, first)) = lines.by_ref().find(|(_, line)| line.starts_with("names:")) else {
        return Err((1, "has no entry `names:` with the names of the classes".into()));
    };
    let value = first["names:".len()..].trim();
    if value.is_empty() {
        let block = lines.filter(|(_, line)| !line.trim().is_empty());
        return from_block(block.take_while(|(_, line)| line.starts_with([' ', '\t', '-'])));
    }
    let rest = lines.map(|(_, line)| line);
    let value = std::iter::once(value).chain(rest).collect::<Vec<_>>().join(" ");
    from_brackets(&value).map_err(|reason| (at, reason))
}

/// Lines `- name` or `number: name`.
fn from_block<'a>(lines: impl Iterator<Item = (u64, &'a str)>) -> Result<Names, (u64, String)> {
    let mut names = Names::new();
    for (at, line) in lines {
        let line = line.trim();
        let (number, name) = match line.strip_prefix('-') {
            Some(name) => (names.len() as u64, unquoted(name)),
            None => numbered_name(line).map_err(|reason| (at, reason))?,
        };
        insert(&mut names, number, name).map_err(|reason| (at, reason))?;
    }
    Ok(names)
}

/// `[name, name]` or `{number: name}`, with anything behind it.
fn from_brackets(value: &str) -> Result<Names, String> {
    let (open, rest) = value.split_at_checked(1).unwrap_or((value, ""));
    let close = match open {
        "[" => ']',
        "{" => '}',
        _ => return Err(not_names(value)),
    };
    let items = items(rest, close).ok_or_else(|| format!("the `{close}` of `names` is missing"))?;
    if close == ']' {
        return Ok(numbered(items.into_iter().map(unquoted)));
    }
    let mut names = Names::new();
    for item in items {
        let (number, name) = numbered_name(item)?;
        insert(&mut names, number, name)?;
    }
    Ok(names)
}

fn not_names(value: &str) -> String {
    let value = shape::shortened(value);
    format!("field `names`: `{value}` is not a list or a map; write [first, second]")
}

/// What is between commas up to `close`; `None` if that is missing. Quoted ones do not count.
fn items(text: &str, close: char) -> Option<Vec<&str>> {
    let mut items = Vec::new();
    let mut quote = None;
    let mut begin = 0;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            // An apostrophe within a word opens nothing.
            None if "'\"".contains(c) && text[begin..at].trim_end().ends_with([':', '{']) => {
                quote = Some(c);
            }
            None if "'\"".contains(c) && text[begin..at].trim().is_empty() => quote = Some(c),
            None if c == ',' || c == close => {
                items.push(text[begin..at].trim());
                begin = at + c.len_utf8();
            }
            None => {}
        }
        if quote.is_none() && c == close {
            // A comma may stand behind the last one.
            if items.last().is_some_and(|item| item.is_empty()) {
                items.pop();
            }
            return Some(items);
        }
    }
    None
}

fn numbered_name(text: &str) -> Result<(u64, String), String> {
    let parts = text.split_once(':');
    let number = parts.and_then(|(number, _)| unquoted(number).parse().ok());
    match (number, parts) {
        (Some(number), Some((_, name))) => Ok((number, unquoted(name))),
        _ => Err(format!("`{}` is not `number: name`", shape::shortened(text))),
    }
}

fn insert(names: &mut Names, number: u64, name: String) -> Result<(), String> {
    match names.insert(number, name) {
        Some(_) => Err(format!("class {number} is named twice")),
        None => Ok(()),
    }
}

fn unquoted(text: impl AsRef<str>) -> String {
    let text = text.as_ref().trim();
    let within = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    match (within('\''), within('"')) {
        (Some(name), _) => name.replace("''", "'"),
        (_, Some(name)) => name.replace("\\\"", "\"").replace("\\\\", "\\"),
        _ => text.into(),
    }
}

/// A line up to its comment: a `#` at its beginning or behind a blank, and not in quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if "'\"".contains(c) && !before.is_alphanumeric() => quote = Some(c),
            None if c == '#' && before.is_whitespace() => return &line[..at],
            None => {}
        }
        before = c;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(yaml: &str) -> Vec<(u64, String)> {
        from_yaml(yaml).unwrap().into_iter().collect()
    }

    fn pairs(names: &[(u64, &str)]) -> Vec<(u64, String)> {
        names.iter().map(|(number, name)| (*number, (*name).to_owned())).collect()
    }

    #[test]
    fn every_way_to_write_names() {
        let expected = pairs(&[(0, "cat"), (1, "hot dog")]);
        for yaml in [
            "names: [cat, hot dog]",
            "nc: 2\nnames: ['cat', \"hot dog\"] # two\n",
            "names: [\n  cat,\n  'hot dog',\n]\nval: x",
            "names:\n- cat\n- hot dog\nnc: 2",
            "names: # classes\n\n  - cat\n  - 'hot dog' # a sausage\n\nnc: 2",
            "names:\n  0: cat\n  1: \"hot dog\"\ntrain: a",
            "names: {0: cat, 1: 'hot dog'}",
        ] {
            assert_eq!(names(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn quotes_commas_and_gaps() {
        let yaml = "names: ['a, b', \"c]\", o'clock, 'it''s', d#1]";
        let expected = [(0, "a, b"), (1, "c]"), (2, "o'clock"), (3, "it's"), (4, "d#1")];
        assert_eq!(names(yaml), pairs(&expected));
        assert_eq!(names("names:\n  7: x\n  3: y"), pairs(&[(3, "y"), (7, "x")]));
        assert_eq!(names("names: []"), []);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        let refused = |yaml: &str| from_yaml(yaml).unwrap_err();
        assert_eq!(refused("nc: 2").0, 1);
        assert_eq!(refused("nc: 2\nnames: [a, b").0, 2);
        assert!(refused("names: [a, b").1.contains("`]`"));
        assert_eq!(refused("names:\n  0: a\n  b: c").0, 3);
        assert!(refused("names:\n  0: a\n  0: c").1.contains("twice"));
        assert!(refused("names: 80").1.contains("not a list"));
        assert!(refused("names: é").1.contains("not a list"));
    }
}

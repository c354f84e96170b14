//! The names of YOLO's classes: a list of lines, or the entry `names` of a YAML file.
//!
//! In YAML it is a list or a map, in brackets or in lines of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::yaml::{self, Value, Wrong};
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
fn from_yaml(text: &str) -> Result<Names, Wrong> {
    let Some((at, value)) = yaml::value(text, "names")? else {
        return Err((1, "has no entry `names:` with the names of the classes".into()));
    };
    match value {
        Value::Nothing => Ok(Names::new()),
        Value::Block(lines) => from_block(&lines),
        Value::Brackets(text) => from_brackets(&text).map_err(|reason| (at, reason)),
        Value::Text(text) => Err((at, not_names(text))),
    }
}

/// Lines `- name` or `number: name`.
fn from_block(lines: &[(u64, &str)]) -> Result<Names, Wrong> {
    let mut names = Names::new();
    for &(at, line) in lines {
        let named = match line.strip_prefix('-') {
            Some(name) => yaml::text(name).map(|name| (names.len() as u64, name)),
            None => numbered_name(line),
        };
        let inserted = named.and_then(|(number, name)| insert(&mut names, number, name));
        inserted.map_err(|reason| (at, reason))?;
    }
    Ok(names)
}

/// `[name, name]` or `{number: name}`, with anything behind it.
fn from_brackets(value: &str) -> Result<Names, String> {
    let (open, rest) = value.split_at_checked(1).unwrap_or((value, ""));
    let close = if open == "[" { ']' } else { '}' };
    let items = yaml::items(rest, close);
    let items = items.ok_or_else(|| format!("the `{close}` of `names` is missing"))?;
    let mut names = Names::new();
    for item in items {
        let (number, name) = match close {
            ']' => (names.len() as u64, yaml::text(item)?),
            _ => numbered_name(item)?,
        };
        insert(&mut names, number, name)?;
    }
    Ok(names)
}

fn not_names(value: &str) -> String {
    let value = shape::shortened(value);
    format!("field `names`: `{value}` is not a list or a map; write [first, second]")
}

fn numbered_name(text: &str) -> Result<(u64, String), String> {
    let parts = text.split_once(':');
    let number = parts.and_then(|(number, _)| yaml::text(number).ok()?.parse().ok());
    match (number, parts) {
        (Some(number), Some((_, name))) => Ok((number, yaml::text(name)?)),
        _ => Err(format!("`{}` is not `number: name`", shape::shortened(text))),
    }
}

fn insert(names: &mut Names, number: u64, name: String) -> Result<(), String> {
    match names.insert(number, name) {
        Some(_) => Err(format!("class {number} is named twice")),
        None => Ok(()),
    }
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

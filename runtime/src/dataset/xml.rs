//! XML as a tree, with errors that name line and element.

use std::path::Path;

use roxmltree::{Document, Node, ParsingOptions};

use super::Error;
use super::shape::number;

/// Most elements, attributes and texts of a document: they are all in memory.
const MAX_NODES: u32 = 50_000_000;

/// Parses a document; one with a DTD is refused, as no format has any and entities can be bombs.
pub(super) fn parse<'a>(path: &Path, text: &'a str) -> Result<Document<'a>, Error> {
    let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options)
        .map_err(|e| Error::line(path, u64::from(e.pos().row), format!("not usable XML: {e}")))
}

/// The name of the first element of a document, of which the beginning is enough.
pub(super) fn root_name(text: &str) -> Option<&str> {
    let mut rest = text.trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<!--") => "-->",
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!") => ">",
            _ => break,
        };
        rest = rest.split_once(end)?.1.trim_start();
    }
    let name = rest.strip_prefix('<')?;
    name.split(|c: char| c.is_whitespace() || c == '>' || c == '/').next()
}

/// An element of a file, for messages.
#[derive(Clone, Copy)]
pub(super) struct Element<'a, 'i> {
    path: &'a Path,
    node: Node<'a, 'i>,
}

impl<'a, 'i> Element<'a, 'i> {
    /// The root of a document, which has to be of this name.
    pub(super) fn root(
        path: &'a Path,
        document: &'a Document<'i>,
        name: &str,
    ) -> Result<Self, Error> {
        let root = Self { path, node: document.root_element() };
        match root.name() == name {
            true => Ok(root),
            false => Err(root.error(format!("the root is <{}>, not <{name}>", root.name()))),
        }
    }

    pub(super) fn name(&self) -> &'a str {
        self.node.tag_name().name()
    }

    pub(super) fn children(&self) -> impl Iterator<Item = Element<'a, 'i>> + use<'a, 'i> {
        let path = self.path;
        self.node.children().filter(Node::is_element).map(move |node| Element { path, node })
    }

    pub(super) fn find(&self, name: &str) -> Option<Self> {
        self.children().find(|child| child.name() == name)
    }

    /// The child of this name.
    pub(super) fn child(&self, name: &str) -> Result<Self, Error> {
        self.find(name).ok_or_else(|| self.error(format!("<{}> lacks <{name}>", self.name())))
    }

    /// The text of the child of this name, trimmed.
    pub(super) fn text(&self, name: &str) -> Result<&'a str, Error> {
        let child = self.child(name)?;
        let text = child.node.text().unwrap_or_default().trim();
        match text.is_empty() {
            true => Err(child.error(format!("<{name}> is empty"))),
            false => Ok(text),
        }
    }

    /// The number in the child of this name.
    pub(super) fn number(&self, name: &str) -> Result<f64, Error> {
        number(name, self.text(name)?).map_err(|reason| self.error(reason))
    }

    pub(super) fn optional(&self, name: &str) -> Option<&'a str> {
        self.node.attribute(name)
    }

    /// The attribute of this name.
    pub(super) fn attribute(&self, name: &str) -> Result<&'a str, Error> {
        let missing = || self.error(format!("<{}> lacks the attribute `{name}`", self.name()));
        self.optional(name).ok_or_else(missing)
    }

    /// The number in the attribute of this name.
    pub(super) fn number_attribute(&self, name: &str) -> Result<f64, Error> {
        number(name, self.attribute(name)?).map_err(|reason| self.error(reason))
    }

    /// Line of the file, from 1. It is counted from the beginning: only for messages.
    pub(super) fn line(&self) -> u64 {
        u64::from(self.node.document().text_pos_at(self.node.range().start).row)
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::line(self.path, self.line(), reason)
    }
}

#[cfg(test)]
mod tests {
    use super::root_name;

    #[test]
    fn the_root_is_behind_everything_else() {
        let text = "\n<?xml version='1.0'?>\n<!-- <a> -->\n<!DOCTYPE b>\n<c:d e='f'>";
        assert_eq!(root_name(text), Some("c:d"));
        assert_eq!(root_name("<annotation>"), Some("annotation"));
        assert_eq!(root_name("<a/>"), Some("a"));
        assert_eq!(root_name("<!-- cut"), None);
        assert_eq!(root_name("text"), None);
    }
}

//! How a question names its boxes.
//!
//! `<regionK>` and its short form `<K>` become `regionK <bbox>`; `<>` becomes a bare `<bbox>`. A
//! name that an earlier question introduced becomes plain `regionK`: its box is already in the
//! conversation. Names are compared letter by letter, so `<region1>` and `<region01>` differ, and
//! K says nothing about order: the i-th `<bbox>` of a conversation gets its i-th box.

use std::collections::BTreeSet;

use super::template::BBOX;

/// A question with its regions rewritten.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rewritten {
    pub text: String,
    /// New regions in order, as the question spells them; one `<bbox>` of `text` each.
    pub regions: Vec<String>,
    /// Names behind them, without those of `<>`.
    pub names: BTreeSet<String>,
}

/// Rewrites a question, given the names that earlier questions introduced.
pub(super) fn rewrite(question: &str, seen: &BTreeSet<String>) -> Rewritten {
    let (text, regions, names) = (String::new(), Vec::new(), BTreeSet::new());
    let mut out = Rewritten { text, regions, names };
    let mut rest = question;
    while let Some(at) = rest.find('<') {
        out.text += &rest[..at];
        rest = &rest[at..];
        let Some((tag, name)) = parse_tag(rest) else {
            out.text.push('<');
            rest = &rest[1..];
            continue;
        };
        out.push(tag, name, seen);
        rest = &rest[tag.len()..];
    }
    out.text += rest;
    out
}

impl Rewritten {
    fn push(&mut self, tag: &str, name: String, seen: &BTreeSet<String>) {
        self.text += &name;
        if seen.contains(&name) {
            return;
        }
        if !name.is_empty() {
            self.text.push(' ');
            self.names.insert(name);
        }
        self.text += BBOX;
        self.regions.push(tag.into());
    }
}

/// The tag that `text` begins with, and the region's name; that of `<>` is empty.
fn parse_tag(text: &str) -> Option<(&str, String)> {
    // Ends at the first other character, so that a text of many `<` takes linear time.
    let length = text.bytes().skip(1).take_while(u8::is_ascii_alphanumeric).count();
    let (tag, inner) = (text.get(..length + 2)?, text.get(1..length + 1)?);
    let digits = inner.strip_prefix("region").unwrap_or(inner);
    let named = !inner.is_empty();
    let numbered = digits.bytes().all(|b| b.is_ascii_digit()) && named != digits.is_empty();
    if !tag.ends_with('>') || !numbered {
        return None;
    }
    let name = if named { format!("region{digits}") } else { String::new() };
    Some((tag, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(question: &str, seen: &[&str]) -> (String, usize) {
        let out = rewrite(question, &seen.iter().map(|s| s.to_string()).collect());
        assert_eq!(out.text.matches(BBOX).count(), out.regions.len());
        (out.text, out.regions.len())
    }

    #[test]
    fn every_form_is_rewritten() {
        let cases = [
            ("What is <region1> doing?", "What is region1 <bbox> doing?", 1),
            ("<region2> or <region1>?", "region2 <bbox> or region1 <bbox>?", 2),
            ("<7> and <>", "region7 <bbox> and <bbox>", 2),
            ("<region1><region1>", "region1 <bbox>region1 <bbox>", 2),
            ("<region007>", "region007 <bbox>", 1),
            ("region1, <region>, <regionx1>, <1a>, < 1>", "", 0),
            ("a < b > c, <<, >, <", "", 0),
            ("<<3>>", "<region3 <bbox>>", 1),
            ("<region<3>>", "<regionregion3 <bbox>>", 1),
            ("<region\u{ff11}>", "", 0),
        ];
        for (question, text, count) in cases {
            let text = if count == 0 { question } else { text };
            assert_eq!(rewritten(question, &[]), (text.into(), count), "{question}");
        }
    }

    #[test]
    fn known_names_lose_their_box() {
        assert_eq!(
            rewritten("Is <region1> <region2>?", &["region1"]).0,
            "Is region1 region2 <bbox>?"
        );
        assert_eq!(rewritten("<1> <01>", &["region1"]), ("region1 region01 <bbox>".into(), 1));
    }
}

//! The little of YAML that describes data sets: keys at the beginning of lines, and behind them a text, a list or
//! a map, in brackets or in lines of their own.
//!
//! What is not understood is refused, with its line: a wrong guess would read other images.

use super::shape::shortened;

/// A line, counted from 1, and what is wrong there.
pub(super) type Wrong = (u64, String);

/// What stands behind a key.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Nothing, or `null`.
    Nothing,
    /// A text as it is written, on one line.
    Text(&'a str),
    /// What is in brackets, from the opening one to the next entry of the document.
    Brackets(String),
    /// The lines that follow, without blanks around them.
    Block(Vec<(u64, &'a str)>),
}

/// The value of a key, and its line; nothing if the key is not there.
pub(super) fn value<'a>(text: &'a str, key: &str) -> Result<Option<(u64, Value<'a>)>, Wrong> {
    let lines = || (1..).zip(text.lines().map(without_comment));
    let is_key = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
    let mut found = lines().filter(|(_, line)| is_key(line));
    let Some((at, first)) = found.next() else { return Ok(None) };
    if let Some((again, _)) = found.next() {
        return Err((again, format!("field `{key}` is there twice, first in line {at}")));
    }
    let behind = first[key.len() + 1..].trim();
    let mut after = lines().skip(at as usize);
    if behind.starts_with(['[', '{']) {
        let rest = after.map(|(_, line)| line).take_while(|line| !begins_entry(line));
        let all = std::iter::once(behind).chain(rest).collect::<Vec<_>>().join(" ");
        return Ok(Some((at, Value::Brackets(all))));
    }
    let block = block(&mut after);
    let value = match (behind, block.first()) {
        ("" | "~" | "null", None) => Value::Nothing,
        ("", Some(_)) => Value::Block(block),
        (_, None) => Value::Text(behind),
        (_, Some((line, _))) => {
            return Err((*line, format!("field `{key}` goes on here; write it on one line")));
        }
    };
    Ok(Some((at, value)))
}

/// Whether a line begins with a key: brackets that are not closed must not swallow it.
fn begins_entry(line: &str) -> bool {
    let key = line.split_once(':').map_or("", |(key, _)| key);
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The lines that belong to the key before them: those that are set in, and items of a list.
fn block<'a>(lines: &mut impl Iterator<Item = (u64, &'a str)>) -> Vec<(u64, &'a str)> {
    let begun = lines.filter(|(_, line)| !line.trim().is_empty());
    let belongs = |line: &str| line.starts_with([' ', '\t', '-']) && !line.starts_with("---");
    begun.take_while(|(_, line)| belongs(line)).map(|(at, line)| (at, line.trim())).collect()
}

/// What is between commas up to `close`; `None` if that is missing. Quoted ones do not count.
pub(super) fn items(text: &str, close: char) -> Option<Vec<&str>> {
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

/// A text without its quotes.
///
/// # Errors
/// The reason, if it is none: a reference, a tag, a list, a quote that is not closed.
pub(super) fn text(written: &str) -> Result<String, String> {
    let written = written.trim();
    let refused = || format!("`{}` is not a plain or quoted text", shortened(written));
    match written.chars().next() {
        Some(quote @ ('\'' | '"')) => {
            let within = written[1..].strip_suffix(quote).ok_or_else(refused)?;
            match quote {
                '\'' => Ok(within.replace("''", "'")),
                _ => unescaped(within).ok_or_else(refused),
            }
        }
        Some('[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '%' | '@' | '`') => {
            Err(refused())
        }
        _ => Ok(written.into()),
    }
}

/// A text in double quotes, with its escapes resolved.
fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => out.push(escape(&mut rest)?),
            '"' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

/// The character that is meant by what stands behind a backslash.
fn escape(rest: &mut std::str::Chars) -> Option<char> {
    match rest.next()? {
        'x' => hex(rest, 2),
        'u' => hex(rest, 4),
        'U' => hex(rest, 8),
        't' => Some('\t'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        '0' => Some('\0'),
        c @ ('"' | '\\' | '/' | ' ') => Some(c),
        _ => None,
    }
}

/// The character of a number of so many digits.
fn hex(rest: &mut std::str::Chars, n_digits: usize) -> Option<char> {
    let mut digits = (0..n_digits).map(|_| rest.next()?.to_digit(16));
    let number = digits.try_fold(0, |number: u32, digit| Some(number << 4 | digit?));
    number.and_then(char::from_u32)
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

    #[test]
    fn values_of_every_kind() {
        let yaml = "a: x y # z\nb:\n  - 1\n- 2\n\nc: [p,\n q]\nd: # nothing\ne: ~\nf:\n---\n";
        let of = |key| value(yaml, key).unwrap();
        assert_eq!(of("a"), Some((1, Value::Text("x y"))));
        assert_eq!(of("b"), Some((2, Value::Block(vec![(3, "- 1"), (4, "- 2")]))));
        let Some((6, Value::Brackets(all))) = of("c") else { panic!() };
        assert_eq!(all, "[p,  q]");
        for key in ["d", "e", "f"] {
            assert_eq!(of(key).unwrap().1, Value::Nothing, "{key}");
        }
        assert_eq!(of("g"), None);
        assert_eq!(value("aa: 1\n a: 2", "a"), Ok(None));
    }

    #[test]
    fn what_says_two_things_is_refused() {
        assert_eq!(value("a: 1\nb: 2\na: 3", "a").unwrap_err().0, 3);
        assert_eq!(value("a: 1\n  more", "a").unwrap_err().0, 2);
    }

    #[test]
    fn texts_with_and_without_quotes() {
        for (written, meant) in [
            ("plain # 'text", "plain # 'text"),
            ("'it''s \\n'", "it's \\n"),
            (r#""a\"b\\c\x41\u00e9\U0001F415\t""#, "a\"b\\cA\u{e9}\u{1F415}\t"),
            ("''", ""),
        ] {
            assert_eq!(text(written).unwrap(), meant, "{written}");
        }
        for written in ["'open", "'", "\"", r#""\x4""#, r#""\ud800""#, r#""a\""#, "*ref", "[a", "|"]
        {
            assert!(text(written).is_err(), "{written}");
        }
    }
}

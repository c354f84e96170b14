//! Reading grammars in llama.cpp's notation.
//!
//! ```text
//! root ::= "[" item (", " item){0,3} "]"   # a comment
//! item ::= [a-z]+ | "\u00e9" | .
//! ```

use super::Error;
use super::charset::CharSet;
use std::collections::HashMap;

/// Longest text of a grammar, in bytes.
const MAX_TEXT: usize = 1 << 20;
/// Most items of all rules together, repetitions written out.
const MAX_ITEMS: usize = 1 << 19;
/// Deepest nesting of groups.
const MAX_DEPTH: usize = 64;
/// Most repetitions that can be asked for.
const MAX_TIMES: usize = 10_000;

/// One step of an alternative.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A character of a set.
    Set(usize),
    /// Another rule.
    Rule(usize),
}

/// A rule: texts that any of its alternatives allows.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) alternatives: Vec<Vec<Item>>,
    pub(super) is_defined: bool,
}

/// All rules of a grammar, and the sets that their items name.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) list: Vec<Rule>,
    pub(super) sets: Vec<CharSet>,
}

/// The rules of a grammar's text.
pub(super) fn parse(text: &str) -> Result<Rules, Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::TooLarge { reason: "its text has more than 1 MiB" });
    }
    let mut parser = Parser { text, ..Parser::default() };
    parser.skip_space(true);
    if parser.peek().is_none() {
        return Err(parser.error("it is empty"));
    }
    while parser.peek().is_some() {
        parser.rule()?;
    }
    Ok(parser.rules)
}

#[derive(Default)]
struct Parser<'a> {
    text: &'a str,
    at: usize,
    rules: Rules,
    names: HashMap<String, usize>,
    n_items: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    /// Takes a character if it comes next.
    fn take(&mut self, c: char) -> bool {
        let is_next = self.peek() == Some(c);
        self.at += if is_next { c.len_utf8() } else { 0 };
        is_next
    }

    fn next(&mut self) -> Result<char, Error> {
        let c = self.peek().ok_or_else(|| self.error("it ends too early"))?;
        self.at += c.len_utf8();
        Ok(c)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let taken = &rest[..rest.find(|c| !wanted(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn skip_space(&mut self, newlines: bool) {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t') || newlines && matches!(c, '\r' | '\n'));
            if self.peek() != Some('#') {
                return;
            }
            self.take_while(|c| !matches!(c, '\r' | '\n'));
        }
    }

    fn error(&self, reason: impl Into<String>) -> Error {
        let before = &self.text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Error::Syntax { line, column, reason: reason.into() }
    }

    fn name(&mut self) -> Result<&'a str, Error> {
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '-');
        if name.is_empty() { Err(self.error("the name of a rule is expected")) } else { Ok(name) }
    }

    fn rule(&mut self) -> Result<(), Error> {
        let start = self.at;
        let name = self.name()?;
        let id = self.rule_id(name);
        if self.rules.list[id].is_defined {
            self.at = start;
            return Err(self.error(format!("rule `{name}` is defined twice")));
        }
        self.skip_space(false);
        if !self.text[self.at..].starts_with("::=") {
            return Err(self.error("`::=` is expected"));
        }
        self.at += "::=".len();
        self.skip_space(true);
        let alternatives = self.alternatives(name)?;
        if !(self.peek().is_none() || self.take('\n') || self.take('\r')) {
            return Err(self.error("an item, `|` or the end of the line is expected"));
        }
        self.skip_space(true);
        self.define(id, alternatives);
        Ok(())
    }

    fn rule_id(&mut self, name: &str) -> usize {
        if let Some(&id) = self.names.get(name) {
            return id;
        }
        let id = self.add_rule(name, Vec::new());
        self.rules.list[id].is_defined = false;
        self.names.insert(name.to_owned(), id);
        id
    }

    fn define(&mut self, id: usize, alternatives: Vec<Vec<Item>>) {
        self.rules.list[id].alternatives = alternatives;
        self.rules.list[id].is_defined = true;
    }

    /// Adds a rule without a name of its own; errors call it by the one that it is part of.
    fn add_rule(&mut self, name: &str, alternatives: Vec<Vec<Item>>) -> usize {
        let rule = Rule { name: name.to_owned(), alternatives, is_defined: true };
        self.rules.list.push(rule);
        self.rules.list.len() - 1
    }

    fn alternatives(&mut self, name: &str) -> Result<Vec<Vec<Item>>, Error> {
        let mut all = vec![self.sequence(name)?];
        while self.take('|') {
            self.skip_space(true);
            all.push(self.sequence(name)?);
        }
        Ok(all)
    }

    fn sequence(&mut self, name: &str) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        while let Some(mut item) = self.item(name)? {
            self.skip_space(self.depth > 0);
            let mut repeated = false;
            while let Some((min, max)) = self.times()? {
                if repeated {
                    return Err(self.error("a repetition is repeated: put it in parentheses"));
                }
                item = self.repeat(name, item, min, max)?;
                repeated = true;
            }
            self.count(item.len())?;
            items.append(&mut item);
        }
        Ok(items)
    }

    fn count(&mut self, n: usize) -> Result<(), Error> {
        self.n_items = self.n_items.saturating_add(n);
        if self.n_items > MAX_ITEMS {
            let reason = "its rules, with repetitions written out, have more than 524288 items";
            return Err(Error::TooLarge { reason });
        }
        Ok(())
    }

    /// A literal, a set, a group or the name of a rule, if one comes next.
    fn item(&mut self, name: &str) -> Result<Option<Vec<Item>>, Error> {
        let item = match self.peek() {
            Some('"') => self.literal()?,
            Some('[') => self.set()?,
            Some('(') => vec![self.group(name)?],
            Some('.') => {
                self.at += 1;
                vec![self.add_set(CharSet::all())]
            }
            Some('<' | '!') => return Err(self.error("tokens cannot be named here, only text")),
            Some('*' | '+' | '?' | '{') => {
                return Err(self.error("there is nothing in front of it that it could repeat"));
            }
            Some(c) if c.is_ascii_alphanumeric() || c == '-' => {
                let other = self.name()?;
                vec![Item::Rule(self.rule_id(other))]
            }
            _ => return Ok(None),
        };
        Ok(Some(item))
    }

    fn add_set(&mut self, set: CharSet) -> Item {
        self.rules.sets.push(set);
        Item::Set(self.rules.sets.len() - 1)
    }

    fn literal(&mut self) -> Result<Vec<Item>, Error> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.take('"') {
            let c = self.char()?;
            items.push(self.add_set(CharSet::one(c)));
        }
        Ok(items)
    }

    fn set(&mut self) -> Result<Vec<Item>, Error> {
        self.at += 1;
        let inverted = self.take('^');
        let mut ranges = Vec::new();
        while !self.take(']') {
            let low = self.char()?;
            let is_range = self.peek() == Some('-') && !self.text[self.at..].starts_with("-]");
            let high = if is_range {
                self.at += 1;
                self.char()?
            } else {
                low
            };
            if high < low {
                return Err(self.error("a range goes from the smaller to the larger character"));
            }
            ranges.push((low, high));
        }
        let set = CharSet::new(ranges);
        let set = if inverted { set.inverted() } else { set };
        Ok(vec![self.add_set(set)])
    }

    fn group(&mut self, name: &str) -> Result<Item, Error> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("groups are nested more than 64 deep"));
        }
        self.skip_space(true);
        let alternatives = self.alternatives(name)?;
        if !self.take(')') {
            return Err(self.error("an item, `|` or `)` is expected"));
        }
        self.depth -= 1;
        Ok(Item::Rule(self.add_rule(name, alternatives)))
    }

    /// The code point of a character, which may be escaped.
    fn char(&mut self) -> Result<u32, Error> {
        let start = self.at;
        let c = self.next()?;
        if c != '\\' {
            return Ok(c as u32);
        }
        let n_digits = match self.next()? {
            't' => return Ok('\t' as u32),
            'r' => return Ok('\r' as u32),
            'n' => return Ok('\n' as u32),
            c @ ('\\' | '"' | '[' | ']' | '-') => return Ok(c as u32),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => {
                self.at = start;
                return Err(self.error("there is no such escape"));
            }
        };
        let digits = self.text.get(self.at..self.at + n_digits);
        let digits = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|d| u32::from_str_radix(d, 16).ok()).and_then(char::from_u32);
        let code = code.ok_or_else(|| self.error(format!("{n_digits} hex digits are expected")))?;
        self.at += n_digits;
        Ok(code as u32)
    }

    /// How often what came before is repeated, if that is said: at least, and at most.
    fn times(&mut self) -> Result<Option<(usize, Option<usize>)>, Error> {
        let times = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.counted_times().map(Some),
            _ => return Ok(None),
        };
        self.at += 1;
        self.skip_space(self.depth > 0);
        Ok(Some(times))
    }

    fn counted_times(&mut self) -> Result<(usize, Option<usize>), Error> {
        self.at += 1;
        self.skip_space(self.depth > 0);
        let min = self.number()?.ok_or_else(|| self.error("a number is expected"))?;
        let max = if self.take(',') {
            self.skip_space(self.depth > 0);
            self.number()?
        } else {
            Some(min)
        };
        if !self.take('}') {
            return Err(self.error("`}` is expected"));
        }
        if max.is_some_and(|max| max < min) {
            return Err(self.error("at most is less than at least"));
        }
        self.skip_space(self.depth > 0);
        Ok((min, max))
    }

    fn number(&mut self) -> Result<Option<usize>, Error> {
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Ok(None);
        }
        let number = digits.parse().ok().filter(|n| *n <= MAX_TIMES);
        let number = number.ok_or_else(|| self.error("at most 10000 repetitions are possible"))?;
        self.skip_space(self.depth > 0);
        Ok(Some(number))
    }

    /// `x{m,n}` is x m times, then `R(n - m)` with `R(k) ::= x R(k - 1) |`; `x*` is `R ::= x R |`.
    fn repeat(
        &mut self,
        name: &str,
        item: Vec<Item>,
        min: usize,
        max: Option<usize>,
    ) -> Result<Vec<Item>, Error> {
        let once = match <[Item; 1]>::try_from(item) {
            Ok([one]) => one,
            Err(several) => {
                self.count(several.len())?;
                Item::Rule(self.add_rule(name, vec![several]))
            }
        };
        self.count(min + 3 * max.map_or(1, |max| max - min))?;
        let mut items = vec![once.clone(); min];
        let Some(max) = max else {
            let id = self.rules.list.len();
            self.add_rule(name, vec![vec![once, Item::Rule(id)], Vec::new()]);
            items.push(Item::Rule(id));
            return Ok(items);
        };
        let mut rest = None;
        for _ in min..max {
            let more = [once.clone()].into_iter().chain(rest).collect();
            rest = Some(Item::Rule(self.add_rule(name, vec![more, Vec::new()])));
        }
        items.extend(rest);
        Ok(items)
    }
}

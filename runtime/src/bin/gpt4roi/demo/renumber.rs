//! Numbers of regions as people see them: those of the picture, where the model counts the boxes
//! of its conversation.

/// Renumbers a text that comes in pieces. Whole words leave it, so that no name is cut in two.
pub(crate) struct Renumber<'a> {
    /// Number in the picture of each box of the conversation.
    numbers: &'a [usize],
    held: String,
}

impl<'a> Renumber<'a> {
    pub(crate) fn new(numbers: &'a [usize]) -> Renumber<'a> {
        Renumber { numbers, held: String::new() }
    }

    /// Takes a piece; gives back what is complete.
    pub(crate) fn push(&mut self, piece: &str) -> String {
        self.held += piece;
        let same = self.numbers.iter().zip(1..).all(|(number, k)| *number == k);
        let end = match same {
            true => self.held.len(),
            false => self.held.rfind(char::is_whitespace).unwrap_or(0),
        };
        let rest = self.held.split_off(end);
        renumbered(&std::mem::replace(&mut self.held, rest), self.numbers)
    }

    /// The last word.
    pub(crate) fn finish(self) -> String {
        renumbered(&self.held, self.numbers)
    }
}

/// A text with its region names renumbered; numbers that no box has stay as they are.
pub(crate) fn renumbered(text: &str, numbers: &[usize]) -> String {
    // A sentence may begin with it.
    const NAME: &str = "egion";
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(NAME) {
        let (before, tail) = rest.split_at(at + NAME.len());
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        let known =
            tail[..digits].parse::<usize>().ok().and_then(|k| numbers.get(k.wrapping_sub(1)));
        let initial = rest[..at].strip_suffix(['r', 'R']);
        let whole = initial.is_some_and(|b| !b.ends_with(char::is_alphanumeric))
            && !tail[digits..].starts_with(char::is_alphanumeric);
        out += before;
        match known.filter(|_| whole) {
            Some(number) => out += &number.to_string(),
            None => out += &tail[..digits],
        }
        rest = &tail[digits..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_renumbered_and_nothing_else() {
        let cases = [
            ("Is <region1> larger than region2?", "Is <region3> larger than region7?"),
            ("Region1, region2.", "Region3, region7."),
            ("legion1 egion1 rregion1", "legion1 egion1 rregion1"),
            ("region3 region0 region", "region3 region0 region"),
            ("subregion1 region1st 1 region 1", "subregion1 region1st 1 region 1"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(renumbered(text, &[3, 7]), expected);
        }
    }

    #[test]
    fn pieces_make_the_same_text() {
        let text = "It is region2,\n or  <region1>: region2";
        let expected = renumbered(text, &[3, 12]);
        for size in 1..text.len() {
            let mut renumber = Renumber::new(&[3, 12]);
            let mut got = String::new();
            for piece in text.as_bytes().chunks(size) {
                got += &renumber.push(std::str::from_utf8(piece).unwrap());
            }
            assert_eq!(got + &renumber.finish(), expected, "pieces of {size}");
        }
        let mut same = Renumber::new(&[1, 2]);
        assert_eq!(same.push("regi"), "regi");
    }
}

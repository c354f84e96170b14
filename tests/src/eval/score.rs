//! Whether an answer is right.

const ARTICLES: [&str; 3] = ["a ", "an ", "the "];

/// Lower case, no punctuation, single blanks, no leading article.
pub fn normalise(text: &str) -> String {
    let lower = text.to_lowercase();
    let kept: String = lower.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).collect();
    let folded = kept.split_whitespace().collect::<Vec<_>>().join(" ");
    let bare = ARTICLES.iter().find_map(|a| folded.strip_prefix(a));
    bare.map_or(folded.clone(), Into::into)
}

/// What is asked of an answer; phrases are normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// It is one of these.
    Accept(Vec<String>),
    /// It has all of these as whole words.
    Keys(Vec<String>),
    /// Nothing: the turn is not scored.
    Nothing,
}

impl Check {
    /// The check of a turn's two fields.
    ///
    /// # Errors
    /// A text that says why they make no check.
    pub fn new(accept: Option<&[String]>, keys: Option<&[String]>) -> Result<Check, String> {
        match (accept, keys) {
            (Some(_), Some(_)) => Err("a turn has `accept` or `keys`, not both".into()),
            (Some(phrases), None) => Ok(Check::Accept(normalised("accept", phrases)?)),
            (None, Some(phrases)) => Ok(Check::Keys(normalised("keys", phrases)?)),
            (None, None) => Ok(Check::Nothing),
        }
    }

    /// Whether an answer, not normalised, is right; `None` where nothing is asked of it.
    pub fn passes(&self, answer: &str) -> Option<bool> {
        let answer = normalise(answer);
        match self {
            Check::Accept(phrases) => Some(phrases.contains(&answer)),
            Check::Keys(phrases) => Some(phrases.iter().all(|p| has_words(&answer, p))),
            Check::Nothing => None,
        }
    }

    /// What a right answer may say, the first of several.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Check::Accept(phrases) | Check::Keys(phrases) => phrases.first().map(String::as_str),
            Check::Nothing => None,
        }
    }
}

fn normalised(field: &str, phrases: &[String]) -> Result<Vec<String>, String> {
    let all: Vec<_> = phrases.iter().map(|p| normalise(p)).collect();
    match all.iter().any(String::is_empty) || all.is_empty() {
        true => Err(format!("`{field}` is empty or has a phrase without letters: {phrases:?}")),
        false => Ok(all),
    }
}

/// Whether the words of `phrase` follow each other in `text`; both normalised.
fn has_words(text: &str, phrase: &str) -> bool {
    format!(" {text} ").contains(&format!(" {phrase} "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|t| (*t).to_owned()).collect()
    }

    fn accept(phrases: &[&str]) -> Check {
        Check::new(Some(&strings(phrases)), None).expect("a check")
    }

    fn keys(phrases: &[&str]) -> Check {
        Check::new(None, Some(&strings(phrases))).expect("a check")
    }

    #[test]
    fn answers_are_normalised() {
        for (text, expected) in [
            ("A red apple.", "red apple"),
            ("  The\tAPPLE,\n(green)! ", "apple green"),
            ("an owl", "owl"),
            ("the a cappella", "a cappella"),
            ("theatre", "theatre"),
            ("A", "a"),
            ("t-shirt", "tshirt"),
            ("Ärmel №1", "ärmel 1"),
            ("...", ""),
        ] {
            assert_eq!(normalise(text), expected, "{text:?}");
        }
    }

    #[test]
    fn accept_wants_the_whole_answer() {
        let check = accept(&["An apple", "red apple"]);
        for (answer, right) in [
            ("Apple.", true),
            ("the red  apple", true),
            ("an apple tree", false),
            ("pineapple", false),
            ("", false),
        ] {
            assert_eq!(check.passes(answer), Some(right), "{answer:?}");
        }
    }

    #[test]
    fn keys_want_all_phrases_as_whole_words() {
        let check = keys(&["red", "left of", "the cup"]);
        for (answer, right) in [
            ("A red thing, left of: the cup.", true),
            ("Cup left of red", true),
            ("a reddish thing left of the cup", false),
            ("a red thing left, of the cup", true),
            ("a red thing left and of the cup", false),
            ("a red thing left of the cupboard", false),
            ("red left of", false),
        ] {
            assert_eq!(check.passes(answer), Some(right), "{answer:?}");
        }
    }

    #[test]
    fn a_turn_without_a_check_is_not_scored() {
        let check = Check::new(None, None).expect("a check");
        assert_eq!(check.passes("anything"), None);
    }

    #[test]
    fn checks_that_cannot_decide_are_refused() {
        let some = strings(&["apple"]);
        assert!(Check::new(Some(&some), Some(&some)).is_err());
        // No answer would pass the first, every answer the second.
        assert!(Check::new(Some(&[]), None).is_err());
        assert!(Check::new(None, Some(&[])).is_err());
        let reason = Check::new(None, Some(&strings(&["cup", "?!"]))).expect_err("an error");
        assert!(reason.contains("keys") && reason.contains("?!"), "{reason}");
    }
}

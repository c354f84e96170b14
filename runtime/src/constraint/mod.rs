//! What an answer may look like: a grammar, or a JSON schema that becomes one.
//!
//! A constraint is parsed and checked when it is made, so that one from outside is an error then or cannot hurt later:
//! the matcher works in bounded memory, in safe code. (llama.cpp has a sampler for the same grammars. It is not
//! used, because it never returns from some: its search for left recursion takes exponential time and misses
//! rules that are empty by way of others, `{3,2}` repeats without end, and an ambiguous grammar doubles its
//! state with every character.)

mod charset;
mod check;
mod error;
mod gbnf;
mod json_schema;
mod matcher;
mod program;
#[cfg(test)]
mod tests;

pub use error::Error;
pub(crate) use matcher::{Completion, Matcher};

use program::Program;
use std::fmt;
use std::sync::Arc;

/// What the visible answer must be, exactly. Made once, it serves any number of requests; clones share it.
///
/// The answer is complete if its [`FinishReason`](crate::FinishReason) is `Stop`; one that was cut off is only the beginning
/// of what the constraint allows.
///
/// ```
/// use gpt4roi::Constraint;
///
/// let yes_or_no = Constraint::from_grammar(r#"root ::= "yes" | "no""#)?;
/// let error = Constraint::from_grammar("root ::= (").unwrap_err();
/// assert!(error.to_string().contains("line 1"));
/// # Ok::<(), gpt4roi::constraint::Error>(())
/// ```
#[derive(Clone)]
pub struct Constraint(Arc<Program>);

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Constraint").finish_non_exhaustive()
    }
}

impl Constraint {
    /// A grammar in llama.cpp's notation (GBNF), whose answers are those of the rule `root`. Its `<token>` is not known here.
    ///
    /// # Errors
    /// [`Error`], which says where the grammar is malformed, or which rule is missing, left-recursive or without end.
    pub fn from_grammar(gbnf: &str) -> Result<Constraint, Error> {
        let program = check::checked(gbnf::parse(gbnf)?)?;
        Ok(Constraint(Arc::new(program)))
    }

    /// A JSON schema. Answers are JSON on one line, as in `{"object": "cup", "n": [1, 2]}`, with the properties in the
    /// schema's order.
    ///
    /// Known are `type`, `enum`, `const`, `anyOf` and `oneOf` (whose branches should exclude each other), `properties` with
    /// `required`, `minLength` and `maxLength`, `items` with `minItems` and `maxItems`, and annotations. Properties that the
    /// schema does not name are never written. Anything else is refused.
    ///
    /// # Errors
    /// [`Error::Schema`] with the JSON pointer of what cannot be used, [`Error::Json`] if it is no JSON.
    pub fn from_json_schema(schema: &str) -> Result<Constraint, Error> {
        Constraint::from_grammar(&json_schema::to_grammar(schema)?)
    }

    /// Reads text from its beginning; `before` and `after` surround what the constraint allows.
    pub(crate) fn matcher(&self, before: &str, after: &str) -> Matcher {
        Matcher::new(self.0.surrounded(before, after))
    }
}

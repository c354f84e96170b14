//! Why a constraint cannot be used.

/// What is wrong with a grammar or schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The grammar's text is malformed.
    #[error("the grammar is malformed at line {line}, column {column}: {reason}")]
    Syntax {
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What was expected or found.
        reason: String,
    },
    /// A rule of the grammar cannot be used.
    #[error("rule `{rule}` of the grammar {reason}")]
    Rule {
        /// Its name.
        rule: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The grammar is larger than anything that is of use.
    #[error("the grammar is too large: {reason}")]
    TooLarge {
        /// In what respect.
        reason: &'static str,
    },
    /// The schema is no JSON.
    #[error("the JSON schema is not JSON: {reason}")]
    Json {
        /// What and where.
        reason: String,
    },
    /// The schema is JSON, but cannot be used.
    #[error("the JSON schema cannot be used: at `{pointer}` {reason}")]
    Schema {
        /// JSON pointer of the place; `/` alone stands for the whole.
        pointer: String,
        /// What is wrong there.
        reason: String,
    },
}

//! Grammars: an error, or a constraint, in time and memory that the text bounds.
#![no_main]

use gpt4roi::Constraint;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(e) = Constraint::from_grammar(text) {
        assert!(!e.to_string().is_empty());
    }
});

//! JSON schemas: an error, or a constraint; the grammar that is made of one is always in order.
#![no_main]

use gpt4roi::Constraint;
use gpt4roi::constraint::Error;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Constraint::from_json_schema(text) {
        Ok(_) | Err(Error::Json { .. } | Error::Schema { .. } | Error::TooLarge { .. }) => {}
        Err(e) => panic!("{text}\ngave a grammar with an error: {e}"),
    }
});

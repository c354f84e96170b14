//! Conversations: lines are questions and answers in turn; each question gets as many boxes as it
//! may want. Whatever people write, the placeholders of the prompt must fit picture and boxes.
#![no_main]

use gpt4roi::PixelBox;
use gpt4roi::prompt::{Dialogue, plan};
use gpt4roi_models::presets::Preset;
use libfuzzer_sys::fuzz_target;

const N_PATCHES: usize = 4;
const LIMIT: usize = 1 << 16;

fuzz_target!(|text: &str| {
    let tokens = Preset::Tiny.mmproj().tokens;
    // One id a byte, none of them special: the splice alone is of interest here.
    let encoder = |piece: &str| Ok(vec![3; piece.len()]);
    let mut dialogue = Dialogue::new(&tokens);
    let mut lines = text.lines();
    while let Some(question) = lines.next() {
        let asked = (0..4)
            .any(|n| dialogue.ask(question, vec![PixelBox::new(1.0, 2.0, 3.0, 4.0); n]).is_ok());
        if !asked {
            continue;
        }
        match plan(&dialogue, &tokens, N_PATCHES, &encoder, LIMIT) {
            Ok(prompt) => assert_eq!(prompt.ids.len(), prompt.slots.len()),
            Err(e) => assert!(text.len() > LIMIT / 16, "{e}"),
        }
        dialogue.answer(lines.next().unwrap_or_default()).expect("a question is pending");
    }
});

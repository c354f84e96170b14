//! What holds for any text and any sequence of tokens.

use gpt4roi::prompt::{AnswerStream, BoxError, Dialogue, Slot, clean_answer, plan, tokenize};
use proptest::prelude::*;

use crate::fixture::Fixture;

#[test]
fn decoding_equals_sentencepiece() {
    for fixture in Fixture::both() {
        assert!(fixture.decode.len() > 100);
        for (ids, text) in &fixture.decode {
            let mut decoder = fixture.decoder();
            let mut before = String::new();
            for &id in ids {
                decoder.push(id, &fixture).unwrap();
                assert!(decoder.text().starts_with(&before), "{ids:?}");
                before = decoder.text().into();
            }
            assert_eq!(decoder.full_text(), *text, "{ids:?}");
        }
    }
}

/// One id per character, so that every piece has a length to count.
fn characters(piece: &str) -> Result<Vec<i32>, BoxError> {
    Ok(vec![7; piece.chars().count()])
}

/// Texts made of what matters to the rules, and of anything else.
fn question() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => "<region[0-9]{0,2}>",
        2 => "<[0-9]{0,2}>",
        1 => prop::sample::select(vec!["<", ">", "<<", "region1", " ", "\n", "###", "\u{3000}"])
            .prop_map(String::from),
        1 => prop::sample::select(vec!["<bbox>", "<im_patch>", "<im_start>", "<s>", "<image>"])
            .prop_map(String::from),
        3 => any::<String>(),
    ];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_conversation_fits_its_plan_or_is_refused(
        rounds in prop::collection::vec((question(), 0usize..4, any::<String>()), 1..5)
    ) {
        let fixture = Fixture::named("p1-real-vocab");
        let tokens = fixture.tokens();
        let mut dialogue = Dialogue::new(&tokens);
        for (question, n_boxes, answer) in rounds {
            let before = dialogue.prompt(2);
            let n_before = dialogue.boxes().len();
            if dialogue.ask(&question, vec![0u8; n_boxes]).is_err() {
                prop_assert_eq!(dialogue.prompt(2), before);
                prop_assert_eq!(dialogue.boxes().len(), n_before);
                continue;
            }
            prop_assert_eq!(dialogue.boxes().len(), n_before + n_boxes);
            let prompt = plan(&dialogue, &tokens, 2, &characters, usize::MAX).unwrap();
            let regions = prompt.slots.iter().filter(|s| matches!(s, Slot::Region(_))).count();
            prop_assert_eq!(regions, dialogue.boxes().len());
            dialogue.answer(&answer).unwrap();
        }
    }

    #[test]
    fn any_text_is_tokenized(text in question()) {
        let tokens = Fixture::named("p1-real-vocab").tokens();
        let ids = tokenize(&text, &tokens, &characters, usize::MAX).unwrap();
        prop_assert!(ids.len() <= 1 + text.chars().count());
    }

    #[test]
    fn streamed_text_is_the_cleaned_answer(
        picks in prop::collection::vec((0usize..4, 0usize..10_000), 0..40)
    ) {
        let fixture = Fixture::named("p1-real-vocab");
        // "Assistant", ":", blanks, newline, "#", "##", "###", " ###", and parts of a character.
        let often = [4007, 22137, 29901, 7900, 29871, 259, 13, 29937, 2277, 2277, 835, 4136, 243, 162];
        let any: Vec<i32> = fixture.decode.iter().flat_map(|(ids, _)| ids.clone()).collect();
        let mut stream = AnswerStream::new(fixture.decoder());
        let mut shown = String::new();
        for (kind, pick) in picks {
            let id = if kind > 0 { often[pick % often.len()] } else { any[pick % any.len()] };
            let Ok(step) = stream.push(id, &fixture) else { continue };
            shown += &step.text;
            prop_assert!(!step.text.contains("###") || stream.n_tokens() < 3);
            if step.stop {
                prop_assert!(stream.decoded().contains("###"));
                break;
            }
            prop_assert!(stream.n_tokens() < 2 || !stream.decoded().contains("###"));
        }
        let expected = clean_answer(&stream.decoded());
        prop_assert_eq!(shown + &stream.finish(), expected);
    }
}

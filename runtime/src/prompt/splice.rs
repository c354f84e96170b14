//! Which position of the prompt is a token, a picture vector or a region vector.

use gpt4roi_models::hparams::SpecialTokens;

use super::error::Error;

/// What the language model reads at one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The embedding of a token.
    Token(i32),
    /// A row of the picture's vectors.
    Image(u32),
    /// A row of the regions' vectors: the i-th placeholder reads the i-th box.
    Region(u32),
}

/// Places `n_patches` picture vectors and `n_boxes` region vectors into a prompt.
///
/// # Errors
/// [`Error::ImageRun`] unless there is exactly one run of image start, `n_patches` patches and
/// image end, with no patch elsewhere; [`Error::RegionCount`] unless there are `n_boxes` region
/// placeholders.
pub fn splice(
    ids: &[i32],
    tokens: &SpecialTokens,
    n_patches: usize,
    n_boxes: usize,
) -> Result<Vec<Slot>, Error> {
    check_image_run(ids, tokens, n_patches)?;
    let (mut image, mut region) = (0, 0);
    let next = |counter: &mut u32| {
        *counter += 1;
        *counter - 1
    };
    let slots = ids.iter().map(|&id| match id {
        _ if id == tokens.im_patch as i32 => Slot::Image(next(&mut image)),
        _ if id == tokens.bbox as i32 => Slot::Region(next(&mut region)),
        _ => Slot::Token(id),
    });
    let slots = slots.collect();
    if region as usize != n_boxes {
        return Err(Error::RegionCount { tokens: region as usize, boxes: n_boxes });
    }
    Ok(slots)
}

fn check_image_run(ids: &[i32], tokens: &SpecialTokens, expected: usize) -> Result<(), Error> {
    let count = |id: u32| ids.iter().filter(|&&i| i == id as i32).count();
    let [starts, patches, ends] = [tokens.im_start, tokens.im_patch, tokens.im_end].map(count);
    let start = ids.iter().position(|&i| i == tokens.im_start as i32);
    let end = ids.iter().position(|&i| i == tokens.im_end as i32);
    let run = start.zip(end).and_then(|(start, end)| ids.get(start + 1..end));
    // As many patches as there should be, all of them between the two marks.
    let whole = run.is_some_and(|run| {
        run.len() == expected && run.iter().all(|&i| i == tokens.im_patch as i32)
    });
    if !whole || (starts, patches, ends) != (1, expected, 1) {
        return Err(Error::ImageRun { expected, starts, patches, ends });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::testing::special_tokens;

    const PATCH: i32 = 101;
    const BBOX: i32 = 102;
    const START: i32 = 104;
    const END: i32 = 105;

    fn spliced(ids: &[i32], n_patches: usize, n_boxes: usize) -> Result<Vec<Slot>, Error> {
        splice(ids, &special_tokens(), n_patches, n_boxes)
    }

    #[test]
    fn vectors_take_their_places_in_order() {
        let slots = spliced(&[1, START, PATCH, PATCH, END, 7, BBOX, 8, BBOX], 2, 2).unwrap();
        use Slot::{Image, Region, Token};
        let marks = [Token(1), Token(START), Image(0), Image(1), Token(END)];
        assert_eq!(slots[..5], marks);
        assert_eq!(slots[5..], [Token(7), Region(0), Token(8), Region(1)]);
    }

    #[test]
    fn broken_image_runs_are_errors() {
        let cases: [&[i32]; 8] = [
            &[1, 2, 3],
            &[START, PATCH, END],
            &[START, PATCH, PATCH, PATCH, END],
            &[START, PATCH, PATCH],
            &[END, PATCH, PATCH, START],
            &[START, PATCH, PATCH, END, PATCH],
            &[START, PATCH, 5, END, PATCH],
            &[START, PATCH, PATCH, END, START, PATCH, PATCH, END],
        ];
        for ids in cases {
            assert!(matches!(spliced(ids, 2, 0), Err(Error::ImageRun { .. })), "{ids:?}");
        }
    }

    #[test]
    fn regions_must_be_as_many_as_boxes() {
        let ids = [START, PATCH, END, BBOX];
        assert!(spliced(&ids, 1, 1).is_ok());
        for boxes in [0, 2] {
            let error = spliced(&ids, 1, boxes).unwrap_err();
            assert!(matches!(error, Error::RegionCount { tokens: 1, .. }), "{error}");
        }
    }
}

//! Which of given answers is the likeliest, for one region or many.

use super::{Conversation, Engine};
use crate::choice::{Choice, ChooseRequest, Scored, compare};
use crate::error::{Error, Result};
use crate::preprocess::check_boxes;
use crate::prompt::{Candidates, Dialogue};
use crate::trace::StageTimings;
use ggml_ext::roi_align::RoiBox;

/// A region that says nothing: the whole picture.
const WHOLE: RoiBox = [0.0, 0.0, 1.0, 1.0];

/// A question that was posed.
struct Posed {
    dialogue: Dialogue<RoiBox>,
    /// The same with neutral boxes, if it is wanted.
    neutral: Option<Dialogue<RoiBox>>,
    candidates: Candidates,
    warnings: Vec<String>,
}

/// Scores of neutral questions, which requests have in common: the request they are of, and each label's.
type Priors<'r> = Vec<(&'r ChooseRequest, Vec<f64>)>;

/// See [`Engine::choose_many`].
pub(super) fn choose(
    engine: &mut Engine,
    conversation: &Conversation,
    requests: &[ChooseRequest],
) -> Vec<Result<Choice>> {
    let mut posed: Vec<_> = requests.iter().map(|r| pose(engine, conversation, r)).collect();
    let mut timings = StageTimings::default();
    if let Err(e) = look(engine, conversation, &posed, &mut timings) {
        posed.iter_mut().filter(|p| p.is_ok()).for_each(|p| *p = Err(e.again()));
    }
    let mut priors = Priors::new();
    let mut results = Vec::new();
    for (posed, request) in posed.into_iter().zip(requests) {
        // What was done for all of them counts for the first.
        let timings = std::mem::take(&mut timings);
        let one = |p| answer(engine, conversation, request, p, &mut priors, timings);
        results.push(posed.and_then(one));
    }
    results
}

fn pose(engine: &Engine, conversation: &Conversation, request: &ChooseRequest) -> Result<Posed> {
    if request.labels.is_empty() {
        let (option, value) = ("labels", "empty".to_owned());
        return Err(Error::Option { option, value, allowed: "at least one answer to choose from" });
    }
    let vocabulary = engine.pipeline.vocabulary();
    let candidates = Candidates::new(&request.labels, vocabulary.special(), vocabulary)?;
    let checked = check_boxes(&request.boxes, conversation.image.size(), engine.boxes)?;
    let asked = |boxes| {
        let mut dialogue = conversation.dialogue.clone();
        dialogue.ask(&request.question, boxes).map(|()| dialogue)
    };
    let neutral = request.prior.then(|| asked(vec![WHOLE; checked.len()])).transpose()?;
    Ok(Posed {
        dialogue: asked(checked.iter().map(|b| b.fractions).collect())?,
        neutral,
        candidates,
        warnings: checked.iter().filter_map(|b| Some(b.warning.as_ref()?.to_string())).collect(),
    })
}

/// Encodes the image and pools all regions at once.
fn look(
    engine: &mut Engine,
    conversation: &Conversation,
    posed: &[Result<Posed>],
    timings: &mut StageTimings,
) -> Result<()> {
    let mut boxes: Vec<RoiBox> = Vec::new();
    for p in posed.iter().flatten() {
        for dialogue in [Some(&p.dialogue), p.neutral.as_ref()].into_iter().flatten() {
            let new = dialogue.boxes().iter().filter(|b| !boxes.contains(b));
            let new: Vec<RoiBox> = new.copied().collect();
            boxes.extend(new);
        }
    }
    if boxes.is_empty() {
        return Ok(());
    }
    engine.pipeline.look_at_boxes(conversation.image_ref(), &boxes, timings).map(|_| ())
}

fn answer<'r>(
    engine: &mut Engine,
    conversation: &Conversation,
    request: &'r ChooseRequest,
    posed: Posed,
    priors: &mut Priors<'r>,
    mut timings: StageTimings,
) -> Result<Choice> {
    let image = conversation.image_ref();
    let Posed { dialogue, neutral, candidates, warnings } = posed;
    let mut score =
        |d: &Dialogue<RoiBox>| engine.pipeline.score(image, d, &candidates, &mut timings);
    let logprobs = score(&dialogue)?;
    let prior = match &neutral {
        None => None,
        Some(neutral) => match priors.iter().find(|(r, _)| has_same_prior(r, request)) {
            Some((_, known)) => Some(known.clone()),
            None => {
                let computed = score(neutral)?;
                priors.push((request, computed.clone()));
                Some(computed)
            }
        },
    };
    let scored = request.labels.iter().enumerate().map(|(i, label)| Scored {
        label: label.clone(),
        n_tokens: candidates.answers[i].len(),
        logprob: logprobs[i],
        prior: prior.as_ref().map(|p| p[i]),
    });
    let (candidates, ranked) = compare(scored.collect(), request.normalise);
    Ok(Choice { candidates, ranked, warnings, timings_ms: timings })
}

/// Whether the two ask the same, boxes aside.
fn has_same_prior(a: &ChooseRequest, b: &ChooseRequest) -> bool {
    (a.boxes.len(), &a.question, &a.labels) == (b.boxes.len(), &b.question, &b.labels)
}

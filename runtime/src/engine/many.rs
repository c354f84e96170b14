//! Many questions at once.

use super::{Conversation, Engine, Event, Request, answer as to_answer};
use crate::answer::Answer;
use crate::decode::Generation;
use crate::error::Result;
use crate::pipeline::{Ahead, Progress};

/// A question that was posed and is to be answered.
struct Posed {
    generation: Generation,
    warnings: Vec<String>,
}

/// See [`Engine::answer_many`].
pub(super) fn answer(
    engine: &mut Engine,
    conversations: &mut [Conversation],
    requests: &[Request],
    mut ahead: Option<Ahead>,
    on_event: &mut dyn FnMut(usize, Event),
) -> Vec<Result<Answer>> {
    assert_eq!(conversations.len(), requests.len(), "one conversation a request");
    let mut results: Vec<Option<Result<Answer>>> = requests.iter().map(|_| None).collect();
    let mut left: Vec<usize> = (0..requests.len()).collect();
    while let Some(&first) = left.first() {
        let id = conversations[first].image_ref().id;
        let (same, others) = left.iter().partition(|&&i| conversations[i].image_ref().id == id);
        left = others;
        // While the last of the images is talked about, the next can be looked at.
        let ahead = ahead.take_if(|_| left.is_empty());
        about_one_image(engine, conversations, requests, &same, ahead, &mut results, on_event);
    }
    // Every question is in one of the groups, and every group answers or refuses all of its own.
    results.into_iter().flatten().collect()
}

/// Answers those of the questions, all about the same image, that `which` names.
fn about_one_image(
    engine: &mut Engine,
    conversations: &mut [Conversation],
    requests: &[Request],
    which: &[usize],
    ahead: Option<Ahead>,
    results: &mut [Option<Result<Answer>>],
    on_event: &mut dyn FnMut(usize, Event),
) {
    // One by one is the plain way; a trace shows one question.
    let alone = which.len() == 1 && ahead.is_none();
    if alone || engine.pipeline.n_parallel() == 1 || engine.pipeline.trace().is_some() {
        for &i in which {
            let event = |event: Event| on_event(i, event);
            results[i] = Some(engine.ask(&mut conversations[i], &requests[i], event));
        }
        return;
    }
    let mut posed = Vec::new();
    for &i in which {
        match pose(engine, &mut conversations[i], &requests[i]) {
            Ok(p) => posed.push((i, p)),
            Err(e) => results[i] = Some(Err(e)),
        }
    }
    let Some(&(first, _)) = posed.first() else {
        return;
    };
    let questions: Vec<_> =
        posed.iter().map(|(i, p)| (&conversations[*i].dialogue, &p.generation)).collect();
    let image = conversations[first].image_ref();
    engine.pipeline.run_many(image, &questions, ahead, &mut |k, progress| {
        let (i, p) = &posed[k];
        match progress {
            Progress::Text(text) => on_event(*i, Event::Text(text)),
            Progress::Done(result) => {
                let result = result.map(|outcome| to_answer(outcome, p.warnings.clone()));
                if let Ok(answer) = &result {
                    on_event(*i, Event::Done(answer));
                }
                results[*i] = Some(result);
            }
        }
    });
    for (i, _) in posed {
        close(&mut conversations[i], &mut results[i]);
    }
}

fn pose(engine: &Engine, conversation: &mut Conversation, request: &Request) -> Result<Posed> {
    let generation = request.generation()?;
    let warnings = engine.pose(conversation, request)?;
    Ok(Posed { generation, warnings })
}

/// Puts the answer into the conversation, or takes the question back.
fn close(conversation: &mut Conversation, result: &mut Option<Result<Answer>>) {
    let answered = match result {
        Some(Ok(answer)) => conversation.dialogue.answer(&answer.text),
        _ => {
            conversation.dialogue.retract();
            return;
        }
    };
    if let Err(e) = answered {
        *result = Some(Err(e.into()));
    }
}

//! What answers questions: the engine, or in tests something quicker.

use crate::{Answer, Engine, Event, Request, Result, RgbImage8};

/// Answers questions about one image at a time.
pub trait Answerer {
    /// Answers all requests, each as the first question about the image. `on_answer` hears of each
    /// answer when it is complete, in any order.
    ///
    /// # Errors
    /// In the results, one for each request in their order.
    fn answer_all(
        &mut self,
        image: &RgbImage8,
        requests: &[Request],
        on_answer: &mut dyn FnMut(&Answer),
    ) -> Vec<Result<Answer>>;

    /// Whether somebody asked to stop.
    fn is_cancelled(&self) -> bool {
        false
    }
}

impl Answerer for Engine {
    fn answer_all(
        &mut self,
        image: &RgbImage8,
        requests: &[Request],
        on_answer: &mut dyn FnMut(&Answer),
    ) -> Vec<Result<Answer>> {
        let first = self.conversation(image.clone());
        let mut conversations: Vec<_> = requests.iter().map(|_| first.fork()).collect();
        self.answer_many(&mut conversations, requests, |_, event| {
            if let Event::Done(answer) = event {
                on_answer(answer);
            }
        })
    }

    fn is_cancelled(&self) -> bool {
        self.cancel_token().is_cancelled()
    }
}

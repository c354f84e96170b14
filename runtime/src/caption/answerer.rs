//! What answers questions: the engine, or in tests something quicker.

use crate::{Answer, Engine, Event, Image, PixelBox, Request, Result};

/// What gives the next image and its boxes, once; asked again and again while answers are written.
pub type Ahead<'a> = &'a mut (dyn FnMut() -> Option<(Image, Vec<PixelBox>)> + Send);

/// Answers questions about one image at a time.
pub trait Answerer {
    /// Answers all requests, each as the first question about the image. `on_answer` hears of each
    /// answer when it is complete, in any order. Meanwhile the image that `ahead` gives may be looked at.
    ///
    /// # Errors
    /// In the results, one for each request in their order.
    fn answer_all(
        &mut self,
        image: &Image,
        requests: &[Request],
        ahead: Option<Ahead>,
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
        image: &Image,
        requests: &[Request],
        ahead: Option<Ahead>,
        on_answer: &mut dyn FnMut(&Answer),
    ) -> Vec<Result<Answer>> {
        let first = self.conversation(image.clone());
        let mut conversations: Vec<_> = requests.iter().map(|_| first.fork()).collect();
        let on_event = |_: usize, event: Event| {
            if let Event::Done(answer) = event {
                on_answer(answer);
            }
        };
        match ahead {
            None => self.answer_many(&mut conversations, requests, on_event),
            Some(ahead) => self.answer_many_ahead(&mut conversations, requests, ahead, on_event),
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancel_token().is_cancelled()
    }
}

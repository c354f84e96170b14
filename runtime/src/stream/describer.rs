//! What describes regions: the engine, or in tests something quicker.

use crate::caption::Ahead;
use crate::{Answer, ChooseRequest, Engine, Event, Image, PixelBox, Request, Result};

/// What labels are answers to.
const QUESTION: &str = "What is <region1>?";

/// Looks at one picture at a time.
pub trait Describer {
    /// A vector for each box.
    ///
    /// # Errors
    /// As [`Engine::embed`].
    fn embed(&mut self, image: &Image, boxes: &[PixelBox]) -> Result<Vec<Vec<f32>>>;

    /// Answers all requests, each as the first question about the picture; may look at what `ahead` gives meanwhile.
    ///
    /// # Errors
    /// In the results, one for each request in their order.
    fn describe(
        &mut self,
        image: &Image,
        requests: &[Request],
        ahead: Option<Ahead>,
        on_event: &mut dyn FnMut(usize, Event),
    ) -> Vec<Result<Answer>>;

    /// How likely each label is for each box, the likeliest first.
    ///
    /// # Errors
    /// As [`Engine::choose`].
    fn choose(
        &mut self,
        image: &Image,
        boxes: &[PixelBox],
        labels: &[String],
    ) -> Result<Vec<Vec<(String, f64)>>>;
}

impl Describer for Engine {
    fn embed(&mut self, image: &Image, boxes: &[PixelBox]) -> Result<Vec<Vec<f32>>> {
        Engine::embed(self, image, boxes)
    }

    fn describe(
        &mut self,
        image: &Image,
        requests: &[Request],
        ahead: Option<Ahead>,
        on_event: &mut dyn FnMut(usize, Event),
    ) -> Vec<Result<Answer>> {
        let first = self.conversation(image.clone());
        let mut conversations: Vec<_> = requests.iter().map(|_| first.fork()).collect();
        match ahead {
            None => self.answer_many(&mut conversations, requests, on_event),
            Some(ahead) => self.answer_many_ahead(&mut conversations, requests, ahead, on_event),
        }
    }

    fn choose(
        &mut self,
        image: &Image,
        boxes: &[PixelBox],
        labels: &[String],
    ) -> Result<Vec<Vec<(String, f64)>>> {
        let conversation = self.conversation(image.clone());
        let request =
            |b: &PixelBox| ChooseRequest::new(QUESTION, labels.iter().cloned()).with_box(*b);
        let requests: Vec<_> = boxes.iter().map(request).collect();
        let choices = self.choose_many(&conversation, &requests);
        let named = |choice: crate::Choice| {
            let of = |&i: &usize| (labels[i].clone(), choice.candidates[i].probability);
            choice.ranked.iter().map(of).collect()
        };
        choices.into_iter().map(|choice| choice.map(named)).collect()
    }
}

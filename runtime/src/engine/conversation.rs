//! A conversation about an image.

use crate::pipeline::{Image, ImageRef};
use crate::prompt::Dialogue;
use ggml_ext::roi_align::RoiBox;

/// An image and what was said about it so far.
///
/// Made by [`Engine::conversation`](super::Engine::conversation); usable only with engines that have the same model open.
pub struct Conversation {
    pub(super) image: Image,
    pub(super) dialogue: Dialogue<RoiBox>,
}

impl Conversation {
    pub(super) fn new(image: Image, dialogue: Dialogue<RoiBox>) -> Conversation {
        Conversation { image, dialogue }
    }

    /// Another conversation about the same image, which begins with what was said in this one.
    #[must_use]
    pub fn fork(&self) -> Conversation {
        Conversation { image: self.image.clone(), dialogue: self.dialogue.clone() }
    }

    /// The image.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Forgets what was said: the next question is the first one about the same image.
    ///
    /// An engine that was asked about the image last has its maps at hand and does not encode it
    /// again; what all conversations about it begin with is still in the cache.
    pub fn restart(&mut self) {
        self.dialogue.clear();
    }

    pub(super) fn image_ref(&self) -> ImageRef<'_> {
        self.image.reference()
    }
}

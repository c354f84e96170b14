//! Questions about regions of an image, answered on the device.
//!
//! A GPT4RoI model is two GGUF files: a language model and an mmproj file with the vision tower
//! and the region extractor. `gpt4roi-convert` makes them from a published checkpoint.
//!
//! ```no_run
//! use gpt4roi::{Engine, EngineOptions, Event, PixelBox, Request, load_image};
//!
//! # fn main() -> Result<(), gpt4roi::Error> {
//! let options = EngineOptions::new("gpt4roi-Q4_K_M.gguf", "mmproj-gpt4roi-F16.gguf");
//! let mut engine = Engine::open(&options)?;
//! let mut conversation = engine.conversation(load_image("photo.jpg".as_ref())?);
//!
//! let request = Request::new("What is <region1> doing?")
//!     .with_box(PixelBox::new(120.0, 40.0, 380.0, 510.0));
//! let answer = engine.ask(&mut conversation, &request, |event| {
//!     if let Event::Text(text) = event {
//!         print!("{text}");
//!     }
//! })?;
//! println!("\n{} tokens", answer.n_generated);
//! # Ok(())
//! # }
//! ```
//!
//! A later question of the same conversation may refer to old boxes by name (`region1`) and bring
//! new ones; the image is not encoded again and the cache of the language model is reused.
//!
//! The data flow is visible in the folders: image and boxes go through `preprocess`, `vision`,
//! `pyramid`, `region`, `prompt` and `decode`; `pipeline` alone knows that order.

#![forbid(unsafe_code)]

#[cfg(feature = "annotate")]
pub mod annotate;
mod answer;
pub mod bench;
pub mod caption;
mod choice;
pub mod compare;
pub mod constraint;
pub mod dataset;
mod decode;
mod engine;
mod error;
mod files;
pub mod inspect;
mod pipeline;
pub mod placement;
pub mod preprocess;
pub mod prompt;
mod pyramid;
mod region;
pub mod stream;
mod trace;
mod vision;
mod vocabulary;
mod weights;

pub use answer::Answer;
pub use choice::{Candidate, Choice, ChooseRequest, Normalise};
pub use constraint::Constraint;
pub use decode::{FinishReason, Sampling};
pub use engine::{
    Conversation, DEFAULT_CONTEXT, DEFAULT_PARALLEL, Engine, EngineOptions, Event, ModelInfo,
    Request,
};
pub use error::{Error, ErrorKind, Result};
pub use ggml_ext::llama::KvType;
pub use ggml_ext::{CancelToken, DeviceInfo, DeviceKind, devices};
pub use gpt4roi_models::Preset;
pub use pipeline::Image;
pub use placement::{DeviceOptions, Placement};
pub use preprocess::{
    BoxFormat, BoxPolicy, PixelBox, PreprocessMode, RgbImage8, load as load_image,
};
pub use trace::{Stage, StageTimings};

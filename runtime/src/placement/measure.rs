//! What a model would take, without opening it.

use super::needs::{ImageNeeds, LanguageNeeds, image_needs, language_needs};
use crate::engine::{EngineOptions, context_params, n_threads};
use crate::error::Result;
use crate::files::check_llm;
use ggml_ext::{Backend, DeviceInfo, devices};

/// Where a model is measured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// A device of this machine, by its name.
    Device(&'a str),
    /// A GPU that this machine need not have. Which operations it has kernels for is not known here, and the language
    /// model's intermediate values are taken to be as large as on the CPU.
    Gpu,
}

/// What both halves of a model take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The image side.
    pub image: ImageNeeds,
    /// The language model, all of it.
    pub language: LanguageNeeds,
}

impl Needs {
    /// Bytes of all parts together: what they take where host and device have one memory.
    pub fn total(&self) -> usize {
        let language = &self.language;
        let all = language.bytes(language.blocks.len() + 1);
        self.image.bytes() + all + language.embedding + language.host_compute
    }
}

/// What the files of `options` take on a device. Reads their headers, and allocates nothing.
///
/// # Errors
/// As [`crate::Engine::open`].
pub fn measure(options: &EngineOptions, target: Target) -> Result<Needs> {
    let image = measure_image(options, target)?;
    let llm = check_llm(&options.model)?;
    let params = context_params(options, n_threads(options))?;
    let gpus: Vec<DeviceInfo> = match target {
        Target::Device(name) => {
            let is_gpu = |d: &DeviceInfo| d.name.eq_ignore_ascii_case(name) && d.kind.is_gpu();
            devices().into_iter().filter(is_gpu).collect()
        }
        Target::Gpu => Vec::new(),
    };
    let mut language = language_needs(options, &llm, &params, &gpus)?;
    if gpus.is_empty() {
        // One device does all of it.
        (language.compute, language.host_compute) = (language.host_compute, 0);
    }
    Ok(Needs { image, language })
}

/// What the mmproj file of `options` takes on a device, and what of its graphs runs there. Reads its header, and allocates
/// nothing.
///
/// # Errors
/// As [`crate::Engine::open`].
pub fn measure_image(options: &EngineOptions, target: Target) -> Result<ImageNeeds> {
    let backend = match target {
        Target::Device(name) => Backend::rehearse(name, n_threads(options))?,
        Target::Gpu => Backend::rehearse_gpu()?,
    };
    image_needs(options, &backend)
}

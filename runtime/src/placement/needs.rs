//! What the halves of a model take on a device.

use crate::engine::EngineOptions;
use crate::error::{Error, Result};
use crate::files::{LlmFile, MmprojFile, open_mmproj};
use crate::pipeline::ImageSide;
use crate::preprocess::PreprocessOptions;
use ggml_ext::llama::{ContextParams, LoadOptions, compute_buffers};
use ggml_ext::weights::Residence;
use ggml_ext::{Backend, DeviceInfo, Rehearsal};

/// What the image side takes on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageNeeds {
    /// Its weights, results and graphs, one for the largest number of regions at once.
    pub rehearsal: Rehearsal,
}

impl ImageNeeds {
    /// Bytes of the device's memory.
    pub fn bytes(&self) -> usize {
        self.rehearsal.total()
    }
}

/// What the language model takes on a device, layer by layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LanguageNeeds {
    /// Bytes of the embedding table, which stays on the host.
    pub embedding: usize,
    /// Bytes of each block's weights.
    pub blocks: Vec<usize>,
    /// Bytes of the last norm and the output matrix.
    pub output: usize,
    /// Bytes of one block's keys and values.
    pub cache: usize,
    /// Bytes of intermediate values on the device; with several GPUs, on each.
    pub compute: usize,
    /// Bytes of intermediate values in host memory.
    pub host_compute: usize,
}

impl LanguageNeeds {
    /// Bytes of `n` layers on one device: the output counts as one and comes first, then the last blocks.
    pub fn bytes(&self, n: usize) -> usize {
        match n {
            0 => 0,
            n => self.compute + self.layers(n),
        }
    }

    fn layers(&self, n: usize) -> usize {
        let n_blocks = n.saturating_sub(1).min(self.blocks.len());
        let first = self.blocks.len() - n_blocks;
        let blocks: usize = self.blocks[first..].iter().map(|bytes| bytes + self.cache).sum();
        self.output + blocks
    }

    /// Most layers that fit into devices with that many free bytes, in these proportions if there are any.
    pub fn layers_that_fit(&self, free: &[usize], split: &[f32]) -> usize {
        // Layers are placed whole: of several devices each may miss its share by one.
        let slack = if free.len() > 1 { self.largest() } else { 0 };
        let rooms: Vec<usize> =
            free.iter().map(|f| f.saturating_sub(self.compute + slack)).collect();
        let room = match split.iter().sum::<f32>() {
            all if all > 0.0 => {
                let whole = |(&room, &share): (&usize, &f32)| match share > 0.0 {
                    true => (room as f64 * f64::from(all / share)) as usize,
                    false => usize::MAX,
                };
                rooms.iter().zip(split).map(whole).min().unwrap_or(0)
            }
            _ => rooms.iter().sum(),
        };
        (1..=self.blocks.len() + 1).take_while(|&n| self.layers(n) <= room).last().unwrap_or(0)
    }

    fn largest(&self) -> usize {
        let block = self.blocks.iter().max().map_or(0, |bytes| bytes + self.cache);
        block.max(self.output)
    }
}

/// Opens the mmproj file and builds the image side on a backend.
pub(crate) fn open_image_side(
    options: &EngineOptions,
    backend: &Backend,
) -> Result<(MmprojFile, ImageSide)> {
    let residence = if options.mmap { Residence::Mapped } else { Residence::Copied };
    let mmproj = open_mmproj(&options.mmproj, backend, residence)?;
    let vision = &mmproj.hparams.vision;
    let preprocess = PreprocessOptions {
        size: vision.image_size,
        mean: vision.image_mean,
        std: vision.image_std,
        mode: options.preprocess,
    };
    let side = ImageSide::new(backend, &mmproj, preprocess, options.trace, options.low_memory)?;
    Ok((mmproj, side))
}

/// What the image side would take on the device of a backend that rehearses.
pub(crate) fn image_needs(options: &EngineOptions, backend: &Backend) -> Result<ImageNeeds> {
    let (_mmproj, mut side) = open_image_side(options, backend)?;
    side.prepare_largest()?;
    let rehearsal = backend.rehearsal().ok_or_else(|| Error::internal("nothing was rehearsed"))?;
    Ok(ImageNeeds { rehearsal })
}

/// What the language model would take on GPUs, or on the CPU if there are none.
pub(crate) fn language_needs(
    options: &EngineOptions,
    llm: &LlmFile,
    params: &ContextParams,
    gpus: &[DeviceInfo],
) -> Result<LanguageNeeds> {
    let load = LoadOptions {
        devices: Some(gpus.iter().map(|gpu| gpu.name.clone()).collect()),
        gpu_layers: options.devices.gpu_layers,
        tensor_split: options.devices.tensor_split.clone(),
        ..LoadOptions::default()
    };
    let buffers = compute_buffers(&options.model, &load, params)?;
    let on_gpu = |name: &str| gpus.iter().any(|gpu| gpu.name == name);
    let of = |gpu: bool| buffers.iter().filter(move |(name, _)| on_gpu(name) == gpu);
    let n_embd_kv = llm.hparams.n_embd_kv() as usize;
    let row = params.kv_type.dtype().row_size(n_embd_kv).unwrap_or(n_embd_kv * 4);
    Ok(LanguageNeeds {
        embedding: llm.bytes.embedding,
        blocks: llm.bytes.blocks.clone(),
        output: llm.bytes.output,
        // llama.cpp rounds the number of positions up.
        cache: 2 * params.n_ctx.next_multiple_of(256) * row,
        compute: of(true).map(|(_, bytes)| *bytes).max().unwrap_or(0),
        host_compute: of(false).map(|(_, bytes)| bytes).sum(),
    })
}

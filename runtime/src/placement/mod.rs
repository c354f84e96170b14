//! Which half of a model runs where, decided before anything is allocated.
//!
//! The image side is on one device as a whole. Of the language model, the output matrix and then the last blocks go to
//! GPUs, as many as fit beside it; the rest, and the embedding table, stay on the host. What each part takes is measured
//! ([`measure`]), not guessed.

mod measure;
mod needs;
#[cfg(test)]
mod tests;

use crate::engine::EngineOptions;
use crate::error::{Error, Result, mib};
use crate::files::LlmFile;
pub use ggml_ext::graph::PlacedNode;
use ggml_ext::llama::ContextParams;
use ggml_ext::{Backend, CPU, DeviceInfo, DeviceKind};
pub use ggml_ext::{GraphPlan, NodePlan, Rehearsal};
pub use measure::{Needs, Target, measure, measure_image};
pub use needs::{ImageNeeds, LanguageNeeds};
pub(crate) use needs::{image_needs, language_needs, open_image_side};
use std::fmt;

/// Memory of a GPU that is left to its driver and to libraries, which allocate at their own discretion.
pub const RESERVE: usize = 256 << 20;

/// Where to compute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceOptions {
    /// Device of the whole model, as [`crate::devices`] names it (in upper or lower case). `None` takes GPUs as far as
    /// the model fits into their free memory, and the CPU for the rest.
    pub device: Option<String>,
    /// Another device for the image side.
    pub vision: Option<String>,
    /// Layers of the language model on GPUs: the output first, then the blocks from the last one on. `None` means all
    /// that fit.
    pub gpu_layers: Option<u32>,
    /// Of several GPUs, the only one that is used, counted from 0.
    pub main_gpu: Option<u32>,
    /// What share of the layers each GPU gets, as proportions; empty means by their free memory.
    pub tensor_split: Vec<f32>,
}

/// Where the halves of a model are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Device of the image side.
    pub vision: String,
    /// Bytes that it takes there; 0 on the CPU, where weights stay in the file.
    pub vision_bytes: usize,
    /// GPUs that have layers of the language model; none means that all of it is on the CPU.
    pub gpus: Vec<String>,
    /// Layers on them; the output counts as one.
    pub gpu_layers: usize,
    /// Layers of the language model.
    pub n_layers: usize,
    /// Bytes that those on GPUs take there, with their caches and intermediate values.
    pub language_bytes: usize,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image side on {}", self.vision)?;
        if self.vision_bytes > 0 {
            write!(f, " ({})", mib(self.vision_bytes))?;
        }
        match self.gpus.is_empty() {
            true => write!(f, ", language model on {CPU}"),
            false => {
                let (n, all, gpus) = (self.gpu_layers, self.n_layers, self.gpus.join(" and "));
                let bytes = mib(self.language_bytes);
                write!(f, ", {n} of {all} layers of the language model on {gpus} ({bytes})")
            }
        }
    }
}

/// Decides where the halves go.
///
/// # Errors
/// [`Error::DoesNotFit`] for what was asked for and does not fit, [`Error::Option`] for a GPU that is not there; otherwise
/// those of opening the mmproj file and of measuring.
pub(crate) fn plan(
    options: &EngineOptions,
    llm: &LlmFile,
    params: &ContextParams,
    vision_threads: usize,
) -> Result<Placement> {
    let gpus = gpus(&options.devices, ggml_ext::devices())?;
    let (vision, vision_bytes) = place_vision(options, &gpus, vision_threads)?;
    let n_layers = llm.bytes.blocks.len() + 1;
    let mut placement = Placement { vision, vision_bytes, n_layers, ..Placement::default() };
    if gpus.is_empty() || options.devices.gpu_layers == Some(0) {
        return Ok(placement);
    }
    let needs = language_needs(options, llm, params, &gpus)?;
    let rooms: Vec<usize> = gpus
        .iter()
        .map(|gpu| {
            let taken = if gpu.name == placement.vision { vision_bytes } else { 0 };
            free(gpu).saturating_sub(taken)
        })
        .collect();
    let fitting = needs.layers_that_fit(&rooms, &options.devices.tensor_split);
    let n = match options.devices.gpu_layers {
        Some(n) if (n as usize).min(n_layers) > fitting => {
            return Err(too_many_layers(
                (n as usize).min(n_layers),
                fitting,
                &needs,
                &gpus,
                &rooms,
            ));
        }
        Some(n) => (n as usize).min(n_layers),
        None => fitting,
    };
    if n > 0 {
        placement.gpus = gpus.into_iter().map(|gpu| gpu.name).collect();
        (placement.gpu_layers, placement.language_bytes) = (n, needs.bytes(n));
    }
    Ok(placement)
}

fn too_many_layers(
    n: usize,
    fitting: usize,
    needs: &LanguageNeeds,
    gpus: &[DeviceInfo],
    rooms: &[usize],
) -> Error {
    let names: Vec<&str> = gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    Error::DoesNotFit {
        what: format!("{n} layers of the language model"),
        device: names.join(" and "),
        need: needs.bytes(n),
        free: rooms.iter().sum(),
        remedy: format!(
            "{fitting} would fit; a shorter context, a cache of type q8_0 or smaller weights make room for more"
        ),
    }
}

/// The GPUs that may be used: those with memory of their own, or else the integrated ones.
fn gpus(options: &DeviceOptions, all: Vec<DeviceInfo>) -> Result<Vec<DeviceInfo>> {
    let of_kind = |kind| all.iter().filter(|d| d.kind == kind).cloned().collect::<Vec<_>>();
    let mut gpus = match &options.device {
        Some(name) => {
            let device = find(name, &all)?;
            if device.kind.is_gpu() { vec![device] } else { Vec::new() }
        }
        None => of_kind(DeviceKind::Gpu),
    };
    if gpus.is_empty() && options.device.is_none() {
        gpus = of_kind(DeviceKind::IntegratedGpu);
    }
    if let Some(i) = options.main_gpu {
        let Some(gpu) = gpus.get(i as usize) else {
            let allowed = "there are not as many GPUs: `gpt4roi devices` lists them, from 0 on";
            return Err(Error::Option { option: "main-gpu", value: i.to_string(), allowed });
        };
        gpus = vec![gpu.clone()];
    }
    let split = &options.tensor_split;
    let is_share = |v: &f32| v.is_finite() && *v >= 0.0;
    let is_split = split.iter().all(is_share) && split.iter().sum::<f32>() > 0.0;
    if !split.is_empty() && (split.len() != gpus.len() || !is_split) {
        let allowed = "one number for each GPU is wanted, none negative and not all zero";
        return Err(Error::Option { option: "tensor-split", value: format!("{split:?}"), allowed });
    }
    Ok(gpus)
}

fn find(name: &str, all: &[DeviceInfo]) -> Result<DeviceInfo> {
    let found = all.iter().find(|d| d.name.eq_ignore_ascii_case(name));
    found.cloned().ok_or_else(|| {
        let known: Vec<_> = all.iter().map(|d| d.name.clone()).collect();
        let known = known.join(", ");
        Error::Compute(ggml_ext::Error::UnknownDevice { name: name.into(), known })
    })
}

/// Bytes of a device that may be used; no bound where its driver does not tell.
fn free(device: &DeviceInfo) -> usize {
    match device.memory_total {
        0 => usize::MAX / 2,
        _ => device.memory_free.saturating_sub(RESERVE),
    }
}

/// Device of the image side, and what it takes there. A GPU that was not asked for by name gives way to the CPU if it
/// cannot do the work, with a warning.
fn place_vision(
    options: &EngineOptions,
    gpus: &[DeviceInfo],
    n_threads: usize,
) -> Result<(String, usize)> {
    let asked = options.devices.vision.as_ref().or(options.devices.device.as_ref());
    let device = match asked {
        Some(name) => find(name, &ggml_ext::devices())?,
        None => match gpus.first() {
            Some(gpu) => gpu.clone(),
            None => return Ok((CPU.into(), 0)),
        },
    };
    if !device.kind.is_gpu() {
        return Ok((device.name, 0));
    }
    let needs = image_needs(options, &Backend::rehearse(&device.name, n_threads)?)?;
    match check_vision(&device, &needs) {
        Ok(()) => Ok((device.name, needs.bytes())),
        Err(e) if asked.is_none() => {
            tracing::warn!("the image side runs on the CPU, because: {e}");
            Ok((CPU.into(), 0))
        }
        Err(e) => Err(e),
    }
}

fn check_vision(device: &DeviceInfo, needs: &ImageNeeds) -> Result<()> {
    let name = || device.name.clone();
    if let Some(node) = needs.rehearsal.unsupported().next() {
        let (node, op) = (node.name.clone(), node.op.clone());
        return Err(Error::Compute(ggml_ext::Error::Unsupported { device: name(), node, op }));
    }
    if needs.bytes() > free(device) {
        return Err(Error::DoesNotFit {
            what: "the image side".into(),
            device: name(),
            need: needs.bytes(),
            free: free(device),
            remedy: "smaller weights, --low-memory or --vision-device cpu would help".into(),
        });
    }
    Ok(())
}

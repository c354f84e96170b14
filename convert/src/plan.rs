//! Everything about a conversion that can be known before anything is written.

use crate::error::{Error, Result};
use crate::mix;
use crate::source::{self, Directory, Generated, Merge, Tensors};
use crate::tokenizer::Tokenizer;
use crate::{config, hparams};
use ggml_ext::DType;
use ggml_ext::FileType;
use gpt4roi_models::names::{hf, tower::Layout};
use gpt4roi_models::{Checkpoint, Part, TensorSpec, Value, keys, llm_specs, mmproj_specs};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Version of ggml's quantisation formats that the linked library writes.
const QUANTIZATION_VERSION: u32 = 2;

/// What to convert, and into what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the language checkpoint, or of the delta if there is a base.
    pub checkpoint: PathBuf,
    /// Directory of the vision tower, CLIP or DINOv2.
    pub clip: PathBuf,
    /// Directory of the base language model.
    pub base: Option<PathBuf>,
    /// Directory that receives the files.
    pub out: PathBuf,
    /// Name of the model; the checkpoint directory's if absent.
    pub name: Option<String>,
    /// Type of the language model.
    pub llm: FileType,
    /// Type of the vision tower and the image projector.
    pub vision: FileType,
    /// Type of the region extractor.
    pub region: FileType,
}

/// A checked conversion.
pub struct Plan {
    /// Name of the model.
    pub name: String,
    /// The language model file.
    pub llm: FilePlan,
    /// The mmproj file.
    pub mmproj: FilePlan,
    pub(crate) language: Box<dyn Tensors>,
    pub(crate) clip: Directory,
    pub(crate) generated: Generated,
}

/// One file of a conversion.
pub struct FilePlan {
    /// Where it goes.
    pub path: PathBuf,
    /// Its keys.
    pub keys: Vec<(String, Value)>,
    /// Its tensors, in file order.
    pub tensors: Vec<TensorPlan>,
}

/// One tensor of a conversion.
#[derive(Clone, Debug)]
pub struct TensorPlan {
    /// What it is.
    pub spec: TensorSpec,
    /// The file that holds it.
    pub source: PathBuf,
    /// Its type there (of the sum, if a base is added).
    pub source_type: DType,
    /// Its type in the new file.
    pub dtype: DType,
    /// The type that the mix asks for; differs from `dtype` if the shape cannot hold it.
    pub wanted: DType,
}

impl TensorPlan {
    /// Bytes in the new file.
    pub fn n_bytes(&self) -> u64 {
        let row = self.dtype.row_size(self.spec.n_per_row() as usize).unwrap_or(0) as u64;
        row * (self.spec.n_elements() / self.spec.n_per_row())
    }

    /// Bytes in the source.
    pub fn source_bytes(&self) -> u64 {
        self.spec.n_elements() * source::element_size(self.source_type) as u64
    }

    /// Whether the tensor does not get the type that was asked for.
    pub fn fell_back(&self) -> bool {
        self.dtype != self.wanted
    }
}

impl FilePlan {
    /// Bytes of all tensors in the new file.
    pub fn n_bytes(&self) -> u64 {
        self.tensors.iter().map(TensorPlan::n_bytes).sum()
    }

    /// Bytes of all tensors in their sources.
    pub fn source_bytes(&self) -> u64 {
        self.tensors.iter().map(TensorPlan::source_bytes).sum()
    }
}

impl Plan {
    /// Opens the checkpoints, reads their small files, and checks every tensor's name, shape and
    /// type. Reads no weights and writes nothing.
    ///
    /// # Errors
    /// Whatever is wrong with the checkpoints.
    pub fn new(o: &Options) -> Result<Plan> {
        let language = open_language(&o.checkpoint, o.base.as_deref())?;
        let name = model_name(o)?;
        let clip = Directory::open(&o.clip)?;
        let c = config::language(&o.checkpoint)?;
        let llm = hparams::llm(&o.checkpoint, &name, &c)?;
        let tokenizer = Tokenizer::open(&o.checkpoint, llm.n_vocab)?;
        let special = tokenizer.special(&o.checkpoint)?;
        let mm = hparams::mmproj(&*language, &clip, &c, &name, special.clone())?;

        let mut llm_keys = llm.to_kv();
        llm_keys.extend(file_keys(o.llm));
        llm_keys.extend(tokenizer.to_kv(&o.checkpoint, &special)?);
        let mut mm_keys = mm.to_kv();
        mm_keys.extend(file_keys(o.vision));

        let generated = Generated(mm.region.n_embd_out);
        let sources: [&dyn Tensors; 3] = [&*language, &clip, &generated];
        let tensors = |specs: Vec<TensorSpec>, n_layer| {
            specs
                .into_iter()
                .map(|s| tensor_plan(sources, s, o, n_layer))
                .collect::<Result<Vec<_>>>()
        };
        let llm_tensors = tensors(llm_specs(&llm), llm.n_layer)?;
        let mm_tensors = tensors(mmproj_specs(&mm), mm.vision.n_layer)?;
        let both: [&dyn Tensors; 2] = [&*language, &clip];
        let layout = Layout::of(&mm.vision);
        refuse_unknown(both, layout, llm_tensors.iter().chain(&mm_tensors).map(|t| &t.spec))?;

        let file = |name: String| o.out.join(name + ".gguf");
        Ok(Plan {
            llm: FilePlan {
                path: file(format!("{name}-{}", o.llm.label())),
                keys: llm_keys,
                tensors: llm_tensors,
            },
            mmproj: FilePlan {
                path: file(format!("mmproj-{name}-{}", o.vision.label())),
                keys: mm_keys,
                tensors: mm_tensors,
            },
            name,
            language,
            clip,
            generated,
        })
    }

    /// Gives both files names that tell them from a model with weights.
    pub fn rename_outlines(&mut self) {
        for file in [&mut self.llm, &mut self.mmproj] {
            file.path.set_extension("outline.gguf");
        }
    }

    /// Both files.
    pub fn files(&self) -> [&FilePlan; 2] {
        [&self.llm, &self.mmproj]
    }

    /// Where the tensors of a checkpoint come from.
    pub(crate) fn tensors(&self, checkpoint: Checkpoint) -> &dyn Tensors {
        match checkpoint {
            Checkpoint::Language => &*self.language,
            Checkpoint::Clip => &self.clip,
            Checkpoint::Generated => &self.generated,
        }
    }
}

fn open_language(checkpoint: &Path, base: Option<&Path>) -> Result<Box<dyn Tensors>> {
    let directory = Directory::open(checkpoint)?;
    Ok(match base {
        None => Box::new(directory),
        Some(base) => Box::new(Merge::new(directory, Directory::open(base)?)?),
    })
}

/// The model's name, fit for a file name.
fn model_name(o: &Options) -> Result<String> {
    let from_dir = || {
        let dir = o.checkpoint.canonicalize().ok()?;
        Some(dir.file_name()?.to_str()?.to_owned())
    };
    let name = o.name.clone().or_else(from_dir).unwrap_or_default();
    if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
        return Err(Error::malformed(
            &o.checkpoint,
            format!(
                "`{name}` cannot name a model: give \
            one with --name"
            ),
        ));
    }
    Ok(name)
}

fn file_keys(t: FileType) -> Vec<(String, Value)> {
    vec![
        (keys::FILE_TYPE.to_owned(), Value::U32(t.number())),
        (keys::QUANTIZATION_VERSION.to_owned(), Value::U32(QUANTIZATION_VERSION)),
    ]
}

fn tensor_plan(
    [language, clip, generated]: [&dyn Tensors; 3],
    spec: TensorSpec,
    o: &Options,
    n_layer: u32,
) -> Result<TensorPlan> {
    let from = match spec.source.checkpoint {
        Checkpoint::Language => language,
        Checkpoint::Clip => clip,
        Checkpoint::Generated => generated,
    };
    let (meta, source_type) = source::find(from, &spec.source)?;
    let file_type = match spec.part {
        Part::Llm => o.llm,
        Part::Vision => o.vision,
        Part::Region => o.region,
    };
    let choice = mix::choose(&spec, file_type, n_layer);
    let (dtype, wanted) = (choice.dtype, choice.wanted);
    Ok(TensorPlan { spec, source: meta.path, source_type, dtype, wanted })
}

/// Fails if a checkpoint has a tensor that no spec takes and that is not known to be superfluous.
fn refuse_unknown<'a>(
    [language, clip]: [&dyn Tensors; 2],
    layout: &Layout,
    specs: impl Iterator<Item = &'a TensorSpec>,
) -> Result<()> {
    let taken: HashSet<_> = specs.map(|s| (s.source.checkpoint, s.source.name.as_str())).collect();
    for (checkpoint, tensors) in [(Checkpoint::Language, language), (Checkpoint::Clip, clip)] {
        let mut names = tensors.names();
        // One of several is named: always the same one.
        names.sort_unstable();
        for name in names {
            if !taken.contains(&(checkpoint, name)) && !is_superfluous(checkpoint, layout, name) {
                let path = tensors.meta(name).map_or(tensors.path().to_owned(), |m| m.path);
                return Err(Error::UnknownTensor { path, name: name.to_owned() });
            }
        }
    }
    Ok(())
}

/// Tensors that published checkpoints hold and the model never uses.
fn is_superfluous(checkpoint: Checkpoint, layout: &Layout, name: &str) -> bool {
    match checkpoint {
        Checkpoint::Generated => false,
        Checkpoint::Language => name.ends_with(hf::ROTARY_SUFFIX),
        Checkpoint::Clip => layout.ignores(name),
    }
}

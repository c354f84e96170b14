//! Checkpoints to convert, and ways to spoil them.

use ggml_ext::gguf::Gguf;
use gpt4roi_convert::{Error, FileType, Options, Plan, Quiet, synth};
use gpt4roi_models::Preset;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory with a synthetic tiny model and a place for what is made of it.
pub struct Tiny {
    dir: TempDir,
}

impl Tiny {
    pub fn new() -> Tiny {
        Tiny::of(Preset::Tiny)
    }

    /// The same of another preset.
    pub fn of(preset: Preset) -> Tiny {
        let dir = TempDir::new().unwrap();
        synth::write(preset, Some(1), dir.path(), &Quiet::default()).unwrap();
        Tiny { dir }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn checkpoint(&self) -> PathBuf {
        synth::directories(self.path())[0].clone()
    }

    pub fn clip(&self) -> PathBuf {
        synth::directories(self.path())[1].clone()
    }

    pub fn out(&self) -> PathBuf {
        self.path().join("out")
    }

    /// Options that give every part the type `t`.
    pub fn options(&self, t: FileType) -> Options {
        options(&self.checkpoint(), &self.clip(), None, &self.out(), t)
    }

    /// Why the checkpoint cannot be converted; checks that nothing was written.
    pub fn refusal(&self) -> String {
        let got = convert(&self.options(FileType::Q8_0));
        let message = got.expect_err("a spoilt checkpoint was converted").to_string();
        assert_eq!(names(&self.out()), Vec::<String>::new(), "{message}");
        message
    }

    /// Changes the language checkpoint's weights.
    pub fn edit_weights(&self, edit: impl FnOnce(&mut Weights)) {
        edit_weights(&self.checkpoint(), edit);
    }

    /// Changes the vision tower's weights.
    pub fn edit_tower(&self, edit: impl FnOnce(&mut Weights)) {
        edit_weights(&self.clip(), edit);
    }

    /// Changes a JSON file of the language checkpoint.
    pub fn edit_json(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        edit_json(&self.checkpoint().join(name), edit);
    }
}

fn edit_weights(dir: &Path, edit: impl FnOnce(&mut Weights)) {
    let path = dir.join("model.safetensors");
    let mut weights = Weights::read(&path);
    edit(&mut weights);
    weights.write(&path);
}

pub fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

pub fn options(
    checkpoint: &Path,
    clip: &Path,
    base: Option<&Path>,
    out: &Path,
    t: FileType,
) -> Options {
    Options {
        checkpoint: checkpoint.into(),
        clip: clip.into(),
        base: base.map(Into::into),
        out: out.into(),
        name: Some("m".into()),
        llm: t,
        vision: t,
        region: t,
    }
}

/// Converts, and opens both files: language model, mmproj.
pub fn convert(o: &Options) -> Result<[Gguf; 2], Error> {
    let plan = Plan::new(o)?;
    plan.run(2, &Quiet::default())?;
    Ok(plan.files().map(|f| Gguf::open(&f.path).unwrap()))
}

/// Names in a directory, sorted; none if there is no directory.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A safetensors file in memory: name, type, shape, data.
pub struct Weights(pub Vec<(String, String, Vec<u64>, Vec<u8>)>);

impl Weights {
    pub fn read(path: &Path) -> Weights {
        let bytes = std::fs::read(path).unwrap();
        // The format's own library, so that our reader is not tested against itself.
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tensor = |(name, t): (String, safetensors::tensor::TensorView)| {
            let shape = t.shape().iter().map(|&n| n as u64).collect();
            (name, t.dtype().to_string(), shape, t.data().to_vec())
        };
        Weights(file.tensors().into_iter().map(tensor).collect())
    }

    pub fn write(&self, path: &Path) {
        let (mut header, mut data) = (Map::new(), Vec::<u8>::new());
        for (name, dtype, shape, bytes) in &self.0 {
            let at = [data.len(), data.len() + bytes.len()];
            header
                .insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": at}));
            data.extend(bytes);
        }
        let header = Value::Object(header).to_string();
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend(header.bytes());
        out.extend(data);
        std::fs::write(path, out).unwrap();
    }

    pub fn get(&mut self, name: &str) -> &mut (String, String, Vec<u64>, Vec<u8>) {
        self.0.iter_mut().find(|t| t.0 == name).unwrap()
    }
}

/// Where the golden checkpoints are; prints that a test is skipped if they are not there.
pub fn goldens() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/goldens");
    let dir = std::env::var_os("GPT4ROI_GOLDENS").map_or(default, PathBuf::from);
    let found = dir.join("README.md").is_file();
    if !found {
        eprintln!("skipped: no golden checkpoints in {} (GPT4ROI_GOLDENS)", dir.display());
    }
    found.then_some(dir)
}

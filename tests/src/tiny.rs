//! The `tiny` preset, synthesised and converted once for each run of the tests.

use crate::{Pair, scratch};
use gpt4roi_convert::{FileType, Options, Plan, Quiet, synth};
use gpt4roi_models::Preset;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use tempfile::TempDir;

/// Files of the tiny model with matrices of one type.
///
/// # Panics
/// If it cannot be made.
pub fn tiny(t: FileType) -> Pair {
    static DONE: Mutex<Vec<(FileType, Pair)>> = Mutex::new(Vec::new());
    let mut done = DONE.lock().unwrap_or_else(|e| e.into_inner());
    if let Some((_, pair)) = done.iter().find(|(known, _)| *known == t) {
        return pair.clone();
    }
    let root = checkpoints();
    let [checkpoint, clip] = synth::directories(&root);
    let pair = convert(&options(&checkpoint, &clip, None, "tiny", t));
    done.push((t, pair.clone()));
    pair
}

/// A folder with the tiny model's two checkpoints, for this run of the tests.
///
/// # Panics
/// If it cannot be made.
pub fn checkpoints() -> PathBuf {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    let root = ROOT.get_or_init(|| {
        let root = scratch().join("tiny");
        let fresh = TempDir::new_in(scratch()).expect("a folder");
        synth::write(Preset::Tiny, Some(1), fresh.path(), &Quiet::default()).expect("a checkpoint");
        // Same seed, same files: a folder that another run left or is using is as good.
        if std::fs::rename(fresh.path(), &root).is_ok() {
            let _ = fresh.keep();
        }
        root
    });
    root.clone()
}

/// Options that convert into this suite's scratch folder.
pub fn options(
    checkpoint: &Path,
    clip: &Path,
    base: Option<&Path>,
    name: &str,
    t: FileType,
) -> Options {
    Options {
        checkpoint: checkpoint.into(),
        clip: clip.into(),
        base: base.map(Into::into),
        out: scratch(),
        name: Some(name.into()),
        llm: t,
        vision: t,
        region: t,
    }
}

/// Converts with the library.
///
/// # Panics
/// If that fails.
pub fn convert(options: &Options) -> Pair {
    let plan = Plan::new(options).unwrap_or_else(|e| panic!("{e}"));
    plan.run(2, &Quiet::default()).unwrap_or_else(|e| panic!("{e}"));
    let [model, mmproj] = plan.files().map(|f| f.path.clone());
    Pair { model, mmproj }
}

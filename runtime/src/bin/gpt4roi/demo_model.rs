//! Where the demo model is: the two files that are used when none are named.

use crate::setup::Usage;
use anyhow::{Context, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Environment variable with the folder of the demo model; no other is looked at if it is set.
const VARIABLE: &str = "GPT4ROI_DEMO_DIR";
/// What the language model's name begins with.
const MODEL: &str = "gpt4roi-demo-";
/// What the mmproj file's name begins with.
const MMPROJ: &str = "mmproj-gpt4roi-demo-";
/// What both end in.
const ENDING: &str = ".gguf";

/// The two files of a model.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) model: PathBuf,
    pub(crate) mmproj: PathBuf,
}

/// The files that the command line names, or the demo model's, which standard error then says.
pub(crate) fn choose(model: Option<&Path>, mmproj: Option<&Path>) -> anyhow::Result<Files> {
    match (model, mmproj) {
        (Some(model), Some(mmproj)) => Ok(Files { model: model.into(), mmproj: mmproj.into() }),
        (None, None) => {
            let (dir, files) = find(&places())?;
            eprintln!("gpt4roi: using the demo model in {}", dir.display());
            Ok(files)
        }
        _ => {
            let message =
                "--model and --mmproj are one model's: give both, or none for the demo model";
            Err(Usage(message.into()).into())
        }
    }
}

/// The folder of the demo model.
pub(crate) fn dir() -> anyhow::Result<PathBuf> {
    Ok(find(&places())?.0)
}

/// Folders that may hold it, the first that does wins.
fn places() -> Vec<PathBuf> {
    if let Some(dir) = std::env::var_os(VARIABLE).filter(|d| !d.is_empty()) {
        return vec![dir.into()];
    }
    let exe = std::env::current_exe().and_then(|exe| exe.canonicalize()).ok();
    let prefix = exe.as_deref().and_then(Path::parent).and_then(Path::parent);
    let installed = prefix.map(|p| p.join("share/gpt4roi/demo"));
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|root| root.join("models/demo"));
    installed.into_iter().chain(tree).collect()
}

fn find(places: &[PathBuf]) -> anyhow::Result<(PathBuf, Files)> {
    for dir in places {
        if let Some(files) = pair_in(dir)? {
            return Ok((dir.clone(), files));
        }
    }
    let list: String = places.iter().map(|p| format!("\n  {}", p.display())).collect();
    bail!(
        "no demo model ({MODEL}*{ENDING} and {MMPROJ}*{ENDING}); looked in{list}\n\
         Set {VARIABLE} to its folder, or name a model of your own with --model and --mmproj."
    )
}

/// The pair in a folder; `None` if it has neither file.
fn pair_in(dir: &Path) -> anyhow::Result<Option<Files>> {
    let names = match std::fs::read_dir(dir) {
        Ok(entries) => entries.map(|e| Ok(e?.file_name())).collect::<std::io::Result<Vec<_>>>(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => Err(e),
    };
    let names = names.with_context(|| format!("cannot look into {}", dir.display()))?;
    let matching = |start: &str| -> Vec<&OsStr> {
        let fits = |n: &str| n.starts_with(start) && n.ends_with(ENDING);
        names.iter().map(AsRef::as_ref).filter(|n: &&OsStr| n.to_str().is_some_and(fits)).collect()
    };
    match (matching(MODEL).as_slice(), matching(MMPROJ).as_slice()) {
        ([], []) => Ok(None),
        ([model], [mmproj]) => Ok(Some(Files { model: dir.join(model), mmproj: dir.join(mmproj) })),
        (models, mmprojs) => {
            let list = [models, mmprojs].concat().join(OsStr::new(", "));
            bail!(
                "{} must hold one {MODEL}*{ENDING} and one {MMPROJ}*{ENDING}; it holds {}",
                dir.display(),
                list.display()
            )
        }
    }
}

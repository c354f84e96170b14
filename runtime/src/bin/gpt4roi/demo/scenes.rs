//! The scenes that come with the demo model, and fresh ones.

use super::compose::{Composed, OBJECTS, compose};
use super::sprites::Sprites;
use anyhow::{Context, ensure};
use gpt4roi::{PixelBox, RgbImage8, load_image};
use serde::Deserialize;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::{Component, Path, PathBuf};

/// Folder of the scenes, beside the demo model.
const FOLDER: &str = "scenes";
/// File in it that lists them.
const INDEX: &str = "scenes.json";
/// Word that stands for any number.
const RANDOM: &str = "random";

/// A picture with boxes.
pub(crate) struct Scene {
    /// Its name, or the number that it was composed from.
    pub(crate) name: String,
    /// Where its picture is, if there is a file.
    pub(crate) path: Option<PathBuf>,
    /// Its picture.
    pub(crate) image: RgbImage8,
    /// Its boxes.
    pub(crate) boxes: Vec<PixelBox>,
    /// What the boxes show; empty if that is not known.
    pub(crate) labels: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    scenes: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    image: String,
    boxes: Vec<[f64; 4]>,
    #[serde(default)]
    labels: Vec<String>,
}

/// The scene that `wanted` chooses by its name, by a number to compose one from, or by `random`,
/// which standard error then says the number of; the first of the list without.
pub(crate) fn load(model_dir: &Path, wanted: Option<&str>) -> anyhow::Result<Scene> {
    let folder = model_dir.join(FOLDER);
    match wanted.map(|w| (w, w.parse::<u32>())) {
        Some((RANDOM, _)) => {
            // The keys of hash maps are random; a crate for one number would be too much.
            let seed = RandomState::new().hash_one(0) as u32;
            let scene = fresh(&folder, seed)?;
            eprintln!("gpt4roi: scene {seed}; --scene {seed} composes it again");
            Ok(scene)
        }
        Some((_, Ok(seed))) => fresh(&folder, seed),
        _ => bundled(&folder.join(INDEX), wanted),
    }
}

/// Composes the scene of a number.
fn fresh(folder: &Path, seed: u32) -> anyhow::Result<Scene> {
    let compose = || compose(&Sprites::load(folder, OBJECTS)?, seed);
    let Composed { image, boxes, labels } = compose().with_context(|| {
        let names = read(&folder.join(INDEX)).map(|index| format!(" {}", index.names().join(", ")));
        let names = names.unwrap_or_default();
        format!("cannot compose scene {seed}; choose one by name instead, --scene NAME:{names}")
    })?;
    Ok(Scene { name: seed.to_string(), path: None, image, boxes, labels })
}

/// Reads a scene that is in the list.
fn bundled(index_path: &Path, wanted: Option<&str>) -> anyhow::Result<Scene> {
    let mut index = read(index_path)?;
    let all = index.names();
    if all.len() > 1 {
        tracing::info!("scenes: {}", all.join(", "));
    }
    let chosen = choose(&all, wanted)?;
    let Entry { name, image, boxes, labels } = index.scenes.swap_remove(chosen);
    let path = index_path.with_file_name(image);
    let image = load_image(&path).map_err(gpt4roi::Error::from)?;
    let boxes = boxes.into_iter().map(|[x1, y1, x2, y2]| PixelBox::new(x1, y1, x2, y2)).collect();
    Ok(Scene { name, path: Some(path), image, boxes, labels })
}

impl Index {
    fn names(&self) -> Vec<String> {
        self.scenes.iter().map(|s| s.name.clone()).collect()
    }
}

/// Reads the list and refuses what cannot be meant.
fn read(path: &Path) -> anyhow::Result<Index> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("no scenes at `{shown}`: give --image FILE and --box LEFT,TOP,RIGHT,BOTTOM instead")
    })?;
    let index: Index = serde_json::from_str(&text)
        .with_context(|| format!("`{shown}` is not a list of scenes"))?;
    ensure!(!index.scenes.is_empty(), "`{shown}` lists no scene");
    for Entry { name, image, boxes, labels } in &index.scenes {
        ensure!(!boxes.is_empty(), "`{shown}`: scene `{name}` has no boxes");
        let (n, m) = (boxes.len(), labels.len());
        ensure!(m == 0 || n == m, "`{shown}`: scene `{name}` has {n} boxes but {m} labels");
        let mut parts = Path::new(image).components();
        let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
        ensure!(plain, "`{shown}`: scene `{name}`: `{image}` is not the name of a file beside it");
    }
    Ok(index)
}

/// Place of the scene that is wanted.
fn choose(all: &[String], wanted: Option<&str>) -> anyhow::Result<usize> {
    let Some(wanted) = wanted else {
        return Ok(0);
    };
    let found = all.iter().position(|name| name == wanted);
    found.with_context(|| {
        let (all, last) = (all.join(", "), u32::MAX);
        format!(
            "no scene `{wanted}`: choose one of {all}, a number from 0 to {last} for a fresh one, \
             or {RANDOM} for any number"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn scenes_are_chosen_by_name() {
        let all = ["desk", "yard", "kitchen"].map(String::from);
        let chosen = |wanted| choose(&all, wanted).map_err(|e| e.to_string());
        assert_eq!(chosen(None), Ok(0));
        assert_eq!(chosen(Some("desk")), Ok(0));
        assert_eq!(chosen(Some("kitchen")), Ok(2));
        for bad in ["-1", "1.5", "4294967296", "garden", ""] {
            let message = chosen(Some(bad)).unwrap_err();
            assert!(message.contains("desk, yard, kitchen"), "{message}");
            assert!(message.contains("random"), "{message}");
        }
    }
}

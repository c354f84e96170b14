//! The scenes that come with the demo model.

use anyhow::{Context, bail, ensure};
use gpt4roi::{PixelBox, RgbImage8, load_image};
use serde::Deserialize;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::{Component, Path, PathBuf};

/// Folder of the scenes, beside the demo model.
const FOLDER: &str = "scenes";
/// File in it that lists them.
const INDEX: &str = "scenes.json";
/// Name that chooses any of them.
const RANDOM: &str = "random";

/// A picture with boxes.
pub(crate) struct Scene {
    /// Its name.
    pub(crate) name: String,
    /// Names of all scenes.
    pub(crate) all: Vec<String>,
    /// Where its picture is.
    pub(crate) path: PathBuf,
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

/// Loads the scene that `wanted` chooses by name, number from 1, or `random`; the first without.
pub(crate) fn load(model_dir: &Path, wanted: Option<&str>) -> anyhow::Result<Scene> {
    let index_path = model_dir.join(FOLDER).join(INDEX);
    let Index { mut scenes } = read(&index_path)?;
    let all: Vec<String> = scenes.iter().map(|s| s.name.clone()).collect();
    let chosen = choose(&all, wanted)?;
    let Entry { name, image, boxes, labels } = scenes.swap_remove(chosen);
    let path = index_path.with_file_name(image);
    let image = load_image(&path).map_err(gpt4roi::Error::from)?;
    let boxes = boxes.into_iter().map(|[x1, y1, x2, y2]| PixelBox::new(x1, y1, x2, y2)).collect();
    Ok(Scene { name, all, path, image, boxes, labels })
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
    if let Some(i) = all.iter().position(|name| name == wanted) {
        return Ok(i);
    }
    if wanted == RANDOM {
        // The keys of hash maps are random; a crate for one number would be too much.
        return Ok((RandomState::new().hash_one(0) % all.len() as u64) as usize);
    }
    match wanted.parse::<usize>() {
        Ok(n) if (1..=all.len()).contains(&n) => Ok(n - 1),
        _ => bail!(
            "no scene `{wanted}`: choose {RANDOM}, a number from 1 to {}, or one of {}",
            all.len(),
            all.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn scenes_are_chosen_by_name_number_or_chance() {
        let all = ["desk", "2", "kitchen"].map(String::from);
        let chosen = |wanted| choose(&all, wanted).map_err(|e| e.to_string());
        assert_eq!(chosen(None), Ok(0));
        assert_eq!(chosen(Some("kitchen")), Ok(2));
        assert_eq!(chosen(Some("1")), Ok(0));
        assert_eq!(chosen(Some("2")), Ok(1));
        assert_eq!(chosen(Some("3")), Ok(2));
        let mut seen = [false; 3];
        (0..200).for_each(|_| seen[chosen(Some("random")).unwrap()] = true);
        assert_eq!(seen, [true; 3]);
        for bad in ["0", "4", "-1", "garden", ""] {
            let message = chosen(Some(bad)).unwrap_err();
            assert!(message.contains("desk, 2, kitchen"), "{message}");
        }
    }
}

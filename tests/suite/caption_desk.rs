//! A model, a data set and a place for outputs of `gpt4roi caption`.

use gpt4roi_tests::pictures::png;
use gpt4roi_tests::programs::{Run, run};
use gpt4roi_tests::small::Small;
use gpt4roi_tests::{Pair, scratch};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// Image sides: small, so that starting the program takes most of the time.
pub(crate) const SIZE: (u32, u32) = (64, 48);

/// A model, a set of pictures, and a place for outputs.
pub(crate) struct Desk {
    pub(crate) pair: Pair,
    dir: TempDir,
}

impl Desk {
    /// `n` pictures with 0 to 3 boxes each, as COCO writes them.
    pub(crate) fn new(n: usize) -> Desk {
        let desk = Desk {
            pair: Small::talking_pair(),
            dir: TempDir::new_in(scratch()).expect("a folder"),
        };
        let (mut images, mut annotations) = (Vec::new(), Vec::new());
        for i in 0..n {
            let name = format!("{i:03}.png");
            desk.file(&name, &png(SIZE.0, SIZE.1, i as u32));
            images.push(json!({ "id": 1000 + i, "file_name": name }));
            for k in 0..(i + 1) % 4 {
                let (id, bbox) = (annotations.len() + 1, [k * 9, i % 20, 20 + k, 25]);
                annotations.push(json!({
                    "id": id, "image_id": 1000 + i, "category_id": 3, "bbox": bbox,
                }));
            }
        }
        let set = json!({
            "images": images, "annotations": annotations,
            "categories": [{ "id": 3, "name": "cup" }],
        });
        desk.file("set.json", set.to_string().as_bytes());
        desk
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.at(name).to_str().expect("a UTF-8 path").to_owned()
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Arguments for answers that depend on everything, and short.
    pub(crate) fn args(&self, more: &[&str]) -> Vec<String> {
        let pair = [&self.pair.model, &self.pair.mmproj].map(|p| p.to_str().expect("UTF-8"));
        let mut args: Vec<String> = ["caption", "--model", pair[0], "--mmproj", pair[1]]
            .into_iter()
            .chain(["--temperature=1", "--top-k=0", "--seed=7", "--threads=1", "--kv-type=f32"])
            .map(String::from)
            .collect();
        if !more.iter().any(|m| m.starts_with("--max-tokens")) {
            args.push("--max-tokens=6".into());
        }
        args.extend(more.iter().map(|m| (*m).to_owned()));
        args
    }

    pub(crate) fn caption(&self, more: &[&str]) -> Run {
        run("gpt4roi", &self.args(more))
    }

    /// Captions the COCO file into an output.
    pub(crate) fn fill(&self, output: &str, more: &[&str]) -> Run {
        let paths = [format!("--input={}", self.path("set.json")), self.output(output)];
        let args: Vec<&str> =
            paths.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.caption(&args)
    }

    pub(crate) fn output(&self, name: &str) -> String {
        format!("--output={}", self.path(name))
    }
}

/// Lines without their times.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    let parse = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        line.as_object_mut().expect("an object").remove("timings_ms");
        line
    };
    text.lines().map(parse).collect()
}

//! `gpt4roi-convert` as a person meets it: every failure names its cause and leaves nothing behind.

use gpt4roi_tests::pictures::png;
use gpt4roi_tests::programs::{Run, run};
use gpt4roi_tests::{scratch, tiny};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A copy of the tiny model's checkpoints that may be spoilt.
struct Copy(TempDir);

impl Copy {
    fn new() -> Copy {
        let dir = TempDir::new_in(scratch()).expect("a folder");
        for part in ["checkpoint", "clip"] {
            let (from, to) = (tiny::checkpoints().join(part), dir.path().join(part));
            std::fs::create_dir(&to).expect("a folder");
            for file in std::fs::read_dir(from).expect("a checkpoint") {
                let file = file.expect("an entry");
                std::fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
            }
        }
        Copy(dir)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("checkpoint").join(name)
    }

    fn out(&self) -> PathBuf {
        self.0.path().join("out")
    }

    fn args(&self, more: &[&str]) -> Vec<String> {
        let text = |p: &Path| p.to_str().expect("a UTF-8 path").to_owned();
        let (checkpoint, clip) = (self.0.path().join("checkpoint"), self.0.path().join("clip"));
        let mut args = vec!["convert".to_owned(), text(&checkpoint), "--clip".into(), text(&clip)];
        args.extend(["--out".into(), text(&self.out()), "--name=m".into(), "--llm=f16".into()]);
        args.extend(more.iter().map(|a| (*a).to_owned()));
        args
    }

    fn convert(&self) -> Run {
        run("gpt4roi-convert", &self.args(&[]))
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.out()) else { return Vec::new() };
        let name = |e: std::io::Result<std::fs::DirEntry>| e.expect("an entry").file_name();
        let mut names: Vec<_> = entries.map(|e| name(e).into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    /// The header of the weights, changed.
    fn edit_header(&self, edit: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>)) {
        let path = self.file("model.safetensors");
        let bytes = std::fs::read(&path).expect("weights");
        let (length, rest) = bytes.split_at(8);
        let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
        let (header, data) = rest.split_at(length);
        let mut header = serde_json::from_slice(header).expect("a header");
        edit(&mut header);
        let header = serde_json::Value::Object(header).to_string();
        let out = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat();
        std::fs::write(&path, out).expect("weights");
    }
}

/// A way to spoil a checkpoint, and what the message must mention.
type Case = (fn(&Copy), &'static [&'static str]);

const UP_PROJ: &str = "model.layers.1.mlp.up_proj.weight";

const CASES: [Case; 7] = [
    (
        |c| {
            let index = r#"{"weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}"#;
            std::fs::write(c.file("model.safetensors.index.json"), index).expect("an index");
        },
        &["model-00002-of-00002.safetensors"],
    ),
    (
        |c| {
            let weights = std::fs::OpenOptions::new().write(true).open(c.file("model.safetensors"));
            weights.and_then(|f| f.set_len(500_000)).expect("a shorter file");
        },
        &["model.safetensors", "truncated"],
    ),
    (
        |c| c.edit_header(|h| h[UP_PROJ]["shape"].as_array_mut().expect("a shape").reverse()),
        &["model.safetensors", UP_PROJ],
    ),
    (
        |c| {
            c.edit_header(|h| {
                let t = h.remove(UP_PROJ).expect("a tensor");
                h.insert("model.layers.1.mlp.sideways.weight".into(), t);
            });
        },
        &[UP_PROJ, "missing"],
    ),
    (
        |c| {
            c.edit_header(|h| {
                let mut t = h[UP_PROJ].clone();
                let end = t["data_offsets"][1].clone();
                t["data_offsets"] = serde_json::json!([end, end]);
                t["shape"] = serde_json::json!([0]);
                h.insert("model.surprise".into(), t);
            });
        },
        &["model.surprise"],
    ),
    (|c| std::fs::remove_file(c.file("tokenizer.model")).expect("a file"), &["tokenizer.model"]),
    (|c| std::fs::remove_file(c.file("config.json")).expect("a file"), &["config.json"]),
];

#[test]
fn spoilt_checkpoints_exit_with_1_and_leave_nothing() {
    for (spoil, parts) in CASES {
        let copy = Copy::new();
        spoil(&copy);
        let run = copy.convert().exits(1).says(parts);
        assert_eq!(copy.names(), Vec::<String>::new(), "{run:?}");
    }
}

/// All commands of both programs, with the types that people get by default.
#[test]
fn from_a_checkpoint_to_an_answer() {
    let copy = Copy::new();
    let text = |p: PathBuf| p.to_str().expect("a UTF-8 path").to_owned();
    let mut args = copy.args(&[]);
    args.retain(|a| a != "--llm=f16");
    run("gpt4roi-convert", &args).exits(0);
    assert_eq!(copy.names(), ["m-Q4_K_M.gguf", "mmproj-m-F16.gguf"]);
    let files: Vec<String> = copy.names().iter().map(|n| text(copy.out().join(n))).collect();
    for file in &files {
        run("gpt4roi-convert", &["inspect", file]).exits(0);
        let [checkpoint, clip] = ["checkpoint", "clip"].map(|d| text(copy.0.path().join(d)));
        let verify = ["verify", file, "--checkpoint", &checkpoint, "--clip", &clip];
        run("gpt4roi-convert", &verify).exits(0);
    }
    let photo = copy.0.path().join("photo.png");
    std::fs::write(&photo, png(90, 120, 1)).expect("a picture");
    let (model, mmproj) = (&files[0], &files[1]);
    let ask = ["ask", "--model", model, "--mmproj", mmproj, "--image", &text(photo)];
    let rest = ["--box=1,2,50,60", "--greedy", "--max-tokens=8", "--threads=1", "<region1>?"];
    let answer = run("gpt4roi", &[&ask[..], &rest].concat()).exits(0);
    assert!(answer.out.trim().len() > 1, "{answer:?}");
}

#[test]
fn a_failure_keeps_what_was_there() {
    let copy = Copy::new();
    copy.convert().exits(0);
    let names = ["m-F16.gguf", "mmproj-m-F16.gguf"];
    assert_eq!(copy.names(), names);
    let read = || names.map(|n| std::fs::read(copy.out().join(n)).expect("a converted file"));
    let before = read();
    // The header is in order, so this fails while the weights are being converted.
    let path = copy.file("model.safetensors");
    let mut bytes = std::fs::read(&path).expect("weights");
    let end = bytes.len() - 4096;
    bytes[end..].fill(0xff);
    std::fs::write(&path, bytes).expect("weights");
    copy.convert().exits(1).says(&["not finite"]);
    assert_eq!(copy.names(), names);
    assert!(read() == before);
}

/// A limit on the size of files stands in for a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_keeps_what_was_there() {
    let copy = Copy::new();
    copy.convert().exits(0);
    let names = copy.names();
    let before = std::fs::read(copy.out().join(&names[1])).expect("a converted file");
    let program = gpt4roi_tests::programs::program("gpt4roi-convert");
    let script = "trap '' XFSZ; ulimit -f 600; exec \"$0\" \"$@\"";
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", script]).arg(program).args(copy.args(&[]));
    let run: Run = shell.output().expect("a shell").into();
    run.exits(1);
    assert_eq!(copy.names(), names);
    assert!(std::fs::read(copy.out().join(&names[1])).expect("a converted file") == before);
}

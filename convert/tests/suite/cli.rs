//! The program as a user meets it: exit codes, output, files.

use crate::fixtures::{Tiny, names};
use std::path::Path;
use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gpt4roi-convert")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn convert(tiny: &Tiny, more: &[&str]) -> Output {
    let (checkpoint, clip, out) = (tiny.checkpoint(), tiny.clip(), tiny.out());
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let (checkpoint, clip, out) = (path(&checkpoint), path(&clip), path(&out));
    let mut args = vec!["convert", &checkpoint, "--clip", &clip, "--out", &out];
    args.extend(more);
    run(&args)
}

#[test]
fn usage_errors_exit_with_2_and_questions_with_0() {
    for args in
        [&[][..], &["frobnicate"], &["convert", "x"], &["inspect"], &["synth", "--preset=9b"]]
    {
        let out = run(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}");
        assert!(out.stdout.is_empty() && text(&out.stderr).contains("--help"));
    }
    for args in [&["--help"][..], &["convert", "--help"], &["--version"], &["verify", "--help"]] {
        let out = run(args);
        assert_eq!(out.status.code(), Some(0), "{args:?}");
        assert!(!out.stdout.is_empty() && out.stderr.is_empty());
    }
    assert!(
        text(&run(&["convert", "--help"]).stdout).contains("gpt4roi-convert convert gpt4roi-7b")
    );
}

#[test]
fn a_dry_run_prints_tensors_and_writes_nothing() {
    let tiny = Tiny::new();
    let out = convert(&tiny, &["--dry-run", "--name=m"]);
    assert_eq!(out.status.code(), Some(0));
    let table = text(&out.stdout);
    assert!(table.contains("m-Q4_K_M.gguf") && table.contains("mmproj-m-F16.gguf"));
    let line = table.lines().find(|l| l.contains("blk.0.ffn_down.weight")).unwrap();
    assert!(line.contains("q5_0 (instead of q4_k)") && line.contains("[352, 128]"), "{line}");
    assert!(line.contains("model.layers.0.mlp.down_proj.weight"));
    assert!(!tiny.out().exists());
}

#[test]
fn convert_inspect_and_verify_speak_json() {
    let tiny = Tiny::new();
    let out = convert(&tiny, &["--name=m", "--llm=q8_0", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(report["files"].as_array().unwrap().len(), 2);
    assert_eq!(names(&tiny.out()), ["m-Q8_0.gguf", "mmproj-m-F16.gguf"]);
    let file = tiny.out().join("m-Q8_0.gguf");
    let file = file.to_str().unwrap();
    let seen: serde_json::Value =
        serde_json::from_slice(&run(&["inspect", file, "--json"]).stdout).unwrap();
    assert_eq!(seen["keys"]["llama.embedding_length"], 128);
    assert_eq!(seen["tensors"].as_array().unwrap().len(), 21);
    assert!(text(&run(&["inspect", file]).stdout).contains("output.weight"));
    let (checkpoint, clip) = (tiny.checkpoint(), tiny.clip());
    let verify = ["verify", file, "--json", "--checkpoint", checkpoint.to_str().unwrap(), "--clip"];
    let out = run(&[&verify[..], &[clip.to_str().unwrap()]].concat());
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(report["good"], true);
}

#[test]
fn failures_exit_with_1_and_say_why() {
    let tiny = Tiny::new();
    let out = run(&["inspect", "/no/such/file.gguf"]);
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(text(&out.stderr).matches("/no/such/file.gguf").count(), 1);
    assert_eq!(text(&out.stderr).matches("os error").count(), 1);
    std::fs::remove_file(tiny.checkpoint().join("tokenizer.model")).unwrap();
    let out = convert(&tiny, &[]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).starts_with("error: ") && out.stdout.is_empty());
    let out = run(&["synth", "--preset", "tiny", "--out", tiny.path().to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("exists already"));
}

/// A limit on the size of files stands in for a full disk: the write fails half-way.
#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    let tiny = Tiny::new();
    let program = env!("CARGO_BIN_EXE_gpt4roi-convert");
    // In blocks of 512 or 1024 bytes: in any case less than the mmproj file needs.
    let script = format!(
        "trap '' XFSZ; ulimit -f 600; exec '{program}' convert '{}' --clip '{}' --out '{}'",
        tiny.checkpoint().display(),
        tiny.clip().display(),
        tiny.out().display()
    );
    let out = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{}", text(&out.stderr));
    assert!(text(&out.stderr).contains("tensor `"), "{}", text(&out.stderr));
    assert_eq!(names(&tiny.out()), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_130_and_leaves_nothing() {
    let dir = tempfile::TempDir::new().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_gpt4roi-convert"))
        .args(["synth", "--preset", "7b", "--out", dir.path().to_str().unwrap()])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The handler is in place before the first file appears.
    let first = dir.path().join("checkpoint/config.json");
    let start = std::time::Instant::now();
    while !first.exists() && start.elapsed().as_secs() < 60 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

//! That Metal has every operation of the graphs, read from the source of the ggml that is linked: no Mac is needed to notice
//! that an update drops one.

use gpt4roi::EngineOptions;
use gpt4roi::placement::{Target, measure_image};
use gpt4roi_convert::FileType;
use gpt4roi_tests::tiny::tiny;
use gpt4roi_tests::{Pair, workspace};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// Where Metal says which operations it has, below llama.cpp's folder.
const SOURCE: &str = "ggml/src/ggml-metal/ggml-metal-device.m";
/// The function in it.
const FUNCTION: &str = "bool ggml_metal_device_supports_op(";
/// What llama.cpp builds a LLaMA's graph of, with and without flash attention (`src/models/llama.cpp`, `src/llama-graph.cpp`).
const LANGUAGE: [&str; 17] = [
    "ADD",
    "CONT",
    "CPY",
    "FLASH_ATTN_EXT",
    "GET_ROWS",
    "MUL",
    "MUL_MAT",
    "PERMUTE",
    "RESHAPE",
    "RMS_NORM",
    "ROPE",
    "SCALE",
    "SET_ROWS",
    "SOFT_MAX",
    "SWIGLU",
    "TRANSPOSE",
    "VIEW",
];

fn output(command: &mut Command) -> String {
    let out = command.current_dir(workspace()).output().expect("a program");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8")
}

/// The folder of the llama.cpp that is linked.
fn llama_cpp() -> PathBuf {
    let rustc = output(Command::new("rustc").arg("-vV"));
    let host = rustc.lines().find_map(|l| l.strip_prefix("host: ")).expect("a host");
    // Packages of other platforms than this one have not been fetched.
    let args =
        ["metadata", "--format-version=1", "--offline", "--locked", "--filter-platform", host];
    let metadata = output(Command::new(env!("CARGO")).args(args));
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let sys = packages.iter().find(|p| p["name"] == "llama-cpp-sys-2").expect("the bindings");
    let manifest = PathBuf::from(sys["manifest_path"].as_str().expect("a path"));
    manifest.parent().expect("a folder").join("llama.cpp")
}

/// Line of the function that names the operation, which may be one of a group.
fn line_of(source: &str, op: &str) -> Option<usize> {
    let cases = ["", "UNARY_", "GLU_"].map(|group| format!("case GGML_{group}OP_{op}:"));
    let lines = source.lines().enumerate().skip_while(|(_, l)| !l.starts_with(FUNCTION));
    let mut body = lines.take_while(|(_, line)| *line != "}");
    let names = |line: &str| cases.iter().any(|case| line.trim_start().starts_with(case));
    body.find(|(_, line)| names(line)).map(|(i, _)| i + 1)
}

fn demo(name: &str) -> PathBuf {
    workspace().join("models/demo").join(name)
}

/// Operations of the image side's graphs on GPUs.
fn image_side() -> BTreeSet<String> {
    let mut ops = BTreeSet::new();
    let dino = Pair {
        model: demo("gpt4roi-demo-Q8_0.gguf"),
        mmproj: demo("mmproj-gpt4roi-demo-Q8_0.gguf"),
    };
    for pair in [tiny(FileType::F32), tiny(FileType::F16), dino] {
        for low_memory in [false, true] {
            let options = EngineOptions { low_memory, ..pair.options() };
            let needs = measure_image(&options, Target::Gpu).expect("needs");
            ops.extend(needs.rehearsal.graphs.iter().flat_map(|g| &g.nodes).map(|n| n.op.clone()));
        }
    }
    ops
}

#[test]
fn metal_has_every_operation_and_the_table_says_where() {
    let path = llama_cpp().join(SOURCE);
    let source =
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let image = image_side();
    assert!(image.len() > 8, "{image:?}");
    let mut table = String::from(
        "| operation | image side | language model | line |\n| --- | --- | --- | --- |\n",
    );
    let all: BTreeSet<&str> = image.iter().map(String::as_str).chain(LANGUAGE).collect();
    for op in all {
        let line = line_of(&source, op).unwrap_or_else(|| panic!("Metal has no {op}"));
        let mark = |is: bool| if is { "x" } else { "" };
        let (image, language) = (mark(image.contains(op)), mark(LANGUAGE.contains(&op)));
        table += &format!("| {op} | {image} | {language} | {line} |\n");
    }
    let doc = workspace().join("docs/devices.md");
    let text = std::fs::read_to_string(&doc).unwrap_or_else(|e| panic!("{}: {e}", doc.display()));
    assert!(text.contains(&table), "{} should have this table:\n{table}", doc.display());
}

#[test]
fn operations_that_metal_lacks_are_noticed() {
    let source = std::fs::read_to_string(llama_cpp().join(SOURCE)).expect("the source");
    for op in ["CUSTOM", "MUL_MAT_OF_TOMORROW"] {
        assert_eq!(line_of(&source, op), None, "{op}");
    }
}

//! Rules about the sources themselves.

use gpt4roi_tests::workspace;
use std::path::{Path, PathBuf};

/// Rust sources below a folder of the workspace.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![workspace().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            // Unit tests in files of their own may name what they like.
            if path.ends_with("tests.rs") || path.ends_with("testing.rs") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// Code lines with their numbers: no comments, and nothing from the first `#[cfg(test)]` on.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = text.find("\n#[cfg(test)]").unwrap_or(text.len());
    let lines = text[..end].lines().enumerate();
    lines.filter(|(_, l)| !l.trim_start().starts_with("//")).map(|(i, l)| (i + 1, l))
}

/// Places in `folders` where a line of code is wrong.
fn offences(folders: &[&str], wrong: impl Fn(&Path, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in folders.iter().flat_map(|f| sources(f)) {
        let short = path.strip_prefix(workspace()).expect("below the workspace").to_owned();
        for (line, code) in code(&text).filter(|(_, l)| wrong(&short, l)) {
            found.push(format!("{}:{line}: {}", short.display(), code.trim()));
        }
    }
    found
}

#[track_caller]
fn none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn names_and_keys_are_written_in_models_only() {
    const PARTS: [&str; 18] = [
        "\"clip.",
        "\"llama.",
        "\"gpt4roi.",
        "tokenizer.ggml",
        "\"v.blk",
        "\"v.",
        "\"mm.",
        "\"r.",
        "\"blk.",
        "token_embd",
        "output_norm",
        "spi_module",
        "mlvl_fuse",
        "embed_tokens",
        "lm_head",
        "mm_projector",
        "vision_model",
        "self_attn",
    ];
    // A tracing target and a file name of the vendored library; ggml's own key for alignment is
    // in the reader of the format, which knows no model.
    let allowed = |line: &str| line.contains("\"llama.cpp") || line.contains("\"gpt4roi.\"");
    let folders = ["runtime/src", "convert/src", "ggml-ext/src"];
    let found = offences(&folders, |_, l| PARTS.iter().any(|p| l.contains(p)) && !allowed(l));
    none(&found, "keys and tensor names belong into the models crate");
}

#[test]
fn the_c_library_is_named_in_one_file() {
    let folders = ["runtime/src", "convert/src", "ggml-ext/src", "models/src", "tests/src"];
    let found = offences(&folders, |path, l| {
        l.contains("llama_cpp_sys_2") && path != Path::new("ggml-ext/src/sys.rs")
    });
    none(&found, "llama_cpp_sys_2 belongs into ggml-ext/src/sys.rs");
}

#[test]
fn unsafe_code_is_in_ggml_ext_only() {
    let is_unsafe = |l: &str| {
        let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
        words.iter().any(|w| l.contains(w)) && !l.contains('"')
    };
    let folders = ["runtime/src", "convert/src", "models/src", "tests/src", "tests/suite"];
    none(&offences(&folders, |_, l| is_unsafe(l)), "unsafe code belongs into ggml-ext");
    // Every block says why it is sound.
    for (path, text) in sources("ggml-ext/src") {
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate().filter(|(_, l)| l.contains("unsafe {")) {
            let argued = lines[i.saturating_sub(12)..i].iter().any(|l| l.contains("SAFETY:"));
            assert!(argued || line.contains("//"), "{}:{}: no SAFETY", path.display(), i + 1);
        }
    }
}

#[test]
fn no_stage_knows_a_later_one() {
    const STAGES: [&str; 6] = ["preprocess", "vision", "pyramid", "region", "prompt", "decode"];
    let mut found = Vec::new();
    for (i, stage) in STAGES.iter().enumerate() {
        let later = &STAGES[i + 1..];
        found.extend(offences(&[&format!("runtime/src/{stage}")], |_, line| {
            let forbidden = |s: &&str| {
                line.contains(&format!("crate::{s}::")) || line.contains(&format!("crate::{s};"))
            };
            let outer = ["crate::pipeline", "crate::engine", "crate::answer"];
            later.iter().any(forbidden) || outer.iter().any(|o| line.contains(&format!("{o}::")))
        }));
    }
    none(&found, "a stage imports a later one");
}

#[test]
fn the_programs_use_the_public_facade_only() {
    let found = offences(&["runtime/src/bin"], |_, l| {
        ["ggml_ext", "gpt4roi_models", "llama_cpp"].iter().any(|c| l.contains(c))
    });
    none(&found, "the command line uses the library's facade");
}

#[test]
fn files_stay_readable() {
    let folders =
        ["runtime/src", "convert/src", "ggml-ext/src", "models/src", "tests/src", "tests/suite"];
    let long = folders.iter().flat_map(|f| sources(f)).filter_map(|(path, text)| {
        let n = code(&text).count();
        (n > 400).then(|| format!("{}: {n} lines", path.display()))
    });
    none(&long.collect::<Vec<_>>(), "about one thing, about 300 lines");
}

//! What tests of the command line start from.

use gpt4roi_tests::pictures::png;
use gpt4roi_tests::programs::{Run, run, run_with_input};
use gpt4roi_tests::small::Small;
use gpt4roi_tests::{Pair, scratch};
use std::path::Path;
use tempfile::TempDir;

pub(crate) const BOX: &str = "--box=20,30,120,110";
pub(crate) const QUESTION: &str = "What is <region1> doing?";

/// A model, a picture of 200 by 150 pixels, and a place for more.
pub(crate) struct Desk {
    pub(crate) pair: Pair,
    pub(crate) dir: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        let dir = TempDir::new_in(scratch()).expect("a folder");
        std::fs::write(dir.path().join("photo.png"), png(200, 150, 1)).expect("a picture");
        Desk { pair: Small::talking_pair(), dir }
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        text(&path)
    }

    /// Arguments of a command with model, picture, and short answers that depend on everything.
    pub(crate) fn args(&self, command: &str, more: &[&str]) -> Vec<String> {
        let photo = self.dir.path().join("photo.png");
        let (model, mmproj) = (text(&self.pair.model), text(&self.pair.mmproj));
        let usual = ["--temperature=1", "--top-k=0", "--seed=7", "--max-tokens=64", "--threads=1"];
        let mut args = vec![command.to_owned()];
        args.extend(["--model".into(), model, "--mmproj".into(), mmproj]);
        if !more.iter().any(|a| a.starts_with("--image")) {
            args.push(format!("--image={}", text(&photo)));
        }
        // What a test gives itself wins.
        let given =
            |usual: &&str| more.iter().any(|m| m.split('=').next() == usual.split('=').next());
        args.extend(usual.iter().filter(|u| !given(u)).map(|u| (*u).into()));
        args.extend(more.iter().map(|a| (*a).into()));
        args
    }

    pub(crate) fn ask(&self, more: &[&str]) -> Run {
        run("gpt4roi", &self.args("ask", more))
    }

    /// A chat whose person types `script`.
    pub(crate) fn chat(&self, more: &[&str], script: &[u8]) -> Run {
        run_with_input("gpt4roi", &self.args("chat", more), script)
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().expect("a UTF-8 path").to_owned()
}

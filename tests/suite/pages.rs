//! Manual pages and completions: they know every command and every option, and shells take them.

use gpt4roi_tests::pages::{Program, bash, fish, zsh};
use gpt4roi_tests::programs::{program, run};
use std::io::Write;
use std::process::{Command, Stdio};

const PROGRAMS: [&str; 2] = ["gpt4roi", "gpt4roi-convert"];

fn ask(name: &str) -> Program {
    Program::ask(&program(name)).expect("a program with help")
}

/// Long options as the help has them, read more simply than the pages do: all words that begin a line.
fn options(help: &str) -> Vec<String> {
    let first = |l: &str| l.split([' ', ',']).find(|w| w.starts_with("--")).map(str::to_owned);
    help.lines().filter(|l| l.starts_with("  -")).filter_map(first).collect()
}

#[test]
fn manuals_and_completions_know_every_command_and_option() {
    for name in PROGRAMS {
        let program = ask(name);
        assert!(program.commands.len() >= 4, "{name} has few commands");
        let manuals = program.manuals();
        let shells = [bash(&program), zsh(&program), fish(&program)];
        for (command, _) in &program.commands {
            let page = manuals.iter().find(|(file, _)| *file == format!("{name}-{command}.1"));
            let (_, page) = page.expect("a page for each command");
            assert!(shells.iter().all(|s| s.contains(command)), "{command}");
            let known = options(&run(name, &[command, "--help"]).exits(0).out);
            assert!(!known.is_empty(), "{name} {command} has no options");
            for option in known {
                let fish = format!("from {command}'");
                let fish_option = format!(" -l {}", option.trim_start_matches('-'));
                let mut lines = shells[2].lines().filter(|l| l.contains(&fish));
                assert!(page.contains(&option.replace('-', "\\-")), "{name} {command} {option}");
                assert!(shells[0].contains(&option), "bash: {name} {command} {option}");
                assert!(shells[1].contains(&format!("'*{option}[")), "zsh: {command} {option}");
                assert!(lines.any(|l| l.contains(&fish_option)), "fish: {command} {option}");
            }
        }
    }
}

/// Whether a shell takes a text; `None` without that shell.
fn takes(shell: &str, text: &str) -> Option<bool> {
    let child = Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.ok()?;
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;
    Some(child.wait().ok()?.success())
}

#[test]
fn shells_take_their_completions() {
    for name in PROGRAMS {
        let program = ask(name);
        let texts = [("bash", bash(&program)), ("zsh", zsh(&program)), ("fish", fish(&program))];
        for (shell, text) in texts {
            match takes(shell, &text) {
                Some(taken) => assert!(taken, "{shell} refuses:\n{text}"),
                None => eprintln!("skipped: no {shell}"),
            }
        }
    }
}

/// What bash offers for the last of some words.
fn offers(words: &[&str]) -> String {
    let text = bash(&ask("gpt4roi"));
    let script = format!(
        "{text}\nCOMP_WORDS=({}); COMP_CWORD={}; _gpt4roi; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|w| format!("'{w}' ")).collect::<String>(),
        words.len() - 1
    );
    let output = Command::new("bash").args(["-c", &script]).output().expect("bash");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn bash_completes() {
    assert_eq!(offers(&["gpt4roi", "cap"]).trim(), "caption");
    assert_eq!(offers(&["gpt4roi", "ask", "--gre"]).trim(), "--greedy");
    assert!(offers(&["gpt4roi", "ask", "--image", ""]).contains("Cargo.toml"));
    assert_eq!(offers(&["gpt4roi", "ask", "--seed", ""]).trim(), "");
}

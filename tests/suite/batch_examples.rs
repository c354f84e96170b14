//! The examples for clusters, as far as they can be tried on one machine.

use crate::caption_desk::{Desk, lines};
use gpt4roi_tests::programs::{Run, program, run};
use gpt4roi_tests::workspace;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_examples_use_options_that_there_are() {
    let help = run("gpt4roi", &["caption", "--help"]).exits(0).out;
    let folder = workspace().join("examples/batch");
    for name in ["job.yaml", "array.sh"] {
        let text = fs::read_to_string(folder.join(name)).expect("an example");
        let command = text.split("exec gpt4roi caption").nth(1).expect("a command");
        let command = command.split("resources:").next().unwrap_or(command);
        let options: Vec<&str> =
            command.split_whitespace().filter(|w| w.starts_with("--")).collect();
        assert!(options.len() > 5, "{name}: {options:?}");
        for option in options {
            assert!(help.contains(&format!(" {option} ")), "{name}: {option}");
        }
    }
    let checked = Command::new("sh").arg("-n").arg(folder.join("array.sh")).status();
    assert!(checked.is_ok_and(|s| s.success()));
}

/// Runs a shell script as the manager of a cluster does: the program on the path, and these variables.
fn task(script: &[&str], variables: &[(&str, String)]) -> Run {
    let programs = program("gpt4roi").parent().expect("a folder").to_owned();
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(programs).chain(std::env::split_paths(&rest));
    let mut command = Command::new("sh");
    command.args(script).env("PATH", std::env::join_paths(path).expect("a path"));
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.output().expect("a shell").into()
}

/// What the examples are told about a data set.
fn places(desk: &Desk) -> Vec<(&'static str, String)> {
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    vec![
        ("MODEL", text(&desk.pair.model)),
        ("MMPROJ", text(&desk.pair.mmproj)),
        ("INPUT", desk.path("set.json")),
        ("IMAGES", desk.path(".")),
        ("OUTPUT", desk.path("parts")),
    ]
}

/// Merges the parts; all boxes of the data set are answered, each once and in its order.
fn assert_merges(desk: &Desk, parts: &[String]) {
    let merged = [&["merge".to_owned(), desk.output("merged.jsonl")], parts].concat();
    run("gpt4roi", &merged).exits(0).says(&["5 images", "7 lines"]);
    let lines = lines(&desk.read("merged.jsonl"));
    assert!(lines.iter().all(|line| line["answer"].is_string()), "{lines:?}");
    let about: Vec<_> = lines.iter().map(|l| (l["image"].as_str(), l["id"].as_str())).collect();
    let image = |i: usize| ["000.png", "001.png", "002.png", "003.png", "004.png"][i];
    let expected = [(0, "1"), (1, "2"), (1, "3"), (2, "4"), (2, "5"), (2, "6"), (4, "7")];
    assert_eq!(about, expected.map(|(i, id)| (Some(image(i)), Some(id))));
}

#[cfg(unix)]
#[test]
fn the_array_does_all_shards() {
    let desk = Desk::new(5);
    let script = workspace().join("examples/batch/array.sh");
    let script = script.to_str().expect("UTF-8");
    let shard = |number: usize, of: &[(&str, &str)]| {
        let mut variables = places(&desk);
        variables.push(("SLURM_ARRAY_TASK_ID", number.to_string()));
        variables.push(("SLURM_CPUS_PER_TASK", "1".into()));
        variables.extend(of.iter().map(|(name, value)| (*name, (*value).to_owned())));
        task(&[script], &variables)
    };
    for number in [1, 3] {
        shard(number, &[("SLURM_ARRAY_TASK_COUNT", "3")]).exits(0);
    }
    // One task alone: the cluster counts one, the user knows of three.
    shard(2, &[("SLURM_ARRAY_TASK_COUNT", "1")]).exits(2).says(&["shard `2/1`"]);
    shard(2, &[("SLURM_ARRAY_TASK_COUNT", "1"), ("SHARDS", "3")]).exits(0);
    shard(2, &[("SLURM_ARRAY_TASK_COUNT", "3")]).exits(0).says(&["complete: nothing to do"]);
    assert_merges(&desk, &[1, 2, 3].map(|i| desk.path(&format!("parts/part-{i}.jsonl"))));
}

#[cfg(unix)]
#[test]
fn the_job_does_all_shards() {
    let desk = Desk::new(5);
    let text = fs::read_to_string(workspace().join("examples/batch/job.yaml")).expect("an example");
    // The lines of the block that is given to the shell.
    let lines = text.lines().skip_while(|line| line.trim() != "- |").skip(1);
    let block: Vec<&str> = lines.take_while(|line| line.starts_with("              ")).collect();
    let script = block.join("\n");
    assert!(script.contains("exec gpt4roi caption"), "{script}");
    for index in 0..3 {
        let mut variables = places(&desk);
        variables.extend([("JOB_COMPLETION_INDEX", index.to_string()), ("SHARDS", "3".into())]);
        task(&["-ec", &script], &variables).exits(0);
    }
    assert_merges(&desk, &[0, 1, 2].map(|i| desk.path(&format!("parts/part-{i}.jsonl"))));
}

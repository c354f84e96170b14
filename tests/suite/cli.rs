//! `gpt4roi` as a person meets it: exit codes, messages, streams, signals.

use crate::desk::{BOX, Desk, QUESTION, text};
use gpt4roi_tests::pictures::png;
use gpt4roi_tests::programs::{Run, run, run_with_input, start};
use gpt4roi_tests::small::Small;
use gpt4roi_tests::{Pair, workspace};
use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn an_answer_is_text_on_standard_output_and_nothing_else() {
    let desk = Desk::new();
    let plain = desk.ask(&[BOX, QUESTION]).exits(0);
    assert!(plain.out.ends_with('\n') && plain.out.trim().len() > 1, "{plain:?}");
    assert_eq!(plain.err, "");
    assert_eq!(desk.ask(&[BOX, QUESTION]).out, plain.out);
    let copied = desk.ask(&[BOX, QUESTION, "--no-mmap"]).exits(0);
    assert_eq!(copied.out, plain.out);
    let verbose =
        desk.ask(&[BOX, QUESTION, "--verbose"]).exits(0).says(&["decode", "ms", "tokens"]);
    assert_eq!(verbose.out, plain.out);
    for kv in ["f32", "f16"] {
        desk.ask(&[BOX, QUESTION, "--kv-type", kv]).exits(0);
    }
}

/// Of the demo model, since what it has in 8 bits is what ggml has other layouts for.
#[test]
fn a_repacked_model_says_the_same() {
    let scene = workspace().join("models/demo/scenes/picnic.jpg").display().to_string();
    let asked = ["ask", "--image", &scene, "--box", "54,483,377,771", "--greedy", QUESTION];
    let plain = run("gpt4roi", &asked).exits(0);
    let repacked = run("gpt4roi", &[&asked[..], &["--repack"]].concat()).exits(0);
    assert_eq!(repacked.out, plain.out);
}

#[test]
fn json_is_one_object_with_the_documented_fields() {
    let desk = Desk::new();
    let plain = desk.ask(&[BOX, QUESTION]);
    let run = desk.ask(&[BOX, QUESTION, "--json"]).exits(0);
    let got: serde_json::Value = serde_json::from_str(&run.out).expect("one JSON value");
    assert_eq!(got["answer"].as_str().map(str::trim), Some(plain.out.trim()));
    assert_eq!(got["question"], QUESTION);
    assert_eq!(got["boxes"], serde_json::json!([[20.0, 30.0, 120.0, 110.0]]));
    assert_eq!(got["n_generated"], 64);
    assert_eq!(got["n_reused"], 0);
    assert!(got["n_prompt"].as_u64() > Some(100));
    assert_eq!(got["finish"], "length");
    assert_eq!(got["warnings"], serde_json::json!([]));
    for stage in
        ["preprocess", "vision", "pyramid", "region", "prompt", "prefill", "decode", "total"]
    {
        assert!(got["timings_ms"][stage].as_f64() > Some(0.0), "{stage}: {}", run.out);
    }
}

#[test]
fn a_box_may_be_written_in_several_ways() {
    let desk = Desk::new();
    let ask = |args: &[&str]| desk.ask(&[args, &[QUESTION]].concat()).exits(0).out;
    let expected = ask(&["--box", "20,30,120,105"]);
    for same in [
        &["--box=20,30,120,105"][..],
        &["--box-format=xywh", "--box=20,30,100,75"],
        &["--box-format", "cxcywh", "--box", "70,67.5,100,75"],
        &["--normalized", "--box=0.1,0.2,0.6,0.7"],
        &["--normalized", "--box-format=xywh", "--box=0.1,0.2,0.5,0.5"],
    ] {
        assert_eq!(ask(same), expected, "{same:?}");
    }
    assert_ne!(ask(&["--box=100,5,190,140"]), expected);
}

#[test]
fn pictures_come_from_a_pipe_too() {
    let desk = Desk::new();
    let expected = desk.ask(&[BOX, QUESTION]).exits(0).out;
    let args = desk.args("ask", &["--image=-", BOX, QUESTION]);
    let piped = run_with_input("gpt4roi", &args, &png(200, 150, 1)).exits(0);
    assert_eq!(piped.out, expected);
    run_with_input("gpt4roi", &args, b"").exits(1).says(&["standard input", "empty"]);
}

#[test]
fn odd_pictures() {
    let desk = Desk::new();
    let garbage = desk.file("garbage.png", b"this is no picture");
    let empty = desk.file("empty.png", b"");
    let cut = desk.file("cut.png", &png(200, 150, 1)[..300]);
    let unreadable = desk.file("no-such", b"");
    std::fs::remove_file(&unreadable).expect("a file");
    for (path, says) in [
        (&garbage, "not an image"),
        (&empty, "empty"),
        (&cut, "cut.png"),
        (&unreadable, "cannot read"),
        (&text(desk.dir.path()), "cannot read"),
    ] {
        let image = format!("--image={path}");
        desk.ask(&[&image, BOX, QUESTION]).exits(1).says(&[path, says]);
    }
    for (w, h) in [(1, 1), (1, 30_000), (30_000, 1), (3, 3), (5000, 40)] {
        let path = desk.file("odd.png", &png(w, h, 1));
        let image = format!("--image={path}");
        let started = Instant::now();
        desk.ask(&[&image, "--normalized", "--box=0,0,1,1", QUESTION]).exits(0);
        assert!(started.elapsed() < Duration::from_secs(10), "{w}x{h}: {:?}", started.elapsed());
    }
}

#[test]
fn boxes_that_make_no_sense() {
    let desk = Desk::new();
    for (b, says) in [
        ("--box=120,30,20,110", "inverted"),
        ("--box=20,30,20,110", "empty"),
        ("--box=20,30,20,30", "empty"),
        ("--box=300,30,400,110", "wholly outside"),
        ("--box=-90,-90,-10,-10", "wholly outside"),
        ("--box=nan,0,10,10", "nan"),
        ("--box=0,0,1e300,10", "1000 image sizes away"),
        ("--box=1,2,3", "1,2,3"),
        ("--box=a,b,c,d", "a,b,c,d"),
    ] {
        desk.ask(&[b, QUESTION]).exits(1).says(&[says]);
    }
    // Over the border: taken as it is, with a warning; or cut off.
    let over = "--box=-20,30,260,110";
    let kept = desk.ask(&[over, QUESTION]).exits(0).says(&["warning", "outside the 200x150"]);
    let clipped = desk.ask(&[over, "--clip-boxes", QUESTION]).exits(0);
    let inside = desk.ask(&["--box=0,30,200,110", QUESTION]).exits(0);
    assert_eq!(clipped.out, inside.out);
    assert_ne!(kept.out, clipped.out);
    desk.ask(&["--box=300,30,400,110", "--clip-boxes", QUESTION]).exits(1).says(&["outside"]);
    let json = desk.ask(&[over, QUESTION, "--json"]).exits(0);
    let got: serde_json::Value = serde_json::from_str(&json.out).expect("one JSON value");
    assert_eq!(got["warnings"].as_array().map(Vec::len), Some(1));
}

#[test]
fn questions_that_do_not_fit_their_boxes() {
    let desk = Desk::new();
    for (args, says) in [
        (&[BOX, "--box=1,1,9,9", "What is <region3>?"][..], "<region3>"),
        (&[BOX, "What is this?"], "no new region"),
        (&[BOX, "--box=1,1,9,9", "What is <region1>?"], "2 new box"),
        (&["What is <region1>?"], "box"),
        (&[BOX, "<region1> <bbox>"], "<bbox>"),
        (&[BOX, "<region1> <im_patch>"], "<im_patch>"),
    ] {
        desk.ask(args).exits(1).says(&[says]);
    }
    let long = format!("<region1> {}", "word ".repeat(3000));
    desk.ask(&[BOX, &long]).exits(1).says(&["tokens but only 2047 fit"]);
    desk.ask(&[BOX, QUESTION, "--ctx=256"]).exits(1).says(&["only 255 fit"]);
}

#[test]
fn usage_mistakes_exit_with_2() {
    let desk = Desk::new();
    for bad in [
        &["--frobnicate", BOX, QUESTION][..],
        &[BOX],
        &[BOX, QUESTION, "one too many"],
        &["--box-format=polar", BOX, QUESTION],
        &["--threads=many", BOX, QUESTION],
        &["--kv-type=q2", BOX, QUESTION],
    ] {
        let run = desk.ask(bad).exits(2).says(&["--help"]);
        assert_eq!(run.out, "", "{bad:?}");
    }
    run::<&str>("gpt4roi", &[]).exits(2);
    run("gpt4roi", &["frobnicate"]).exits(2);
    run("gpt4roi", &["ask"]).exits(2);
    run("gpt4roi", &["inspect"]).exits(2);
    for question in [&["--help"][..], &["ask", "--help"], &["chat", "--help"], &["--version"]] {
        let run = run("gpt4roi", question).exits(0);
        assert!(run.out.len() > 8 && run.err.is_empty(), "{run:?}");
    }
}

#[test]
fn senseless_values_are_refused() {
    let desk = Desk::new();
    for (arg, says) in [("--max-tokens=0", "max-tokens"), ("--ctx=4000000000", "ctx")] {
        desk.ask(&[arg, BOX, QUESTION]).exits(1).says(&[says]);
    }
    let args = desk.args("ask", &[BOX, QUESTION, "--temperature=-1"]);
    run("gpt4roi", &args).exits(1).says(&["temperature"]);
}

#[test]
fn wrong_model_files() {
    let desk = Desk::new();
    let good = desk.pair.clone();
    let random: Vec<u8> =
        (0..9999u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let bytes = std::fs::read(&good.model).expect("a model");
    let files = [
        (desk.file("random.gguf", &random), "not a usable GGUF file"),
        (desk.file("empty.gguf", b""), "not a usable GGUF file"),
        (desk.file("cut.gguf", &bytes[..bytes.len() - 100]), "truncated"),
        (desk.file("head.gguf", &bytes[..2000]), "not a usable GGUF file"),
        ("/no/such/file.gguf".to_owned(), "o such file"),
        (text(desk.dir.path()), ""),
    ];
    for (path, says) in &files {
        let bad = Desk { pair: Pair { model: path.into(), ..good.clone() }, ..Desk::new() };
        bad.ask(&[BOX, QUESTION]).exits(1).says(&[path, says]);
        let bad = Desk { pair: Pair { mmproj: path.into(), ..good.clone() }, ..Desk::new() };
        bad.ask(&[BOX, QUESTION]).exits(1).says(&[path, says]);
        run("gpt4roi", &["inspect", path]).exits(1).says(&[path, says]);
    }
    let swapped = Pair { model: good.mmproj.clone(), mmproj: good.model.clone() };
    let swapped = Desk { pair: swapped, ..Desk::new() };
    swapped.ask(&[BOX, QUESTION]).exits(1).says(&["the other one of the pair"]);
    let twice = Desk { pair: Pair { model: good.mmproj.clone(), ..good.clone() }, ..Desk::new() };
    twice.ask(&[BOX, QUESTION]).exits(1).says(&["this is an mmproj file"]);
}

#[test]
fn the_mmproj_of_another_model() {
    let other = Small::default().write(Desk::new().dir.keep().as_path());
    for pair in [
        Pair { mmproj: other.mmproj.clone(), ..Small::talking_pair() },
        Pair { model: other.model.clone(), ..Small::talking_pair() },
    ] {
        let desk = Desk { pair, ..Desk::new() };
        desk.ask(&[BOX, QUESTION]).exits(1).says(&["not of one model", "width"]);
    }
    let _ = other.model.parent().map(std::fs::remove_dir_all);
}

#[test]
fn inspect_shows_keys_and_tensors() {
    let file = text(&Small::talking_pair().mmproj);
    let plain = run("gpt4roi", &["inspect", &file]).exits(0);
    assert!(plain.out.contains("gpt4roi.taps") && plain.out.contains("r.flatten.weight"));
    let json = run("gpt4roi", &["inspect", "--json", &file]).exits(0);
    let got: serde_json::Value = serde_json::from_str(&json.out).expect("one JSON value");
    assert!(got["tensors"].as_array().map(Vec::len) > Some(40));
}

#[test]
fn a_chat_remembers() {
    let desk = Desk::new();
    let script = "20,30,120,110 What is <region1> doing?\n\n/boxes\n\
                  100,5,190,140 Is region1 left of <region2>?\nWhy?\n/quit\nnever\n";
    let args = desk.args("chat", &["--json"]);
    let chat = run_with_input("gpt4roi", &args, script.as_bytes()).exits(0);
    let answers: Vec<serde_json::Value> =
        chat.out.lines().map(|l| serde_json::from_str(l).expect("an object a line")).collect();
    assert_eq!(answers.len(), 3, "{chat:?}");
    assert_eq!(answers[0]["n_reused"], 0);
    for pair in answers.windows(2) {
        // All but the last position, whose continuation is the answer now.
        let known = pair[0]["n_prompt"].as_u64().map(|n| n - 1);
        assert!(pair[1]["n_reused"].as_u64() >= known, "{chat:?}");
        assert!(
            pair[1]["timings_ms"]["vision"].as_f64() == Some(0.0),
            "the image is encoded again"
        );
    }
    let once = desk.ask(&[BOX, QUESTION, "--json"]).exits(0);
    let once: serde_json::Value = serde_json::from_str(&once.out).expect("one JSON value");
    assert_eq!(answers[0]["answer"], once["answer"]);
    // In a script a mistake ends the conversation.
    let args = desk.args("chat", &[]);
    run_with_input("gpt4roi", &args, b"What is <region1>?\nmore\n").exits(1).says(&["<region1>"]);
    run_with_input("gpt4roi", &args, b"").exits(0);
    let args = desk.args("chat", &["--image=-"]);
    run_with_input("gpt4roi", &args, b"").exits(2);
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_is_no_error() {
    let desk = Desk::new();
    let mut child =
        start("gpt4roi", &desk.args("ask", &["--greedy", "--max-tokens=400", BOX, QUESTION]));
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut [0]).expect("a first byte");
    drop(out);
    let run: Run = child.wait_with_output().expect("an end").into();
    assert_eq!(run.exits(0).err, "");
    let mut child = start("gpt4roi", &["inspect", &text(&Small::talking_pair().model)]);
    drop(child.stdout.take());
    let run: Run = child.wait_with_output().expect("an end").into();
    assert_eq!(run.exits(0).err, "");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_an_answer_at_once() {
    let desk = Desk::new();
    let mut child =
        start("gpt4roi", &desk.args("ask", &["--greedy", "--max-tokens=1500", BOX, QUESTION]));
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut [0]).expect("a first byte");
    let begun = Instant::now();
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(kill.is_ok_and(|s| s.success()));
    std::io::copy(&mut out, &mut std::io::sink()).expect("the rest");
    let run: Run = child.wait_with_output().expect("an end").into();
    run.exits(130).says(&["interrupted"]);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let names = std::fs::read_dir(desk.dir.path()).expect("a folder");
    assert_eq!(names.count(), 1, "something was left behind");
}

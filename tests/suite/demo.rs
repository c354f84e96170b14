//! `gpt4roi demo` and the demo model, with a synthetic model in its place.

use gpt4roi_tests::pictures::png;
use gpt4roi_tests::programs::{Run, program};
use gpt4roi_tests::scratch;
use gpt4roi_tests::small::Small;
use image::{ImageFormat, Rgba, RgbaImage};
use serde_json::{Value, json};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const QUESTION: &str = "What is <region1>?";
/// Width of the picture of a square image: the image, the notes, and three margins.
const WIDTH: u32 = 896 + 600 + 3 * 36;

/// A folder as the demo model's, and one to work in.
struct Demo {
    model: TempDir,
    work: TempDir,
}

impl Demo {
    fn new() -> Demo {
        let [model, work] = [0, 1].map(|_| TempDir::new_in(scratch()).expect("a folder"));
        let demo = Demo { model, work };
        let pair = Small::talking_pair();
        for (from, name) in
            [(&pair.model, "gpt4roi-demo-F32.gguf"), (&pair.mmproj, "mmproj-gpt4roi-demo-F32.gguf")]
        {
            std::fs::copy(from, demo.model.path().join(name)).expect("a model file");
        }
        let desk = json!({
            "name": "desk", "image": "desk.png", "labels": ["cup", "key", "hat", "cup"],
            "boxes": [[10, 20, 60, 90], [100.5, 30, 180, 80], [50, 120, 220, 210], [0, 0, 9, 9]],
        });
        let yard = json!({ "name": "yard", "image": "yard.png", "boxes": [[5, 5, 50, 50]] });
        demo.scenes(&json!({ "scenes": [desk, yard] }).to_string());
        for (seed, name) in (1..).zip(["desk.png", "yard.png"]) {
            demo.scene_file(name, &png(224, 224, seed));
        }
        std::fs::write(demo.work.path().join("photo.png"), png(400, 100, 3)).expect("a picture");
        demo
    }

    fn scene_file(&self, name: &str, bytes: &[u8]) {
        let dir = self.model.path().join("scenes");
        std::fs::create_dir_all(&dir).expect("a folder");
        std::fs::write(dir.join(name), bytes).expect("a file");
    }

    fn scenes(&self, list: &str) {
        self.scene_file("scenes.json", list.as_bytes());
    }

    /// Five drawings to compose scenes from: squares on nothing.
    fn sprites(&self) {
        let atlas = RgbaImage::from_fn(200, 40, |x, y| {
            let inside = (4..28).contains(&(x % 40)) && (4..36).contains(&y);
            Rgba([(x / 40 * 60) as u8, 90, 160, if inside { 255 } else { 0 }])
        });
        let mut bytes = Cursor::new(Vec::new());
        atlas.write_to(&mut bytes, ImageFormat::WebP).expect("a picture in memory");
        self.scene_file("sprites.webp", bytes.get_ref());
        let sprite = |(i, name)| json!({ "name": name, "x": i * 40 + 4, "y": 4, "w": 24, "h": 32 });
        let list: Vec<Value> = (0..).zip(["cup", "key", "hat", "car", "bus"]).map(sprite).collect();
        self.sprite_list(&json!({ "sprites": list }));
    }

    fn sprite_list(&self, list: &Value) {
        self.scene_file("sprites.json", list.to_string().as_bytes());
    }

    /// Runs `gpt4roi` in the working folder.
    fn run(&self, args: &[&str]) -> Run {
        let mut command = Command::new(program("gpt4roi"));
        command.args(args).env("GPT4ROI_DEMO_DIR", self.model.path());
        command.current_dir(self.work.path()).stdin(Stdio::null());
        command.output().expect("a program").into()
    }

    fn demo(&self, more: &[&str]) -> Run {
        self.run(&[&["demo", "--threads=1", "--max-tokens=5"][..], more].concat())
    }

    fn json(&self, more: &[&str]) -> Value {
        let run = self.demo(&[&["--json"][..], more].concat()).exits(0);
        serde_json::from_str(&run.out).expect("one JSON value")
    }

    /// Files of the working folder, hidden ones too.
    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.work.path()).expect("a folder");
        let name = |e: std::io::Result<std::fs::DirEntry>| e.expect("an entry").file_name();
        let mut names: Vec<String> = names.map(|e| name(e).into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    fn size(&self, name: &str) -> (u32, u32) {
        let bytes = std::fs::read(self.work.path().join(name)).expect("a picture");
        assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "no PNG file");
        gpt4roi::load_image(&self.work.path().join(name)).expect("a picture").size()
    }
}

#[test]
fn the_demo_talks_draws_and_tells_the_time() {
    let demo = Demo::new();
    let run = demo.demo(&[]).exits(0).says(&["demo model"]);
    for part in [
        "scene `desk`, 224x224",
        "region2 at 100.5,30,180,80  (key)",
        "\nWhat is <region1>?\n  ",
        "\nWhat is <region3>?\n  ",
        "\nIs <region1> to the left or to the right of <region2>?\n",
        "\nWhich is larger, <region2> or <region3>?\n",
        "\nWhich region is the hat: <region1>, ",
        "\nopen ",
        "\nvision ",
        "\npicture ",
        "\ntotal ",
        "gpt4roi-demo.png\n",
    ] {
        assert!(run.out.contains(part), "no {part:?} in {}", run.out);
    }
    assert_eq!(demo.files(), ["gpt4roi-demo.png", "photo.png"]);
    let (w, h) = demo.size("gpt4roi-demo.png");
    assert!(w == WIDTH && h > 896, "{w}x{h}");
    // What the picture shows depends on the scene.
    let before = std::fs::read(demo.work.path().join("gpt4roi-demo.png")).expect("a picture");
    demo.demo(&["--scene=yard"]).exits(0);
    let after = std::fs::read(demo.work.path().join("gpt4roi-demo.png")).expect("a picture");
    assert_ne!(before, after);
}

#[test]
fn json_has_everything_and_the_image_is_encoded_once() {
    let demo = Demo::new();
    let got = demo.json(&["--out=here.PNG"]);
    assert_eq!((&got["scene"], &got["picture"]), (&json!("desk"), &json!("here.PNG")));
    assert_eq!(got["boxes"][1], json!([100.5, 30.0, 180.0, 80.0]));
    assert_eq!(got["labels"], json!(["cup", "key", "hat", "cup"]));
    let answers = got["answers"].as_array().expect("a list");
    assert!(answers.len() >= 8, "{got}");
    for (i, answer) in answers.iter().enumerate() {
        assert!(answer["answer"].is_string() && answer["question"].is_string(), "{answer}");
        assert_eq!(answer["timings_ms"]["vision"].as_f64() > Some(0.0), i == 0, "{answer}");
        // The image's positions at least are still in the cache.
        assert!(i == 0 || answer["n_reused"].as_u64() > Some(16), "{answer}");
    }
    let larger = answers.iter().find(|a| a["question"].as_str().unwrap().contains("larger"));
    assert_eq!(larger.expect("a question")["regions"], json!([2, 3]));
    for row in ["read", "open", "preprocess", "vision", "region", "decode", "picture", "total"] {
        assert!(got["timings_ms"][row].as_f64() > Some(0.0), "{row}: {got}");
    }
    assert_eq!(demo.files(), ["here.PNG", "photo.png"]);
}

#[test]
fn scenes_are_chosen_and_checked() {
    let demo = Demo::new();
    for name in ["desk", "yard"] {
        assert_eq!(demo.json(&["--scene", name])["scene"], name);
    }
    std::fs::remove_file(demo.work.path().join("gpt4roi-demo.png")).expect("a picture");
    demo.demo(&["--scene=garden"]).exits(1).says(&["`garden`", "desk, yard"]);
    for (list, says) in [
        ("{", "not a list of scenes"),
        (r#"{"scenes":[]}"#, "lists no scene"),
        (r#"{"scenes":[{"name":"a","image":"desk.png","boxes":[]}]}"#, "no boxes"),
        (r#"{"scenes":[{"name":"a","image":"../x.png","boxes":[[1,2,3,4]]}]}"#, "`../x.png`"),
        (r#"{"scenes":[{"name":"a","image":"no.png","boxes":[[1,2,3,4]]}]}"#, "no.png"),
        (r#"{"scenes":[{"name":"a","image":"desk.png","boxes":[[9,2,3,4]]}]}"#, "9,2,3,4"),
        (
            r#"{"scenes":[{"name":"a","image":"a","boxes":[[1,2,3,4]],"labels":["",""]}]}"#,
            "2 labels",
        ),
    ] {
        demo.scenes(list);
        demo.demo(&[]).exits(1).says(&[says]);
    }
    std::fs::remove_dir_all(demo.model.path().join("scenes")).expect("a folder");
    demo.demo(&[]).exits(1).says(&["scenes.json", "--image"]);
    assert_eq!(demo.files(), ["photo.png"]);
}

#[test]
fn a_number_composes_a_scene() {
    let demo = Demo::new();
    demo.sprites();
    let got = demo.json(&["--scene=7"]);
    assert_eq!((&got["scene"], &got["image"]), (&json!("7"), &Value::Null));
    let labels = got["labels"].as_array().expect("a list");
    assert_eq!((labels.len(), got["boxes"].as_array().map(Vec::len)), (4, Some(4)));
    assert!(labels.iter().enumerate().all(|(i, l)| !labels[..i].contains(l)), "{got}");
    let picture = |name: &str| std::fs::read(demo.work.path().join(name)).expect("a picture");
    // The footer of the whole picture tells the time: of that, no two runs have the same.
    let image = |name: &str| {
        let sheet = image::load_from_memory(&picture(name)).expect("a picture");
        sheet.crop_imm(36, 36, 896, 896).into_rgb8()
    };
    let first = image("gpt4roi-demo.png");
    let again = demo.json(&["--scene=7", "--out=again.png"]);
    assert_eq!((&again["boxes"], &again["labels"]), (&got["boxes"], &got["labels"]));
    assert_eq!(image("again.png"), first);
    assert_ne!(demo.json(&["--scene=8", "--out=other.png"])["boxes"], got["boxes"]);
    assert_ne!(image("other.png"), first);
    let run = demo.demo(&["--scene=7"]).exits(0);
    assert!(run.out.contains("the fresh scene 7, 896x896"), "{run:?}");
}

#[test]
fn a_random_scene_can_be_had_again() {
    let demo = Demo::new();
    demo.sprites();
    let run = demo.demo(&["--scene=random", "--json"]).exits(0);
    let got: Value = serde_json::from_str(&run.out).expect("one JSON value");
    let number = got["scene"].as_str().expect("a number");
    assert!(run.err.contains(&format!("--scene {number} composes it again")), "{run:?}");
    let again = demo.json(&["--scene", number]);
    assert_eq!((&again["boxes"], &again["labels"]), (&got["boxes"], &got["labels"]));
}

#[test]
fn drawings_that_no_scene_can_be_made_of() {
    let demo = Demo::new();
    let refused = |says: &[&str]| {
        demo.demo(&["--scene=7"]).exits(1).says(says).says(&["--scene NAME: desk, yard"]);
    };
    refused(&["cannot read `", "sprites.json"]);
    demo.sprite_list(&json!({ "sprites": [] }));
    refused(&["cannot read `", "sprites.webp"]);
    demo.sprites();
    demo.sprite_list(&json!({ "sprites": [] }));
    refused(&["sprites.json", "takes 4 different things, it lists 0"]);
    let outside = json!({ "name": "cup", "x": 190, "y": 0, "w": 11, "h": 40 });
    demo.sprite_list(&json!({ "sprites": [outside] }));
    refused(&["sprites.json", "`cup`", "11x40 pixels at 190,0", "200x40 atlas"]);
    for list in [json!([]), json!({ "sprites": [{ "name": "cup", "x": -1 }] })] {
        demo.sprite_list(&list);
        refused(&["sprites.json", "not a list of drawings"]);
    }
    demo.sprites();
    for bytes in [&b"RIFF\x10\0\0\0WEBP"[..], &png(200, 40, 1)] {
        demo.scene_file("sprites.webp", bytes);
        refused(&["sprites.webp", "not a picture of drawings"]);
    }
    demo.demo(&["--scene=random"]).exits(1).says(&["sprites.webp", "desk, yard"]);
    assert_eq!(demo.files(), ["photo.png"]);
}

#[test]
fn a_picture_of_ones_own() {
    let demo = Demo::new();
    let got = demo.json(&["--image=photo.png", "--box=10,10,90,90", "--box=200,0,450,100"]);
    assert_eq!((&got["scene"], &got["image"]), (&Value::Null, &json!("photo.png")));
    // A wide image has its notes below.
    let (w, h) = demo.size("gpt4roi-demo.png");
    assert!(w == 896 + 2 * 36 && h > 224 + 200, "{w}x{h}");
    let warned = ["--image=photo.png", "--box=200,0,450,100"];
    let run = demo.demo(&warned).exits(0).says(&["outside"]);
    assert_eq!(run.err.matches("outside").count(), 1, "{run:?}");
    let usual = demo.json(&["--image=photo.png", "--box=40,50,120,100"]);
    let other =
        demo.json(&["--image=photo.png", "--normalized", "--box-format=xywh", "--box=.1,.5,.2,.5"]);
    assert_eq!(usual["boxes"], other["boxes"]);
}

#[test]
fn contradictions_are_usage_mistakes() {
    let demo = Demo::new();
    let own = ["--image=photo.png", "--box=10,10,90,90"];
    let cases: [(&[&str], &str); 8] = [
        (&["--image=photo.png"], "--box"),
        (&["--box=1,2,3,4"], "--image"),
        (&["--image=photo.png", "--box=1,2,3,4", "--scene=desk"], "exclude"),
        (&["--out=picture.jpg"], ".png"),
        (&["--out=photo.png", own[0], own[1]], "image itself"),
        (&["--model=a.gguf"], "--mmproj"),
        (&["--mmproj=a.gguf"], "--model"),
        (&["--scene"], "--scene"),
    ];
    for (args, says) in cases {
        let run = demo.demo(args).exits(2).says(&[says, "--help"]);
        assert_eq!(run.out, "", "{args:?}");
    }
    let out = "--out=missing/out.png";
    demo.demo(&[out]).exits(1).says(&["cannot write `missing/out.png`"]);
    std::fs::create_dir(demo.work.path().join("folder.png")).expect("a folder");
    demo.demo(&["--out=folder.png"]).exits(1).says(&["folder.png"]);
    demo.demo(&["--image=none.png", "--box=1,2,3,4"]).exits(1).says(&["none.png"]);
    assert_eq!(demo.files(), ["folder.png", "photo.png"]);
}

#[test]
fn other_commands_use_the_demo_model_too() {
    let demo = Demo::new();
    let usual = ["--image=photo.png", "--threads=1", "--max-tokens=5", "--greedy"];
    let ask = |more: &[&str]| demo.run(&[&["ask"][..], &usual, more].concat());
    let [b, q] = ["--box=10,10,90,90", QUESTION];
    let found = ask(&[b, q]).exits(0);
    assert_eq!(found.err, format!("gpt4roi: using the demo model in {}\n", show(&demo.model)));
    let pair = Small::talking_pair();
    let files = [("--model", &pair.model), ("--mmproj", &pair.mmproj)];
    let given = files.map(|(option, file)| format!("{option}={}", file.display()));
    let named = ask(&[b, q, &given[0], &given[1]]).exits(0);
    assert_eq!((named.out, named.err), (found.out, String::new()));
    for one in &given {
        ask(&[b, q, one]).exits(2).says(&["--model", "--mmproj", "--help"]);
        demo.run(&["chat", usual[0], one]).exits(2).says(&["--model", "--mmproj"]);
    }
    demo.run(&[&["chat"][..], &usual].concat()).exits(0).says(&["demo model"]);
}

fn show(dir: &TempDir) -> String {
    dir.path().display().to_string()
}

#[test]
fn a_demo_model_that_is_not_there() {
    let demo = Demo::new();
    let file = |name: &str| -> PathBuf { demo.model.path().join(name) };
    let copy = |from: &Path, to: &str| std::fs::copy(from, file(to)).expect("a file");
    copy(&file("gpt4roi-demo-F32.gguf"), "gpt4roi-demo-Q8_0.gguf");
    demo.demo(&[]).exits(1).says(&["must hold one", "gpt4roi-demo-Q8_0.gguf"]);
    for name in ["gpt4roi-demo-F32.gguf", "gpt4roi-demo-Q8_0.gguf"] {
        std::fs::remove_file(file(name)).expect("a file");
    }
    demo.demo(&[]).exits(1).says(&["must hold one", "it holds mmproj-gpt4roi-demo-F32.gguf"]);
    std::fs::remove_file(file("mmproj-gpt4roi-demo-F32.gguf")).expect("a file");
    let says = ["no demo model", &show(&demo.model), "GPT4ROI_DEMO_DIR", "--model"];
    demo.demo(&[]).exits(1).says(&says);
    demo.run(&["ask", "--image=photo.png", "--box=1,2,3,4", QUESTION]).exits(1).says(&says);
}

#[test]
fn the_program_introduces_itself() {
    let run = Demo::new().run(&[]).exits(2);
    for part in ["gpt4roi demo", "gpt4roi ask", "gpt4roi chat", "--help"] {
        assert!(run.err.contains(part), "no {part} in {run:?}");
    }
    let help = Demo::new().run(&["demo", "--help"]).exits(0);
    assert!(help.out.contains("--scene") && help.err.is_empty(), "{help:?}");
}

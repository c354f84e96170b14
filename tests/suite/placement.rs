//! What runs where: every node on the device that was asked for, and as much on it as it has room for.

use ggml_ext::CPU;
use gpt4roi::compare::compare;
use gpt4roi::placement::{PlacedNode, Target, measure, measure_image};
use gpt4roi::{DeviceInfo, Engine, EngineOptions, Event, PixelBox, devices, load_image};
use gpt4roi_convert::FileType;
use gpt4roi_tests::pictures::picture;
use gpt4roi_tests::programs::run;
use gpt4roi_tests::{Pair, goldens, greedy, tiny, workspace};
use serde_json::Value;

/// Reference runs.
const GOLDENS: [&str; 2] = ["p1-real-vocab", "p2-delta-multiround"];
/// Boxes of things that the demo model is sure about.
const OBJECTS: [[f64; 4]; 2] = [[10.0, 0.0, 66.0, 89.0], [8.0, 98.0, 132.0, 222.0]];

/// Where the image side and the language model are looked at: with a model of the published structure.
fn options(device: &str) -> EngineOptions {
    let mut options = tiny::tiny(FileType::F16).options();
    options.devices.device = Some(device.into());
    options.trace = true;
    options
}

/// Regions of one run, at most: the way they are computed depends on how many there are.
const MOST: u32 = 32;

/// Answers a question about as many boxes as are computed at once and one about none, so that every kind of graph has run.
fn used(options: &EngineOptions) -> Engine {
    let mut engine = Engine::open(options).expect("a model");
    let mut conversation = engine.conversation(picture(120, 90, 3));
    let names: String = (1..=MOST).map(|i| format!("<region{i}> ")).collect();
    let request = (0..MOST).map(f64::from).fold(greedy(&names, 4), |request, i| {
        request.with_box(PixelBox::new(5.0, i, 60.0 + i, 70.0))
    });
    for request in [request, greedy("What is it?", 4)] {
        engine.ask(&mut conversation, &request, |_: Event| {}).expect("an answer");
    }
    engine
}

/// Nodes that are not on `device`, without those that are nowhere because they compute nothing.
fn elsewhere<'a>(nodes: &'a [PlacedNode], device: &str) -> Vec<&'a PlacedNode> {
    nodes.iter().filter(|n| !n.device.is_empty() && n.device != device).collect()
}

fn list(device: &str, part: &str, nodes: &[PlacedNode]) {
    eprintln!("{device}, {part}: {} nodes", nodes.len());
    for PlacedNode { name, op, device } in nodes {
        eprintln!("  {op:<20} {device:<10} {name}");
    }
}

#[test]
fn every_node_runs_on_the_device_that_was_asked_for_and_was_foreseen() {
    for DeviceInfo { name, kind, .. } in devices() {
        let options = options(&name);
        let [image, language] = used(&options).nodes().expect("memory");
        list(&name, "image side", &image);
        list(&name, "language model", &language);
        assert!(image.len() > 100 && language.len() > 20, "{name}");
        assert_eq!(elsewhere(&image, &name), Vec::<&PlacedNode>::new());
        // llama.cpp keeps the embedding table on the host, and looks tokens up there.
        let at_home = |n: &&PlacedNode| kind.is_gpu() && n.device == CPU && n.op == "GET_ROWS";
        let stray: Vec<_> =
            elsewhere(&language, &name).into_iter().filter(|n| !at_home(n)).collect();
        assert_eq!(stray, Vec::<&PlacedNode>::new());

        let needs = measure_image(&options, Target::Device(&name)).expect("needs");
        assert_eq!(needs.rehearsal.unsupported().count(), 0, "{name}");
        // Planned was the region graph for the most regions, which ran, elsewhere than on the CPU in parts: they differ in sizes only.
        let planned = needs.rehearsal.graphs.iter().flat_map(|g| &g.nodes).map(|n| &n.op);
        let ran = image.iter().map(|n| &n.op);
        assert_eq!(planned.collect::<Vec<_>>(), ran.collect::<Vec<_>>(), "{name}");
    }
}

/// The GPUs of this machine. Where there should be one, the variable GPT4ROI_EXPECT_GPU says so.
fn gpus() -> Vec<DeviceInfo> {
    let gpus: Vec<_> = devices().into_iter().filter(|d| d.kind.is_gpu()).collect();
    assert!(!gpus.is_empty() || std::env::var_os("GPT4ROI_EXPECT_GPU").is_none(), "no GPU here");
    gpus
}

#[test]
fn halves_can_be_on_different_devices() {
    for gpu in gpus() {
        let mut options = options(&gpu.name);
        options.devices.vision = Some("cpu".into());
        let [image, language] = used(&options).nodes().expect("memory");
        assert_eq!(elsewhere(&image, CPU), Vec::<&PlacedNode>::new());
        assert!(language.iter().any(|n| n.device == gpu.name), "{}", gpu.name);

        options.devices.vision = None;
        options.devices.gpu_layers = Some(0);
        let [image, language] = used(&options).nodes().expect("memory");
        assert_eq!(elsewhere(&image, &gpu.name), Vec::<&PlacedNode>::new());
        assert_eq!(elsewhere(&language, CPU), Vec::<&PlacedNode>::new());
    }
}

#[test]
fn stages_on_gpus_are_within_the_bounds_of_half_precision() {
    let (gpus, Some(dir)) = (gpus(), goldens::folder()) else { return };
    for (gpu, name) in gpus.iter().flat_map(|gpu| GOLDENS.map(|name| (gpu, name))) {
        let golden = dir.join(name);
        let (checkpoint, clip) = (golden.join("checkpoint"), golden.join("clip"));
        let to = format!("{name}-{}", gpu.name);
        let pair = tiny::convert(&tiny::options(&checkpoint, &clip, None, &to, FileType::F16));
        let mut options = pair.options();
        options.devices.device = Some(gpu.name.clone());
        let report = compare(&options, &golden).unwrap_or_else(|e| panic!("{e}"));
        let worst = report.rows.iter().max_by(|a, b| a.error.total_cmp(&b.error)).expect("rows");
        eprintln!("{name} on {}: worst {} {:.1e}", gpu.name, worst.name, worst.error);
        assert_eq!(report.first_departure().map(|row| &row.name), None, "{name}");
    }
}

#[test]
fn the_demo_model_names_objects_alike_on_every_device() {
    let demo = workspace().join("models/demo");
    let [model, mmproj] =
        ["gpt4roi-demo-Q8_0.gguf", "mmproj-gpt4roi-demo-Q8_0.gguf"].map(|f| demo.join(f));
    let answers = |device: &str| {
        let mut options = Pair { model: model.clone(), mmproj: mmproj.clone() }.options();
        options.devices.device = Some(device.into());
        let mut engine = Engine::open(&options).expect("the demo model");
        let picture = load_image(&workspace().join("tests/data/demo/images/000000.png"));
        let conversation = engine.conversation(picture.expect("a picture"));
        let mut all = OBJECTS.map(|_| conversation.fork());
        let ask = |b: [f64; 4]| {
            greedy("What is <region1>?", 16).with_box(PixelBox::new(b[0], b[1], b[2], b[3]))
        };
        let got = engine.answer_many(&mut all, &OBJECTS.map(ask), |_, _: Event| {});
        got.into_iter().map(|a| a.expect("an answer").text).collect::<Vec<_>>()
    };
    let want = answers("cpu");
    eprintln!("{want:?}");
    assert!(want.iter().all(|a| a.len() > 2), "{want:?}");
    for gpu in gpus() {
        assert_eq!(answers(&gpu.name), want, "{}", gpu.name);
    }
}

#[test]
fn needs_are_bytes_of_the_files_and_more() {
    let options = options("cpu");
    let size = |path: &std::path::Path| std::fs::metadata(path).expect("a file").len() as usize;
    let needs = measure(&options, Target::Gpu).expect("needs");
    let (image, language) = (&needs.image.rehearsal, &needs.language);
    // The files hold their headers, too, and a block and a matrix that nothing reads.
    let mmproj = size(&options.mmproj);
    assert!((mmproj / 2..mmproj).contains(&image.weights), "{} of {mmproj}", image.weights);
    assert!(image.tensors > 0 && image.mapped == 0);
    assert!(image.graphs.len() >= 3 && image.graphs.iter().all(|g| g.bytes > 0));
    // They take turns.
    assert_eq!(Some(image.intermediate()), image.graphs.iter().map(|g| g.bytes).max());
    let weights = language.embedding + language.output + language.blocks.iter().sum::<usize>();
    let model = size(&options.model);
    assert!((model / 2..model).contains(&weights), "{weights} of {model}");
    assert!(language.compute > 0 && language.cache > 0);
    assert!(needs.total() > image.weights + weights);
}

#[test]
fn devices_lists_them_with_what_runs_there() {
    let out = run("gpt4roi", &["devices", "--json"]).exits(0).out;
    let listing: Value = serde_json::from_str(&out).expect("JSON");
    let listed = listing["devices"].as_array().expect("devices");
    assert!(listed.iter().any(|device| device["name"] == CPU), "{out}");
    for device in listed {
        let side = &device["image_side"];
        // On the CPU most products are our own.
        let count = |op: &str| side["ops"][op].as_u64().unwrap_or(0);
        assert!(count("MUL_MAT") + count("CUSTOM") > 50, "{side}");
        assert_eq!(side["unsupported"].as_array().map(Vec::len), Some(0), "{side}");
    }
    let table = run("gpt4roi", &["devices"]).exits(0).out;
    assert!(table.contains("CPU") && table.contains("\nCUSTOM"), "{table}");
}

#[test]
fn fit_tells_parts_that_add_up_and_says_what_fits() {
    let pair = tiny::tiny(FileType::Q8_0);
    let [model, mmproj] = [&pair.model, &pair.mmproj].map(|p| p.to_str().expect("UTF-8"));
    let args = ["fit", "--model", model, "--mmproj", mmproj];
    let with = |more: &[&'static str]| run("gpt4roi", &[&args[..], more].concat());
    let report: Value = serde_json::from_str(&with(&["--json"]).exits(0).out).expect("JSON");
    let bytes = |part: &Value| part["bytes"].as_u64().expect("bytes");
    let parts = report["parts"].as_array().expect("parts");
    assert_eq!(parts.iter().map(bytes).sum::<u64>(), report["total"].as_u64().expect("a total"));
    assert!(parts.iter().any(|p| p["what"] == "cache of 2048 tokens"), "{report}");
    assert_eq!(report.get("fits"), None);

    let report = with(&["--json", "--device-memory", "2GB"]).exits(0).out;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(
        (report["fits"].as_bool(), &report["gpu_layers"]),
        (Some(true), &report["n_layers"])
    );
    let table = with(&["--device-memory", "280MiB"]).exits(1).out;
    assert!(table.contains("does not fit into 280.0 MiB"), "{table}");
    with(&["--device-memory", "300"]).exits(2).says(&["--device-memory"]);
}

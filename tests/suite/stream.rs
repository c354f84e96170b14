//! `gpt4roi stream` as a detector and a supervisor meet it.

use gpt4roi_tests::pictures::png;
use gpt4roi_tests::programs::{Run, program, run, run_with_input, start};
use gpt4roi_tests::small::Small;
use gpt4roi_tests::{Pair, scratch, workspace};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command};
use tempfile::TempDir;

const SIZE: (u32, u32) = (64, 48);

/// A model and a place for pictures.
pub(crate) struct Desk {
    pair: Pair,
    pub(crate) dir: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        let dir = TempDir::new_in(scratch()).expect("a folder");
        for i in 0..3 {
            let path = dir.path().join(format!("{i}.png"));
            fs::write(path, png(SIZE.0, SIZE.1, i)).expect("a picture");
        }
        Desk { pair: Small::talking_pair(), dir }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("a UTF-8 path").to_owned()
    }

    pub(crate) fn args(&self, command: &str, more: &[&str]) -> Vec<String> {
        let pair = [&self.pair.model, &self.pair.mmproj].map(|p| p.to_str().expect("UTF-8"));
        let fixed = ["--greedy", "--max-tokens=6", "--threads=1", "--kv-type=f32"];
        [command, "--model", pair[0], "--mmproj", pair[1]]
            .iter()
            .chain(&fixed)
            .chain(more)
            .map(|arg| (*arg).to_owned())
            .collect()
    }

    pub(crate) fn stream(&self, more: &[&str], input: &str) -> Run {
        let images = self.dir.path().to_str().expect("a UTF-8 path");
        let args = self.args("stream", &[&["--images", images], more].concat());
        run_with_input("gpt4roi", &args, input.as_bytes())
    }
}

pub(crate) fn lines(run: &Run) -> Vec<Value> {
    run.out.lines().map(|l| serde_json::from_str(l).expect("a JSON object a line")).collect()
}

pub(crate) fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|l| l["event"] == event).collect()
}

/// A frame with boxes of tracks.
pub(crate) fn frame(seq: u64, image: &str, boxes: &[(&str, [u32; 4])]) -> String {
    let detections: Vec<Value> = boxes
        .iter()
        .map(|(track, b)| serde_json::json!({ "track": track, "box": b, "label": "thing" }))
        .collect();
    let frame = serde_json::json!({ "seq": seq, "image": image, "detections": detections });
    format!("{frame}\n")
}

/// Every detection has one line that settles it, and the counters say the same.
pub(crate) fn adds_up(lines: &[Value]) {
    let stats = lines.last().expect("a line");
    assert_eq!(stats["event"], "stats");
    let settled: u64 = ["answer", "repeat", "drop"].iter().map(|e| of(lines, e).len() as u64).sum();
    assert_eq!(stats["detections"], settled, "{stats}");
    assert_eq!(stats["waiting"], 0);
    let dropped = stats["dropped"].as_object().expect("reasons").values();
    let dropped: u64 = dropped.map(|n| n.as_u64().expect("a count")).sum();
    assert_eq!(of(lines, "drop").len() as u64, dropped);
}

pub(crate) const A: (&str, [u32; 4]) = ("a", [4, 4, 30, 40]);
pub(crate) const B: (&str, [u32; 4]) = ("b", [30, 10, 60, 44]);

#[test]
fn answers_are_those_of_ask_and_come_again_from_memory() {
    let desk = Desk::new();
    let input = frame(0, "0.png", &[A, B]) + &frame(1, "0.png", &[B, A]) + "{\"cmd\":\"stats\"}\n";
    let run = desk.stream(&["--wait", "--prompt", "What is <region1>?"], &input).exits(0);
    let all = lines(&run);
    assert_eq!(all[0]["event"], "ready");
    adds_up(&all);
    let answers: BTreeMap<&str, &Value> =
        of(&all, "answer").iter().map(|a| (a["track"].as_str().unwrap(), &a["answer"])).collect();
    assert_eq!((of(&all, "answer").len(), answers.len()), (2, 2));
    for (track, [x1, y1, x2, y2]) in [A, B] {
        let b = format!("{x1},{y1},{x2},{y2}");
        let image = desk.path("0.png");
        let asked = ["--image", &image, "--box", &b, "--json", "What is <region1>?"];
        let alone = run_ask(&desk.args("ask", &asked));
        assert_eq!(answers[track], &alone["answer"], "{track}");
    }
    for again in of(&all, "repeat") {
        assert_eq!(&again["answer"], answers[again["track"].as_str().unwrap()]);
        assert_eq!(again["seq"], 1);
    }
    // Looking ahead changes no answer.
    let ahead = desk.stream(&["--wait", "--overlap", "--prompt", "What is <region1>?"], &input);
    let ahead = lines(&ahead.exits(0));
    for answer in of(&ahead, "answer") {
        assert_eq!(&answer["answer"], answers[answer["track"].as_str().unwrap()]);
    }
}

fn run_ask(args: &[String]) -> Value {
    serde_json::from_str(&run("gpt4roi", args).exits(0).out).expect("a JSON object")
}

#[test]
fn embeddings_and_probabilities_come_first() {
    let desk = Desk::new();
    let input = frame(0, "0.png", &[A]) + &frame(1, "1.png", &[A]);
    let more = ["--wait", "--embed", "--label", "cat", "--label", "dog", "--max-distance", "2"];
    let all = lines(&desk.stream(&more, &input).exits(0));
    adds_up(&all);
    let events: Vec<&str> = all.iter().map(|l| l["event"].as_str().unwrap()).collect();
    let expected =
        ["ready", "embedding", "choices", "answer", "embedding", "choices", "repeat", "stats"];
    assert_eq!(events, expected);
    assert_ne!(all[1]["embedding"], all[4]["embedding"]);
    let choices = all[2]["choices"].as_array().expect("choices");
    let sum: f64 = choices.iter().map(|c| c[1].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-6 && choices.len() == 2, "{choices:?}");
}

/// What a real detector saw, with grey frames in the place of its video.
#[test]
fn a_recording_of_a_detector_is_answered_frame_by_frame() {
    let desk = Desk::new();
    let recorded = workspace().join("tests/data/stream/people.mot.csv");
    let recorded = fs::read_to_string(recorded).expect("the recording");
    let n_frames = 20;
    let (w, h) = (768, 576);
    let video = desk.path("grey.y4m");
    let mut out = fs::File::create(&video).expect("a file");
    writeln!(out, "YUV4MPEG2 W{w} H{h} F2:1 Cmono").expect("written");
    for i in 0..n_frames {
        out.write_all(b"FRAME\n").expect("written");
        let pixels: Vec<u8> = (0..w * h).map(|p| (p % w + i * 5) as u8).collect();
        out.write_all(&pixels).expect("written");
    }
    drop(out);
    let run = desk.stream(&["--wait", "--video", &video], &recorded).exits(0);
    let all = lines(&run);
    adds_up(&all);
    let stats = all.last().unwrap();
    assert_eq!(stats["detections"], recorded.lines().count(), "{stats}");
    assert_eq!(of(&all, "drop").len(), 0, "{:?}", of(&all, "drop"));
    assert_eq!(stats["video_frames"], n_frames);
    // The same people stand there in frame after frame.
    assert!(stats["repeated"].as_u64() > Some(0), "{stats}");
    // A video that is cut off: its frames are missing, and no more.
    let bytes = fs::read(&video).expect("the video");
    fs::write(&video, &bytes[..bytes.len() / 2]).expect("written");
    let all = lines(&desk.stream(&["--wait", "--video", &video], &recorded).exits(0));
    adds_up(&all);
    let reasons = of(&all, "drop");
    assert!(!reasons.is_empty() && reasons.iter().all(|d| d["reason"] == "no_picture"));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let desk = Desk::new();
    for (more, words) in [
        (&["--video", "-"][..], "--input"),
        (&["--fps", "5"], "--video"),
        (&["--video", "x", "--video-format", "raw"], "--pixel-format"),
        (&["--wait", "--deadline", "2s"], "--wait"),
        (&["--deadline", "2x"], "500ms"),
        (&["--dialect", "yolo"], "ultralytics"),
        (&["--normalized"], "--normalized"),
        (&["--prompt", "a", "--task", "short"], "--task"),
        (&["--quiet"], "--mqtt"),
        (&["--mqtt-subscribe", "boxes"], "--mqtt"),
        (&["--mqtt", "mqtt://b", "--mqtt-subscribe", "a", "--input", "b"], "exclude each other"),
    ] {
        desk.stream(more, "").exits(2).says(&[words]);
    }
    #[cfg(not(feature = "mqtt"))]
    desk.stream(&["--mqtt", "mqtt://localhost"], "").exits(2).says(&["--features gpt4roi/mqtt"]);
    desk.stream(&["--prompt", "What?"], "").exits(1).says(&["region"]);
    desk.stream(&["--input", "/nowhere"], "").exits(1).says(&["/nowhere"]);
}

/// A stream that waits for more lines.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Running {
    fn start(args: &[String]) -> Running {
        let mut child = start("gpt4roi", args);
        let out = child.stdout.take().expect("a pipe");
        Running { child, lines: BufReader::new(out).lines() }
    }

    fn say(&mut self, text: &str) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("written");
    }

    fn next(&mut self) -> Option<Value> {
        let line = self.lines.next()?.expect("a line");
        Some(serde_json::from_str(&line).expect("a JSON object"))
    }
}

#[test]
fn a_signal_ends_the_stream_in_order() {
    let desk = Desk::new();
    let images = desk.dir.path().to_str().expect("a UTF-8 path");
    let mut stream = Running::start(&desk.args("stream", &["--images", images]));
    stream.say(&frame(0, "0.png", &[A]));
    assert_eq!(stream.next().expect("a line")["event"], "ready");
    assert_eq!(stream.next().expect("a line")["event"], "answer");
    let id = stream.child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill");
    assert!(sent.success());
    assert_eq!(stream.next().expect("a line")["event"], "stats");
    assert_eq!(stream.next(), None);
    assert_eq!(stream.child.wait().expect("an end").code(), Some(0));
}

#[test]
fn a_reader_that_leaves_ends_the_stream_in_order() {
    let desk = Desk::new();
    let images = desk.dir.path().to_str().expect("a UTF-8 path");
    let mut stream = Running::start(&desk.args("stream", &["--images", images]));
    assert_eq!(stream.next().expect("a line")["event"], "ready");
    let Running { mut child, lines } = stream;
    drop(lines);
    let mut stdin = child.stdin.take().expect("a pipe");
    // Standard input stays open: the stream has to notice by itself.
    stdin.write_all(frame(0, "0.png", &[A]).as_bytes()).expect("written");
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_supervisor_is_told_that_the_stream_lives() {
    use std::os::unix::net::UnixDatagram;
    let desk = Desk::new();
    let path = desk.path("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(60))).expect("a timeout");
    let mut child = Command::new(program("gpt4roi"))
        .args(desk.args("stream", &[]))
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "30000000")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("a program");
    let receive = || {
        let mut buffer = [0; 500];
        // Signals that other tests raise in this process interrupt it.
        let n = loop {
            match socket.recv(&mut buffer) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => (),
                received => break received.expect("a message"),
            }
        };
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    assert_eq!(receive(), "READY=1");
    let alive = receive();
    assert!(alive.starts_with("WATCHDOG=1\nSTATUS=0 frames"), "{alive}");
    drop(child.stdin.take());
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}

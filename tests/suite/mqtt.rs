//! `gpt4roi stream --mqtt` with a real broker, which has bad days too.

use crate::mosquitto::{Broker, Listener, PATIENCE, Process, certificates, free_port};
use crate::stream::{A, B, Desk, adds_up, frame, lines, of};
use gpt4roi_tests::programs::{Run, program};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

const OPEN: &str = "allow_anonymous true";

/// A stream that runs, with pipes for what it reads and says.
fn start(desk: &Desk, more: &[&str], env: &[(&str, &str)]) -> Process {
    let images = desk.path("");
    let mut command = Command::new(program("gpt4roi"));
    command.args(desk.args("stream", &[&["--images", &images], more].concat()));
    command.envs(env.iter().copied()).env_remove("GPT4ROI_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process(command.spawn().expect("a program"))
}

/// Its end, and all that it said.
fn end(mut process: Process) -> Run {
    let begun = Instant::now();
    // Both pipes are emptied meanwhile: a full one would keep the program from ending.
    let text = |pipe: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            pipe.expect("a pipe").read_to_string(&mut text).expect("UTF-8");
            text
        })
    };
    let out = text(process.0.stdout.take().map(|p| Box::new(p) as _));
    let err = text(process.0.stderr.take().map(|p| Box::new(p) as _));
    while process.0.try_wait().expect("a state").is_none() {
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let code = process.0.wait().expect("an end").code();
    Run { code, out: out.join().expect("text"), err: err.join().expect("text") }
}

fn stop(process: Process) -> Run {
    process.signal("-TERM");
    end(process)
}

/// The next line of the output that is published, of an event.
#[track_caller]
fn said(listener: &mut Listener, event: &str) -> Value {
    let begin = format!("{{\"event\":\"{event}\"");
    let text = listener.next(|topic, text| topic == "gpt4roi/answers" && text.starts_with(&begin));
    serde_json::from_str(&text).expect("a JSON object")
}

fn status(listener: &mut Listener, status: &str) {
    listener.next(|topic, text| topic == "gpt4roi/status" && text == status);
}

#[test]
fn detections_come_and_answers_go() {
    let desk = Desk::new();
    let broker = Broker::start(desk.dir.path(), OPEN);
    let mut listener = broker.listen("gpt4roi/#");
    let more = ["--mqtt", &broker.url(), "--mqtt-subscribe", "cameras/+/boxes", "--queue", "9"];
    let stream = start(&desk, &more, &[]);
    status(&mut listener, "online");
    assert_eq!(said(&mut listener, "ready")["v"], 1);
    // Two lines in one message, and a line that cannot be used in another.
    let both = frame(0, "0.png", &[A, B]) + &frame(1, "0.png", &[A]);
    broker.publish("cameras/yard/boxes", both.as_bytes());
    let answers = [said(&mut listener, "answer"), said(&mut listener, "answer")];
    assert_eq!(answers[0]["seq"], 0);
    assert_eq!(said(&mut listener, "repeat")["seq"], 1);
    broker.publish("cameras/door/boxes", b"nonsense");
    assert_eq!(said(&mut listener, "error")["line"], 3);
    // Beyond what the stream takes: the broker keeps it to itself.
    broker.publish("cameras/yard/boxes", &vec![b'x'; 17 << 20]);
    broker.publish("cameras/door/boxes", b"{\"cmd\":\"stats\"}");
    let stats = said(&mut listener, "stats");
    assert_eq!((&stats["mqtt_received"], &stats["mqtt_missed"]), (&3.into(), &0.into()), "{stats}");
    let run = stop(stream).exits(0);
    assert_eq!(said(&mut listener, "stats")["mqtt_lost"], 0);
    status(&mut listener, "offline");
    // Standard output has the same lines.
    let all = lines(&run);
    adds_up(&all);
    assert_eq!(of(&all, "answer")[0], &answers[0]);
    assert_eq!(run.err, "");
    // What is retained is the status alone.
    let mut later = broker.listen("gpt4roi/#");
    broker.publish("gpt4roi/end", b"end");
    assert_eq!(later.next(|_, _| true), "offline");
    assert_eq!(later.next(|_, _| true), "end");
}

#[test]
fn a_broker_that_comes_back_gets_what_it_missed() {
    let desk = Desk::new();
    let mut broker = Broker::start(desk.dir.path(), OPEN);
    let mut listener = broker.listen("gpt4roi/#");
    let mut stream = start(&desk, &["--mqtt", &broker.url(), "--wait", "--quiet"], &[]);
    let mut stdin = stream.0.stdin.take().expect("a pipe");
    let mut detect = |seq, what: &[_]| {
        stdin.write_all(frame(seq, "0.png", what).as_bytes()).expect("written");
    };
    detect(0, &[A]);
    assert_eq!(said(&mut listener, "answer")["seq"], 0);
    broker.crash();
    detect(1, &[A, B]);
    detect(2, &[A]);
    std::thread::sleep(std::time::Duration::from_secs(1));
    // It must not come back before there is somebody who hears it.
    stream.signal("-STOP");
    broker.restart();
    let mut listener = broker.listen("gpt4roi/#");
    stream.signal("-CONT");
    // It answered meanwhile, and nothing of that is lost.
    // The first answer may come again: the broker died before it could confirm it, or just after.
    let missing = |topic: &str, text: &str| {
        topic == "gpt4roi/answers" && text.contains("\"seq\":") && !text.contains("\"seq\":0")
    };
    let mut missed: Vec<String> = (0..3)
        .map(|_| {
            let line: Value = serde_json::from_str(&listener.next(missing)).expect("JSON");
            format!("{} {} {}", line["event"], line["seq"], line["track"])
        })
        .collect();
    // What is known is said while the model looks at what is not.
    missed.sort();
    assert_eq!(missed, [r#""answer" 1 "b""#, r#""repeat" 1 "a""#, r#""repeat" 2 "a""#]);
    detect(3, &[A]);
    assert_eq!(said(&mut listener, "repeat")["seq"], 3);
    drop(stdin);
    let run = end(stream).exits(0).says(&["no connection to mqtt://127.0.0.1"]);
    assert_eq!(run.out, "");
    let stats = said(&mut listener, "stats");
    assert_eq!((&stats["mqtt_lost"], &stats["mqtt_connects"]), (&0.into(), &2.into()), "{stats}");
    status(&mut listener, "offline");
}

#[test]
fn a_subscription_outlives_its_broker() {
    let desk = Desk::new();
    let mut broker = Broker::start(desk.dir.path(), OPEN);
    let mut listener = broker.listen("gpt4roi/#");
    let more = ["--mqtt", &broker.url(), "--mqtt-subscribe", "boxes", "--wait"];
    let stream = start(&desk, &more, &[]);
    status(&mut listener, "online");
    broker.crash();
    broker.restart();
    let mut listener = broker.listen("gpt4roi/#");
    status(&mut listener, "online");
    broker.publish("boxes", frame(0, "0.png", &[A]).as_bytes());
    assert_eq!(said(&mut listener, "answer")["track"], "a");
    stop(stream).exits(0);
}

#[test]
fn a_killed_stream_has_a_last_will_and_loses_no_message() {
    let desk = Desk::new();
    let broker = Broker::start(desk.dir.path(), OPEN);
    let mut listener = broker.listen("gpt4roi/#");
    let more = [
        "--mqtt",
        &broker.url(),
        "--mqtt-subscribe",
        "boxes",
        "--mqtt-client-id",
        "yard",
        "--wait",
    ];
    let mut stream = start(&desk, &more, &[]);
    status(&mut listener, "online");
    broker.publish("boxes", frame(0, "0.png", &[A]).as_bytes());
    said(&mut listener, "answer");
    // The message was confirmed before it was answered; that has to get there.
    std::thread::sleep(std::time::Duration::from_millis(500));
    stream.kill();
    status(&mut listener, "offline");
    // The broker keeps what comes meanwhile; what was read before does not come again.
    broker.publish("boxes", frame(7, "0.png", &[B]).as_bytes());
    let stream = start(&desk, &more, &[]);
    status(&mut listener, "online");
    assert_eq!(said(&mut listener, "answer")["seq"], 7);
    let all = lines(&stop(stream).exits(0));
    let stats = all.last().expect("a line");
    assert_eq!((&stats["mqtt_received"], &stats["detections"]), (&1.into(), &1.into()), "{stats}");
}

#[test]
fn lines_that_wait_are_bounded_and_counted() {
    let desk = Desk::new();
    let url = format!("mqtt://127.0.0.1:{}", free_port());
    let mut stream = start(&desk, &["--mqtt", &url, "--mqtt-queue", "5", "--wait"], &[]);
    let mut stdin = stream.0.stdin.take().expect("a pipe");
    for seq in 0..20 {
        stdin.write_all(frame(seq, "0.png", &[A]).as_bytes()).expect("written");
    }
    drop(stdin);
    let run = end(stream).exits(0).says(&["no connection to mqtt://", "5 lines are lost"]);
    let all = lines(&run);
    adds_up(&all);
    // `ready` and what was said of twenty detections, but for those that wait.
    let stats = all.last().expect("a line");
    assert_eq!((&stats["mqtt_lost"], &stats["mqtt_waiting"]), (&16.into(), &5.into()), "{stats}");
    assert_eq!(stats["mqtt_connects"], 0);
}

#[test]
fn events_of_frigate_are_understood() {
    let desk = Desk::new();
    let broker = Broker::start(desk.dir.path(), OPEN);
    let mut listener = broker.listen("gpt4roi/#");
    let video = desk.path("grey.y4m");
    let (w, h) = (64, 48);
    let frame = [&b"FRAME\n"[..], &vec![90; w * h]].concat();
    let header = format!("YUV4MPEG2 W{w} H{h} F2:1 Cmono\n");
    fs::write(&video, [header.as_bytes(), &frame].concat()).expect("a video");
    let more = ["--mqtt", &broker.url(), "--mqtt-subscribe", "frigate/events", "--video", &video];
    let stream = start(&desk, &more, &[]);
    status(&mut listener, "online");
    let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs_f64();
    let event = |kind: &str| {
        serde_json::json!({
            "type": kind,
            "before": { "id": "1.2-ab" },
            "after": {
                "id": "1.2-ab", "camera": "yard", "frame_time": now, "label": "person",
                "sub_label": null, "top_score": 0.9, "score": 0.8, "box": [4, 4, 30, 40],
                "false_positive": false, "region": [0, 0, 64, 48]
            }
        })
        .to_string()
    };
    broker.publish("frigate/events", event("new").as_bytes());
    let answer = said(&mut listener, "answer");
    assert_eq!(
        (&answer["camera"], &answer["track"], &answer["label"]),
        (&"yard".into(), &"1.2-ab".into(), &"person".into())
    );
    broker.publish("frigate/events", event("end").as_bytes());
    let all = lines(&stop(stream).exits(0));
    assert_eq!(of(&all, "error").len(), 0, "{all:?}");
}

#[test]
fn a_wrong_password_is_a_clear_error() {
    let desk = Desk::new();
    let passwords = desk.path("passwords");
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c", &passwords, "me", "right"])
        .status()
        .expect("mosquitto_passwd: scripts/mqtt_test.sh installs it");
    assert!(made.success());
    let auth = format!("allow_anonymous false\npassword_file {passwords}");
    let broker = Broker::start(desk.dir.path(), &auth);
    let url = format!("mqtt://me@127.0.0.1:{}", broker.port);
    let secret = desk.path("secret.txt");
    fs::write(&secret, "wrong-secret\n").expect("a file");
    let wrong = ["--mqtt", &url, "--mqtt-password-file", &secret, "-v", "-v"];
    let run = end(start(&desk, &wrong, &[])).exits(1);
    let run = run.says(&["refuses the connection", "password", "--mqtt-password-file"]);
    assert!(!run.err.contains("wrong-secret"), "{}", run.err);
    end(start(&desk, &["--mqtt", &url], &[])).exits(1).says(&["GPT4ROI_MQTT_PASSWORD"]);
    // The right one, from either place.
    fs::write(&secret, "right\n").expect("a file");
    let from_file = start(&desk, &["--mqtt", &url, "--mqtt-password-file", &secret], &[]);
    let from_environment = start(&desk, &["--mqtt", &url], &[("GPT4ROI_MQTT_PASSWORD", "right")]);
    for mut stream in [from_file, from_environment] {
        drop(stream.0.stdin.take());
        let run = end(stream).exits(0);
        assert_eq!(lines(&run).last().expect("a line")["mqtt_lost"], 0);
        assert_eq!(run.err, "");
    }
}

#[test]
fn what_a_user_may_not_do_is_said() {
    let desk = Desk::new();
    let acl = desk.path("acl");
    fs::write(&acl, "topic readwrite gpt4roi/status\n").expect("a file");
    let broker = Broker::start(desk.dir.path(), &format!("{OPEN}\nacl_file {acl}"));
    let mut stream = start(&desk, &["--mqtt", &broker.url(), "--wait"], &[]);
    drop(stream.0.stdin.take());
    let run = end(stream).exits(0);
    run.says(&["NotAuthorized", "let the user write to `gpt4roi/answers`"]);
}

#[test]
fn encrypted_connections_know_whom_they_trust() {
    let desk = Desk::new();
    certificates(desk.dir.path());
    let files = ["ca.pem", "server.pem", "server.key"].map(|name| desk.path(name));
    let [ca, cert, key] = &files;
    let tls = format!("{OPEN}\ncafile {ca}\ncertfile {cert}\nkeyfile {key}");
    let broker = Broker::start(desk.dir.path(), &format!("{tls}\nrequire_certificate true"));
    let url = format!("mqtts://localhost:{}", broker.port);
    let with = |more: &[&str]| {
        let mut stream = start(&desk, &[&["--mqtt", &url], more].concat(), &[]);
        drop(stream.0.stdin.take());
        end(stream)
    };
    let (client, secret) = (desk.path("client.pem"), desk.path("client.key"));
    let mine = ["--mqtt-cert", &client, "--mqtt-key", &secret];
    let run = with(&[&["--mqtt-ca", ca], &mine[..]].concat()).exits(0);
    // Nothing was lost, and nobody had to complain.
    assert_eq!(run.err, "");
    // Nobody vouches for the broker.
    let stranger = desk.path("stranger.pem");
    let wrong = with(&[&["--mqtt-ca", &stranger], &mine[..]].concat()).exits(1);
    wrong.says(&["is not trusted", "no known authority", "--mqtt-ca"]);
    // It is not the one that was meant.
    let ip = format!("mqtts://127.0.0.1:{}", broker.port);
    let other = start(&desk, &[&["--mqtt", &ip, "--mqtt-ca", ca], &mine[..]].concat(), &[]);
    end(other).exits(1).says(&["is not trusted", "connect by a name"]);
    // It wants to know who is there.
    with(&["--mqtt-ca", ca]).exits(1).says(&["--mqtt-cert"]);
    // Files that are something else.
    with(&["--mqtt-ca", &secret]).exits(1).says(&["client.key", "no certificate"]);
    with(&["--mqtt-ca", "/nowhere"]).exits(1).says(&["/nowhere"]);
    let mixed = ["--mqtt-ca", ca, "--mqtt-cert", &client, "--mqtt-key", &desk.path("ca.key")];
    with(&mixed).exits(1).says(&["ca.key", "does not fit"]);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let desk = Desk::new();
    let run = desk.stream(&["--mqtt", "mqtt://me:hunter2@broker"], "").exits(2);
    let run = run.says(&["--mqtt-password-file", "GPT4ROI_MQTT_PASSWORD"]);
    assert!(!run.err.contains("hunter2"), "{}", run.err);
    let secret = desk.path("secret.txt");
    fs::write(&secret, "x").expect("a file");
    for (more, words) in [
        (&["--mqtt", "broker:1883"][..], "mqtt://[user@]host"),
        (&["--mqtt", "mqtt://b", "--mqtt-subscribe", "a/#/b"], "`a/#/b`"),
        (&["--mqtt", "mqtt://b", "--mqtt-publish", "a/+"], "`a/+`"),
        (&["--mqtt", "mqtt://b", "--mqtt-status", ""], "empty"),
        (&["--mqtt", "mqtt://b", "--mqtt-ca", "x.pem"], "mqtts://"),
        (&["--mqtt", "mqtts://b", "--mqtt-cert", "x.pem"], "--mqtt-key"),
        (&["--mqtt", "mqtt://b", "--mqtt-password-file", &secret], "user@host"),
        (&["--mqtt", "mqtt://b", "--mqtt-queue", "0"], "--mqtt-queue"),
    ] {
        desk.stream(more, "").exits(2).says(&[words]);
    }
    let nowhere = ["--mqtt", "mqtt://me@b", "--mqtt-password-file", "/nowhere"];
    desk.stream(&nowhere, "").exits(1).says(&["/nowhere"]);
}

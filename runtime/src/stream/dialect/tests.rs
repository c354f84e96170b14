use super::*;
use crate::PixelBox;
use crate::dataset::RegionBox;
use crate::stream::{Command, Detection, FrameRef, MAX_DETECTIONS, Picture};
use proptest::prelude::*;

fn lines(text: &str) -> (Option<Dialect>, Vec<Message>, Vec<String>) {
    let (mut reader, mut messages, mut errors) = (Reader::new(None), Vec::new(), Vec::new());
    let mut keep = |read: Read| {
        messages.extend(read.messages);
        read.refused.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for line in text.lines() {
        match reader.push(line.as_bytes()) {
            Ok(read) => errors.extend(keep(read)),
            Err(e) => errors.push(e.to_string()),
        }
    }
    errors.extend(keep(reader.finish()));
    (reader.dialect(), messages, errors)
}

fn at(x1: f64, y1: f64, x2: f64, y2: f64) -> Detection {
    Detection::new(RegionBox::Pixels(PixelBox::new(x1, y1, x2, y2)))
}

fn frame(frame: FrameRef, items: Vec<Detection>) -> Message {
    Message::Detections(Detections { frame, items })
}

fn some(text: &str) -> Option<String> {
    Some(text.into())
}

/// Lines, and what they should give in which dialect.
fn accepted() -> Vec<(&'static str, Dialect, Vec<Message>)> {
    let numbered = |seq| FrameRef { seq: Some(seq), ..FrameRef::default() };
    vec![
        (
            r#"{"v":1,"camera":"door","seq":3,"time":1.5,"image":"3.jpg","size":[640,480],"detections":[{"box":[1,2,3,4],"label":"dog","score":0.5,"track":7,"question":"What is <region1>?","priority":2}]}"#,
            Dialect::Own,
            vec![frame(
                FrameRef {
                    camera: "door".into(),
                    seq: Some(3),
                    time: Some(1.5),
                    picture: Some(Picture::Path("3.jpg".into())),
                    size: Some((640, 480)),
                },
                vec![Detection {
                    label: some("dog"),
                    score: Some(0.5),
                    track: some("7"),
                    question: some("What is <region1>?"),
                    priority: Some(2.0),
                    ..at(1.0, 2.0, 3.0, 4.0)
                }],
            )],
        ),
        (
            r#"{"jpeg":"/9j/","normalized":true,"box_format":"cxcywh","detections":[{"box":[0.5,0.5,0.2,0.5]}]}"#,
            Dialect::Own,
            vec![frame(
                FrameRef { picture: Some(Picture::Bytes(vec![255, 216, 255])), ..numbered(0) },
                vec![Detection::new(RegionBox::Fractions([0.4, 0.25, 0.6, 0.75]))],
            )],
        ),
        (
            r#"[{"name":"person","class":0,"confidence":0.9,"box":{"x1":1,"y1":2,"x2":3.5,"y2":4},"track_id":4,"keypoints":{"x":[1]}}]"#,
            Dialect::Ultralytics,
            vec![frame(
                FrameRef::default(),
                vec![Detection {
                    label: some("person"),
                    score: Some(0.9),
                    track: some("4"),
                    ..at(1.0, 2.0, 3.5, 4.0)
                }],
            )],
        ),
        (
            r#"{"frame":8,"path":"a.png","results":[{"name":"x","box":{"x1":0.1,"y1":0.2,"x2":0.3,"y2":1}}]}"#,
            Dialect::Ultralytics,
            vec![frame(
                FrameRef { picture: Some(Picture::Path("a.png".into())), ..numbered(8) },
                vec![Detection {
                    label: some("x"),
                    ..Detection::new(RegionBox::Fractions([0.1, 0.2, 0.3, 1.0]))
                }],
            )],
        ),
        (
            r#"[{"name":"ship","box":{"x1":5,"y1":0,"x2":10,"y2":5,"x3":5,"y3":10,"x4":0,"y4":5}}]"#,
            Dialect::Ultralytics,
            vec![frame(
                FrameRef::default(),
                vec![Detection { label: some("ship"), ..at(0.0, 0.0, 10.0, 10.0) }],
            )],
        ),
        (
            r#"{"version":"4.0","id":"252","@timestamp":"1970-01-01T00:01:00.500Z","sensorId":"yard","objects":["18|10|20|30|40.5|Vehicle|#|sedan|blue|0.75","18446744073709551615|1|2|3|4|Person"]}"#,
            Dialect::Deepstream,
            vec![frame(
                FrameRef { camera: "yard".into(), time: Some(60.5), ..numbered(252) },
                vec![
                    Detection {
                        label: some("Vehicle"),
                        score: Some(0.75),
                        track: some("18"),
                        ..at(10.0, 20.0, 30.0, 40.5)
                    },
                    Detection { label: some("Person"), ..at(1.0, 2.0, 3.0, 4.0) },
                ],
            )],
        ),
        (
            r#"{"type":"new","before":{},"after":{"id":"1.2-ab","camera":"front","frame_time":17.5,"label":"person","sub_label":null,"score":0.8,"box":[424,500,536,712],"false_positive":false}}
{"type":"end","before":{},"after":{"id":"1.2-ab","camera":"front","frame_time":18,"box":[424,500,536,712]}}"#,
            Dialect::Frigate,
            vec![
                frame(
                    FrameRef { camera: "front".into(), time: Some(17.5), ..FrameRef::default() },
                    vec![Detection {
                        label: some("person"),
                        score: Some(0.8),
                        track: some("1.2-ab"),
                        ..at(424.0, 500.0, 536.0, 712.0)
                    }],
                ),
                frame(
                    FrameRef { camera: "front".into(), time: Some(18.0), ..FrameRef::default() },
                    vec![],
                ),
            ],
        ),
        (
            r#"{"image_id":4,"category_id":1,"bbox":[1,2,10,20],"score":0.5}
{"image_id":4,"category_id":1,"bbox":[5,5,1,1],"score":0.25}
{"image_id":5,"category_id":1,"bbox":[1,2,10,20]}"#,
            Dialect::Coco,
            vec![
                frame(
                    numbered(4),
                    vec![
                        Detection { score: Some(0.5), ..at(1.0, 2.0, 11.0, 22.0) },
                        Detection { score: Some(0.25), ..at(5.0, 5.0, 6.0, 6.0) },
                    ],
                ),
                frame(numbered(5), vec![at(1.0, 2.0, 11.0, 22.0)]),
            ],
        ),
        (
            "1, 3, 794.27, 247.59, 71.245, 174.88, -1, -1, -1, -1\n1,-1,1,1,10,10,0.5\n2,3,1,1,10,10,1,1,0.8",
            Dialect::Mot,
            vec![
                frame(
                    numbered(0),
                    vec![
                        Detection {
                            track: some("3"),
                            ..at(793.27, 246.59, 793.27 + 71.245, 246.59 + 174.88)
                        },
                        Detection { score: Some(0.5), ..at(0.0, 0.0, 10.0, 10.0) },
                    ],
                ),
                frame(
                    numbered(1),
                    vec![Detection {
                        track: some("3"),
                        score: Some(1.0),
                        ..at(0.0, 0.0, 10.0, 10.0)
                    }],
                ),
            ],
        ),
    ]
}

#[test]
fn lines_of_every_dialect_are_recognised_and_read() {
    for (text, dialect, mut expected) in accepted() {
        // The second example names no number.
        if text.starts_with(r#"{"jpeg""#)
            && let Message::Detections(d) = &mut expected[0]
        {
            d.frame.seq = None;
        }
        assert_eq!(lines(text), (Some(dialect), expected, vec![]), "{text}");
    }
}

#[test]
fn numbers_and_empty_parts_come_as_other_tools_write_them() {
    let items = |text: &str| {
        let (dialect, messages, errors) = lines(text);
        assert_eq!(errors, [""; 0], "{text}");
        let of = |m: &Message| match m {
            Message::Detections(d) => (d.frame.seq, d.items.clone()),
            other => panic!("{other:?}"),
        };
        (dialect, messages.iter().map(of).collect::<Vec<_>>())
    };
    // Nothing seen says nothing of the dialect.
    let (dialect, _) = items("[ ]\n[{\"image_id\":1,\"bbox\":[1,2,3,4]}]");
    assert_eq!(dialect, Some(Dialect::Coco));
    let (_, frames) = items("1.000e+00,3.0,1,1,5,5\n2,3,1,1,5,5");
    assert_eq!((frames[0].0, frames[1].0), (Some(0), Some(1)));
    assert_eq!(frames[0].1, frames[1].1);
    let (_, frames) = items(r#"{"id":"1","sensorId":"a","objects":["18|1|2|3|4|"]}"#);
    assert_eq!(
        (frames[0].1[0].label.as_deref(), frames[0].1[0].track.as_deref()),
        (None, Some("18"))
    );
}

#[test]
fn names_are_read_back() {
    for dialect in Dialect::ALL {
        assert_eq!(dialect.to_string().parse(), Ok(dialect));
    }
    assert!("yolo".parse::<Dialect>().is_err_and(|e| e.to_string().contains("ultralytics")));
}

#[test]
fn what_is_wrong_is_named() {
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let long =
        format!(r#"{{"v":1,"detections":[{{"box":[1,2,3,4],"label":"{}"}}]}}"#, "x".repeat(300));
    for (text, words) in [
        (r#"{"v":2,"detections":[]}"#, "`v`: version 2"),
        (r#"{"v":1,"detection":[]}"#, "`detection`"),
        (r#"{"v":1,"image":"a","jpeg":"b","detections":[]}"#, "exclude each other"),
        (r#"{"v":1,"jpeg":"*","detections":[]}"#, "base64"),
        (r#"{"v":1,"size":[0,3],"detections":[]}"#, "`size`"),
        (r#"{"v":1,"detections":[{"box":[3,2,1,4]}]}"#, "`box`: box 3,2,1,4"),
        (r#"{"v":1,"detections":[{"box":[1,2,3,4],"lable":"x"}]}"#, "lable"),
        (r#"{"v":1,"detections":[{"box":[1,2,3]}]}"#, "`box`"),
        (r#"{"v":1,"seq":-1,"detections":[]}"#, "`seq`"),
        (&long, "300 characters"),
        (r#"[{"name":"x","box":{"x1":1,"y1":2,"x2":3}}]"#, "y2"),
        (r#"{"id":"1","@timestamp":"yesterday","objects":[]}"#, "@timestamp"),
        (r#"{"id":"1","sensorId":"a","objects":["1|2|3"]}"#, "3 parts"),
        (r#"{"type":"gone","after":{"id":"1"}}"#, "`type`"),
        (r#"{"type":"new","after":{"id":"1"}}"#, "after.box"),
        (r#"{"image_id":1,"bbox":[1,2,-3,4]}"#, "`bbox`"),
        ("0,1,2,3,4,5", "from 1"),
        ("1,2,3", "3 fields"),
        ("1,2,nan,4,5,6", "`left`"),
        ("hello", "neither JSON"),
        ("{\"a\":1}", "no known dialect"),
        (&deep, "recursion limit"),
        (r#"{"v":1,"time":1e999,"detections":[]}"#, "field `time`: the number is out of range"),
        (
            r#"{"v":1,"detections":[{"box":[1,2,3,4]},{"box":[1,2,3,4],"score":1e999}]}"#,
            "field `detections[1].score`: the number is out of range",
        ),
        (r#"[{"name":"x","confidence":-1e999}]"#, "confidence`: the number is out of range"),
        (r#"{"cmd":"set","refresh":1e999}"#, "field `refresh`: the number is out of range"),
        (r#"{"v":1,"detections":[{"box":[1,2,3,4],"score":1.5}]}"#, "field `score`: 1.5"),
        (r#"{"v":1,"detections":[{"box":[1,2,3,4],"score":-0.1}]}"#, "give a number from 0 to 1"),
        (
            r#"[{"name":"x","confidence":91,"box":{"x1":1,"y1":2,"x2":3,"y2":4}}]"#,
            "field `confidence`: 91",
        ),
        (
            r#"{"type":"new","after":{"id":"1","score":2,"box":[1,2,3,4]}}"#,
            "field `after.score`: 2",
        ),
        (r#"{"image_id":1,"bbox":[1,2,3,4],"score":-1}"#, "field `score`: -1"),
        ("1,2,3,4,5,6,nan", "field `confidence`"),
        (r#"{"cmd":"jump"}"#, "jump"),
        (r#"{"cmd":"stop","now":true}"#, "now"),
        (r#"{"v":1,"seq":3}"#, "`detections`"),
        (r#"{"cmd":"set","deadline":-1}"#, "`deadline`"),
        (r#"{"cmd":"set","question":"What is it?"}"#, "`question`"),
        (r#"{"cmd":"set","max_regions":0}"#, "`max_regions`"),
        (r#"{"cmd":"set","colour":1}"#, "colour"),
    ] {
        let (_, messages, errors) = lines(text);
        assert!(errors.iter().any(|e| e.contains(words)), "{text}: {errors:?}");
        let seen = |m: &Message| matches!(m, Message::Detections(d) if !d.items.is_empty());
        assert!(!messages.iter().any(seen), "{text}: {messages:?}");
    }
}

/// What cannot be used says so as a type too, and what would help.
#[test]
fn errors_are_typed_and_say_what_would_help() {
    let refused = |text: &str| {
        let mut reader = Reader::new(None);
        match reader.push(text.as_bytes()) {
            Ok(read) => read.refused[0].clone(),
            Err(e) => e,
        }
    };
    let line = |dialect, fault| Error::Line { dialect, fault };
    let both = refused(r#"{"v":1,"image":"a","jpeg":"b","detections":[]}"#);
    assert_eq!(both, line(Dialect::Own, Fault::Both("image", "jpeg")));
    assert!(both.to_string().ends_with("leave one of them out"), "{both}");
    let score = refused(r#"{"v":1,"detections":[{"box":[1,2,3,4],"score":7}]}"#);
    let fault = Fault::Score { field: "score", value: "7".into() };
    assert_eq!(score, Error::Detection { dialect: Dialect::Own, index: 0, fault });
    assert!(!score.is_of_whole_line() && both.is_of_whole_line());
    let huge = refused(r#"{"v":1,"time":1e999,"detections":[]}"#);
    assert_eq!(huge, Error::Unreadable { fault: Fault::OutOfRange { field: "time".into() } });
    let command = refused(r#"{"cmd":"set","max_regions":0}"#);
    assert!(matches!(&command, Error::Command { .. }), "{command:?}");
    assert!(command.to_string().contains("give at least 1"), "{command}");
    let unknown = "yolo".parse::<Dialect>();
    assert_eq!(unknown, Err(Error::UnknownDialect { name: "yolo".into() }));
}

/// Where a frame is made of several lines, the first of another ends it, whatever is wrong with that line.
#[test]
fn a_broken_line_of_the_next_frame_completes_the_one_before() {
    let of = |seq, items| frame(FrameRef { seq: Some(seq), ..FrameRef::default() }, items);
    for (good, broken, next) in [
        ("1,1,1,1,5,5", "2,1,nan,1,5,5", "2,1,1,1,5,5"),
        (
            r#"{"image_id":0,"bbox":[0,0,5,5],"track_id":1}"#,
            r#"{"image_id":1,"bbox":[0,0,-5,5]}"#,
            r#"{"image_id":1,"bbox":[0,0,5,5],"track_id":1}"#,
        ),
    ] {
        let mut reader = Reader::new(None);
        assert_eq!(reader.push(good.as_bytes()).unwrap(), Read::default());
        let item = Detection { track: some("1"), ..at(0.0, 0.0, 5.0, 5.0) };
        let read = reader.push(broken.as_bytes()).unwrap();
        assert_eq!(read.messages, [of(0, vec![item.clone()])], "{broken}");
        assert!(read.refused.len() == 1 && read.refused[0].is_of_whole_line(), "{read:?}");
        // The rest of its frame is as good as ever.
        assert_eq!(reader.push(next.as_bytes()).unwrap(), Read::default());
        assert_eq!(reader.finish().messages, [of(1, vec![item])]);
    }
    // A line that is broken from the beginning says nothing of the dialect, and opens nothing.
    let (dialect, messages, errors) = lines("3, hello\n{\"v\":1,\"detections\":[]}");
    assert_eq!((dialect, messages.len(), errors.len()), (Some(Dialect::Own), 1, 1));
}

/// Nothing is the same as nothing said, for the reader as for the schema.
#[test]
fn null_is_an_absent_field() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../../docs/stream/input.schema.json")).unwrap();
    let accepts = |line: &Value| {
        let read = Reader::new(Some(Dialect::Own)).push(line.to_string().as_bytes());
        read.is_ok_and(|r| r.refused.is_empty() && r.messages.len() == 1)
    };
    let detection: Value = serde_json::json!({ "box": [1, 2, 3, 4] });
    for (kind, sample) in [
        ("frame", serde_json::json!({ "detections": [detection] })),
        ("detection", detection.clone()),
        ("set", serde_json::json!({ "cmd": "set" })),
    ] {
        let properties = schema["$defs"][kind]["properties"].as_object().unwrap();
        for (name, property) in properties {
            let mut with_null = sample.clone();
            with_null[name] = Value::Null;
            let line = match kind {
                "detection" => serde_json::json!({ "detections": [with_null] }),
                _ => with_null,
            };
            let allowed = |key: &str, null: Value| {
                property[key].as_array().is_some_and(|values| values.contains(&null))
            };
            let by_schema = allowed("type", "null".into()) || allowed("enum", Value::Null);
            let optional = sample.get(name).is_none();
            assert_eq!((accepts(&line), by_schema), (optional, optional), "{kind}: {name}");
        }
    }
    // With null for one of them, the two do not exclude each other.
    assert!(accepts(&serde_json::json!({ "image": null, "jpeg": "/9j/", "detections": [] })));
}

#[test]
fn one_broken_detection_does_not_lose_the_others() {
    let (_, messages, errors) =
        lines(r#"{"v":1,"detections":[{"box":[1,2,3,4]},{"box":[9,9,1,1]},{"box":[5,6,7,8]}]}"#);
    let expected = vec![at(1.0, 2.0, 3.0, 4.0), at(5.0, 6.0, 7.0, 8.0)];
    assert_eq!(messages, [frame(FrameRef::default(), expected)]);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("detection 1"), "{errors:?}");
}

#[test]
fn too_many_broken_entries_leave_the_complete_frames() {
    let good = r#"{"image_id":1,"bbox":[1,2,3,4]}"#;
    let text = format!("[{good},{}0]", "0,".repeat(MAX_DETECTIONS + 5));
    let mut reader = Reader::new(Some(Dialect::Coco));
    let read = reader.push(text.as_bytes()).unwrap();
    let first = FrameRef { seq: Some(1), ..FrameRef::default() };
    assert_eq!(read.messages, [frame(first, vec![at(1.0, 2.0, 4.0, 6.0)])]);
    assert_eq!(read.refused.len(), MAX_DETECTIONS + 1);
    let last = read.refused.last().unwrap();
    assert!(matches!(last, Error::NotRead { n: 6, .. }) && last.to_string().contains("6 more"));
}

#[test]
fn lengths_count_characters() {
    for (n, fits) in [(256, true), (257, false)] {
        let label = "é".repeat(n);
        let line = format!(r#"{{"v":1,"detections":[{{"box":[1,2,3,4],"label":"{label}"}}]}}"#);
        assert_eq!(lines(&line).2.is_empty(), fits, "{n}");
        let (_, _, errors) = lines(&format!(r#"{{"cmd":"set","labels":["{label}"]}}"#));
        assert_eq!(errors.is_empty(), fits, "{n}: {errors:?}");
    }
}

#[test]
fn commands_are_understood_in_every_dialect() {
    let (dialect, messages, errors) = lines("1,1,1,1,5,5\n{\"cmd\":\"stats\"}\n1,2,1,1,5,5");
    assert_eq!((dialect, errors), (Some(Dialect::Mot), vec![]));
    assert!(matches!(messages[0], Message::Detections(_)));
    assert_eq!(messages[1], Message::Command(Command::Stats));
    assert_eq!(messages.len(), 3);
    // A field of that name inside a detection is no command.
    let (_, messages, _) = lines(r#"{"v":1,"detections":[{"box":[1,2,3,4],"label":"cmd"}]}"#);
    assert!(matches!(messages[0], Message::Detections(_)));
    let (_, messages, errors) = lines(
        r#"{"cmd":"set","question":"What is <region1>?","refresh":5,"labels":["a"],"max_regions":2}"#,
    );
    assert_eq!(errors, [""; 0]);
    let Message::Command(Command::Set(set)) = &messages[0] else {
        panic!("{messages:?}");
    };
    assert_eq!((set.refresh, set.max_regions, set.deadline), (Some(5.0), Some(2), None));
}

/// Every example of the schema that ships with the documentation is accepted.
#[test]
fn the_examples_of_the_schema_are_read() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../../docs/stream/input.schema.json")).unwrap();
    let examples = schema["examples"].as_array().unwrap();
    assert!(examples.len() >= 5);
    for example in examples {
        let mut reader = Reader::new(Some(Dialect::Own));
        let read = reader.push(example.to_string().as_bytes()).unwrap();
        assert_eq!((read.messages.len(), read.refused.len()), (1, 0), "{example}");
    }
}

/// Every line in the documentation is recognised as what it stands under, and read.
#[test]
fn the_lines_of_the_documentation_are_read() {
    let text = include_str!("../../../../docs/stream.md");
    let sections: Vec<&str> = text.split("\n### ").skip(1).collect();
    assert_eq!(sections.len(), Dialect::ALL.len() + 1);
    for (i, section) in sections.iter().enumerate() {
        let example = section.split("```").nth(1).expect("an example");
        let (_, example) = example.split_once('\n').expect("its language");
        let (dialect, messages, errors) = lines(example);
        assert_eq!((dialect, errors), (Dialect::ALL.get(i).copied(), vec![]), "{section}");
        match Dialect::ALL.get(i) {
            Some(dialect) => assert!(section.starts_with(&format!("`{dialect}`")), "{section}"),
            None => assert!(messages.iter().all(|m| matches!(m, Message::Command(_)))),
        }
        assert_eq!(messages.len(), example.lines().count(), "{section}");
    }
}

/// The schema names the fields that the reader knows, and no others.
#[test]
fn the_schema_names_the_fields() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../../docs/stream/input.schema.json")).unwrap();
    for (kind, sample, cmd) in
        [("frame", r#"{"v":1,"detections":[]}"#, None), ("set", r#"{"cmd":"set"}"#, Some(()))]
    {
        let known = schema["$defs"][kind]["properties"].as_object().unwrap();
        let mut line: Value = serde_json::from_str(sample).unwrap();
        line["nonsense"] = Value::Bool(true);
        let error = Reader::new(Some(Dialect::Own)).push(line.to_string().as_bytes()).unwrap_err();
        // The error lists what would have been allowed.
        for name in known.keys().filter(|name| cmd.is_none() || *name != "cmd") {
            assert!(error.to_string().contains(&format!("`{name}`")), "{name}: {error}");
        }
        let n_listed = error.to_string().matches('`').count() / 2;
        let n_others = if cmd.is_some() { 0 } else { 1 };
        assert!(n_listed >= known.len() - n_others, "{error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut reader = Reader::new(None);
        let _ = reader.push(&bytes);
        reader.finish();
    }

    #[test]
    fn no_change_of_a_good_line_panics(
        which in 0..9usize,
        at in any::<prop::sample::Index>(),
        byte: u8,
        cut: bool,
    ) {
        let all = accepted();
        let text = all[which % all.len()].0;
        let mut bytes = text.as_bytes().to_vec();
        let i = at.index(bytes.len());
        if cut { bytes.truncate(i) } else { bytes[i] = byte }
        let mut reader = Reader::new(None);
        for line in bytes.split(|b| *b == b'\n') {
            let _ = reader.push(line);
        }
        reader.finish();
    }
}

//! `demo-eval` on a small model: what the accuracies of the demo model are measured with.

use gpt4roi::{Engine, EngineOptions, KvType, PixelBox, load_image};
use gpt4roi_tests::eval::{Answers, QuestionSet, Scores, Split, Tally, Task, ask};
use gpt4roi_tests::pictures::png;
use gpt4roi_tests::programs::{Run, run};
use gpt4roi_tests::small::Small;
use gpt4roi_tests::{Pair, greedy, scratch};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with a question set about two pictures, ten questions each of them.
struct Desk {
    dir: TempDir,
    pair: Pair,
}

impl Desk {
    fn new() -> Desk {
        let dir = TempDir::new_in(scratch()).expect("a folder");
        std::fs::create_dir(dir.path().join("images")).expect("a folder");
        for i in 0..2 {
            let image = dir.path().join(format!("images/{i}.png"));
            std::fs::write(image, png(120, 90, i)).expect("a picture");
        }
        let desk = Desk { dir, pair: Small::talking_pair() };
        desk.write(&desk.questions(|_| "x".into()));
        desk
    }

    /// The set's lines; `accept` has the right answer to the first turn of each.
    fn questions(&self, accept: impl Fn(u64) -> String) -> String {
        let lines: Vec<_> = (0..20).map(|id| question(id, &accept(id)).to_string()).collect();
        lines.join("\n")
    }

    fn write(&self, questions: &str) {
        std::fs::write(self.path("questions.jsonl"), questions).expect("a file");
    }

    fn set(&self) -> QuestionSet {
        QuestionSet::load(self.dir.path()).unwrap_or_else(|e| panic!("{e}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A pair for the command line under a name.
    fn named(&self, name: &str) -> String {
        format!("{name}={},{}", self.pair.model.display(), self.pair.mmproj.display())
    }

    fn eval(&self, more: &[&str]) -> Run {
        let mut args = vec!["--data", text(self.dir.path()), "--threads", "1"];
        args.extend(more);
        run("demo-eval", &args)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

/// Pictures alternate, every other question has a second turn that is not scored.
fn question(id: u64, accept: &str) -> Value {
    let (x, y) = (3 * id, 2 * id);
    let first = json!({"question": "What is <region1>?", "boxes": [[x, y, x + 40, y + 30]],
        "answer": "", "accept": [accept]});
    let second = json!({"question": "And why, in region1?", "boxes": [], "answer": ""});
    let turns = if id % 4 < 2 { json!([first]) } else { json!([first, second]) };
    json!({"id": id, "image": format!("images/{}.png", id % 2), "task": "category",
        "split": if id.is_multiple_of(4) { "seen" } else { "photo" }, "size": 34.6, "turns": turns})
}

fn open(options: &EngineOptions) -> Engine {
    Engine::open(options).unwrap_or_else(|e| panic!("{e}"))
}

/// Our answers to a set, one conversation an engine: nothing can be left over from another.
fn one_by_one(set: &QuestionSet, options: &EngineOptions) -> Answers {
    let mut answers = Answers::default();
    for q in set.questions() {
        let mut engine = open(options);
        let image = load_image(&set.image(q)).unwrap_or_else(|e| panic!("{e}"));
        let mut conversation = engine.conversation(image);
        let texts = q.turns.iter().map(|turn| {
            let mut request = greedy(&turn.question, 64);
            let boxes = turn.boxes.iter().map(|b| PixelBox::new(b[0], b[1], b[2], b[3]));
            request.boxes = boxes.collect();
            let answer = engine.ask(&mut conversation, &request, |_| ());
            answer.unwrap_or_else(|e| panic!("{e}")).text
        });
        answers.insert(q.id, texts.collect());
    }
    answers
}

#[test]
fn a_run_gives_the_answers_of_single_questions_and_encodes_each_image_once() {
    let desk = Desk::new();
    let set = desk.set();
    // The cache in single precision: a prompt decoded in other pieces gives the same tokens.
    let options = EngineOptions { kv_type: KvType::F32, ..desk.pair.options() };
    let mut engine = open(&options);
    let mut n = 0;
    let (answers, speed) = ask(&mut engine, &set, || n += 1).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((n, speed.n_images, speed.n_turns), (20, 2, 30));
    assert!(speed.an_image() > 0.0 && speed.a_turn() > 0.0, "{speed:?}");
    assert_eq!(answers, one_by_one(&set, &options));
}

#[test]
fn the_program_scores_compares_and_writes_answers() {
    let desk = Desk::new();
    let out = desk.path("answers.jsonl");
    let pair = desk.named("one");
    let first = desk.eval(&["--pair", &pair, "--answers-out", text(&out), "--json"]).exits(0);
    assert_eq!(first.err, "");
    let answers = Answers::load(&out, &desk.set()).unwrap_or_else(|e| panic!("{e}"));
    let none = Scores::of(&desk.set(), &answers);
    assert_eq!(none.tasks[&(Task::Category, Split::Seen)], Tally { right: 0, n: 5 });

    // A set whose right answers are those of the model, but for every fourth question.
    let lines = std::fs::read_to_string(&out).expect("a file");
    let ours: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let said = |id: u64| ours[id as usize]["answers"][0].as_str().expect("text").to_owned();
    desk.write(&desk.questions(|id| if id % 4 == 1 { "x".into() } else { said(id) }));
    let two = desk.named("two");
    let args = ["--pair", &pair, "--pair", &two, "--reference", text(&out), "--json"];
    let run = desk.eval(&args).exits(0);
    let json: Value = serde_json::from_str(&run.out).expect("JSON");
    let columns = json["columns"].as_array().expect("columns");
    let names: Vec<_> = columns.iter().map(|c| c["name"].as_str().expect("a name")).collect();
    assert_eq!(names, ["one", "two", "reference"]);
    for column in columns {
        let [seen, photo] = &column["tasks"].as_array().expect("tasks")[..] else { panic!() };
        assert_eq!(
            (&seen["split"], &seen["right"], &seen["n"]),
            (&json!("seen"), &json!(5), &json!(5))
        );
        assert_eq!((&photo["right"], &photo["n"]), (&json!(10), &json!(15)), "{column}");
    }
    assert_eq!(columns[0]["same_as_reference"]["right"], 20);
    let bytes = |p: &Path| std::fs::metadata(p).expect("a file").len();
    assert_eq!(columns[0]["bytes"], bytes(&desk.pair.model) + bytes(&desk.pair.mmproj));

    let table = desk.eval(&["--pair", &pair, "--markdown"]).exits(0).out;
    assert!(table.contains("| category, seen ") && table.contains("| ---"), "{table}");
    let few = desk.eval(&["--pair", &pair, "--limit", "10"]).exits(0).out;
    assert!(few.starts_with("accuracy in %") && few.contains("category, seen "), "{few}");
}

#[test]
fn what_cannot_be_evaluated_is_said_with_file_and_line() {
    let desk = Desk::new();
    let pair = desk.named("one");
    let good = desk.questions(|_| "x".into());
    let last = |from: &str, to: &str| {
        let line = question(9, "x").to_string().replace("\"id\":9", "\"id\":99");
        assert!(line.contains(from), "{line}");
        desk.write(&format!("{good}\n{}", line.replace(from, to)));
        desk.eval(&["--pair", &pair]).exits(1)
    };
    last("<region1>", "it").says(&["questions.jsonl:21: ", "no new region"]);
    // What only the engine finds: a box without area, a file that is no image.
    last("[27,18,67,48]", "[9,9,9,9]").says(&["questions.jsonl:21: ", "9"]);
    desk.write(&good);
    std::fs::write(desk.path("images/1.png"), "no image").expect("a file");
    desk.eval(&["--pair", &pair]).exits(1).says(&["questions.jsonl:2: ", "1.png"]);

    desk.eval(&["--pair", &pair, "--pair", &pair]).exits(1).says(&["`one`", "NAME="]);
    desk.eval(&["--model", "m.gguf"]).exits(1).says(&["--mmproj"]);
    let missing = desk.path("no.jsonl");
    desk.eval(&["--pair", &pair, "--reference", text(&missing)]).exits(1).says(&["no.jsonl"]);
}

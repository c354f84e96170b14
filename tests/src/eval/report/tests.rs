use super::*;

fn column(name: &str, tasks: &[(Task, Split, u32, u32)]) -> Column {
    let tasks = tasks.iter().map(|&(task, split, right, n)| ((task, split), Tally { right, n }));
    let sizes = [((Split::Seen, SizeClass::Large), Tally { right: 5, n: 10 })];
    let scores = Scores { tasks: tasks.collect(), sizes: sizes.into_iter().collect() };
    Column { name: name.into(), scores, ..Column::default() }
}

fn report() -> Report {
    let tasks = [
        (Task::Control, Split::Seen, 0, 10),
        (Task::Category, Split::Seen, 5, 10),
        (Task::Category, Split::Photo, 10, 10),
    ];
    let reference = column("reference", &tasks);
    let ours = Column {
        bytes: Some(12_340_000),
        speed: Some(Speed {
            n_images: 2,
            n_turns: 4,
            images: std::time::Duration::from_millis(500),
            turns: std::time::Duration::from_millis(100),
        }),
        same: Some(Tally { right: 10, n: 10 }),
        ..column("q8_0", &tasks)
    };
    Report { columns: vec![ours, reference], chance: Some(0.02) }
}

#[test]
fn rows_are_in_the_order_of_tasks_with_sizes_and_costs_below() {
    let table = report().table();
    assert_eq!(table.header, ["accuracy in %, with 95% interval", "n", "q8_0", "reference"]);
    let expected = [
        ["category, seen", "10", "50.0 [23.7, 76.3]", "50.0 [23.7, 76.3]"],
        ["category, seen, > 96 px", "10", "50.0 [23.7, 76.3]", "50.0 [23.7, 76.3]"],
        ["category, photo", "10", "100.0 [72.2, 100.0]", "100.0 [72.2, 100.0]"],
        ["control, seen (chance: 2.0)", "10", "0.0 [0.0, 27.8]", "0.0 [0.0, 27.8]"],
        ["same answers as the reference", "10", "100.0 [72.2, 100.0]", ""],
        ["both files, MB (10^6 bytes)", "", "12.3", ""],
        ["seconds an image", "", "0.250", ""],
        ["seconds a turn, image aside", "", "0.025", ""],
    ];
    assert_eq!(table.rows, expected.map(|row| row.map(str::to_owned).to_vec()));
}

#[test]
fn json_has_every_figure() {
    let json = report().json();
    assert_eq!(json["chance"], 0.02);
    let ours = &json["columns"][0];
    assert_eq!(ours["bytes"], 12_340_000);
    assert_eq!(ours["seconds_an_image"], 0.25);
    assert_eq!(ours["same_as_reference"]["right"], 10);
    let category = &ours["tasks"][0];
    assert_eq!((&category["task"], &category["split"]), (&json!("category"), &json!("seen")));
    assert_eq!((&category["n"], &category["right"]), (&json!(10), &json!(5)));
    assert_eq!(category["share"], 0.5);
    assert_eq!(ours["category_by_size"][0]["size"], "> 96 px");
    assert_eq!(json["columns"][1]["same_as_reference"], Value::Null);
}

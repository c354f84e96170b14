//! The splits that the YAML file of a YOLO data set names.

use super::files::{Files, entries};
use gpt4roi::dataset::{Dataset, Error, Format, Options, open};

const LABELS: &str = "0 0.5 0.5 0.25 0.5\n";

/// A data set as its documentation lays it out: folders side by side, and a YAML file.
fn tree(yaml: &str) -> Files {
    let files = Files::new(&[("set/data.yaml", yaml)]);
    for (split, images) in [("train", ["a", "b"]), ("val", ["c", "d"]), ("more", ["e", "f"])] {
        for image in images {
            files.write(&format!("set/images/{split}/{image}.jpg"), "");
            files.write(&format!("set/labels/{split}/{image}.txt"), LABELS);
        }
    }
    files
}

fn open_split(files: &Files, name: &str, split: Option<&str>) -> Result<Dataset, Error> {
    let format = Some(Format::Yolo);
    open(&files.at(name), &Options { format, split: split.map(Into::into), images: None })
}

/// The letters of the images, each of which has its one region.
#[track_caller]
fn letters(dataset: Result<Dataset, Error>) -> String {
    let mut dataset = dataset.unwrap_or_else(|e| panic!("{e}"));
    let n_images = dataset.n_images();
    let entries = entries(&mut dataset);
    assert_eq!(n_images, Some(entries.len()));
    for entry in &entries {
        assert_eq!(entry.regions.len(), 1, "{}", entry.name);
        assert!(entry.image.is_file(), "{}", entry.image.display());
    }
    let letter = |name: &str| name.rsplit('/').next().map(|n| n[..1].to_owned());
    entries.iter().filter_map(|e| letter(&e.name)).collect()
}

#[track_caller]
fn message(dataset: Result<Dataset, Error>) -> String {
    dataset.map(|_| ()).expect_err("a refusal").to_string()
}

const PLAIN: &str =
    "path: . # here\ntrain: images/train\nval: 'images/val'\ntest: # none\n\nnames:\n  0: cat\n";

#[test]
fn one_split_or_all() {
    let files = tree(PLAIN);
    for name in ["set", "set/data.yaml"] {
        assert_eq!(letters(open_split(&files, name, Some("train"))), "ab", "{name}");
        assert_eq!(letters(open_split(&files, name, Some("val"))), "cd", "{name}");
    }
    // The YAML file names two splits; the folder has another folder.
    assert_eq!(letters(open_split(&files, "set/data.yaml", None)), "abcd");
    assert_eq!(letters(open_split(&files, "set", None)), "efabcd");
    let val = entries(&mut open_split(&files, "set/data.yaml", Some("val")).unwrap());
    assert_eq!(val[0].name, "images/val/c.jpg");
    assert_eq!(val[0].regions[0].label.as_deref(), Some("cat"));
    // Found out without a name, too.
    let options = Options { split: Some("val".into()), ..Options::default() };
    assert_eq!(letters(open(&files.at("set"), &options)), "cd");
}

#[test]
fn every_way_to_write_a_split() {
    let list = "images/train/a.jpg\n\n  ./images/train/b.jpg  \r\n";
    for (train, expected) in [
        ("train: images/train", "ab"),
        ("train: \"images/train\"", "ab"),
        ("train: ./images/train/", "ab"),
        ("train: images\\train", "ab"),
        ("train: ../images/train", "ab"),
        ("train: [images/train, 'images/more',]", "abef"),
        ("train: [\n  images/more,\n  images/train\n]", "efab"),
        ("train:\n  - images/train # first\n  - images/more", "abef"),
        ("train:\n- images/train\n- images/more", "abef"),
        ("train: list.txt", "ab"),
        ("train:\n- list.txt\n- images/more", "abef"),
        ("train: images/here.txt", "a"),
        ("train: images", "efabcd"),
    ] {
        let files = tree(&format!("{train}\nval: images/val\nnames: [cat]\n"));
        files.write("set/list.txt", list);
        files.write("set/images/here.txt", "./train/a.jpg\n");
        assert_eq!(
            letters(open_split(&files, "set/data.yaml", Some("train"))),
            expected,
            "{train}"
        );
    }
}

#[test]
fn absolute_paths_and_data_sets_that_moved() {
    let files = tree("");
    let absolute = files.at("set/images/val").display().to_string();
    files.write(
        "elsewhere/c.yaml",
        format!("path: ../set\ntrain: images/more\nval: {absolute}\nnames: [cat]"),
    );
    assert_eq!(letters(open_split(&files, "elsewhere/c.yaml", Some("train"))), "ef");
    assert_eq!(letters(open_split(&files, "elsewhere/c.yaml", Some("val"))), "cd");
    // The folder that was left behind is not there: the file's own is.
    files.write("set/data.yaml", "path: /left/behind/set\ntrain: images/train\nnames: [cat]");
    assert_eq!(letters(open_split(&files, "set/data.yaml", Some("train"))), "ab");
    // What the caller says wins.
    files.write("far.yaml", "path: nowhere\ntrain: images/train\nnames: [cat]");
    let (images, split) = (Some(files.at("set")), Some("train".into()));
    assert_eq!(
        letters(open(&files.at("far.yaml"), &Options { format: None, images, split })),
        "ab"
    );
}

#[test]
fn a_split_that_is_not_there_names_those_that_are() {
    let files = tree(PLAIN);
    for name in ["set", "set/data.yaml"] {
        for split in ["test", "no", "", "Val"] {
            let message = message(open_split(&files, name, Some(split)));
            assert!(message.contains("data.yaml: has no split"), "{message}");
            assert!(message.ends_with("it has train, val"), "{message}");
        }
    }
    let files = tree("names: [cat]");
    let refused = message(open_split(&files, "set", Some("val")));
    assert!(refused.contains("names no split"), "{refused}");
    let files = Files::new(&[("a.jpg", ""), ("a.txt", LABELS), ("classes.txt", "cat")]);
    let refused = message(open_split(&files, "", Some("val")));
    assert!(refused.contains("splits are in a YAML file"), "{refused}");
    let files = Files::new(&[("boxes.csv", "image,x1,y1,x2,y2\n")]);
    let options = Options { split: Some("val".into()), ..Options::default() };
    let refused = message(open(&files.at("boxes.csv"), &options));
    assert!(refused.contains("is read as csv, and only yolo has splits"), "{refused}");
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    for (yaml, parts) in [
        ("val: images/val\ntrain: images/no", &["line 2", "`images/no` is not there", "set`"][..]),
        ("train: ../../no", &["line 1", "not there"]),
        ("train: []", &["names no split"]),
        ("train: [images/train", &["line 1", "`]`", "missing"]),
        ("a: b\ntrain: {x: y}", &["line 2", "not a path or a list of paths"]),
        ("train:\n  x: y", &["line 2", "not a path"]),
        ("train:\n  - images/train\n  -\n", &["line 3", "a path is empty"]),
        ("train: ''", &["line 1", "a path is empty"]),
        ("train: |\n  images/train", &["line 2", "write it on one line"]),
        ("train: images/\n  train", &["line 2", "write it on one line"]),
        ("train: *ref", &["line 1", "`*ref` is not a plain or quoted text"]),
        ("train: !!str x", &["line 1", "plain or quoted"]),
        ("train: 'images/train", &["line 1", "plain or quoted"]),
        ("train: images/train\ntrain: images/val", &["line 2", "twice, first in line 1"]),
        ("path: [a, b]\ntrain: x", &["line 1", "`path` may be one folder only"]),
        ("train: data.yaml", &["line 1", "neither a folder nor a .txt"]),
        ("train: images/train/a.jpg", &["line 1", "neither a folder nor a .txt"]),
        ("train: /dev/null", &["line 1", "neither a folder nor a .txt"]),
        ("train: images/empty", &["no image (jpg, png, webp, bmp)"]),
        ("train: images/bare", &["none of the 1 image(s)", "bare/g.txt"]),
    ] {
        let files = tree(&format!("{yaml}\nnames: [cat]\n"));
        files.write("set/images/empty/note.md", "");
        files.write("set/images/bare/g.jpg", "");
        let refused = message(open_split(&files, "set/data.yaml", Some("train")));
        for part in parts {
            assert!(refused.contains(part), "{yaml}\ngives `{refused}`\nwithout `{part}`");
        }
        assert!(refused.starts_with(&files.at("set/data.yaml").display().to_string()), "{refused}");
    }
}

#[test]
fn a_bad_line_of_a_list_is_an_error_in_its_place() {
    let files = tree("train: list.txt\nnames: [cat]");
    let far = "x".repeat(10_000);
    let list = format!(
        "images/train/a.jpg\nimages/train/no.jpg\n/etc/passwd\ndata.yaml\n{far}.jpg\na\0b.jpg\nlist.txt\n\
         images/train/b.jpg\n"
    );
    files.write("set/list.txt", list);
    let results: Vec<_> = open_split(&files, "set/data.yaml", Some("train")).unwrap().collect();
    assert_eq!(results.len(), 8);
    let says = [
        "",
        "`images/train/no.jpg` is not there",
        "`/etc/passwd` is not the name of an image",
        "`data.yaml` is not the name",
        "is not there",
        "is not there",
        "`list.txt` is not the name",
        "",
    ];
    for (i, (result, part)) in results.iter().zip(says).enumerate() {
        match result {
            Ok(_) => assert_eq!(part, "", "line {}", i + 1),
            Err(e) => {
                let message = e.to_string();
                assert!(message.contains(&format!("list.txt, line {}: ", i + 1)), "{message}");
                assert!(message.contains(part) && message.len() < 300, "{message}");
            }
        }
    }
}

#[test]
fn lists_without_a_good_line_or_that_are_no_text() {
    let files = tree("train: list.txt\nnames: [cat]");
    files.write("set/list.txt", "no.jpg\nnor.jpg\n");
    let refused = message(open_split(&files, "set/data.yaml", Some("train")));
    assert!(refused.contains("list.txt, line 1: the image `no.jpg` is not there"), "{refused}");
    files.write("set/list.txt", b"images/train/a.jpg\n\xff");
    let refused = message(open_split(&files, "set/data.yaml", Some("train")));
    assert!(refused.contains("list.txt, line 2: not UTF-8"), "{refused}");
    files.write("set/list.txt", "");
    let refused = message(open_split(&files, "set/data.yaml", Some("train")));
    assert!(refused.contains("no image"), "{refused}");
}

#[test]
fn an_image_is_read_once() {
    let files = tree("train: [images/train, ./images/train, list.txt]\nval: images\nnames: [cat]");
    files.write("set/list.txt", "./images/train/b.jpg\nimages/more/e.jpg\n");
    let mut dataset = open_split(&files, "set/data.yaml", Some("train")).unwrap();
    assert_eq!(entries(&mut dataset).len(), 3);
    let [warning] = dataset.warnings() else { panic!("{:?}", dataset.warnings()) };
    assert_eq!((warning.what, warning.count), ("images that are listed again", 3));
    assert_eq!(letters(open_split(&files, "set/data.yaml", None)), "abefcd");
}

#[cfg(unix)]
#[test]
fn links_in_circles_end() {
    use std::os::unix::fs::symlink;
    let files = tree("train: loop\nval: images/train\ntest: self\nnames: [cat]");
    symlink(files.at("set"), files.at("set/images/train/loop")).unwrap();
    symlink(files.at("set/self"), files.at("set/self")).unwrap();
    symlink(files.at("set/images/train"), files.at("set/loop")).unwrap();
    // The link leads to a folder whose link leads to the whole set.
    assert_eq!(entries(&mut open_split(&files, "set/data.yaml", Some("train")).unwrap()).len(), 6);
    assert_eq!(entries(&mut open_split(&files, "set/data.yaml", Some("val")).unwrap()).len(), 6);
    let refused = message(open_split(&files, "set/data.yaml", Some("test")));
    assert!(refused.contains("`self` is not there"), "{refused}");
}

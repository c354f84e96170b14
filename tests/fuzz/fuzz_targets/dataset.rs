//! Sets of images with boxes. The first byte says which format, the rest is the file; of YOLO it is the labels, the
//! YAML file, or the list that a YAML file names.
#![no_main]

use gpt4roi::dataset::{Format, Options, RegionBox, detect, open};
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;

/// Formats, what their files are called, and what is opened.
const KINDS: [(Format, &str, &str); 10] = [
    (Format::Jsonl, "jsonl/a.jsonl", "jsonl/a.jsonl"),
    (Format::Csv, "csv/a.csv", "csv/a.csv"),
    (Format::Coco, "coco/a.json", "coco/a.json"),
    (Format::Voc, "voc/a.xml", "voc/a.xml"),
    (Format::VisualGenome, "vg/a.json", "vg/a.json"),
    (Format::Labelme, "labelme/a.json", "labelme/a.json"),
    (Format::Cvat, "cvat/a.xml", "cvat/a.xml"),
    (Format::Yolo, "labels/a.txt", "labels"),
    (Format::Yolo, "yaml/data.yaml", "yaml/data.yaml"),
    (Format::Yolo, "list/list.txt", "list/data.yaml"),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((which, content)) = bytes.split_first() else { return };
    let (format, file, opened) = KINDS[usize::from(*which) % KINDS.len()];
    let path = gpt4roi_fuzz::write(file, content);
    for folder in ["labels", "yaml", "list"] {
        gpt4roi_fuzz::write(&format!("{folder}/a.jpg"), b"");
    }
    gpt4roi_fuzz::write("yaml/a.txt", b"0 0.5 0.5 0.25 0.25");
    gpt4roi_fuzz::write("list/a.txt", b"0 0.5 0.5 0.25 0.25");
    gpt4roi_fuzz::write("list/data.yaml", b"train: list.txt\nnames: [a]");
    let _ = detect(&path);
    let opened = gpt4roi_fuzz::scratch().join(opened);
    for split in [None, Some("train")] {
        read(
            opened.clone(),
            Options { format: Some(format), images: None, split: split.map(Into::into) },
        );
    }
});

/// Reads everything; boxes that come out are boxes.
fn read(path: PathBuf, options: Options) {
    let Ok(dataset) = open(&path, &options) else { return };
    for region in dataset.flatten().flat_map(|entry| entry.regions) {
        let [x1, y1, x2, y2] = match region.shape {
            RegionBox::Pixels(b) => [b.x1, b.y1, b.x2, b.y2],
            RegionBox::Fractions(edges) => edges,
        };
        assert!(x1 < x2 && y1 < y2, "{x1},{y1},{x2},{y2}");
        assert!([x1, y1, x2, y2].iter().all(|v| v.is_finite()), "{x1},{y1},{x2},{y2}");
    }
}

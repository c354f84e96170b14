//! Boxes as people write them, in every format, against pictures of several sizes.
#![no_main]

use gpt4roi::preprocess::{check_boxes, parse_values};
use gpt4roi::{BoxFormat, BoxPolicy, PixelBox};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(values) = parse_values(text) else { return };
    for format in [BoxFormat::Xyxy, BoxFormat::Xywh, BoxFormat::Cxcywh] {
        for image in [(1, 1), (640, 480), (30_000, 2)] {
            let given = [
                PixelBox::from_format(values, format),
                PixelBox::from_normalized(values, format, image),
            ];
            for policy in [BoxPolicy::Check, BoxPolicy::Clip] {
                for checked in given.iter().filter_map(|b| check_boxes(&[*b], image, policy).ok()) {
                    let [x1, y1, x2, y2] = checked[0].fractions;
                    assert!(x1 <= x2 && y1 <= y2, "{text} became inverted");
                }
            }
        }
    }
});

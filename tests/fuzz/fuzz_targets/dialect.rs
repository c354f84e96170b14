//! Lines of detectors. The first byte picks the dialect, or that it is to be recognised.
#![no_main]

use gpt4roi::dataset::RegionBox;
use gpt4roi::stream::{Dialect, MAX_DETECTIONS, Message, Read, Reader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, lines)) = bytes.split_first() else { return };
    let mut reader = Reader::new(Dialect::ALL.get(usize::from(*first) % 7).copied());
    for line in lines.split(|b| *b == b'\n') {
        if let Ok(read) = reader.push(line) {
            check(&read);
        }
    }
    check(&reader.finish());
});

/// Whatever is read is bounded, and every box is finite and not empty.
fn check(read: &Read) {
    for message in &read.messages {
        let Message::Detections(frame) = message else { continue };
        assert!(frame.items.len() <= MAX_DETECTIONS);
        for item in &frame.items {
            let [x1, y1, x2, y2] = match item.shape {
                RegionBox::Pixels(b) => [b.x1, b.y1, b.x2, b.y2],
                RegionBox::Fractions(edges) => edges,
            };
            assert!(x1 < x2 && y1 < y2 && [x1, y1, x2, y2].iter().all(|v| v.is_finite()));
        }
    }
}

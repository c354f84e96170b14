//! Any bytes as a video: the first picks the format, and whether rows are padded.
#![no_main]

use gpt4roi::stream::{PixelFormat, VideoFormat, VideoOptions, VideoReader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&kind, bytes)) = data.split_first() else {
        return;
    };
    let raw = |pixel| Some(VideoFormat::Raw { pixel, size: (7, 5) });
    let row_align = (kind >= 8).then_some(8);
    let format = match kind % 8 {
        0 => None,
        1 => Some(VideoFormat::Mjpeg),
        2 => Some(VideoFormat::Y4m),
        3 => raw(PixelFormat::Nv12),
        4 => raw(PixelFormat::Yuyv422),
        _ => raw(PixelFormat::I422),
    };
    let options = VideoOptions { format, fps: Some(5.0), row_align, ..VideoOptions::default() };
    let Ok(mut video) = VideoReader::new(bytes, options) else {
        return;
    };
    let mut seq = 0;
    while let Some(frame) = video.next_frame() {
        if let Ok(frame) = frame {
            assert!(frame.seq() >= seq);
            seq = frame.seq();
            let _ = frame.to_rgb();
        }
    }
});

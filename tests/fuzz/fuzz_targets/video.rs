//! Any bytes as a video: the first picks the format.
#![no_main]

use gpt4roi::stream::{PixelFormat, VideoFormat, VideoOptions, VideoReader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&kind, bytes)) = data.split_first() else {
        return;
    };
    let raw = |pixel| Some(VideoFormat::Raw { pixel, size: (7, 5) });
    let format = match kind {
        0 => None,
        1 => Some(VideoFormat::Mjpeg),
        2 => Some(VideoFormat::Y4m),
        3 => raw(PixelFormat::Nv12),
        4 => raw(PixelFormat::Yuyv422),
        _ => raw(PixelFormat::I422),
    };
    let Ok(mut video) = VideoReader::new(bytes, VideoOptions { format, fps: Some(5.0) }) else {
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

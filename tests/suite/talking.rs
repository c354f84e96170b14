//! A small model that talks nonsense about a picture, and boxes of that picture.

use gpt4roi::{Engine, EngineOptions, KvType, PixelBox, RgbImage8};
use gpt4roi_tests::pictures::picture;
use gpt4roi_tests::small::Small;

/// With an exact cache: predictions do not depend on what else is in it.
pub(crate) fn options() -> EngineOptions {
    EngineOptions { kv_type: KvType::F32, ..Small::talking_pair().options() }
}

pub(crate) fn open(change: impl FnOnce(&mut EngineOptions)) -> Engine {
    let mut options = options();
    change(&mut options);
    Engine::open(&options).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn photo() -> RgbImage8 {
    picture(200, 150, 1)
}

pub(crate) fn some_box(i: usize) -> PixelBox {
    let (x, y) = ((i * 13 % 100) as f64, (i * 29 % 70) as f64);
    PixelBox::new(x, y, x + 20.0 + (i * 7 % 60) as f64, y + 30.0 + (i * 5 % 40) as f64)
}

//! Pictures as they come: every layout, turned by EXIF, damaged, huge, of one pixel.

use std::io::Cursor;

use gpt4roi::preprocess::{
    Error, MAX_FILE_BYTES, PassOrder, PreprocessMode, PreprocessOptions, RgbImage8, bicubic_step,
    decode, load, load_from, run,
};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat};

const OPTIONS: PreprocessOptions = PreprocessOptions {
    size: 224,
    mean: [0.5; 3],
    std: [0.25; 3],
    mode: PreprocessMode::Inference,
};

/// Red rises to the right, green downwards, blue is fixed.
fn gradient(width: u32, height: u32) -> DynamicImage {
    let at = |i: u32, n: u32| (i * 255 / n.max(2)) as u8;
    image::RgbImage::from_fn(width, height, |x, y| image::Rgb([at(x, width), at(y, height), 40]))
        .into()
}

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png(image: &DynamicImage) -> Vec<u8> {
    encode(image, ImageFormat::Png)
}

#[test]
fn lossless_formats_give_the_pixels_back() {
    let image = gradient(31, 17);
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp] {
        let decoded = decode("x", &encode(&image, format)).unwrap();
        assert_eq!(decoded.size(), (31, 17));
        assert_eq!(decoded.data(), image.as_bytes(), "{format:?}");
    }
    let decoded = decode("x", &encode(&image, ImageFormat::Jpeg)).unwrap();
    let worst = decoded.data().iter().zip(image.as_bytes()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst.unwrap() < 40, "{worst:?}");
}

#[test]
fn alpha_is_dropped_without_blending() {
    let clear = image::RgbaImage::from_pixel(3, 2, image::Rgba([9, 8, 7, 0]));
    let decoded = decode("x", &png(&clear.into())).unwrap();
    assert!(decoded.data().chunks_exact(3).all(|p| p == [9, 8, 7]));
    let clear = image::GrayAlphaImage::from_pixel(3, 2, image::LumaA([77, 0]));
    let decoded = decode("x", &png(&clear.into())).unwrap();
    assert!(decoded.data().iter().all(|&s| s == 77));
}

#[test]
fn grey_is_replicated() {
    let grey = image::GrayImage::from_pixel(3, 2, image::Luma([200]));
    let decoded = decode("x", &png(&grey.into())).unwrap();
    assert_eq!(decoded.data(), [200; 18]);
}

#[test]
fn sixteen_bits_keep_their_high_byte() {
    type Rgb16 = image::ImageBuffer<image::Rgb<u16>, Vec<u16>>;
    type Grey16 = image::ImageBuffer<image::Luma<u16>, Vec<u16>>;
    let colour = Rgb16::from_pixel(2, 1, image::Rgb([0x12FF, 0x00FF, 0xFF00]));
    let decoded = decode("x", &png(&colour.into())).unwrap();
    assert_eq!(decoded.data(), [0x12, 0, 0xFF, 0x12, 0, 0xFF]);
    let grey = Grey16::from_pixel(1, 1, image::Luma([0x80FF]));
    assert_eq!(decode("x", &png(&grey.into())).unwrap().data(), [0x80; 3]);
}

/// A PNG of two palette indices, assembled by hand: the encoder at hand writes none.
fn palette_png() -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut bytes, b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 1, 8, 3, 0, 0, 0]);
    chunk(&mut bytes, b"PLTE", &[1, 2, 3, 250, 251, 252]);
    chunk(&mut bytes, b"tRNS", &[0]);
    // One stored deflate block: filter byte 0, then the indices 1 and 0.
    chunk(&mut bytes, b"IDAT", &[0x78, 1, 1, 3, 0, 0xFC, 0xFF, 0, 1, 0, 0, 5, 0, 2]);
    chunk(&mut bytes, b"IEND", &[]);
    bytes
}

fn chunk(bytes: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    bytes.extend((data.len() as u32).to_be_bytes());
    let begin = bytes.len();
    bytes.extend(kind);
    bytes.extend(data);
    let crc = crc32(&bytes[begin..]);
    bytes.extend(crc.to_be_bytes());
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        let step = |c: u32, _| {
            if c & 1 == 1 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 }
        };
        (0..8).fold(crc ^ u32::from(byte), step)
    })
}

#[test]
fn palettes_are_expanded() {
    let decoded = decode("x", &palette_png()).unwrap();
    assert_eq!(decoded.data(), [250, 251, 252, 1, 2, 3]);
}

/// The EXIF block that says how the picture is turned.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    block
}

#[test]
fn exif_orientation_is_applied() {
    // A 3x2 picture whose samples are numbered; what each orientation makes of it.
    let expected: [(u8, (u32, u32), [u8; 6]); 8] = [
        (1, (3, 2), [1, 2, 3, 4, 5, 6]),
        (2, (3, 2), [3, 2, 1, 6, 5, 4]),
        (3, (3, 2), [6, 5, 4, 3, 2, 1]),
        (4, (3, 2), [4, 5, 6, 1, 2, 3]),
        (5, (2, 3), [1, 4, 2, 5, 3, 6]),
        (6, (2, 3), [4, 1, 5, 2, 6, 3]),
        (7, (2, 3), [6, 3, 5, 2, 4, 1]),
        (8, (2, 3), [3, 6, 2, 5, 1, 4]),
    ];
    for (orientation, size, samples) in expected {
        let mut bytes = Vec::new();
        let mut encoder = PngEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        encoder.write_image(&[1, 2, 3, 4, 5, 6], 3, 2, ExtendedColorType::L8).unwrap();
        let decoded = decode("x", &bytes).unwrap();
        assert_eq!(decoded.size(), size, "orientation {orientation}");
        let grey: Vec<u8> = decoded.data().chunks_exact(3).map(|p| p[0]).collect();
        assert_eq!(grey, samples, "orientation {orientation}");
    }
}

#[test]
fn exif_of_a_jpeg_turns_it() {
    let image = gradient(40, 24);
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.set_exif_metadata(exif(6)).unwrap();
    encoder.encode_image(&image).unwrap();
    let decoded = decode("x", &bytes).unwrap();
    assert_eq!(decoded.size(), (24, 40));
    // Red, which rose to the right, now rises downwards.
    let red = |x: usize, y: usize| decoded.data()[(y * 24 + x) * 3];
    assert!(red(12, 39) > red(12, 0) + 200);
}

#[test]
fn unreadable_exif_counts_as_upright() {
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_exif_metadata(b"not exif at all".to_vec()).unwrap();
    encoder.write_image(&[1, 2, 3, 4, 5, 6], 3, 2, ExtendedColorType::L8).unwrap();
    assert_eq!(decode("x", &bytes).unwrap().size(), (3, 2));
}

fn message(result: Result<RgbImage8, Error>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn unusable_files_are_named() {
    assert!(message(decode("a.png", &[])).contains("`a.png` is empty"));
    assert!(message(decode("a.png", b"hello, world")).contains("JPEG, PNG, WebP or BMP"));
    assert!(message(load("/nonexistent/b.png".as_ref())).contains("/nonexistent/b.png"));
    assert!(message(decode("c.gif", b"GIF89a\x01\0\x01\0\0\0\0;")).contains("c.gif"));
    assert!(message(load_from("standard input", &b""[..])).contains("standard input"));
}

#[test]
fn truncated_files_are_errors() {
    let image = gradient(64, 48);
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Jpeg] {
        let bytes = encode(&image, format);
        for keep in [12, bytes.len() / 4, bytes.len() / 2, bytes.len() - 40] {
            let result = decode("cut", &bytes[..keep]);
            assert!(message(result).contains("cut"), "{format:?} {keep}");
        }
    }
    let bytes = encode(&image, ImageFormat::Jpeg);
    let error = decode("cut", &bytes[..bytes.len() - 2]).unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
}

#[test]
fn a_jpeg_with_a_tail_is_complete() {
    let mut bytes = encode(&gradient(16, 16), ImageFormat::Jpeg);
    bytes.extend([0; 100]);
    assert_eq!(decode("x", &bytes).unwrap().size(), (16, 16));
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let side = 60_000u32.to_be_bytes();
    chunk(&mut bytes, b"IHDR", &[&side[..], &side[..], &[8, 2, 0, 0, 0]].concat());
    chunk(&mut bytes, b"IDAT", &[0x78, 1]);
    chunk(&mut bytes, b"IEND", &[]);
    let error = decode("bomb.png", &bytes).unwrap_err();
    assert!(matches!(error, Error::TooLarge { width: 60_000, .. }), "{error}");
    assert!(error.to_string().contains("10800000000 bytes"), "{error}");
    const { assert!(MAX_FILE_BYTES == 1 << 30) };
}

#[test]
fn extreme_shapes_work() {
    for (width, height) in [(1, 1), (30_000, 1), (1, 30_000), (3, 1), (2, 3), (5, 3)] {
        let image = decode("x", &png(&gradient(width, height))).unwrap();
        let pixels = run(&image, &OPTIONS).unwrap();
        assert_eq!((pixels.data.len(), pixels.original), (3 * 224 * 224, (width, height)));
        assert!(pixels.data.iter().all(|v| v.is_finite() && v.abs() <= 2.0));
        assert!(
            pixels.data[2 * 224 * 224..]
                .iter()
                .all(|v| (v - pixels.data[2 * 224 * 224]).abs() < 1e-6)
        );
    }
    let wide = decode("x", &png(&gradient(30_000, 1))).unwrap();
    let row = &run(&wide, &OPTIONS).unwrap().data[..224];
    assert!(row.is_sorted(), "a gradient stays one");
    assert!(matches!(
        bicubic_step(&wide, 224, PassOrder::HorizontalFirst),
        Err(Error::ResizeTooLarge { .. })
    ));
}

#[test]
fn training_mode_follows_its_own_formula() {
    let image = RgbImage8::new(1, 1, vec![255, 0, 51]).unwrap();
    let options = PreprocessOptions { mode: PreprocessMode::Training, size: 2, ..OPTIONS };
    let pixels = run(&image, &options).unwrap();
    let expected = [[2.0; 4], [-2.0; 4], [-1.2; 4]].concat();
    let close = pixels.data.iter().zip(&expected).all(|(a, b): (&f32, &f32)| (a - b).abs() < 1e-6);
    assert!(close, "{:?}", pixels.data);
}

#[test]
fn senseless_options_are_errors() {
    let image = RgbImage8::new(1, 1, vec![0; 3]).unwrap();
    for options in [
        PreprocessOptions { size: 0, ..OPTIONS },
        PreprocessOptions { size: u32::MAX, ..OPTIONS },
        PreprocessOptions { std: [1.0, 0.0, 1.0], ..OPTIONS },
        PreprocessOptions { mean: [0.0, f32::NAN, 0.0], ..OPTIONS },
    ] {
        assert!(matches!(run(&image, &options), Err(Error::Option { .. })));
    }
    assert!(matches!(RgbImage8::new(0, 3, vec![]), Err(Error::PixelCount { .. })));
    assert!(matches!(RgbImage8::new(2, 2, vec![0; 3]), Err(Error::PixelCount { .. })));
}

/// Flips, cuts and overwrites bytes: whatever comes of it, it comes as a result.
#[test]
fn damaged_files_never_panic() {
    let image = gradient(48, 33);
    let mut state = 7u64;
    let mut below = |most: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % most
    };
    let (mut good, mut bad) = (0, 0);
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Jpeg] {
        let whole = encode(&image, format);
        for round in 0..1500 {
            let mut bytes = whole.clone();
            // Half of the rounds aim at the header, where the sizes are.
            let reach = if round % 2 == 0 { bytes.len() } else { bytes.len().min(120) };
            for _ in 0..=below(4) {
                let at = below(reach);
                bytes[at] ^= 1 << below(8);
            }
            if round % 10 == 0 {
                bytes.truncate(1 + below(bytes.len() - 1));
            }
            match decode("damaged", &bytes) {
                Ok(decoded) => {
                    good += 1;
                    assert!(run(&decoded, &OPTIONS).is_ok());
                }
                Err(error) => {
                    bad += 1;
                    let text = error.to_string();
                    assert!(!text.contains("the decoder failed"), "{format:?} {round}: {text}");
                }
            }
        }
    }
    assert!(good > 500 && bad > 500, "{good} decoded, {bad} refused");
}

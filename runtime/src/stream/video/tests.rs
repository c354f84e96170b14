use super::*;
use crate::RgbImage8;
use proptest::prelude::*;
use std::path::Path;

/// A file that `scripts/video_fixtures.sh` makes.
fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/video").join(name);
    std::fs::read(path).unwrap()
}

const SIZE: (u32, u32) = (32, 24);

fn raw(pixel: PixelFormat) -> VideoOptions {
    let format = Some(VideoFormat::Raw { pixel, size: SIZE });
    VideoOptions { format, fps: Some(5.0), ..VideoOptions::default() }
}

fn frames(bytes: &[u8], options: VideoOptions) -> (Vec<VideoFrame>, Vec<String>) {
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    match VideoReader::new(bytes, options) {
        Ok(mut video) => {
            while let Some(frame) = video.next_frame() {
                match frame {
                    Ok(frame) => frames.push(frame),
                    Err(e) => errors.push(e.to_string()),
                }
            }
            assert_eq!(video.n_bad(), errors.len() as u64);
        }
        Err(e) => errors.push(e.to_string()),
    }
    (frames, errors)
}

fn pictures(bytes: &[u8], options: VideoOptions) -> Vec<RgbImage8> {
    let (frames, errors) = frames(bytes, options);
    assert_eq!(errors, [""; 0]);
    let times: Vec<f64> = frames.iter().map(VideoFrame::time).collect();
    let seqs: Vec<u64> = frames.iter().map(VideoFrame::seq).collect();
    assert_eq!((times, seqs), (vec![0.0, 0.2, 0.4], vec![0, 1, 2]));
    frames.iter().map(|f| f.to_rgb().unwrap()).collect()
}

/// Mean and largest difference of bytes.
fn difference(a: &[u8], b: &[u8]) -> (f64, u8) {
    assert_eq!(a.len(), b.len());
    let all = || a.iter().zip(b).map(|(x, y)| x.abs_diff(*y));
    (all().map(f64::from).sum::<f64>() / a.len() as f64, all().max().unwrap_or(0))
}

#[test]
fn planes_become_what_ffmpeg_makes_of_them() {
    for name in ["yuv420p", "yuv444p"] {
        let made: Vec<u8> = pictures(&fixture(&format!("{name}.y4m")), VideoOptions::default())
            .iter()
            .flat_map(|p| p.data().to_vec())
            .collect();
        let (mean, most) = difference(&made, &fixture(&format!("{name}.rgb")));
        assert!(mean <= 0.5 && most <= 2, "{name}: {mean}, {most}");
    }
}

#[test]
fn every_form_of_pixels_shows_the_same_picture() {
    let expected = fixture("yuv444p.rgb");
    for (name, options, most) in [
        ("bgra.raw", raw(PixelFormat::Bgra), 3.0),
        ("nv12.raw", raw(PixelFormat::Nv12), 12.0),
        ("yuyv422.raw", raw(PixelFormat::Yuyv422), 12.0),
        ("three.mjpeg", VideoOptions { fps: Some(5.0), ..VideoOptions::default() }, 12.0),
    ] {
        let made: Vec<u8> =
            pictures(&fixture(name), options).iter().flat_map(|p| p.data().to_vec()).collect();
        let (mean, _) = difference(&made, &expected);
        assert!(mean < most, "{name}: {mean}");
    }
    let grey = pictures(&fixture("gray.y4m"), VideoOptions::default());
    assert!(grey[0].data().chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]));
    // Full range: the bytes are brightness as it is.
    let header =
        fixture("gray.y4m").iter().position(|b| *b == b'\n').unwrap() + 1 + "FRAME\n".len();
    assert_eq!(grey[0].data()[0], fixture("gray.y4m")[header]);
}

#[test]
fn nv21_and_i420_are_nv12_in_other_orders() {
    let nv12 = fixture("nv12.raw");
    let (n, c) = (32 * 24, 16 * 12);
    let (mut nv21, mut i420) = (Vec::new(), Vec::new());
    for frame in nv12.chunks(n + 2 * c) {
        let (y, uv) = frame.split_at(n);
        nv21.extend_from_slice(y);
        nv21.extend(uv.chunks(2).flat_map(|uv| [uv[1], uv[0]]));
        i420.extend_from_slice(y);
        i420.extend(uv.iter().step_by(2));
        i420.extend(uv.iter().skip(1).step_by(2));
    }
    let expected = pictures(&nv12, raw(PixelFormat::Nv12));
    assert_eq!(pictures(&nv21, raw(PixelFormat::Nv21)), expected);
    assert_eq!(pictures(&i420, raw(PixelFormat::I420)), expected);
}

#[test]
fn the_last_pixels_of_odd_sides_have_colours_of_their_own() {
    let layout = Layout::new(PixelFormat::I420, (3, 1), Colours::of_height(1)).unwrap();
    // White, white, and something blue.
    let bytes = [235, 235, 41, 128, 240, 128, 110];
    assert_eq!(layout.n_bytes(), bytes.len());
    let rgb = layout.to_rgb(&bytes).unwrap();
    assert_eq!(rgb.data()[..6], [255; 6]);
    assert!(rgb.data()[6] < 5 && rgb.data()[8] > 250, "{:?}", rgb.data());
    let layout = Layout::new(PixelFormat::Yuyv422, (3, 1), Colours::of_height(1)).unwrap();
    let rgb = layout.to_rgb(&[235, 128, 235, 128, 41, 240, 0, 110]).unwrap();
    assert_eq!((rgb.data().len(), rgb.data()[8] > 250), (9, true));
}

/// The rows of planes of `bytes`, each as long as `rows` says, padded to multiples of `align`.
fn padded(bytes: &[u8], rows: impl Iterator<Item = usize>, align: usize) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), bytes);
    for n in rows {
        let (row, after) = rest.split_at(n);
        out.extend_from_slice(row);
        out.resize(out.len() + n.next_multiple_of(align) - n, 0xEE);
        rest = after;
    }
    assert!(rest.is_empty());
    out
}

#[test]
fn what_pads_rows_is_skipped() {
    let planes = |y: usize, c: usize, n: usize| {
        std::iter::repeat_n(y, 24).chain(std::iter::repeat_n(c, n)).cycle().take(3 * (24 + n))
    };
    for (name, pixel, [y, c, n]) in [
        ("nv12.raw", PixelFormat::Nv12, [32, 32, 12]),
        ("yuyv422.raw", PixelFormat::Yuyv422, [64, 0, 0]),
        ("bgra.raw", PixelFormat::Bgra, [128, 0, 0]),
    ] {
        let bytes = fixture(name);
        let options = VideoOptions { row_align: Some(256), ..raw(pixel) };
        assert_eq!(
            pictures(&padded(&bytes, planes(y, c, n), 256), options),
            pictures(&bytes, raw(pixel)),
            "{name}"
        );
    }
    // Planes of colour are padded each.
    let y4m = fixture("yuv420p.y4m");
    let header = y4m.iter().position(|b| *b == b'\n').unwrap() + 1;
    let frame = 6 + 32 * 24 + 16 * 24;
    let mut aligned = y4m[..header].to_vec();
    for frame in y4m[header..].chunks(frame) {
        let rows = std::iter::repeat_n(32, 24).chain(std::iter::repeat_n(16, 24));
        aligned.extend_from_slice(&frame[..6]);
        aligned.extend(padded(&frame[6..], rows, 64));
    }
    let options = VideoOptions { row_align: Some(64), ..VideoOptions::default() };
    assert_eq!(pictures(&aligned, options), pictures(&y4m, VideoOptions::default()));
}

#[test]
fn colours_are_what_the_options_say() {
    let of = |name: &str| {
        let colours = Some(name.parse().unwrap());
        let options = VideoOptions { colours, ..raw(PixelFormat::Nv12) };
        pictures(&fixture("nv12.raw"), options)
    };
    assert_eq!(of("bt601"), pictures(&fixture("nv12.raw"), raw(PixelFormat::Nv12)));
    assert_ne!(of("bt601"), of("bt709"));
    // In full range the bytes of grey are brightness as it is.
    let (full, y) = (of("bt709-full"), &fixture("nv12.raw"));
    let grey = |bytes: &[u8]| {
        f64::from(bytes[0]) * 0.2126 + f64::from(bytes[1]) * 0.7152 + f64::from(bytes[2]) * 0.0722
    };
    let unclipped =
        full[0].data().chunks_exact(3).zip(y).filter(|(p, _)| !p.contains(&0) && !p.contains(&255));
    assert!(unclipped.clone().count() > 100);
    assert!(unclipped.into_iter().all(|(p, y)| (grey(p) - f64::from(*y)).abs() < 1.5));
    assert!("bt2020".parse::<Colours>().is_err());
}

#[test]
fn what_is_between_pictures_is_skipped() {
    let mjpeg = fixture("three.mjpeg");
    let starts: Vec<usize> = mjpeg
        .windows(3)
        .enumerate()
        .filter(|(_, w)| *w == [0xFF, 0xD8, 0xFF])
        .map(|(i, _)| i)
        .collect();
    assert_eq!(starts.len(), 3);
    let ends = [starts[1], starts[2], mjpeg.len()];
    let boundary = b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n";
    let parts: Vec<&[u8]> = starts.iter().zip(ends).map(|(s, e)| &mjpeg[*s..e]).collect();
    let mut multipart = b"--frame\r\n\r\n".to_vec();
    for part in &parts {
        multipart.extend_from_slice(part);
        multipart.extend_from_slice(boundary);
    }
    let (found, errors) = frames(&multipart, VideoOptions::default());
    assert_eq!((found.len(), errors.len()), (3, 0));
    assert_eq!(
        found[1].to_rgb().unwrap(),
        frames(&mjpeg, VideoOptions::default()).0[1].to_rgb().unwrap()
    );
    // A picture that is cut off costs itself alone, and keeps its number.
    let mut cut = parts[0].to_vec();
    cut.extend_from_slice(&parts[1][..parts[1].len() / 2]);
    cut.extend_from_slice(parts[2]);
    let (found, errors) = frames(&cut, VideoOptions::default());
    assert_eq!(found.iter().map(VideoFrame::seq).collect::<Vec<_>>(), [0, 2]);
    assert!(errors[0].contains("frame 1") && errors.len() == 1, "{errors:?}");
}

#[test]
fn what_is_wrong_is_said() {
    let y4m = |parameters: &str| format!("YUV4MPEG2 {parameters}\nFRAME\n").into_bytes();
    let endless = [b"YUV4MPEG2 ".to_vec(), vec![b'X'; 10_000]].concat();
    let odd = VideoOptions { row_align: Some(3), ..raw(PixelFormat::Nv12) };
    let cases: [(Vec<u8>, VideoOptions, &str); 12] = [
        (vec![], VideoOptions::default(), "empty"),
        (b"RIFF....AVI LIST".to_vec(), VideoOptions::default(), "yuv4mpegpipe"),
        (y4m("W4"), VideoOptions::default(), "lacks W"),
        (y4m("W0 H4"), VideoOptions::default(), "0 x 4"),
        (y4m("W99999999999 H4"), VideoOptions::default(), "not a number"),
        (y4m("W40000 H40000"), VideoOptions::default(), "32768"),
        (y4m("W4 H4 C420p10"), VideoOptions::default(), "-pix_fmt yuv420p"),
        (y4m("W4 H4 F25"), VideoOptions::default(), "frame rate"),
        (y4m("W4 H4"), VideoOptions::default(), "0 of 24"),
        (endless, VideoOptions::default(), "does not end"),
        (vec![1; 100], raw(PixelFormat::Nv12), "100 of"),
        (vec![1; 100], odd, "power of two"),
    ];
    for (bytes, options, words) in cases {
        let (_, errors) = frames(&bytes, options);
        // A frame without a byte is the end: nothing but a header is no frame.
        let fine = words == "0 of 24" && errors.is_empty();
        assert!(fine || errors[0].contains(words), "{words}: {errors:?}");
    }
    assert!("yuv9".parse::<PixelFormat>().is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0..3usize) {
        let start: &[u8] = [&b""[..], b"\xFF\xD8\xFF", b"YUV4MPEG2 W4 H4\nFRAME\n"][kind];
        let (found, _) = frames(&[start, &bytes].concat(), VideoOptions::default());
        for frame in found {
            let _ = frame.to_rgb();
        }
    }

    #[test]
    fn a_changed_byte_loses_its_picture_and_no_other(at in any::<prop::sample::Index>(), byte: u8) {
        let mut mjpeg = fixture("three.mjpeg").repeat(2);
        let i = at.index(mjpeg.len());
        mjpeg[i] = byte;
        let options =
            VideoOptions { format: Some(VideoFormat::Mjpeg), ..VideoOptions::default() };
        let (found, _) = frames(&mjpeg, options);
        prop_assert!(found.len() >= 5, "{}", found.len());
        for frame in found {
            let _ = frame.to_rgb();
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn bench_nv12_of_1080_rows() {
    let layout = Layout::new(PixelFormat::Nv12, (1920, 1080), Colours::of_height(1080)).unwrap();
    let bytes = vec![100u8; layout.n_bytes()];
    let begun = Instant::now();
    let n = 50;
    for _ in 0..n {
        std::hint::black_box(layout.to_rgb(std::hint::black_box(&bytes)).unwrap());
    }
    println!("{:.2} ms a frame", begun.elapsed().as_secs_f64() * 1e3 / f64::from(n));
}

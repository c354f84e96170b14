//! Round trips, hostile files, and agreement with the C library's loader.

use super::*;
use crate::{DType, Error, sys};
use std::path::{Path, PathBuf};

/// A directory that disappears with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("ggml-ext-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.0).unwrap();
        names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn keys() -> Vec<(String, Value)> {
    let pairs: [(&str, Value); 14] = [
        ("general.architecture", Value::from("test".to_owned())),
        ("a.u8", Value::from(7u8)),
        ("a.i8", Value::from(-7i8)),
        ("a.u16", Value::from(60000u16)),
        ("a.i16", Value::from(-300i16)),
        ("a.u32", Value::from(4_000_000_000u32)),
        ("a.i32", Value::from(-5i32)),
        ("a.f32", Value::from(0.1f32)),
        ("a.u64", Value::from(1u64 << 60)),
        ("a.i64", Value::from(-1i64 << 60)),
        ("a.f64", Value::from(0.1f64)),
        ("b.bools", Value::from(vec![true, false, true])),
        ("b.texts", Value::from(vec!["\u{2581}the".to_owned(), String::new(), "x".into()])),
        ("b.none", Value::from(Vec::<f32>::new())),
    ];
    pairs.map(|(k, v)| (k.to_owned(), v)).to_vec()
}

const TENSORS: [(&str, DType, &[u64]); 3] = [
    ("v.weight", DType::F32, &[5, 3]),
    ("q.weight", DType::Q8_0, &[64, 2]),
    ("k.weight", DType::F16, &[3, 3, 2, 2]),
];

fn write_sample(path: &Path) -> Vec<Vec<u8>> {
    let mut w = Writer::create(path, &keys(), TENSORS).unwrap();
    let sizes: Vec<usize> = w.tensors().iter().map(|t| t.nbytes).collect();
    let data: Vec<Vec<u8>> =
        sizes.iter().zip(1u8..).map(|(&n, i)| (0..n).map(|j| j as u8 ^ i).collect()).collect();
    for bytes in &data {
        let (a, b) = bytes.split_at(bytes.len() / 3);
        w.write(a).unwrap();
        w.write(b).unwrap();
    }
    w.finish().unwrap();
    data
}

/// What the C library makes of the bytes: data offset and number of tensors.
fn c_loader(bytes: &[u8]) -> Option<(usize, i64)> {
    let params = sys::gguf_init_params { no_alloc: true, ctx: std::ptr::null_mut() };
    // SAFETY: the buffer outlives the call, which copies what it keeps; the context is freed.
    unsafe {
        let ctx = sys::gguf_init_from_buffer(bytes.as_ptr().cast(), bytes.len(), params);
        if ctx.is_null() {
            return None;
        }
        let got = (sys::gguf_get_data_offset(ctx), sys::gguf_get_n_tensors(ctx));
        sys::gguf_free(ctx);
        Some(got)
    }
}

#[test]
fn what_is_written_is_read_back_here_and_by_the_c_library() {
    let dir = Dir::new("round");
    let path = dir.0.join("a.gguf");
    let data = write_sample(&path);
    let g = Gguf::open(&path).unwrap();
    assert_eq!(g.keys().collect::<Vec<_>>(), keys().iter().map(|k| &k.0).collect::<Vec<_>>());
    for (key, value) in keys() {
        assert_eq!(g.get(&key), Some(value), "{key}");
    }
    assert_eq!(g.get("absent"), None);
    for ((name, dtype, shape), bytes) in TENSORS.iter().zip(&data) {
        let t = g.tensor(name).unwrap();
        assert_eq!((t.dtype, t.shape()), (Some(*dtype), *shape));
        assert_eq!(t.offset % 32, 0);
        assert_eq!(g.tensor_bytes(name), Some(bytes.as_slice()));
    }
    assert_eq!(c_loader(g.map()), Some((g.data_offset(), 3)));
    assert_eq!(dir.files(), ["a.gguf"]);
}

#[test]
fn an_unfinished_or_wrongly_filled_file_leaves_nothing_behind() {
    let dir = Dir::new("partial");
    let path = dir.0.join("a.gguf");
    let mut w = Writer::create(&path, &[], TENSORS).unwrap();
    assert!(w.partial_path().exists() && !path.exists());
    assert!(matches!(w.write(&[0; 61]), Err(Error::Length { expected: 60, got: 61, .. })));
    w.write(&[0; 60]).unwrap();
    assert!(matches!(w.seal(), Err(Error::Length { .. })));
    assert_eq!(dir.files(), Vec::<String>::new());
    assert!(Writer::create(dir.0.join("no/such/dir.gguf"), &[], TENSORS).is_err());
}

#[test]
fn unrepresentable_names_keys_and_shapes_are_refused() {
    let dir = Dir::new("refuse");
    let path = dir.0.join("a.gguf");
    let long = "x".repeat(64);
    let bad_tensors: [&[(&str, DType, &[u64])]; 6] = [
        &[(&long, DType::F32, &[1])],
        &[("a", DType::F32, &[1]), ("a", DType::F32, &[1])],
        &[("a\0b", DType::F32, &[1])],
        &[("a", DType::Q8_0, &[33])],
        &[("a", DType::F32, &[4, 0])],
        &[("a", DType::F32, &[u64::MAX / 2, 8])],
    ];
    for tensors in bad_tensors {
        let got = Writer::create(&path, &[], tensors.iter().copied());
        assert!(matches!(got, Err(Error::Unrepresentable { .. })));
    }
    let twice = vec![("k".to_owned(), Value::U8(1)), ("k".to_owned(), Value::U8(2))];
    assert!(matches!(Writer::create(&path, &twice, []), Err(Error::Unrepresentable { .. })));
    assert_eq!(dir.files(), Vec::<String>::new());
}

#[test]
fn messages_say_what_is_wrong() {
    let dir = Dir::new("messages");
    let path = dir.0.join("a.gguf");
    write_sample(&path);
    let bytes = std::fs::read(&path).unwrap();
    let parse = |bytes: &[u8]| Header::parse(bytes).unwrap_err();
    assert!(parse(b"").contains("magic"));
    assert!(parse(b"GGML....").contains("GGUF"));
    assert!(parse(&bytes[..40]).contains("ends within"));
    assert!(parse(&bytes[..bytes.len() - 40]).contains("k.weight"));
    let mut newer = bytes.clone();
    newer[4] = 9;
    assert!(parse(&newer).contains("version 9"));
    assert!(matches!(Gguf::open(dir.0.join("absent")), Err(Error::Io { .. })));
    assert!(matches!(Gguf::open(&dir.0), Err(Error::Io { .. })));
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

fn mutate(bytes: &[u8], state: &mut u64) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..1 + next(state) % 3 {
        let at = next(state) as usize % out.len().max(1);
        match next(state) % 8 {
            0 => out.truncate(at),
            1 => drop(out.drain(at..(at + 1 + next(state) as usize % 16).min(out.len()))),
            2 => drop(out.splice(at..at, (0..next(state) % 16).map(|i| i as u8))),
            // Counts, lengths and kinds are small little-endian numbers: aim at them.
            3 => out[at..].iter_mut().take(8).for_each(|b| *b = 0xff),
            4 => out.iter_mut().skip(at).take(1).for_each(|b| *b = b.wrapping_add(1)),
            _ => out.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << (next(state) % 8)),
        }
        if out.is_empty() {
            break;
        }
    }
    out
}

#[test]
fn mutated_files_are_errors_or_files_but_never_crashes() {
    let dir = Dir::new("mutate");
    let path = dir.0.join("a.gguf");
    write_sample(&path);
    let bytes = std::fs::read(&path).unwrap();
    let (mut state, mut accepted) = (2, 0);
    for _ in 0..20_000 {
        let bytes = mutate(&bytes, &mut state);
        let Ok(header) = Header::parse(&bytes) else {
            continue;
        };
        accepted += 1;
        for key in header.keys().map(str::to_owned).collect::<Vec<_>>() {
            assert!(header.get(&bytes, &key).is_some(), "{key}");
        }
        for t in header.tensors() {
            assert!(bytes[t.offset..t.offset + t.nbytes].len() == t.nbytes);
        }
        // Whoever passes our checks may be handed to llama.cpp.
        assert!(c_loader(&bytes).is_some());
    }
    assert!(accepted > 100, "the mutations are too harsh to test anything: {accepted}");
}

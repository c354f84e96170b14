//! Weights as `torch.save` writes them, here written by hand.

use crate::fixtures::{Tiny, Weights, convert};
use gpt4roi_convert::FileType;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A pickle of a dictionary from names to half-precision tensors in storages `0`, `1`, ...
fn pickle(weights: &Weights) -> Vec<u8> {
    // Protocol 2, an empty dictionary, a mark before its items.
    let mut out = vec![0x80, 2, b'}', b'('];
    for (i, (name, _, shape, data)) in weights.0.iter().enumerate() {
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nHalfStorage\n");
        text(&mut out, &i.to_string());
        text(&mut out, "cpu");
        int(&mut out, data.len() as u64 / 2);
        // The tuple is the storage's persistent id; offset 0.
        out.extend(b"tQ");
        int(&mut out, 0);
        tuple(&mut out, shape);
        let strides = shape.iter().skip(1).rev().scan(1, |n, e| {
            *n *= e;
            Some(*n)
        });
        let mut strides: Vec<u64> = std::iter::once(1).chain(strides).collect();
        strides.reverse();
        tuple(&mut out, &strides);
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u.");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn int(out: &mut Vec<u8>, n: u64) {
    out.push(b'J');
    out.extend((n as u32).to_le_bytes());
}

fn tuple(out: &mut Vec<u8>, items: &[u64]) {
    out.push(b'(');
    items.iter().for_each(|&n| int(out, n));
    out.push(b't');
}

fn save(weights: &Weights, path: &Path) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut put = |name: String, data: &[u8]| {
        zip.start_file(name, stored).unwrap();
        zip.write_all(data).unwrap();
    };
    put("archive/data.pkl".into(), &pickle(weights));
    put("archive/byteorder".into(), b"little");
    for (i, t) in weights.0.iter().enumerate() {
        put(format!("archive/data/{i}"), &t.3);
    }
    put("archive/version".into(), b"3\n");
    zip.finish().unwrap();
}

#[test]
fn pytorch_files_convert_to_the_same_bytes_whole_or_sharded() {
    let tiny = Tiny::new();
    let o = tiny.options(FileType::Q8_0);
    let want = convert(&o).unwrap().map(|f| f.map().to_vec());
    let dir = tiny.checkpoint();
    let mut all = Weights::read(&dir.join("model.safetensors"));
    std::fs::remove_file(dir.join("model.safetensors")).unwrap();
    save(&all, &dir.join("pytorch_model.bin"));
    assert!(convert(&o).unwrap().map(|f| f.map().to_vec()) == want);
    std::fs::remove_file(dir.join("pytorch_model.bin")).unwrap();
    let mut map = serde_json::Map::new();
    let second = Weights(all.0.split_off(all.0.len() / 3));
    for (name, part) in [("one.bin", all), ("two.bin", second)] {
        map.extend(part.0.iter().map(|t| (t.0.clone(), name.into())));
        save(&part, &dir.join(name));
    }
    let index = serde_json::json!({ "weight_map": map }).to_string();
    std::fs::write(dir.join("pytorch_model.bin.index.json"), index).unwrap();
    assert!(convert(&o).unwrap().map(|f| f.map().to_vec()) == want);
}

#[test]
fn damaged_pytorch_files_are_errors() {
    let tiny = Tiny::new();
    let dir = tiny.checkpoint();
    let all = Weights::read(&dir.join("model.safetensors"));
    std::fs::remove_file(dir.join("model.safetensors")).unwrap();
    let path = dir.join("pytorch_model.bin");
    save(&all, &path);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(tiny.refusal().contains("pytorch_model.bin"));
    // One flipped bit in the data of a tensor: the checksum tells, while it is read.
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    std::fs::write(&path, flipped).unwrap();
    assert!(tiny.refusal().contains("pytorch_model.bin"));
}

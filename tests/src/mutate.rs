//! Damaged GGUF files: everything between one flipped bit and a well-formed file that lies.

use crate::raw::{number, put, put_text};
use ggml_ext::gguf::{Gguf, Kind, Value};
use std::path::Path;

/// SplitMix64: small, seeded, good enough to choose damage.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator; equal seeds give equal numbers.
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1_e995)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.draw() % n.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Numbers of types, some of them not used (any more).
const TYPES: u64 = 48;
/// Numbers that break arithmetic.
const NUMBERS: [u64; 16] = [
    0,
    1,
    2,
    3,
    7,
    8,
    255,
    256,
    65535,
    1 << 20,
    i32::MAX as u64,
    1 << 31,
    u32::MAX as u64,
    1 << 40,
    i64::MAX as u64,
    u64::MAX,
];

const FLOATS: [f32; 9] =
    [0.0, -0.0, -1.0, 1e-40, 1e38, -1e38, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Values that mean something to llama.cpp, where they do not belong.
const TEXTS: [&str; 22] = [
    "",
    "\0",
    "llama",
    "clip",
    "gpt2",
    "bert",
    "t5",
    "rwkv",
    "plamo2",
    "ugm",
    "wpm",
    "none",
    "no_vocab",
    "default",
    "llama3",
    "mmproj",
    "adapter",
    "yarn",
    "{% for x in %}",
    "\u{2581}\u{2581}",
    "<0x00>",
    "\u{10ffff}",
];

/// Keys that change how llama.cpp reads a file.
const KEYS: [&str; 20] = [
    "general.alignment",
    "general.sampling.temp",
    "general.base_model.count",
    "split.count",
    "split.no",
    "adapter.type",
    "llama.expert_count",
    "llama.expert_used_count",
    "llama.attention.key_length",
    "llama.attention.value_length",
    "llama.attention.sliding_window",
    "llama.attention.causal",
    "llama.rope.scaling.type",
    "llama.rope.scaling.factor",
    "llama.pooling_type",
    "llama.tensor_data_layout",
    "tokenizer.ggml.merges",
    "tokenizer.ggml.precompiled_charsmap",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.token_type_count",
];

#[derive(Clone, Debug)]
struct Tensor {
    name: String,
    raw_type: u32,
    ne: Vec<u64>,
    data: Vec<u8>,
}

/// A good file, taken apart.
#[derive(Clone, Debug)]
pub struct Original {
    bytes: Vec<u8>,
    data_offset: usize,
    keys: Vec<(String, Value)>,
    tensors: Vec<Tensor>,
}

impl Original {
    /// Reads a file that must be in order.
    ///
    /// # Panics
    /// If it is not.
    pub fn open(path: &Path) -> Original {
        let gguf = Gguf::open(path).unwrap_or_else(|e| panic!("{e}"));
        let value = |k: &str| (k.to_owned(), gguf.get(k).expect("a key that is listed"));
        let tensors = gguf.tensors().iter().map(|t| Tensor {
            name: t.name.clone(),
            raw_type: t.raw_type,
            ne: t.shape().to_vec(),
            data: gguf.tensor_bytes(&t.name).expect("its bytes").to_vec(),
        });
        Original {
            bytes: gguf.map().to_vec(),
            data_offset: gguf.data_offset(),
            keys: gguf.keys().map(value).collect(),
            tensors: tensors.collect(),
        }
    }

    /// The damaged file of that seed. Equal seeds give equal files; the first ones give every
    /// tensor every type.
    pub fn damaged(&self, seed: u64) -> Vec<u8> {
        let (at, raw_type) = ((seed / TYPES) as usize, (seed % TYPES) as u32);
        if at < self.tensors.len() {
            let mut file = self.clone();
            file.tensors[at].raw_type = raw_type;
            return file.assemble();
        }
        let mut rng = Rng::new(seed);
        // Raw damage to the header is mostly refused by the parser; what is well-formed and wrong
        // gets further, so it gets half of the tries.
        match rng.below(12) {
            0 | 1 => self.flipped(&mut rng),
            2 => self.truncated(&mut rng),
            3 => self.spliced(&mut rng),
            4 => self.overwritten(&mut rng),
            5 => self.bad_weights(&mut rng),
            _ => self.lying(&mut rng),
        }
    }

    /// A place in the header nine times of ten.
    fn place(&self, rng: &mut Rng) -> usize {
        match rng.below(10) {
            0 => rng.below(self.bytes.len()),
            _ => rng.below(self.data_offset),
        }
    }

    fn flipped(&self, rng: &mut Rng) -> Vec<u8> {
        let mut out = self.bytes.clone();
        for _ in 0..=rng.below(8) {
            let at = self.place(rng);
            out[at] ^= 1 << rng.below(8);
        }
        out
    }

    fn truncated(&self, rng: &mut Rng) -> Vec<u8> {
        self.bytes[..self.place(rng)].to_vec()
    }

    /// Bytes put in, taken out or copied from elsewhere.
    fn spliced(&self, rng: &mut Rng) -> Vec<u8> {
        let mut out = self.bytes.clone();
        let (at, n) = (self.place(rng), 1 + rng.below(64));
        let end = (at + n).min(out.len());
        match rng.below(3) {
            0 => {
                let junk: Vec<u8> = (0..n).map(|_| rng.draw() as u8).collect();
                out.splice(at..at, junk);
            }
            1 => drop(out.drain(at..end)),
            _ => {
                let from = rng.below(self.data_offset - 64);
                let copied = out[from..from + (end - at)].to_vec();
                out[at..end].copy_from_slice(&copied);
            }
        }
        out
    }

    /// Lengths, counts and offsets that are senseless, or those of another field.
    fn overwritten(&self, rng: &mut Rng) -> Vec<u8> {
        let mut out = self.bytes.clone();
        for _ in 0..=rng.below(2) {
            let at = match rng.below(4) {
                0 => rng.below(24),
                _ => rng.below(self.data_offset - 8),
            };
            let number = rng.pick(&NUMBERS).to_le_bytes();
            let from = rng.below(self.data_offset - 8);
            let width = if rng.below(2) == 0 { 4 } else { 8 };
            match rng.below(3) {
                0 => (0..width).for_each(|i| out.swap(at + i, from + i)),
                _ => out[at..at + width].copy_from_slice(&number[..width]),
            }
        }
        out
    }

    /// Good metadata, and weights that are garbage: bits, whole tensors, or values that are not
    /// finite.
    fn bad_weights(&self, rng: &mut Rng) -> Vec<u8> {
        let mut file = self.clone();
        for _ in 0..=rng.below(4) {
            let i = rng.below(file.tensors.len());
            let data = &mut file.tensors[i].data;
            let fill = *rng.pick(&[0u8, 0x7f, 0xff, 0x7c]);
            match rng.below(3) {
                0 => data.fill(fill),
                1 => data.fill_with(|| rng.draw() as u8),
                _ => {
                    for _ in 0..=rng.below(64) {
                        let at = rng.below(data.len());
                        data[at] ^= 1 << rng.below(8);
                    }
                }
            }
        }
        file.assemble()
    }

    /// A well-formed file whose keys and tensors say something else.
    fn lying(&self, rng: &mut Rng) -> Vec<u8> {
        let mut file = self.clone();
        for _ in 0..=rng.below(2) {
            match rng.below(10) {
                0 => {
                    let at = rng.below(file.keys.len());
                    file.keys.remove(at);
                }
                1 => {
                    let key = (*rng.pick(&KEYS)).to_owned();
                    file.keys.push((key, any_value(rng)));
                }
                2 | 3 => file.change_tensor(rng),
                _ => {
                    let at = rng.below(file.keys.len());
                    let value = &mut file.keys[at].1;
                    *value = other_value(value, rng);
                }
            }
        }
        file.assemble()
    }

    fn change_tensor(&mut self, rng: &mut Rng) {
        let (i, j) = (rng.below(self.tensors.len()), rng.below(self.tensors.len()));
        let name = self.tensors[j].name.clone();
        let t = &mut self.tensors[i];
        match rng.below(6) {
            0 => t.name = name,
            1 => t.ne.reverse(),
            2 => t.ne.push(1),
            3 => {
                // Types of one size (f16 and bf16, f32 and i32) pass for each other.
                t.raw_type = *rng.pick(&[0, 1, 30, 26, 25, 24, 2, 20, 8, 41]);
            }
            4 => {
                let k = rng.below(t.ne.len());
                t.ne[k] = *rng.pick(&NUMBERS);
            }
            _ => drop(self.tensors.remove(i)),
        }
    }

    fn assemble(&self) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            put_text(key, &mut out);
            out.extend(number(value.kind()).to_le_bytes());
            put(value, &mut out);
        }
        let mut offset = 0u64;
        for t in &self.tensors {
            put_text(&t.name, &mut out);
            out.extend((t.ne.len() as u32).to_le_bytes());
            t.ne.iter().for_each(|n| out.extend(n.to_le_bytes()));
            out.extend(t.raw_type.to_le_bytes());
            out.extend(offset.to_le_bytes());
            offset += t.data.len().next_multiple_of(32) as u64;
        }
        out.resize(out.len().next_multiple_of(32), 0);
        for t in &self.tensors {
            out.extend(&t.data);
            out.resize(out.len().next_multiple_of(32), 0);
        }
        out
    }
}

fn any_value(rng: &mut Rng) -> Value {
    let n = *rng.pick(&NUMBERS);
    match rng.below(8) {
        0 => Value::U32(n as u32),
        1 => Value::U64(n),
        2 => Value::I32(n as i32),
        3 => Value::F32(*rng.pick(&FLOATS)),
        4 => Value::Bool(n.is_multiple_of(2)),
        5 => Value::Str((*rng.pick(&TEXTS)).to_owned()),
        6 => Value::Array(Kind::Str, vec![Value::Str((*rng.pick(&TEXTS)).to_owned()); 3]),
        _ => Value::Array(Kind::U32, vec![Value::U32(n as u32); 3]),
    }
}

/// Another value of the same kind; of any kind one time of eight.
fn other_value(value: &Value, rng: &mut Rng) -> Value {
    if rng.below(8) == 0 {
        return any_value(rng);
    }
    match value {
        Value::U32(v) => Value::U32(other_number(u64::from(*v), rng) as u32),
        Value::I32(v) => Value::I32(other_number(*v as u64, rng) as i32),
        Value::F32(_) => Value::F32(*rng.pick(&FLOATS)),
        Value::Bool(v) => Value::Bool(!v),
        Value::Str(v) => Value::Str(other_text(v, rng)),
        Value::Array(kind, items) => other_array(*kind, items, rng),
        _ => any_value(rng),
    }
}

fn other_number(v: u64, rng: &mut Rng) -> u64 {
    match rng.below(6) {
        0 => v.wrapping_add(1),
        1 => v.wrapping_sub(1),
        2 => v.wrapping_mul(2),
        3 => v / 2,
        _ => *rng.pick(&NUMBERS),
    }
}

fn other_text(v: &str, rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => v.repeat(1000),
        1 => v.chars().rev().collect(),
        _ => (*rng.pick(&TEXTS)).to_owned(),
    }
}

fn other_array(kind: Kind, items: &[Value], rng: &mut Rng) -> Value {
    let mut items = items.to_vec();
    match rng.below(6) {
        0 => items.truncate(rng.below(items.len())),
        1 => items.extend(items.clone()),
        2 => items.reverse(),
        _ => {
            for _ in 0..=rng.below(4) {
                let (at, from) = (rng.below(items.len()), rng.below(items.len()));
                if items.is_empty() {
                    break;
                }
                items[at] = match rng.below(3) {
                    0 => items[from].clone(),
                    _ => same_kind(kind, &items[at], rng),
                };
            }
        }
    }
    Value::Array(kind, items)
}

fn same_kind(kind: Kind, value: &Value, rng: &mut Rng) -> Value {
    let other = other_value(value, rng);
    if other.kind() == kind { other } else { value.clone() }
}

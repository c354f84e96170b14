//! DINOv2's tower in scalar double precision, from its checkpoint: slow, short, and without a line
//! in common with converter and runtime.

use ggml_ext::DType;
use ggml_ext::quant::dequantize;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::Path;

/// Vectors, one a token.
pub type Rows = Vec<Vec<f64>>;

/// A tower with all its weights.
pub struct Dino {
    tensors: Tensors,
    n_head: usize,
    patch: usize,
    eps: f64,
}

/// Values of a checkpoint, and matrices applied to rows.
pub struct Tensors(HashMap<String, Vec<f64>>);

impl Tensors {
    /// Reads the half-precision weights of a directory.
    ///
    /// # Panics
    /// If there are none.
    pub fn open(dir: &Path) -> Tensors {
        let bytes = std::fs::read(dir.join("model.safetensors")).expect("weights");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let values = |t: &safetensors::tensor::TensorView| {
            assert_eq!(t.dtype(), Dtype::F16);
            let mut values = vec![0.0; t.data().len() / 2];
            dequantize(DType::F16, t.data(), &mut values).expect("half precision");
            values.into_iter().map(f64::from).collect()
        };
        Tensors(file.tensors().into_iter().map(|(name, t)| (name, values(&t))).collect())
    }

    fn get(&self, name: &str) -> &[f64] {
        self.0.get(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    /// `NAME.weight` times each row, plus `NAME.bias`.
    ///
    /// # Panics
    /// If there are no such tensors.
    pub fn linear(&self, x: &[Vec<f64>], name: &str) -> Rows {
        let (w, b) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        let row = |x: &Vec<f64>| w.chunks(x.len()).zip(b).map(|(w, b)| dot(w, x) + b).collect();
        x.iter().map(row).collect()
    }

    fn layer_norm(&self, x: &[Vec<f64>], name: &str, eps: f64) -> Rows {
        let (w, b) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        let row = |x: &Vec<f64>| {
            let n = x.len() as f64;
            let mean = x.iter().sum::<f64>() / n;
            let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            let normal = x.iter().map(|v| (v - mean) / (var + eps).sqrt());
            normal.zip(w).zip(b).map(|((v, w), b)| v * w + b).collect()
        };
        x.iter().map(row).collect()
    }
}

impl Dino {
    /// Reads a checkpoint in Hugging Face's layout.
    ///
    /// # Panics
    /// If it is not one of DINOv2.
    pub fn open(dir: &Path) -> Dino {
        let config = std::fs::read(dir.join("config.json")).expect("a configuration");
        let config: serde_json::Value = serde_json::from_slice(&config).expect("JSON");
        assert_eq!(config["model_type"], "dinov2");
        let number = |key: &str| config[key].as_f64().expect(key);
        Dino {
            tensors: Tensors::open(dir),
            n_head: number("num_attention_heads") as usize,
            patch: number("patch_size") as usize,
            eps: number("layer_norm_eps"),
        }
    }

    /// Hidden states 0 to `n_layer` of a normalised square picture `[3, side, side]`, class token
    /// first.
    ///
    /// # Panics
    /// If the picture or `n_layer` does not fit the weights.
    pub fn hidden_states(&self, pixels: &[f64], side: usize, n_layer: usize) -> Vec<Rows> {
        let mut states = vec![self.embed(pixels, side)];
        for il in 0..n_layer {
            states.push(self.block(&states[il], &format!("encoder.layer.{il}")));
        }
        states
    }

    fn embed(&self, pixels: &[f64], side: usize) -> Rows {
        let p = self.patch;
        let grid = side / p;
        let patch = |at: usize| -> Vec<f64> {
            let (top, left) = (at / grid * p, at % grid * p);
            let cell = |i: usize| {
                let (c, y, x) = (i / (p * p), i / p % p, i % p);
                pixels[(c * side + top + y) * side + left + x]
            };
            (0..3 * p * p).map(cell).collect()
        };
        let patches: Rows = (0..grid * grid).map(patch).collect();
        // With the kernel as wide as its stride, a convolution is a matrix.
        let mut rows = self.tensors.linear(&patches, "embeddings.patch_embeddings.projection");
        rows.insert(0, self.tensors.get("embeddings.cls_token").to_vec());
        let width = rows[0].len();
        let positions = self.tensors.get("embeddings.position_embeddings").chunks(width);
        rows.iter_mut().zip(positions).for_each(|(row, p)| add(row, p));
        rows
    }

    fn block(&self, x: &[Vec<f64>], name: &str) -> Rows {
        let t = &self.tensors;
        let part = |part: &str| format!("{name}.{part}");
        let mut x = x.to_vec();
        let h = t.layer_norm(&x, &part("norm1"), self.eps);
        let [q, k, v] = ["query", "key", "value"]
            .map(|n| t.linear(&h, &part(&format!("attention.attention.{n}"))));
        let h = t.linear(&self.attention(&q, &k, &v), &part("attention.output.dense"));
        self.add_scaled(&mut x, &h, &part("layer_scale1.lambda1"));
        let h = t.layer_norm(&x, &part("norm2"), self.eps);
        let mut h = t.linear(&h, &part("mlp.fc1"));
        h.iter_mut().flatten().for_each(|v| *v = gelu(*v));
        let h = t.linear(&h, &part("mlp.fc2"));
        self.add_scaled(&mut x, &h, &part("layer_scale2.lambda1"));
        x
    }

    fn add_scaled(&self, x: &mut [Vec<f64>], h: &[Vec<f64>], scale: &str) {
        let scale = self.tensors.get(scale);
        for (x, h) in x.iter_mut().zip(h) {
            add(x, &h.iter().zip(scale).map(|(h, s)| h * s).collect::<Vec<_>>());
        }
    }

    fn attention(&self, q: &[Vec<f64>], k: &[Vec<f64>], v: &[Vec<f64>]) -> Rows {
        let width = q[0].len() / self.n_head;
        let row = |q: &Vec<f64>| {
            let mut out = vec![0.0; q.len()];
            for head in (0..self.n_head).map(|h| h * width..(h + 1) * width) {
                let score = |k: &Vec<f64>| dot(&q[head.clone()], &k[head.clone()]);
                let scores: Vec<f64> = k.iter().map(|k| score(k) / (width as f64).sqrt()).collect();
                let largest = scores.iter().copied().fold(f64::MIN, f64::max);
                let weights: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for (v, w) in v.iter().zip(weights) {
                    let part: Vec<f64> = v[head.clone()].iter().map(|v| v * w / sum).collect();
                    add(&mut out[head.clone()], &part);
                }
            }
            out
        };
        q.iter().map(row).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(a, b)| *a += b);
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / 2f64.sqrt()))
}

/// The error function by its series without alternating signs, which loses no digits:
/// `2 / sqrt(pi) * exp(-x^2) * sum of 2^n x^(2n+1) / (1 * 3 * ... * (2n+1))`.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-18 * sum.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_has_its_tabulated_values() {
        for (x, want) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_813_046_5),
            (-1.0, -0.842_700_792_949_714_9),
            (3.0, 0.999_977_909_503_001_4),
            (7.0, 1.0),
        ] {
            assert!((erf(x) - want).abs() < 1e-15, "{x}: {}", erf(x));
        }
    }
}

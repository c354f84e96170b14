//! Noise for weights: seeded, cheap, and reproducible element by element.

use crate::specs::{Kind, TensorSpec};
use half::f16;

/// Distinct values of one tensor; a power of two.
const TABLE: usize = 4096;
/// Table values drawn from one step of the generator.
const PER_STEP: usize = 5;

/// Source of the values of one tensor: normally distributed, centred on 1 for scales of norms and
/// on 0 otherwise, with a deviation of 1/sqrt(fan-in) for matrices.
///
/// Values come from a table of 4096, so filling runs at memory speed.
pub struct Noise {
    table: Vec<f16>,
    state: u64,
}

impl Noise {
    /// The noise of the tensor `spec` in the model of that `seed`.
    pub fn new(spec: &TensorSpec, seed: u64) -> Noise {
        let (mean, deviation) = scale(spec);
        let mut state = seed ^ hash(&spec.source.name);
        let table = (0..TABLE).map(|_| f16::from_f32(mean + deviation * normal(&mut state)));
        Noise { table: table.collect(), state }
    }

    /// The next values of the tensor, in the order of the checkpoint.
    ///
    /// Calls that together ask for `n` values give the same values as one call, as long as all but
    /// the last ask for a multiple of 5.
    pub fn fill(&mut self, out: &mut [f16]) {
        for chunk in out.chunks_mut(PER_STEP) {
            let mut bits = next(&mut self.state);
            for value in chunk {
                *value = self.table[bits as usize % TABLE];
                bits >>= 12;
            }
        }
    }

    /// All values of a tensor of `n` elements.
    pub fn values(spec: &TensorSpec, seed: u64) -> Vec<f16> {
        let mut out = vec![f16::ZERO; spec.n_elements() as usize];
        Noise::new(spec, seed).fill(&mut out);
        out
    }
}

/// Mean and standard deviation of a tensor's values.
fn scale(spec: &TensorSpec) -> (f32, f32) {
    let fan_in: u64 = match spec.kind {
        Kind::Matrix | Kind::Output | Kind::Identity => spec.n_per_row(),
        Kind::Conv => spec.shape.iter().take(3).product(),
        _ => 1,
    };
    match spec.kind {
        Kind::Matrix | Kind::Output | Kind::Identity | Kind::Conv => {
            (0.0, 1.0 / (fan_in as f32).sqrt())
        }
        Kind::Norm => (1.0, 0.05),
        Kind::Bias => (0.0, 0.02),
        Kind::Table => (0.0, 0.1),
        Kind::Embedding => (0.0, 0.5),
    }
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Roughly normal: the sum of twelve uniform values has variance 1.
fn normal(state: &mut u64) -> f32 {
    (0..12).map(|_| (next(state) >> 40) as f32 / (1u64 << 24) as f32).sum::<f32>() - 6.0
}

/// FNV-1a, so that each tensor gets its own stream.
fn hash(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Preset, llm_specs, mmproj_specs};

    #[test]
    fn values_have_the_stated_mean_and_deviation() {
        for spec in mmproj_specs(&Preset::Tiny.mmproj()).iter().filter(|s| s.n_elements() > 20000) {
            let values: Vec<f64> =
                Noise::values(spec, 1).iter().map(|v| f64::from(v.to_f32())).collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let var = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            let (want_mean, want_dev) = scale(spec);
            assert!((mean - f64::from(want_mean)).abs() < 0.05 * f64::from(want_dev));
            assert!((var.sqrt() / f64::from(want_dev) - 1.0).abs() < 0.05, "{}", spec.name);
        }
    }

    #[test]
    fn streaming_gives_the_same_values_and_seeds_give_others() {
        let spec = &llm_specs(&Preset::Tiny.llm())[0];
        let all = Noise::values(spec, 7);
        let mut noise = Noise::new(spec, 7);
        let mut parts = vec![f16::ZERO; all.len()];
        let (a, b) = parts.split_at_mut(12345);
        noise.fill(a);
        noise.fill(b);
        assert_eq!(all, parts);
        assert_ne!(all, Noise::values(spec, 8));
    }
}

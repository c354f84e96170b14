//! From 8-bit samples to the float tensor that the vision tower reads.

use super::{PassOrder, PreprocessOptions, RgbImage8, linear, resample};

/// Value of each 8-bit sample in each channel after normalisation.
struct Lookup([[f32; 256]; 3]);

impl Lookup {
    fn build(value: impl Fn(u8, usize) -> f32) -> Self {
        Self(std::array::from_fn(|c| std::array::from_fn(|u| value(u as u8, c))))
    }

    /// Scaled to 0..1 in double precision, then (x - mean) / std in single precision.
    fn inference(options: &PreprocessOptions) -> Self {
        Self::build(|u, c| {
            let x = (f64::from(u) * (1.0 / 255.0)) as f32;
            (x - options.mean[c]) / options.std[c]
        })
    }

    /// (x - 255 mean) * (1 / (255 std)), each step in double precision, stored in single.
    fn training(options: &PreprocessOptions) -> Self {
        Self::build(|u, c| {
            let centred = (f64::from(u) - f64::from(options.mean[c]) * 255.0) as f32;
            (f64::from(centred) * (1.0 / (f64::from(options.std[c]) * 255.0))) as f32
        })
    }
}

/// One output sample of the squash: two positions in the list of wanted samples, two weights.
struct Tap {
    at: [usize; 2],
    weight: [f32; 2],
}

/// One axis of the squash from `n_in` to `n_out` samples.
struct Squash {
    /// Input samples that are looked at, ascending.
    wanted: Vec<u64>,
    taps: Vec<Tap>,
}

impl Squash {
    /// Half-pixel centres, no averaging; single precision throughout, as PyTorch computes it.
    fn new(n_in: u64, n_out: u32) -> Self {
        let scale = n_in as f32 / n_out as f32;
        let mut squash = Self { wanted: Vec::new(), taps: Vec::new() };
        for i in 0..n_out {
            let position = (scale * (i as f32 + 0.5) - 0.5).max(0.0);
            let lower = (position as u64).min(n_in - 1);
            let fraction = (position - lower as f32).clamp(0.0, 1.0);
            let at = [lower, (lower + 1).min(n_in - 1)].map(|index| squash.want(index));
            squash.taps.push(Tap { at, weight: [1.0 - fraction, fraction] });
        }
        squash
    }

    /// Position of `index` in the list of wanted samples, to which it is added if it is new.
    fn want(&mut self, index: u64) -> usize {
        // Indices ascend up to one step back, so the place is at the end of the list or next to it.
        match self.wanted.binary_search(&index) {
            Ok(position) => position,
            Err(position) => {
                self.wanted.insert(position, index);
                position
            }
        }
    }
}

/// Inference: bicubic to the short side, normalise, squash the float picture to a square.
///
/// Returns ggml order [size, size, 3] (PyTorch [3, size, size]).
pub(super) fn inference(
    image: &RgbImage8,
    options: &PreprocessOptions,
    order: PassOrder,
) -> Vec<f32> {
    let size = options.size;
    let target = resample::shortest_edge_size(image.width(), image.height(), size);
    let (across, down) = (Squash::new(target.0, size), Squash::new(target.1, size));
    let samples = resample::bicubic_at(image, target, &across.wanted, &down.wanted, order);
    let row_bytes = across.wanted.len() * 3;
    let Lookup(values) = Lookup::inference(options);
    let mut out = Vec::with_capacity(size as usize * size as usize * 3);
    for (channel, value) in values.iter().enumerate() {
        for y in &down.taps {
            let rows = y.at.map(|r| &samples[r * row_bytes..(r + 1) * row_bytes]);
            out.extend(across.taps.iter().map(|x| {
                let row = |r: usize| {
                    let at = |k: usize| value[usize::from(rows[r][x.at[k] * 3 + channel])];
                    x.weight[0] * at(0) + x.weight[1] * at(1)
                };
                y.weight[0] * row(0) + y.weight[1] * row(1)
            }));
        }
    }
    out
}

/// Training: 8-bit linear resize to a square, then normalise.
///
/// Returns ggml order [size, size, 3] (PyTorch [3, size, size]).
pub(super) fn training(image: &RgbImage8, options: &PreprocessOptions) -> Vec<f32> {
    let samples = linear::resize_linear_u8(image, options.size);
    let Lookup(values) = Lookup::training(options);
    let plane = |c: usize| samples.chunks_exact(3).map(move |p| (p[c], c));
    (0..3).flat_map(plane).map(|(u, c)| values[c][usize::from(u)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_axis_is_the_identity() {
        let squash = Squash::new(224, 224);
        assert_eq!(squash.wanted, (0..224).collect::<Vec<_>>());
        for (i, tap) in squash.taps.iter().enumerate() {
            assert_eq!((tap.at[0], tap.weight), (i, [1.0, 0.0]));
        }
    }

    #[test]
    fn long_axis_wants_two_samples_each() {
        let squash = Squash::new(6_720_000, 224);
        assert_eq!(squash.wanted.len(), 448);
        assert!(squash.wanted.is_sorted());
        assert!(squash.wanted.iter().all(|&i| i < 6_720_000));
    }

    #[test]
    fn taps_point_at_their_neighbours() {
        for n_in in [224, 225, 298, 397, 448, 1000, 70_001] {
            let squash = Squash::new(n_in, 224);
            for (i, tap) in squash.taps.iter().enumerate() {
                let [lower, upper] = tap.at.map(|at| squash.wanted[at]);
                let exact = (i as f64 + 0.5) * n_in as f64 / 224.0 - 0.5;
                let got = lower as f64 + f64::from(tap.weight[1]);
                assert!((got - exact.max(0.0)).abs() < 1e-6 * n_in as f64, "{n_in} {i}");
                assert!(upper == lower + 1 || upper == n_in - 1);
            }
        }
    }
}

//! The convolution against its definition, on every instruction set of this processor.

use ggml_ext::winograd::{
    Conv, Error, Isa, Job, Kernel, Moments, Options, Scheme, conv3x3_reference,
};
use half::{bf16, f16};

const LARGE: usize = 130_000_000;
/// Less than any plan needs: the smallest is taken.
const TINY: usize = 1;

/// Largest error against the oracle, relative to the result: normalised mean squares.
const NMSE: f64 = 1e-10;
/// Largest relative error of sums, and of sums of squares, against those of the same output.
const MOMENTS: f64 = 1e-6;
/// Largest error of the normalised result.
const NMSE_NORMALISED: f64 = 1e-9;

/// SplitMix64, as a number from -1 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn vec(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next()).collect()
    }
}

fn isas() -> impl Iterator<Item = Isa> {
    [Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Portable].into_iter().filter(|i| i.is_available())
}

/// Every instruction set with every size of tiles.
fn kinds() -> impl Iterator<Item = (Isa, Scheme)> {
    isas().flat_map(|isa| Scheme::ALL.map(|scheme| (isa, scheme)))
}

struct Case {
    sides: Vec<[usize; 2]>,
    channels: [usize; 2],
    x: Vec<f32>,
    weights: Vec<f32>,
}

impl Case {
    fn new(sides: &[[usize; 2]], channels: [usize; 2]) -> Case {
        let mut random = Random(channels[0] as u64 * 1000 + channels[1] as u64);
        let n_pixels: usize = sides.iter().map(|[w, h]| w * h).sum();
        // A mean, as activations have it.
        let x = random.vec(n_pixels * channels[0]).into_iter().map(|v| v + 0.3).collect();
        let weights = random.vec(9 * channels[0] * channels[1]);
        Case { sides: sides.to_vec(), channels, x, weights }
    }

    fn run(
        &self,
        kernel: Kernel<'_>,
        (isa, scheme): (Isa, Scheme),
        n_threads: usize,
        budget: usize,
    ) -> (Vec<f32>, Vec<Moments>) {
        let options = Options { n_threads, budget, isa: Some(isa), scheme: Some(scheme) };
        let conv = Conv::new(&self.sides, self.channels, options).unwrap();
        let mut workspace = conv.workspace().unwrap();
        let c_out = self.channels[1];
        let mut y = vec![f32::NAN; conv.n_pixels() * c_out];
        let mut moments = vec![Moments::default(); self.sides.len() * c_out];
        let job = Job::new(&self.x, kernel, &mut y, &mut moments);
        conv.compute(&mut workspace, job, n_threads);
        (y, moments)
    }

    /// Compares with the oracle; gives what was computed.
    fn check(
        &self,
        kernel: Kernel<'_>,
        kind: (Isa, Scheme),
        expected: &[f64],
    ) -> (Vec<f32>, Vec<Moments>) {
        let name = format!("{kind:?}, {:?}, {:?}", self.channels, self.sides);
        let (y, moments) = self.run(kernel, kind, 1, LARGE);
        let error = nmse(&y, expected);
        assert!(error <= NMSE, "{name}: NMSE {error:e}");
        self.check_moments(&y, &moments, expected, &name);
        (y, moments)
    }

    /// Compares with sums of the output, and the output normalised by them with the oracle's.
    fn check_moments(&self, y: &[f32], moments: &[Moments], expected: &[f64], name: &str) {
        let c_out = self.channels[1];
        let (mut got, mut want) = (Vec::new(), Vec::new());
        let mut first = 0;
        for (&[w, h], moments) in self.sides.iter().zip(moments.chunks(c_out)) {
            let range = first..first + w * h * c_out;
            first = range.end;
            let y: Vec<f64> = y[range.clone()].iter().map(|&v| f64::from(v)).collect();
            let sums = sums(&y, c_out);
            for (m, s) in moments.iter().zip(&sums) {
                let size = ((w * h) as f64 * s.sum_sq).sqrt();
                let close = (m.sum - s.sum).abs() <= MOMENTS * size
                    && (m.sum_sq - s.sum_sq).abs() <= MOMENTS * s.sum_sq;
                assert!(close, "{name}: {m:?}, not {s:?}");
            }
            let expected = &expected[range];
            got.extend(normalised(&y, moments).into_iter().map(|v| v as f32));
            want.extend(normalised(expected, &self::sums(expected, c_out)));
        }
        let error = nmse(&got, &want);
        assert!(error <= NMSE_NORMALISED, "{name}, normalised: NMSE {error:e}");
    }

    fn reference(&self, kernel: Kernel<'_>) -> Vec<f64> {
        conv3x3_reference(&self.x, &self.sides, self.channels, kernel)
    }
}

/// Moments of each channel of a map, in double precision.
fn sums(y: &[f64], c_out: usize) -> Vec<Moments> {
    let mut sums = vec![Moments::default(); c_out];
    for (i, &v) in y.iter().enumerate() {
        let m = &mut sums[i % c_out];
        *m = Moments { sum: m.sum + v, sum_sq: m.sum_sq + v * v };
    }
    sums
}

/// A map after a GroupNorm of four channels a group.
fn normalised(y: &[f64], moments: &[Moments]) -> Vec<f64> {
    let c_out = moments.len();
    let n = (y.len() / c_out * 4) as f64;
    let group = |g: &[Moments]| {
        let mean = g.iter().map(|m| m.sum).sum::<f64>() / n;
        let variance = g.iter().map(|m| m.sum_sq).sum::<f64>() / n - mean * mean;
        (mean, 1.0 / (variance + 1e-5).sqrt())
    };
    let groups: Vec<_> = moments.chunks(4).map(group).collect();
    let value = |(i, v): (usize, &f64)| {
        let (mean, scale) = groups[i % c_out / 4];
        (v - mean) * scale
    };
    y.iter().enumerate().map(value).collect()
}

fn nmse(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let error: f64 = got.iter().zip(expected).map(|(g, e)| (f64::from(*g) - e).powi(2)).sum();
    error / expected.iter().map(|e| e * e).sum::<f64>()
}

/// Of odd sides, so that tiles at the edges are cut, and panels straddle levels.
const LEVELS: [[usize; 2]; 4] = [[13, 9], [7, 6], [1, 1], [3, 5]];

#[test]
fn sides_from_1_to_20() {
    let sides: Vec<_> = (1..=20).map(|w| [w, 21 - w]).chain([[1, 37], [41, 2], [16, 16]]).collect();
    let case = Case::new(&sides, [8, 4]);
    let kernel = Kernel::F32(&case.weights);
    let expected = case.reference(kernel);
    for kind in kinds() {
        let whole = case.check(kernel, kind, &expected);
        assert!(case.run(kernel, kind, 1, TINY) == whole, "{kind:?}");
    }
}

#[test]
fn channels_of_all_kinds() {
    let all = [[4, 4], [4, 100], [32, 32], [64, 64], [64, 8], [100, 36], [128, 128], [300, 4]];
    for channels in all {
        let case = Case::new(&LEVELS, channels);
        let kernel = Kernel::F32(&case.weights);
        let expected = case.reference(kernel);
        for kind in kinds() {
            case.check(kernel, kind, &expected);
        }
    }
}

#[test]
fn kernels_in_half_precision() {
    for channels in [[36, 20], [16, 32]] {
        let case = Case::new(&LEVELS[1..], channels);
        let f16s: Vec<_> = case.weights.iter().map(|&w| f16::from_f32(w)).collect();
        let bf16s: Vec<_> = case.weights.iter().map(|&w| bf16::from_f32(w)).collect();
        for kernel in [Kernel::F16(&f16s), Kernel::Bf16(&bf16s)] {
            let expected = case.reference(kernel);
            for kind in kinds() {
                case.check(kernel, kind, &expected);
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_threads_or_budget() {
    for channels in [[36, 68], [64, 200]] {
        let case = Case::new(&LEVELS, channels);
        let kernel = Kernel::F32(&case.weights);
        for kind in kinds() {
            let expected = case.run(kernel, kind, 1, LARGE);
            for (n_threads, budget) in [(1, 900_000), (2, LARGE), (2, TINY), (3, 900_000)]
                .into_iter()
                .chain([(3, TINY), (5, LARGE), (5, 1_500_000)])
            {
                let got = case.run(kernel, kind, n_threads, budget);
                assert!(got == expected, "{kind:?}, {n_threads} threads, {budget} bytes");
            }
        }
    }
}

#[test]
fn many_channels_of_few_tiles_go_chunk_by_chunk() {
    let case = Case::new(&[[14, 14], [5, 9]], [1000, 100]);
    let kernel = Kernel::F32(&case.weights);
    let expected = case.reference(kernel);
    for (isa, scheme) in kinds() {
        let options = Options { isa: Some(isa), scheme: Some(scheme), ..Options::default() };
        let plan = Conv::new(&case.sides, case.channels, options).unwrap().describe(1);
        assert!(!plan.contains(" 1000 input channels"), "{plan}");
        let alone = case.check(kernel, (isa, scheme), &expected);
        for (n_threads, budget) in [(1, TINY), (2, LARGE), (3, 8_000_000)] {
            let got = case.run(kernel, (isa, scheme), n_threads, budget);
            assert!(got == alone, "{isa:?}, {scheme:?}, {n_threads} threads, {budget} bytes");
        }
    }
}

/// They are written past the caches where pixels begin cache lines.
#[test]
fn large_results_are_the_same_at_any_address() {
    let (sides, channels) = ([[61, 83], [20, 75]], [8, 1024]);
    let case = Case::new(&sides, channels);
    for isa in isas() {
        let options = Options { n_threads: 2, isa: Some(isa), ..Options::default() };
        let conv = Conv::new(&sides, channels, options).unwrap();
        let mut workspace = conv.workspace().unwrap();
        let n = conv.n_pixels() * channels[1];
        assert!(n * size_of::<f32>() > 25_000_000);
        let mut run = |from_line: usize| {
            let mut memory = vec![f32::NAN; n + 32];
            let first = memory.as_ptr().align_offset(64) + from_line;
            let mut moments = vec![Moments::default(); 2 * channels[1]];
            let y = &mut memory[first..first + n];
            let job = Job::new(&case.x, Kernel::F32(&case.weights), y, &mut moments);
            conv.compute(&mut workspace, job, 2);
            let y: Vec<u32> = y.iter().map(|v| v.to_bits()).collect();
            (y, memory[first + n..].iter().all(|v| v.is_nan()))
        };
        let (aligned, rest_is_kept) = run(0);
        assert!(rest_is_kept && aligned == run(1).0, "{isa:?}");
    }
}

#[test]
fn outputs_are_added_to_what_there_is() {
    let (sides, channels) = ([[9, 14], [13, 5]], [20, 36]);
    let case = Case::new(&sides, channels);
    for kind in kinds() {
        let (alone, _) = case.run(Kernel::F32(&case.weights), kind, 1, LARGE);
        let onto = Random(5).vec(alone.len());
        let options = Options { isa: Some(kind.0), scheme: Some(kind.1), ..Options::default() };
        let conv = Conv::new(&sides, channels, options).unwrap();
        let mut workspace = conv.workspace().unwrap();
        let mut y = vec![f32::NAN; alone.len()];
        let mut moments = vec![Moments::default(); 2 * channels[1]];
        let job = Job::new(&case.x, Kernel::F32(&case.weights), &mut y, &mut moments).onto(&onto);
        conv.compute(&mut workspace, job, 1);
        let sums: Vec<f32> = alone.iter().zip(&onto).map(|(v, o)| o + v).collect();
        assert_eq!(y, sums, "{kind:?}");
        let expected: Vec<f64> = sums.iter().map(|&v| f64::from(v)).collect();
        case.check_moments(&y, &moments, &expected, &format!("{kind:?}"));
    }
}

#[test]
fn a_workspace_serves_other_convolutions_and_fewer_threads() {
    let (small, large) = (Case::new(&LEVELS, [4, 8]), Case::new(&LEVELS, [64, 36]));
    let options = Options { n_threads: 2, ..Options::default() };
    let convs = [&small, &large].map(|c| Conv::new(&c.sides, c.channels, options).unwrap());
    let mut workspace = convs[1].workspace().unwrap();
    assert!(workspace.bytes() >= convs[0].scratch_bytes());
    for (i, n_threads) in [(1, 2), (0, 2), (1, 1), (0, 1), (1, 2)] {
        let (case, conv) = ([&small, &large][i], &convs[i]);
        let kernel = Kernel::F32(&case.weights);
        let mut y = vec![f32::NAN; conv.n_pixels() * case.channels[1]];
        let mut moments = vec![Moments::default(); case.sides.len() * case.channels[1]];
        let job = Job::new(&case.x, kernel, &mut y, &mut moments);
        conv.compute(&mut workspace, job, n_threads);
        assert!(
            (y, moments) == case.run(kernel, (conv.isa(), conv.scheme()), 1, LARGE),
            "{i}, {n_threads} threads"
        );
    }
}

#[test]
fn the_real_size_keeps_to_its_budget() {
    let sides = [[128, 128], [64, 64], [32, 32], [16, 16]];
    for isa in isas() {
        for (n_threads, budget) in [(1, 40_000_000), (2, 40_000_000), (2, 110_000_000)] {
            let options = Options { n_threads, budget, isa: Some(isa), scheme: None };
            let conv = Conv::new(&sides, [1024, 1024], options).unwrap();
            assert!(conv.scratch_bytes() <= budget, "{}", conv.describe(n_threads));
        }
    }
}

#[test]
fn few_tiles_are_small() {
    let scheme =
        |side, channels, options| Conv::new(&[[side; 2]], channels, options).unwrap().scheme();
    for (n_threads, budget) in [(1, LARGE), (2, TINY)] {
        let options = Options { n_threads, budget, ..Options::default() };
        assert_eq!(scheme(14, [1024, 1024], options), Scheme::Four);
        assert_eq!(scheme(128, [1024, 1024], options), Scheme::Six);
    }
}

#[test]
fn impossible_sizes_are_errors() {
    let new = |sides: &[[usize; 2]], channels| {
        Conv::new(sides, channels, Options::default()).map(|_| ()).unwrap_err()
    };
    assert_eq!(new(&[], [4, 4]), Error::Levels);
    assert_eq!(new(&[[3, 0]], [4, 4]), Error::Levels);
    assert_eq!(new(&[[3, 3]], [0, 4]), Error::Channels { c_in: 0, c_out: 4 });
    assert_eq!(new(&[[3, 3]], [4, 6]), Error::Channels { c_in: 4, c_out: 6 });
    assert_eq!(new(&[[usize::MAX, 2]], [4, 4]), Error::TooLarge);
    assert_eq!(new(&[[usize::MAX, 1], [1, 1]], [4, 4]), Error::TooLarge);
    assert_eq!(new(&[[usize::MAX, 1]], [4, 4]), Error::TooLarge);
    assert_eq!(new(&[[1 << 31, 1 << 31]], [4, 4]), Error::TooLarge);
    assert_eq!(new(&[[1, 1]], [usize::MAX - 3, 4]), Error::TooLarge);
    assert_eq!(new(&[[1, 1]], [4, usize::MAX - 3]), Error::TooLarge);
    let options = Options { n_threads: 0, ..Options::default() };
    assert_eq!(Conv::new(&[[1, 1]], [4, 4], options).map(|_| ()), Err(Error::Threads));
}

#[test]
#[should_panic(expected = "length of y")]
fn a_short_output_panics() {
    let case = Case::new(&[[4, 4]], [4, 4]);
    let conv = Conv::new(&case.sides, case.channels, Options::default()).unwrap();
    let mut workspace = conv.workspace().unwrap();
    let (mut y, mut moments) = (vec![0.0; 63], vec![Moments::default(); 4]);
    let job = Job::new(&case.x, Kernel::F32(&case.weights), &mut y, &mut moments);
    conv.compute(&mut workspace, job, 1);
}

//! Against ggml's own decoding of the weights, in double precision.

use super::*;
use crate::product::compute;
use crate::quant;

/// Reproducible values around zero; some columns have one that dwarfs the rest.
fn noise(seed: u32, n: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
    };
    (0..n).map(|i| (next() + next() + next()) * if i % 977 == 5 { 20.0 } else { 1.0 }).collect()
}

struct Case {
    product: Product,
    weights: Vec<u8>,
    columns: Vec<f32>,
}

impl Case {
    fn new(dtype: DType, [n_in, n_out, n_columns]: [usize; 3]) -> Case {
        let values = noise(1, n_in * n_out);
        let mut weights = Vec::new();
        quant::quantize(dtype, &values, n_in, 1, &mut weights).unwrap();
        let product = Product { dtype, n_in, n_out, n_columns };
        Case { product, weights, columns: noise(2, n_in * n_columns) }
    }

    fn run(&self, level: Level, n_threads: usize) -> Vec<f32> {
        compute(&mut Quants::on(level), self.product, &self.weights, &self.columns, n_threads)
    }

    /// The exact product of what the weights decode to and what the columns are in 8 bits; and the sum of magnitudes.
    fn expected(&self) -> Vec<[f64; 2]> {
        let Product { dtype, n_in, n_out, n_columns } = self.product;
        let mut weights = vec![0.0; n_in * n_out];
        quant::dequantize(dtype, &self.weights, &mut weights).unwrap();
        let in_8_bits = if dtype == DType::Q8_0 { in_groups } else { in_8_bits };
        let chunk = if dtype == DType::Q8_0 { 32 } else { CHUNK };
        let columns: Vec<f64> = self.columns.chunks_exact(chunk).flat_map(in_8_bits).collect();
        let mut out = Vec::new();
        for column in columns.chunks_exact(n_in).take(n_columns) {
            for row in weights.chunks_exact(n_in) {
                let products = || row.iter().zip(column).map(|(&w, &c)| f64::from(w) * c);
                out.push([products().sum(), products().map(f64::abs).sum()]);
            }
        }
        out
    }
}

/// The formula of ggml's reference code, in double precision behind the rounding.
fn in_8_bits(x: &[f32]) -> Vec<f64> {
    let mut largest = 0.0f32;
    for &v in x {
        if v.abs() > largest.abs() {
            largest = v;
        }
    }
    if largest == 0.0 {
        return vec![0.0; CHUNK];
    }
    let factor = -127.0 / largest;
    x.iter().map(|v| f64::from((factor * v).round_ties_even()) * f64::from(1.0 / factor)).collect()
}

/// The same for weights in `q8_0`.
fn in_groups(x: &[f32]) -> Vec<f64> {
    let largest = x.iter().fold(0.0f32, |a, v| a.max(v.abs()));
    let factor = if largest == 0.0 { 0.0 } else { 127.0 / largest };
    let scale = f64::from(half::f16::from_f32(largest / 127.0));
    x.iter().map(|v| f64::from((factor * v).round_ties_even()) * scale).collect()
}

fn levels(product: Product) -> impl Iterator<Item = Level> {
    Level::available().filter(move |&level| Quants::on(level).is_known(&product))
}

fn check(dtype: DType, sizes: [usize; 3], n_threads: usize) {
    let case = Case::new(dtype, sizes);
    for level in levels(case.product) {
        let got = case.run(level, n_threads);
        for (i, (got, [want, magnitude])) in got.iter().zip(case.expected()).enumerate() {
            let bound = 1e-6 * magnitude;
            let off = (f64::from(*got) - want).abs();
            assert!(off <= bound, "{level:?}, {dtype:?} {sizes:?}, {i}: {got}, not {want}");
        }
    }
}

const TYPES: [DType; 4] = [DType::Q4K, DType::Q5K, DType::Q6K, DType::Q8_0];

#[test]
fn agrees_with_the_decoded_weights() {
    for dtype in TYPES {
        check(dtype, [512, 48, 13], 1);
    }
}

#[test]
fn any_number_of_rows_and_columns() {
    for dtype in TYPES {
        for n_out in [16, 17, 24, 31, 33, 64, 81] {
            for n_columns in [1, 2, 3, 5, 8, 9, 16, 17, 33, 48] {
                check(dtype, [256, n_out, n_columns], 1);
            }
        }
    }
}

#[test]
fn rows_that_are_no_whole_chunks() {
    for n_in in [32, 96, 384] {
        for n_columns in [9, 33] {
            check(DType::Q8_0, [n_in, 33, n_columns], 1);
        }
    }
}

#[test]
fn threads_share_the_work() {
    for n_threads in [2, 3, 7] {
        for dtype in TYPES {
            for n_columns in [11, 40] {
                check(dtype, [768, 300, n_columns], n_threads);
            }
        }
    }
}

#[test]
fn the_largest_whole_numbers_do_not_overflow() {
    for dtype in TYPES {
        let mut case = Case::new(dtype, [256, 16, 16]);
        // All bits of the values set, whatever scales that gives; columns of one sign and magnitude.
        for block in case.weights.chunks_exact_mut(dtype.row_size(CHUNK).unwrap()) {
            match dtype {
                DType::Q6K => block[..192].fill(0xff),
                DType::Q8_0 => block.chunks_exact_mut(34).for_each(|group| group[2..].fill(0x80)),
                _ => block[16..].fill(0xff),
            }
        }
        case.columns.fill(1.0);
        for level in levels(case.product) {
            let got = case.run(level, 1);
            for (got, [want, magnitude]) in got.iter().zip(case.expected()) {
                assert!((f64::from(*got) - want).abs() <= 1e-6 * magnitude, "{got}, not {want}");
            }
        }
    }
}

#[test]
fn a_column_of_zeros_gives_zeros() {
    let mut case = Case::new(DType::Q4K, [256, 16, 2]);
    case.columns[..256].fill(0.0);
    for level in levels(case.product) {
        assert!(case.run(level, 1)[..16].iter().all(|&v| v == 0.0));
    }
}

#[test]
fn a_column_does_not_depend_on_the_others_nor_on_the_instructions() {
    for dtype in TYPES {
        let all = Case::new(dtype, [512, 40, 43]);
        let mut first = None;
        for level in levels(all.product) {
            let together = all.run(level, 2);
            for (i, column) in all.columns.chunks_exact(512).enumerate() {
                let product = Product { n_columns: 1, ..all.product };
                let alone = Case { product, weights: all.weights.clone(), columns: column.into() };
                assert_eq!(
                    alone.run(level, 1),
                    together[40 * i..][..40],
                    "{dtype:?} {level:?} {i}"
                );
            }
            assert_eq!(*first.get_or_insert(together.clone()), together, "{dtype:?} {level:?}");
        }
    }
}

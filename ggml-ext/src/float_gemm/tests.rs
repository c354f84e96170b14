//! Against the formula, in double precision.

use super::*;
use crate::product::compute;
use crate::quant;

/// Reproducible values around zero.
fn noise(seed: u32, n: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
    };
    (0..n).map(|_| next() + next()).collect()
}

struct Case {
    product: Product,
    weights: Vec<u8>,
    columns: Vec<f32>,
}

impl Case {
    fn new(dtype: DType, [n_in, n_out, n_columns]: [usize; 3]) -> Case {
        let mut weights = Vec::new();
        quant::quantize(dtype, &noise(1, n_in * n_out), n_in, 1, &mut weights).unwrap();
        let product = Product { dtype, n_in, n_out, n_columns };
        Case { product, weights, columns: noise(2, n_in * n_columns) }
    }

    fn run(&self, way: Way, n_threads: usize) -> Vec<f32> {
        let mut floats = match way {
            Way::Vectors(isa) => Floats::on(isa),
            Way::Tiles => Floats { on_tiles: true, ..Floats::on(Isa::detect()) },
            Way::Pairs => Floats { on_pairs: true, ..Floats::on(Isa::detect()) },
        };
        compute(&mut floats, self.product, &self.weights, &self.columns, n_threads)
    }

    /// The product, and the sum of magnitudes.
    fn expected(&self, way: Way) -> Vec<[f64; 2]> {
        let Product { dtype, n_in, n_out, .. } = self.product;
        let mut weights = vec![0.0; n_in * n_out];
        quant::dequantize(dtype, &self.weights, &mut weights).unwrap();
        let mut columns = self.columns.clone();
        if matches!(way, Way::Pairs) && dtype == DType::Bf16 && n_in % 2 == 0 {
            columns.iter_mut().for_each(|v| *v = bf16::from_f32(*v).to_f32());
        }
        let mut out = Vec::new();
        for column in columns.chunks_exact(n_in) {
            for row in weights.chunks_exact(n_in) {
                let products =
                    || row.iter().zip(column).map(|(&w, &c)| f64::from(w) * f64::from(c));
                out.push([products().sum(), products().map(f64::abs).sum()]);
            }
        }
        out
    }
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Vectors(Isa),
    Tiles,
    Pairs,
}

/// All that this processor has.
fn ways() -> impl Iterator<Item = Way> {
    let all = [Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Portable];
    let vectors = all.into_iter().filter(|isa| isa.is_available()).map(Way::Vectors);
    let pairs = multiplies_bf16().then_some(Way::Pairs);
    vectors.chain(has_amx().then_some(Way::Tiles)).chain(pairs)
}

fn check(dtype: DType, sizes: [usize; 3], n_threads: usize) {
    let case = Case::new(dtype, sizes);
    for way in ways() {
        let got = case.run(way, n_threads);
        for (i, (got, [want, magnitude])) in got.iter().zip(case.expected(way)).enumerate() {
            let off = (f64::from(*got) - want).abs();
            let bound = 1e-6 * magnitude;
            assert!(off <= bound, "{way:?}, {dtype:?} {sizes:?}, {i}: {got}, not {want}");
        }
    }
}

const TYPES: [DType; 3] = [DType::F32, DType::F16, DType::Bf16];

#[test]
fn any_number_of_rows_and_columns() {
    for dtype in TYPES {
        for n_out in [1, 31, 32, 33, 200] {
            for n_columns in (1..=14).chain([25]) {
                check(dtype, [70, n_out, n_columns], 1);
            }
        }
    }
}

#[test]
fn any_length_of_rows() {
    for dtype in TYPES {
        for n_in in [1, 7, 16, 255, 256, 257, 300, 1024] {
            check(dtype, [n_in, 40, 13], 1);
        }
    }
}

#[test]
fn rows_longer_than_a_slab() {
    for n_threads in [1, 3] {
        check(DType::F32, [2 * SLAB + 300, 100, 10], n_threads);
    }
}

#[test]
fn threads_share_the_work() {
    for n_threads in [2, 3, 7] {
        for n_columns in [1, 30] {
            check(DType::F16, [300, 500, n_columns], n_threads);
        }
    }
}

#[test]
fn a_column_does_not_depend_on_the_others() {
    for dtype in TYPES {
        let all = Case::new(dtype, [600, 300, 29]);
        for way in ways() {
            let together = all.run(way, 3);
            for (i, column) in all.columns.chunks_exact(600).enumerate() {
                let product = Product { n_columns: 1, ..all.product };
                let alone = Case { product, weights: all.weights.clone(), columns: column.into() };
                assert_eq!(alone.run(way, 1), together[300 * i..][..300], "{dtype:?} {way:?} {i}");
            }
        }
    }
}

#[test]
fn what_is_no_number_stays_in_its_column() {
    let mut case = Case::new(DType::F32, [300, 64, 3]);
    case.columns[300..600].fill(f32::INFINITY);
    for way in ways() {
        let got = case.run(way, 1);
        assert!(got[..64].iter().chain(&got[128..]).all(|v| v.is_finite()), "{way:?}");
        assert!(got[64..128].iter().all(|v| !v.is_finite()), "{way:?}");
    }
}

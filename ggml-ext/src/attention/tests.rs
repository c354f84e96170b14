//! Against the formula, in double precision.

use super::*;

/// Reproducible values around zero.
fn noise(seed: u32, n: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
    };
    (0..n).map(|_| 4.0 * (next() + next() + next())).collect()
}

/// Queries over keys and values that lie in memory as in llama.cpp's cache: all heads of a cell side by side.
struct Case {
    shape: Shape,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    /// `[n_kv, n_queries]`
    mask: Option<Vec<f16>>,
    order: Option<Vec<u32>>,
}

const SCALE: f32 = 0.125;

impl Case {
    fn new(cells: Cells, n_embd: usize, [n_queries, n_kv]: [usize; 2]) -> Case {
        let shape = Shape { cells, n_embd, n_queries, n_head: 4, n_head_kv: 2, n_kv };
        // Such as both types of cells hold.
        let cells = |seed| -> Vec<f32> {
            let exact = |v: &f32| f16::from_f32(*v).to_f32();
            noise(seed, n_embd * shape.n_head_kv * n_kv).iter().map(exact).collect()
        };
        let queries = noise(1, n_embd * shape.n_head * n_queries);
        Case { shape, queries, keys: cells(2), values: cells(3), mask: None, order: None }
    }

    /// Query `q` sees cell `c` if `sees(q, c)`.
    fn masked(mut self, sees: impl Fn(usize, usize) -> bool) -> Case {
        let Shape { n_queries, n_kv, .. } = self.shape;
        let value = |i| if sees(i / n_kv, i % n_kv) { f16::ZERO } else { f16::NEG_INFINITY };
        self.mask = Some((0..n_queries * n_kv).map(value).collect());
        self
    }

    /// As answers about many regions see it: a prefix, and then every so-many-th cell.
    fn shared(self, n_prefix: usize) -> Case {
        let n = self.shape.n_queries;
        self.masked(|q, c| c < n_prefix || c % n == q)
    }

    fn run(&self, isa: Isa, n_threads: usize) -> Vec<f32> {
        let f16s = |v: &[f32]| v.iter().flat_map(|&v| f16::from_f32(v).to_ne_bytes()).collect();
        let f32s = |v: &[f32]| v.iter().flat_map(|&v| v.to_ne_bytes()).collect();
        let bytes = |v: &[f32]| -> Vec<u8> {
            match self.shape.cells {
                Cells::F16 => f16s(v),
                Cells::F32 => f32s(v),
            }
        };
        let (keys, values) = (bytes(&self.keys), bytes(&self.values));
        let Shape { n_embd, n_queries, n_head, n_head_kv, n_kv, .. } = self.shape;
        let row = keys.len() / n_kv / n_head_kv;
        let mut room = Room::default();
        room.reserve(&self.shape, n_threads);
        // What lies behind must stay as it is.
        let n = n_embd * n_head * n_queries;
        let mut output = vec![f32::NAN; n + 64];
        let out = output.as_mut_ptr().expose_provenance();
        std::thread::scope(|scope| {
            for ith in 0..n_threads {
                let (room, keys, values) = (&room, &keys, &values);
                scope.spawn(move || {
                    let rows = |first, row, n_head| Rows { first, stride: row * n_head, head: row };
                    let mask = self.mask.as_ref();
                    let run = Run {
                        shape: self.shape,
                        room,
                        scale: SCALE,
                        queries: rows(self.queries.as_ptr().cast(), 4 * n_embd, n_head),
                        keys: rows(keys.as_ptr(), row, n_head_kv),
                        values: rows(values.as_ptr(), row, n_head_kv),
                        mask: mask.map(|m| Mask { first: m.as_ptr(), stride: n_kv }),
                        order: Order(self.order.as_deref()),
                        output: std::ptr::with_exposed_provenance_mut(out),
                        ith,
                        nth: n_threads,
                    };
                    // SAFETY: the instruction set is available, all is of the shape's sizes, and room was reserved.
                    unsafe { run.run(isa) }
                });
            }
        });
        assert!(output[n..].iter().all(|v| v.is_nan()));
        output.truncate(n);
        output
    }

    /// One head's result for one query.
    fn expected(&self, query: usize, head: usize) -> Vec<f64> {
        let Shape { n_embd, n_head, n_head_kv, n_kv, .. } = self.shape;
        let kv = head / (n_head / n_head_kv);
        let row = |of: &[f32], i: usize| -> Vec<f64> {
            of[i * n_embd..][..n_embd].iter().map(|&v| f64::from(v)).collect()
        };
        let q = row(&self.queries, query * n_head + head);
        let score = |c: usize| -> f64 {
            let k = row(&self.keys, c * n_head_kv + kv);
            let product: f64 = q.iter().zip(&k).map(|(q, k)| q * k).sum();
            let mask = self.mask.as_ref().map_or(0.0, |m| m[query * n_kv + c].to_f64());
            product * f64::from(SCALE) + mask
        };
        let scores: Vec<f64> = (0..n_kv).map(score).collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sums = vec![0.0; n_embd];
        let mut total = 0.0;
        for (c, score) in scores.iter().enumerate().filter(|(_, s)| **s > f64::NEG_INFINITY) {
            let weight = (score - largest).exp();
            total += weight;
            let v = row(&self.values, c * n_head_kv + kv);
            sums.iter_mut().zip(v).for_each(|(s, v)| *s += weight * v);
        }
        sums.iter().map(|s| if total > 0.0 { s / total } else { 0.0 }).collect()
    }

    fn check(&self, n_threads: usize) {
        let Shape { n_embd, n_queries, n_head, .. } = self.shape;
        for isa in isas() {
            let got = self.run(isa, n_threads);
            for query in 0..n_queries {
                for head in 0..n_head {
                    let got = &got[(query * n_head + head) * n_embd..];
                    for (got, want) in got.iter().zip(self.expected(query, head)) {
                        let off = (f64::from(*got) - want).abs();
                        let what = format!("{isa:?}, {:?}, query {query}", self.shape);
                        assert!(off < 2e-5, "{what}: {got}, not {want}");
                    }
                }
            }
        }
    }
}

fn isas() -> impl Iterator<Item = Isa> {
    let all = [Isa::Avx512, Isa::Avx2, Isa::Neon, Isa::Portable];
    all.into_iter().filter(|isa| isa.is_available())
}

const CELLS: [Cells; 2] = [Cells::F16, Cells::F32];

#[test]
fn agrees_with_the_formula() {
    for cells in CELLS {
        for n_embd in [16, 64, 80, 128] {
            Case::new(cells, n_embd, [5, 37]).check(1);
            Case::new(cells, n_embd, [5, 37]).shared(20).check(1);
        }
    }
}

#[test]
fn any_number_of_queries_and_cells() {
    for n_queries in [1, 2, 3, 4, 7, 8, 33] {
        for n_kv in [1, 3, 15, 16, 17, 100] {
            Case::new(Cells::F16, 32, [n_queries, n_kv]).check(1);
            Case::new(Cells::F16, 32, [n_queries, n_kv]).shared(n_kv / 2).check(1);
        }
    }
}

#[test]
fn each_query_sees_what_comes_before_it() {
    let n = 70;
    Case::new(Cells::F16, 32, [n, n + 9]).masked(|q, c| c < q + 9).check(1);
}

#[test]
fn any_pattern_of_what_is_seen() {
    for seed in 0..20 {
        let bits = noise(10 + seed, 6 * 90);
        let limit = (seed as f32 - 10.0) / 4.0;
        Case::new(Cells::F16, 16, [6, 90]).masked(|q, c| bits[q * 90 + c] < limit).check(1);
    }
}

#[test]
fn a_mask_may_hold_other_values() {
    let mut case = Case::new(Cells::F16, 32, [5, 40]).shared(20);
    for v in case.mask.iter_mut().flatten().step_by(3) {
        *v = if v.is_finite() { f16::from_f32(-1.5) } else { *v };
    }
    case.check(1);
}

#[test]
fn who_sees_nothing_gets_zeros() {
    let case = Case::new(Cells::F16, 32, [5, 40]).masked(|q, _| q != 2);
    for isa in isas() {
        let n = 32 * 4;
        assert!(case.run(isa, 1)[2 * n..3 * n].iter().all(|&v| v == 0.0), "{isa:?}");
    }
}

#[test]
fn what_is_not_a_number_is_not_hidden() {
    for n_queries in [1, 4] {
        let mut case = Case::new(Cells::F16, 32, [n_queries, 40]);
        case.keys[7] = f32::NAN;
        for isa in isas() {
            assert!(case.run(isa, 1)[0].is_nan(), "{isa:?}");
        }
    }
}

#[test]
fn threads_share_the_work() {
    let case = Case::new(Cells::F16, 32, [50, 120]).shared(60);
    for isa in isas() {
        let alone = case.run(isa, 1);
        for n_threads in [2, 3, 7] {
            assert_eq!(case.run(isa, n_threads), alone, "{isa:?}");
        }
    }
}

/// Query `query` of a case by itself, with only the cells that it sees.
fn alone(all: &Case, query: usize) -> Case {
    let Shape { n_embd, n_head, n_head_kv, n_kv, .. } = all.shape;
    let sees = |c: &usize| all.mask.as_ref().is_none_or(|m| m[query * n_kv + c] == f16::ZERO);
    let seen: Vec<usize> = (0..n_kv).filter(sees).collect();
    let n = n_embd * n_head_kv;
    let pick = |of: &[f32]| seen.iter().flat_map(|c| of[c * n..][..n].to_vec()).collect();
    Case {
        shape: Shape { n_queries: 1, n_kv: seen.len(), ..all.shape },
        queries: all.queries[query * n_embd * n_head..][..n_embd * n_head].to_vec(),
        keys: pick(&all.keys),
        values: pick(&all.values),
        mask: None,
        order: None,
    }
}

#[test]
fn a_query_does_not_depend_on_the_others() {
    for (n_queries, n_kv, n_prefix) in [(32, 300, 200), (3, 50, 40), (9, 41, 7)] {
        let all = Case::new(Cells::F16, 64, [n_queries, n_kv]).shared(n_prefix);
        for isa in isas() {
            let together = all.run(isa, 2);
            for query in 0..n_queries {
                let n = 64 * 4;
                let own = &together[query * n..][..n];
                assert_eq!(alone(&all, query).run(isa, 1), own, "{isa:?} {query}");
            }
        }
    }
}

#[test]
fn where_cells_lie_makes_no_difference() {
    let (n_queries, n_kv) = (9, 61);
    let plain = Case::new(Cells::F16, 32, [n_queries, n_kv]).shared(33);
    // Cell `c` moves to 17 c modulo 61.
    let to = |c: usize| c * 17 % n_kv;
    let mut moved = Case::new(Cells::F16, 32, [n_queries, n_kv]).shared(33);
    let n = 32 * moved.shape.n_head_kv;
    for c in 0..n_kv {
        moved.keys[to(c) * n..][..n].copy_from_slice(&plain.keys[c * n..][..n]);
        moved.values[to(c) * n..][..n].copy_from_slice(&plain.values[c * n..][..n]);
    }
    moved = moved.masked(|q, at| (0..n_kv).any(|c| to(c) == at && (c < 33 || c % 9 == q)));
    let by_place = moved.run(Isa::detect(), 1);
    assert_ne!(by_place, plain.run(Isa::detect(), 1), "sums in another order");
    moved.order = Some((0..n_kv).map(|c| to(c) as u32).collect());
    for isa in isas() {
        assert_eq!(moved.run(isa, 2), plain.run(isa, 1), "{isa:?}");
    }
}

#[test]
fn exp_is_exact_to_a_few_units() {
    struct Exp;
    impl ForIsa for Exp {
        unsafe fn run<L: Lanes, const MR: usize, const NV: usize>(self) {
            // SAFETY: the caller's word.
            unsafe { L::call(self) }
        }
    }
    impl<L: Lanes> Task<L> for Exp {
        #[inline(always)]
        unsafe fn run(self) {
            for i in 0..20_000 {
                let x = -87.0 * i as f32 / 19_999.0;
                let mut got = [0.0; MAX];
                // SAFETY: the caller's word; there is room for all lanes.
                unsafe { softmax::exp(L::splat(x)).store(got.as_mut_ptr()) }
                let off = f64::from(got[0]) / f64::from(x).exp() - 1.0;
                assert!(off.abs() < 4e-7, "{x}: {} is off by {off:e}", got[0]);
            }
        }
    }
    for isa in isas() {
        // SAFETY: the processor has it.
        unsafe { isa.run(Exp) }
    }
}

//! Against the formula, in 64 bits.

use super::*;

/// Reproducible numbers.
struct Noise(u32);

impl Noise {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % n
    }
}

struct Case {
    rows: Vec<Vec<u8>>,
    used: Vec<Range<usize>>,
    outputs: Vec<(usize, Vec<i32>)>,
}

impl Case {
    fn new(noise: &mut Noise) -> Case {
        let mut used = Vec::new();
        let mut end = 0;
        for _ in 0..1 + noise.below(3) {
            let start = end + noise.below(4);
            end = start + 1 + noise.below(40);
            used.push(start..end);
        }
        let n: usize = used.iter().map(Range::len).sum();
        let extreme = noise.below(3) == 0;
        let mut sample = |_| match (extreme, noise.below(256)) {
            (true, v) => [0, 255][v % 2],
            (false, v) => v as u8,
        };
        let rows = (0..37).map(|_| (0..(end + 2) * 3).map(&mut sample).collect()).collect();
        let outputs = (0..1 + noise.below(30)).map(|_| {
            let first = noise.below(n);
            let n_weights = noise.below(n - first) + 1;
            let most = (3 << 21) / n_weights;
            let weights =
                (0..n_weights).map(|_| noise.below(2 * most) as i32 - most as i32).collect();
            (first, weights)
        });
        let outputs = outputs.collect();
        Case { rows, used, outputs }
    }

    fn expected(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for row in &self.rows {
            let pixels: Vec<usize> = self.used.iter().cloned().flatten().collect();
            for (first, weights) in &self.outputs {
                for channel in 0..3 {
                    let sample = |i: usize| i64::from(row[pixels[first + i] * 3 + channel]);
                    let terms = weights.iter().enumerate();
                    let sum: i64 = terms.map(|(i, &w)| i64::from(w) * sample(i)).sum();
                    out.push(((sum + (1 << 21)) >> 22).clamp(0, 255) as u8);
                }
            }
        }
        out
    }

    fn filter(&self) -> Filter {
        let mut filter = Filter::new();
        self.outputs.iter().for_each(|(first, weights)| filter.push(*first, weights));
        filter
    }
}

/// Rows of more than a few pixels are worked on piece by piece.
struct Pieces;

impl Variant for Pieces {
    const MAX_WORDS: usize = 3;

    fn turn(planes: &Planes, words: &mut [Words]) {
        Portable::turn(planes, words);
    }

    fn sums(words: &[Words], quads: &[Quad]) -> Sums {
        Portable::sums(words, quads)
    }
}

#[test]
fn all_variants_are_the_formula() {
    let mut noise = Noise(7);
    for _ in 0..60 {
        let case = Case::new(&mut noise);
        let (filter, expected) = (case.filter(), case.expected());
        let rows: Vec<&[u8]> = case.rows.iter().map(Vec::as_slice).collect();
        let mut out = vec![1; expected.len()];
        filter.run(&rows, &case.used, &mut out);
        assert_eq!(out, expected);
        out.fill(1);
        filter.run_on::<Portable>(&rows, &case.used, &mut out);
        assert_eq!(out, expected);
        out.fill(1);
        filter.run_on::<Pieces>(&rows, &case.used, &mut out);
        assert_eq!(out, expected);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            out.fill(1);
            // SAFETY: the processor has the instructions.
            unsafe { x86::run_avx2(&filter, &rows, &case.used, &mut out) };
            assert_eq!(out, expected);
        }
    }
}

#[test]
fn weights_are_the_sum_of_their_bytes() {
    for weight in [0, 1, -1, 127, 128, -128, -129, 32767, 32768, -32769, LIMIT - 1, 1 - LIMIT] {
        let mut quad = Quad::default();
        quad.set(2, weight);
        let bytes = quad.bytes.map(|b| i32::from((b >> 16) as i8));
        assert_eq!(bytes[0] + 256 * bytes[1] + 65536 * bytes[2], weight);
    }
}

#[test]
#[should_panic(expected = "too large")]
fn large_weights_are_refused() {
    Filter::new().push(0, &[LIMIT]);
}

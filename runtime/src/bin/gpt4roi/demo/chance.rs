//! Random numbers for composed scenes.

use std::ops::Range;

/// SplitMix64: short, and no update of a crate changes its numbers, so a seed stays a scene.
pub(crate) struct Chance(u64);

impl Chance {
    /// The numbers of a seed.
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Any number of a range.
    pub(crate) fn between(&mut self, range: Range<f64>) -> f64 {
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        range.start + (range.end - range.start) * share
    }

    /// A whole number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Puts a list in any order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        (1..list.len()).rev().for_each(|i| list.swap(i, self.below(i + 1)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_splitmix64() {
        let mut chance = Chance::new(0);
        // The first numbers of its author's program for seed 0.
        assert_eq!(chance.next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(chance.next(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn everything_happens_and_nothing_else() {
        let (mut chance, mut list, mut seen) = (Chance::new(1), [0, 1, 2], [false; 3]);
        for _ in 0..200 {
            assert!((2.0..3.0).contains(&chance.between(2.0..3.0)));
            seen[chance.below(3)] = true;
            chance.shuffle(&mut list);
            list.iter().for_each(|i| assert!(*i < 3));
            assert_eq!(list.iter().sum::<i32>(), 3);
        }
        assert_eq!(seen, [true; 3]);
    }
}

//! Sets of characters.

/// Code points as ranges, both ends included, sorted and apart from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CharSet(Vec<(u32, u32)>);

/// The last code point.
const LAST: u32 = char::MAX as u32;

impl CharSet {
    /// The union of ranges in any order.
    pub(super) fn new(mut ranges: Vec<(u32, u32)>) -> CharSet {
        ranges.retain(|(low, high)| low <= high);
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match merged.last_mut() {
                Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
                _ => merged.push((low, high)),
            }
        }
        CharSet(merged)
    }

    /// One character.
    pub(super) fn one(c: u32) -> CharSet {
        CharSet(vec![(c, c)])
    }

    /// Every character.
    pub(super) fn all() -> CharSet {
        CharSet(vec![(0, LAST)])
    }

    /// All characters that are not in this one.
    pub(super) fn inverted(&self) -> CharSet {
        let (mut gaps, mut next) = (Vec::new(), 0);
        for &(low, high) in &self.0 {
            if low > next {
                gaps.push((next, low - 1));
            }
            next = high + 1;
        }
        if next <= LAST {
            gaps.push((next, LAST));
        }
        CharSet(gaps)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, c: char) -> bool {
        self.meets(c as u32, c as u32)
    }

    /// Whether any of `low..=high` is in the set.
    pub(super) fn meets(&self, low: u32, high: u32) -> bool {
        let at = self.0.partition_point(|range| range.1 < low);
        self.0.get(at).is_some_and(|range| range.0 <= high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_merged_and_inverted() {
        let set = CharSet::new(vec![(99, 101), (97, 98), (120, 122), (5, 4)]);
        assert_eq!(set, CharSet(vec![(97, 101), (120, 122)]));
        assert!(set.contains('e') && !set.contains('f') && set.meets(110, 120));
        assert_eq!(set.inverted(), CharSet(vec![(0, 96), (102, 119), (123, LAST)]));
        assert_eq!(set.inverted().inverted(), set);
        assert!(CharSet::all().inverted().is_empty());
    }
}

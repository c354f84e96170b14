//! How many of how many, and how sure that is.

/// The normal distribution's 97.5% quantile: 95% lie within this many standard deviations.
const Z: f64 = 1.959_963_984_540_054;

/// A count of right ones among all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many are right.
    pub right: u32,
    /// How many there are.
    pub n: u32,
}

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, right: bool) {
        self.right += u32::from(right);
        self.n += 1;
    }

    /// The share of right ones; NaN if there are none at all.
    pub fn share(self) -> f64 {
        f64::from(self.right) / f64::from(self.n)
    }

    /// Wilson's 95% confidence interval of the share; from 0 to 1 if there are none at all.
    ///
    /// Unlike the textbook's interval it stays within 0 and 1 and has a width at both ends.
    pub fn interval(self) -> (f64, f64) {
        if self.n == 0 {
            return (0.0, 1.0);
        }
        let (n, p, z2) = (f64::from(self.n), self.share(), Z * Z);
        let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
        ((centre - half).max(0.0), (centre + half).min(1.0))
    }
}

impl FromIterator<bool> for Tally {
    fn from_iter<I: IntoIterator<Item = bool>>(all: I) -> Tally {
        let mut tally = Tally::default();
        all.into_iter().for_each(|right| tally.add(right));
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn interval_is(right: u32, n: u32, expected: (f64, f64)) {
        let (low, high) = Tally { right, n }.interval();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(low, expected.0) && close(high, expected.1), "{right}/{n}: {low} {high}");
    }

    #[test]
    fn intervals_are_those_of_the_formula_by_hand() {
        let z2 = Z * Z;
        // At one half: z / (2 sqrt(n + z^2)) to both sides.
        for n in [10, 400] {
            let half = Z / (2.0 * (f64::from(n) + z2).sqrt());
            interval_is(n / 2, n, (0.5 - half, 0.5 + half));
        }
        // At the ends the square root is z / 2n: from n / (n + z^2) to 1, and the mirror image.
        interval_is(10, 10, (10.0 / (10.0 + z2), 1.0));
        interval_is(0, 10, (0.0, z2 / (10.0 + z2)));
        interval_is(1, 1, (1.0 / (1.0 + z2), 1.0));
        interval_is(0, 0, (0.0, 1.0));
    }

    #[test]
    fn intervals_are_those_of_published_tables() {
        let (low, high) = Tally { right: 5, n: 10 }.interval();
        assert_eq!((format!("{low:.4}"), format!("{high:.4}")), ("0.2366".into(), "0.7634".into()));
    }

    #[test]
    fn counting() {
        let tally: Tally = [true, false, true, true].into_iter().collect();
        assert_eq!(tally, Tally { right: 3, n: 4 });
        assert_eq!(tally.share(), 0.75);
        assert!(Tally::default().share().is_nan());
    }
}

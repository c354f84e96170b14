//! What accuracy may not fall below.

use super::error::{Error, Result};
use super::scores::Scores;
use super::tally::Tally;
use super::task::{Split, Task};
use std::collections::BTreeMap;
use std::path::Path;

/// A bound for each task and split: `{"category/seen": 0.9, "control/seen": 0.1}`.
///
/// It is a floor, but a ceiling for the control task, where right answers would not come from the
/// region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Floors(BTreeMap<(Task, Split), f64>);

impl Floors {
    /// Reads a table.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::File`] for what is no table of bounds.
    pub fn load(path: &Path) -> Result<Floors> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        Floors::parse(&text).map_err(|reason| Error::file(path, reason))
    }

    fn parse(text: &str) -> Result<Floors, String> {
        let named: BTreeMap<String, f64> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let bound = |(name, share): (String, f64)| {
            let (task, split) =
                name.split_once('/').ok_or_else(|| format!("`{name}` is not TASK/SPLIT"))?;
            match (0.0..=1.0).contains(&share) {
                true => Ok(((task.parse()?, split.parse()?), share)),
                false => Err(format!("`{name}` is {share}: a share of 0 to 1 is wanted")),
            }
        };
        Ok(Floors(named.into_iter().map(bound).collect::<Result<_, String>>()?))
    }

    /// What is out of its bounds, and what is scored without a bound or the other way round.
    pub fn complaints(&self, scores: &Scores) -> Vec<String> {
        let unknown = scores.tasks.keys().filter(|key| !self.0.contains_key(key));
        let unknown = unknown.map(|(task, split)| format!("{task}/{split} has no floor"));
        let broken = self.0.iter().filter_map(|(key, bound)| {
            complaint(key.0, *bound, scores.tasks.get(key).copied().unwrap_or_default())
                .map(|text| format!("{}/{} {text}", key.0, key.1))
        });
        broken.chain(unknown).collect()
    }
}

fn complaint(task: Task, bound: f64, tally: Tally) -> Option<String> {
    let (share, Tally { right, n }) = (tally.share(), tally);
    match task {
        _ if n == 0 => Some("has no questions".into()),
        Task::Control if share > bound => Some(format!(
            "is {right} of {n}: above {bound}, so answers do not come from the region alone"
        )),
        Task::Control => None,
        _ if share < bound => Some(format!("is {right} of {n}: below {bound}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(all: &[(Task, Split, u32, u32)]) -> Scores {
        let tasks = all
            .iter()
            .map(|&(task, split, right, n)| ((task, split), Tally { right, n }))
            .collect();
        Scores { tasks, ..Scores::default() }
    }

    fn complaints(floors: &str, all: &[(Task, Split, u32, u32)]) -> Vec<String> {
        Floors::parse(floors).expect("floors").complaints(&scores(all))
    }

    const FLOORS: &str = r#"{"category/unseen-art": 0.5, "control/seen": 0.1}"#;

    #[test]
    fn shares_at_their_bounds_are_good() {
        let all = [(Task::Category, Split::UnseenArt, 5, 10), (Task::Control, Split::Seen, 1, 10)];
        assert_eq!(complaints(FLOORS, &all), [""; 0]);
    }

    #[test]
    fn floors_and_the_ceiling_hold() {
        let all = [(Task::Category, Split::UnseenArt, 4, 10), (Task::Control, Split::Seen, 2, 10)];
        let [floor, ceiling] = &complaints(FLOORS, &all)[..] else { panic!() };
        assert!(floor.contains("category/unseen-art is 4 of 10: below 0.5"), "{floor}");
        assert!(ceiling.contains("control/seen is 2 of 10: above 0.1"), "{ceiling}");
    }

    #[test]
    fn nothing_is_good_because_it_was_not_measured() {
        let all = [(Task::Category, Split::UnseenArt, 9, 10), (Task::Colour, Split::Photo, 9, 9)];
        let expected = ["control/seen has no questions", "colour/photo has no floor"];
        assert_eq!(complaints(FLOORS, &all), expected);
    }

    #[test]
    fn a_table_of_nonsense_is_refused() {
        for (text, part) in [
            ("{", "EOF"),
            (r#"{"category": 0.5}"#, "TASK/SPLIT"),
            (r#"{"category/sean": 0.5}"#, "unknown split `sean`"),
            (r#"{"kategory/seen": 0.5}"#, "unknown task `kategory`"),
            (r#"{"category/seen": 95}"#, "0 to 1"),
        ] {
            let reason = Floors::parse(text).expect_err(text);
            assert!(reason.contains(part), "{reason}");
        }
    }
}

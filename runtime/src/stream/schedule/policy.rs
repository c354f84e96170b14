//! What is worth describing, and how much of it.

use std::cmp::Ordering;
use std::time::Duration;

use super::Why;
use crate::dataset::RegionBox;
use crate::stream::{Detection, Settings};

/// What is described, when, and at what cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What is asked about a detection that brings no question.
    pub question: String,
    /// Detections below this score are dropped.
    pub min_score: f64,
    /// Only these labels are described; empty means all.
    pub labels: Vec<String>,
    /// Labels that come before others.
    pub prefer: Vec<String>,
    /// What decides between detections that are otherwise alike.
    pub order: Order,
    /// Most regions of a frame that are described.
    pub max_regions: usize,
    /// Frames of a camera that wait at most; with more, the oldest is dropped.
    pub queue: usize,
    /// Time from a frame's arrival to its last answer.
    pub deadline: Option<Duration>,
    /// Age at which an answer is asked for anew.
    pub refresh: Option<Duration>,
    /// A track is described again when its box overlaps less than this (intersection over union) with the one described.
    pub min_overlap: f64,
    /// A track is described again when its embedding is further than this (1 - cosine) from the one described.
    pub max_distance: Option<f32>,
    /// Tokens a second that answers may take.
    pub tokens_per_second: Option<f64>,
    /// Look at every frame, also where there is nothing to describe.
    pub every_frame: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            question: crate::caption::Task::default().question(),
            min_score: 0.0,
            labels: Vec::new(),
            prefer: Vec::new(),
            order: Order::Score,
            max_regions: 32,
            queue: 1,
            deadline: None,
            refresh: None,
            min_overlap: 0.5,
            max_distance: Some(0.1),
            tokens_per_second: None,
            every_frame: false,
        }
    }
}

/// What decides between detections that are otherwise alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The surest first.
    #[default]
    Score,
    /// The largest first.
    Size,
}

impl std::str::FromStr for Order {
    type Err = String;

    fn from_str(text: &str) -> Result<Order, String> {
        match text {
            "score" => Ok(Order::Score),
            "size" => Ok(Order::Size),
            _ => Err("choose score or size".into()),
        }
    }
}

impl Policy {
    /// Takes over what is given; zero takes a limit of time or tokens away.
    pub(super) fn apply(&mut self, settings: Settings) {
        let seconds = |s: f64| (s > 0.0).then(|| Duration::from_secs_f64(s));
        let Settings { question, min_score, labels, max_regions, .. } = settings;
        set(&mut self.question, question);
        set(&mut self.min_score, min_score);
        set(&mut self.labels, labels);
        set(&mut self.max_regions, max_regions);
        set(
            &mut self.tokens_per_second,
            settings.tokens_per_second.map(|t| (t > 0.0).then_some(t)),
        );
        set(&mut self.deadline, settings.deadline.map(seconds));
        set(&mut self.refresh, settings.refresh.map(seconds));
    }

    /// Whether a label is one of those that are described.
    pub(super) fn wants(&self, label: Option<&str>) -> bool {
        self.labels.is_empty() || self.labels.iter().any(|l| Some(l.as_str()) == label)
    }

    /// What is asked about a detection.
    pub(super) fn question_for<'a>(&'a self, detection: &'a Detection) -> &'a str {
        detection.question.as_deref().unwrap_or(&self.question)
    }

    /// Which of two detections is described before the other: explicit priority, preferred labels, what is new before what
    /// has changed before what is only old, and then the order that was asked for.
    pub(super) fn compare(&self, a: (&Detection, Why), b: (&Detection, Why)) -> Ordering {
        let rank = |d: &Detection| {
            let label = d.label.as_deref();
            let at = self.prefer.iter().position(|p| Some(p.as_str()) == label);
            at.unwrap_or(self.prefer.len())
        };
        let explicit = |d: &Detection| d.priority.unwrap_or(f64::NEG_INFINITY);
        let value = |d: &Detection| match self.order {
            Order::Score => d.score.unwrap_or(1.0),
            Order::Size => area(&d.shape),
        };
        let descending = |x: f64, y: f64| y.total_cmp(&x);
        descending(explicit(a.0), explicit(b.0))
            .then(rank(a.0).cmp(&rank(b.0)))
            .then(a.1.cmp(&b.1))
            .then(descending(value(a.0), value(b.0)))
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn edges(shape: &RegionBox) -> [f64; 4] {
    match *shape {
        RegionBox::Pixels(b) => [b.x1, b.y1, b.x2, b.y2],
        RegionBox::Fractions(edges) => edges,
    }
}

fn area(shape: &RegionBox) -> f64 {
    let [x1, y1, x2, y2] = edges(shape);
    (x2 - x1) * (y2 - y1)
}

/// Intersection over union of two boxes; none for boxes in different units.
pub(super) fn overlap(a: &RegionBox, b: &RegionBox) -> f64 {
    if std::mem::discriminant(a) != std::mem::discriminant(b) {
        return 0.0;
    }
    let ([ax1, ay1, ax2, ay2], [bx1, by1, bx2, by2]) = (edges(a), edges(b));
    let width = (ax2.min(bx2) - ax1.max(bx1)).max(0.0);
    let height = (ay2.min(by2) - ay1.max(by1)).max(0.0);
    let shared = width * height;
    shared / (area(a) + area(b) - shared)
}

/// A rate that is kept on average: what is not used is saved for some seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    tokens: f64,
    at: Duration,
}

/// Seconds of the rate that can be saved.
const SAVED_SECONDS: f64 = 5.0;

impl Budget {
    /// A second's worth at the beginning.
    pub(super) fn new(rate: f64, now: Duration) -> Budget {
        Budget { tokens: rate, at: now }
    }

    /// How many answers of `each` tokens can be afforded now; one that needs more than can ever be saved is afforded when
    /// everything is saved, and paid off later.
    pub(super) fn affords(&mut self, rate: f64, each: f64, now: Duration) -> usize {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        let most = rate * SAVED_SECONDS;
        self.tokens = (self.tokens + rate * passed).min(most);
        self.at = now;
        (self.tokens / each.min(most)).max(0.0) as usize
    }

    pub(super) fn pay(&mut self, tokens: usize) {
        self.tokens -= tokens as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelBox;

    fn pixels(x1: f64, y1: f64, x2: f64, y2: f64) -> RegionBox {
        RegionBox::Pixels(PixelBox::new(x1, y1, x2, y2))
    }

    #[test]
    fn overlap_is_intersection_over_union() {
        let a = pixels(0.0, 0.0, 10.0, 10.0);
        assert_eq!(overlap(&a, &a), 1.0);
        assert_eq!(overlap(&a, &pixels(5.0, 0.0, 15.0, 10.0)), 50.0 / 150.0);
        assert_eq!(overlap(&a, &pixels(10.0, 0.0, 20.0, 10.0)), 0.0);
        assert_eq!(overlap(&a, &RegionBox::Fractions([0.0, 0.0, 10.0, 10.0])), 0.0);
    }

    #[test]
    fn priority_then_preference_then_novelty_then_score() {
        let policy = Policy { prefer: vec!["dog".into()], ..Policy::default() };
        let of = |label: &str, score, priority| Detection {
            label: Some(label.into()),
            score: Some(score),
            priority,
            ..Detection::new(pixels(0.0, 0.0, 1.0, 1.0))
        };
        let ordered = [
            (of("cat", 0.1, Some(2.0)), Why::Refresh),
            (of("cat", 0.9, Some(1.0)), Why::New),
            (of("dog", 0.2, None), Why::Changed),
            (of("cat", 0.3, None), Why::New),
            (of("cat", 0.9, None), Why::Changed),
            (of("cat", 0.8, None), Why::Changed),
        ];
        let mut sorted: Vec<_> = ordered.iter().rev().collect();
        sorted.sort_by(|a, b| policy.compare((&a.0, a.1), (&b.0, b.1)));
        assert!(sorted.into_iter().eq(ordered.iter()));
    }

    #[test]
    fn a_budget_keeps_its_rate_and_saves_a_little() {
        let s = Duration::from_secs;
        let mut budget = Budget::new(10.0, s(0));
        assert_eq!(budget.affords(10.0, 10.0, s(0)), 1);
        budget.pay(10);
        assert_eq!(budget.affords(10.0, 10.0, s(0)), 0);
        assert_eq!(budget.affords(10.0, 10.0, s(2)), 2);
        assert_eq!(budget.affords(10.0, 10.0, s(1000)), 5);
        // Larger than all that can be saved: possible, but not often.
        assert_eq!(budget.affords(10.0, 200.0, s(1000)), 1);
        budget.pay(200);
        assert_eq!(budget.affords(10.0, 200.0, s(1010)), 0);
        assert_eq!(budget.affords(10.0, 200.0, s(1020)), 1);
    }
}

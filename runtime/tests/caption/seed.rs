//! Seeds are the same for ever.

use gpt4roi::caption::answer_seed;

#[test]
fn seeds_are_stable() {
    // A change of these numbers changes what users get for their seeds.
    assert_eq!(answer_seed(0, "", "", ""), SEEDS[0]);
    assert_eq!(answer_seed(7, "a.jpg", "1", "Describe <region1>."), SEEDS[1]);
}

const SEEDS: [u32; 2] = [898_150_803, 888_926_748];

#[test]
fn every_part_counts() {
    let seeds = [
        answer_seed(7, "ab", "c", "d"),
        answer_seed(8, "ab", "c", "d"),
        answer_seed(7, "a", "bc", "d"),
        answer_seed(7, "ab", "", "cd"),
        answer_seed(7, "ab", "c", "e"),
        answer_seed(7, "", "abc", "d"),
    ];
    let mut unique = seeds.to_vec();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), seeds.len());
}

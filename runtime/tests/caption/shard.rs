//! Shards partition a data set.

use gpt4roi::caption::Shard;
use proptest::prelude::*;

fn shards(count: usize) -> Vec<Shard> {
    (1..=count).map(|i| format!("{i}/{count}").parse().unwrap()).collect()
}

proptest! {
    #[test]
    fn every_image_is_in_one_shard(count in 1_usize..40, n in 0_usize..500) {
        let shards = shards(count);
        for image in 0..n {
            prop_assert_eq!(shards.iter().filter(|s| s.holds(image)).count(), 1);
        }
        for shard in &shards {
            prop_assert_eq!((0..n).filter(|i| shard.holds(*i)).count(), shard.n_of(n));
        }
        let sizes: Vec<usize> = shards.iter().map(|s| s.n_of(n)).collect();
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        prop_assert_eq!(sizes.iter().sum::<usize>(), n);
    }

    #[test]
    fn text_is_a_shard_or_an_error(text in ".{0,12}") {
        if let Ok(shard) = text.parse::<Shard>() {
            prop_assert!(shard.number() >= 1 && shard.number() <= shard.count());
        }
    }
}

#[test]
fn senseless_shards_are_refused() {
    for text in ["0/4", "5/4", "1/0", "1", "a/b", "1/4/2", "", "/", "-1/4"] {
        let message = text.parse::<Shard>().expect_err(text).to_string();
        assert!(message.contains("I/N"), "{message}");
    }
    assert_eq!("2/4".parse::<Shard>().unwrap().to_string(), "2/4");
}

//! Seeds that depend on what is asked and on nothing else.

/// The seed of one answer. It follows from the run's seed and from what is asked, so that batches,
/// resumed runs and shards draw the same tokens for a region.
///
/// FNV-1a over the parts, each with its length, and the last mixing step of splitmix64: the numbers
/// are the same on every machine and in every version.
pub fn answer_seed(seed: u32, image: &str, region: &str, question: &str) -> u32 {
    let mut hash = fnv1a(0xcbf2_9ce4_8422_2325, &seed.to_le_bytes());
    for part in [image, region, question] {
        hash = fnv1a(hash, &(part.len() as u64).to_le_bytes());
        hash = fnv1a(hash, part.as_bytes());
    }
    (mixed(hash) >> 32) as u32
}

fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

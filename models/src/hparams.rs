//! Hyper-parameters of the two files, with checks fit for hostile input.
//!
//! `from_kv` accepts nothing that could make a later size computation overflow or divide by zero:
//! each value is checked against what is allowed, and errors name key, value and range.

mod checks;
mod llm;
mod region;
mod tokens;
mod vision;

pub use llm::LlmHparams;
pub use region::{RegionHparams, level_sizes};
pub use tokens::{SpecialTokens, SplitToken};
pub use vision::{Gelu, VisionHparams};

use crate::keys;
use crate::value::{KeyValues, Value};
use checks::Reader;

/// Version of the layout of our part of the mmproj file that this code writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// A key-value block that does not describe a usable model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HparamsError {
    /// A key is absent.
    #[error("key `{key}` is missing: {remedy}")]
    Missing {
        /// The key.
        key: String,
        /// What the file probably is, and what to do.
        remedy: &'static str,
    },
    /// A value has the wrong kind.
    #[error("key `{key}` holds a {got} where a {expected} belongs")]
    Kind {
        /// The key.
        key: String,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        got: &'static str,
    },
    /// A value is out of range.
    #[error("key `{key}` is {value}: allowed is {allowed}")]
    Range {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

/// Everything that the mmproj file says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct MmprojHparams {
    /// Name of the model, for people.
    pub name: String,
    /// The vision tower.
    pub vision: VisionHparams,
    /// The region extractor.
    pub region: RegionHparams,
    /// Token ids and the rule by which prompts are split.
    pub tokens: SpecialTokens,
}

impl MmprojHparams {
    /// All keys of the file except the file type, in the order in which they are written.
    pub fn to_kv(&self) -> Vec<(String, Value)> {
        let mut kv = vec![
            pair(keys::ARCHITECTURE, Value::Str(keys::ARCH_CLIP.into())),
            pair(keys::TYPE, Value::Str(keys::TYPE_MMPROJ.into())),
            pair(keys::NAME, Value::Str(self.name.clone())),
            pair(keys::FORMAT_VERSION, Value::U32(FORMAT_VERSION)),
        ];
        kv.extend(self.vision.to_kv());
        kv.extend(self.region.to_kv());
        kv.extend(self.tokens.to_kv());
        kv
    }

    /// Reads and checks the keys of a file.
    ///
    /// # Errors
    /// [`HparamsError`] for the first key that is missing, of the wrong kind or out of range.
    pub fn from_kv(kv: &(impl KeyValues + ?Sized)) -> Result<MmprojHparams, HparamsError> {
        let r = Reader::new(kv);
        r.text_equal(keys::ARCHITECTURE, keys::ARCH_CLIP)?;
        r.u32_in(keys::FORMAT_VERSION, FORMAT_VERSION..=FORMAT_VERSION)?;
        let vision = VisionHparams::read(&r)?;
        let region = RegionHparams::read(&r, &vision)?;
        let tokens = SpecialTokens::read(&r)?;
        let name = r.text_or(keys::NAME, "")?;
        Ok(MmprojHparams { name, vision, region, tokens })
    }
}

/// One key with its value.
fn pair(key: &str, value: Value) -> (String, Value) {
    (key.to_owned(), value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::Preset;
    use std::collections::HashMap;

    fn tiny() -> HashMap<String, Value> {
        Preset::Tiny.mmproj().to_kv().into_iter().collect()
    }

    #[test]
    fn keys_round_trip_for_every_preset() {
        for preset in Preset::ALL {
            let kv = preset.mmproj().to_kv();
            assert_eq!(MmprojHparams::from_kv(kv.as_slice()), Ok(preset.mmproj()));
            let kv = preset.llm().to_kv();
            assert_eq!(LlmHparams::from_kv(kv.as_slice()), Ok(preset.llm()));
        }
    }

    #[test]
    fn each_key_is_needed_unless_it_has_a_default() {
        let optional = [
            keys::NAME,
            keys::TYPE,
            keys::CLIP_HAS_VISION,
            keys::CLIP_PROJECTOR_TYPE,
            keys::VISION_PRE_NORM,
            keys::VISION_PATCH_BIAS,
            keys::VISION_LAYER_SCALE,
            keys::TOKEN_PAD,
        ];
        for key in tiny().keys() {
            let mut kv = tiny();
            kv.remove(key);
            let got = MmprojHparams::from_kv(&kv);
            if optional.contains(&key.as_str()) {
                assert!(got.is_ok(), "{key}: {got:?}");
            } else {
                assert!(got.is_err(), "{key} may be left out");
                assert!(got.unwrap_err().to_string().contains(key.as_str()));
            }
        }
    }

    #[test]
    fn wrong_kinds_and_hostile_values_are_errors_that_name_the_key() {
        let bad = |key: &str, value: Value| {
            let mut kv = tiny();
            kv.insert(key.into(), value);
            let err = MmprojHparams::from_kv(&kv).expect_err(key).to_string();
            assert!(err.contains(key), "{err}");
        };
        for key in tiny().keys().filter(|k| k.as_str() != keys::NAME && k.as_str() != keys::TYPE) {
            if key != keys::CLIP_HAS_VISION && key != keys::CLIP_PROJECTOR_TYPE {
                bad(key, Value::Str("nonsense".into()));
            }
        }
        bad(keys::VISION_PATCH_SIZE, Value::U32(0));
        bad(keys::VISION_PATCH_SIZE, Value::U32(13));
        bad(keys::VISION_HEAD_COUNT, Value::U32(7));
        bad(keys::VISION_LN_EPS, Value::F32(f32::NAN));
        bad(keys::VISION_IMAGE_STD, Value::F32s(vec![1.0, 0.0, 1.0]));
        bad(keys::VISION_IMAGE_MEAN, Value::F32s(vec![0.5; 4]));
        bad(keys::VISION_BLOCK_COUNT, Value::U32(u32::MAX));
        bad(keys::TAPS, Value::U32s(vec![3, 3, 9, 11]));
        bad(keys::TAPS, Value::U32s(vec![2, 5, 8, 13]));
        bad(keys::TAPS, Value::U32s(vec![]));
        bad(keys::LEVEL_SIZES, Value::U32s(vec![64, 32, 16]));
        bad(keys::LEVEL_SIZES, Value::U32s(vec![16, 32, 64, 128]));
        bad(keys::N_CHANNELS, Value::U32(66));
        bad(keys::GN_GROUPS, Value::U32(5));
        bad(keys::N_EMBD_OUT, Value::U32(96));
        bad(keys::ROI_OUTPUT_SIZE, Value::U32(0));
        bad(keys::TOKEN_BBOX, Value::U32(u32::MAX));
        bad(keys::SPLIT_IDS, Value::U32s(vec![1]));
    }

    /// SplitMix64.
    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 27)
    }

    #[test]
    fn whatever_is_accepted_has_sizes_that_can_be_computed() {
        let (mut state, mut accepted) = (1, 0);
        let keys: Vec<String> = Preset::Tiny.mmproj().to_kv().into_iter().map(|p| p.0).collect();
        for _ in 0..50_000 {
            let mut kv = tiny();
            for _ in 0..1 + next(&mut state) % 3 {
                let key = &keys[next(&mut state) as usize % keys.len()];
                let n = (next(&mut state) >> (32 + next(&mut state) % 32)) as u32;
                match kv.get_mut(key) {
                    Some(Value::U32(v)) => *v = n,
                    Some(Value::F32(v)) => *v = f32::from_bits(n),
                    Some(Value::U32s(v)) if !v.is_empty() => {
                        let at = next(&mut state) as usize % v.len();
                        v[at] = n;
                    }
                    _ => {}
                }
            }
            let Ok(h) = MmprojHparams::from_kv(&kv) else { continue };
            accepted += 1;
            for spec in crate::specs::mmproj_specs(&h) {
                let n = spec.shape.iter().try_fold(1u64, |n, &e| n.checked_mul(e));
                assert!(n.is_some_and(|n| 0 < n && n < 1 << 48), "{}", spec.name);
            }
            assert!(h.region.last_tap() <= h.vision.n_layer && h.vision.n_patches() > 0);
        }
        assert!(accepted > 1000, "{accepted}");
    }
}

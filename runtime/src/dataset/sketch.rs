//! The outline of a JSON file from its beginning: which keys there are, not what they hold.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The keys of the first value in `text`, as paths: `.images`, `.images[].id`, `[].regions`.
///
/// Of a list, only the first element is looked at. The text may end anywhere.
pub(super) fn sketch(text: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let outline = Outline { path: String::new(), depth: 0, keys: &mut keys };
    // Where the text ends or is damaged, what was seen until then is the answer.
    let _ = outline.deserialize(&mut deserializer);
    keys
}

/// Keys of an element of a list in an object are as deep as any rule of detection asks.
const MAX_DEPTH: usize = 3;

struct Outline<'a> {
    path: String,
    depth: usize,
    keys: &'a mut BTreeSet<String>,
}

impl Outline<'_> {
    fn below(&mut self, step: &str) -> Outline<'_> {
        let path = format!("{}{step}", self.path);
        Outline { path, depth: self.depth + 1, keys: self.keys }
    }
}

impl<'de> DeserializeSeed<'de> for Outline<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.depth {
            MAX_DEPTH.. => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Outline<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let step = format!(".{key}");
            self.keys.insert(format!("{}{step}", self.path));
            map.next_value_seed(self.below(&step))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        list.next_element_seed(self.below("[]"))?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> String {
        sketch(text).into_iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn keys_of_objects_and_of_first_elements() {
        let text = r#"{"a": 1, "b": [{"c": [[1.5]], "d": null}, {"e": true}], "f": {"g": "h"}}"#;
        assert_eq!(keys(text), ".a .b .b[].c .b[].d .f .f.g");
        assert_eq!(keys(r#"[{"id": -1}, {"other": 2}]"#), "[].id");
        assert_eq!(keys(r#"{"a": 1}{"b": 2}"#), ".a");
    }

    #[test]
    fn a_text_may_end_anywhere() {
        assert_eq!(keys(r#"{"images": [{"file_name": "a", "wid"#), ".images .images[].file_name");
        for text in ["", "no", "{", "[", "[[[[[[", "{\"a\"", "7"] {
            assert!(keys(text).len() <= 2, "{text}");
        }
    }
}

//! What is asked, and about which kind of picture.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An enum whose values have the names that files use.
macro_rules! named {
    ($(#[$attr:meta])* $name:ident, $what:literal {
        $($(#[$doc:meta])* $variant:ident = $text:literal,)+
    }) => {
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All of them, in the order of the tables.
            pub const ALL: &[$name] = &[$($name::$variant,)+];

            /// The name that files use.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(s: &str) -> Result<$name, String> {
                Self::ALL.iter().copied().find(|v| v.name() == s).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|v| v.name()).collect();
                    format!(concat!("unknown ", $what, " `{}`: there are {}"), s, known.join(", "))
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(s: String) -> Result<$name, String> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(v: $name) -> String {
                v.name().into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

named! {
    /// What is asked.
    Task, "task" {
        /// What a region is.
        Category = "category",
        /// Its main colour.
        Colour = "colour",
        /// How large it is.
        Size = "size",
        /// Where it is in the image.
        Position = "position",
        /// A detailed description of one region.
        Caption = "caption",
        /// Descriptions of several regions.
        Captions = "captions",
        /// How two regions relate.
        Relation = "relation",
        /// Which region is the one described.
        Pointing = "pointing",
        /// Multiple choice, and why.
        Choice = "choice",
        /// The whole image.
        Scene = "scene",
        /// Later turns that call a region by its name.
        Dialogue = "dialogue",
        /// What a region is, but the box lies on another object: right only by chance, unless the
        /// answer comes from somewhere else than the region.
        Control = "control",
    }
}

named! {
    /// Which kind of picture is asked about.
    Split, "split" {
        /// New scenes of the art that was trained on.
        Seen = "seen",
        /// Art that was never trained on.
        UnseenArt = "unseen-art",
        /// Photographs.
        Photo = "photo",
    }
}

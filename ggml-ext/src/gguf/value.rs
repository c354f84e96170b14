//! Metadata values.

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($type:ty) = $number:literal;)*) => {
        /// Kind of a metadata value or of an array's elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
            /// Array of one other kind.
            Array,
        }

        impl Kind {
            /// The number that stands for the kind in a file.
            pub(super) fn number(self) -> u32 {
                match self { $(Kind::$kind => $number,)* Kind::Array => ARRAY }
            }

            /// The kind of that number.
            pub(super) fn from_number(number: u32) -> Option<Kind> {
                match number { $($number => Some(Kind::$kind),)* ARRAY => Some(Kind::Array), _ => None }
            }
        }

        /// A metadata value.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Value {
            $($(#[$doc])* $kind($type),)*
            /// Array: the kind of its elements, then the elements, all of that kind.
            Array(Kind, Vec<Value>),
        }

        impl Value {
            /// The kind of this value.
            pub fn kind(&self) -> Kind {
                match self { $(Value::$kind(_) => Kind::$kind,)* Value::Array(..) => Kind::Array }
            }
        }

        impl std::fmt::Display for Value {
            /// For people: text in quotes, long arrays cut.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Value::$kind(v) => write!(f, "{v:?}"),)*
                    Value::Array(_, items) => fmt_array(items, f),
                }
            }
        }

        $(impl From<$type> for Value {
            fn from(v: $type) -> Value {
                Value::$kind(v)
            }
        }

        impl From<Vec<$type>> for Value {
            fn from(v: Vec<$type>) -> Value {
                Value::Array(Kind::$kind, v.into_iter().map(Value::$kind).collect())
            }
        })*
    };
}

/// Elements of an array that are shown.
const SHOWN: usize = 8;

fn fmt_array(items: &[Value], f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    f.write_str("[")?;
    for (i, item) in items.iter().take(SHOWN).enumerate() {
        write!(f, "{}{item}", if i == 0 { "" } else { ", " })?;
    }
    match items.len() {
        n if n > SHOWN => write!(f, ", ...] ({n} values)"),
        _ => f.write_str("]"),
    }
}

/// The number of arrays.
const ARRAY: u32 = 9;

kinds! {
    /// Unsigned, 8 bits.
    U8(u8) = 0;
    /// Signed, 8 bits.
    I8(i8) = 1;
    /// Unsigned, 16 bits.
    U16(u16) = 2;
    /// Signed, 16 bits.
    I16(i16) = 3;
    /// Unsigned, 32 bits.
    U32(u32) = 4;
    /// Signed, 32 bits.
    I32(i32) = 5;
    /// Float, 32 bits.
    F32(f32) = 6;
    /// Truth value.
    Bool(bool) = 7;
    /// UTF-8 text.
    Str(String) = 8;
    /// Unsigned, 64 bits.
    U64(u64) = 10;
    /// Signed, 64 bits.
    I64(i64) = 11;
    /// Float, 64 bits.
    F64(f64) = 12;
}

impl Kind {
    /// Bytes of one value in a file, a string's length prefix included; a lower bound for strings.
    pub(super) fn min_size(self) -> usize {
        match self {
            Kind::U8 | Kind::I8 | Kind::Bool => 1,
            Kind::U16 | Kind::I16 => 2,
            Kind::U32 | Kind::I32 | Kind::F32 => 4,
            Kind::U64 | Kind::I64 | Kind::F64 | Kind::Str | Kind::Array => 8,
        }
    }
}

impl Value {
    /// Appends the value as a file holds it, without its kind.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::U8(v) => out.push(*v),
            Value::I8(v) => out.extend(v.to_le_bytes()),
            Value::U16(v) => out.extend(v.to_le_bytes()),
            Value::I16(v) => out.extend(v.to_le_bytes()),
            Value::U32(v) => out.extend(v.to_le_bytes()),
            Value::I32(v) => out.extend(v.to_le_bytes()),
            Value::F32(v) => out.extend(v.to_le_bytes()),
            Value::Bool(v) => out.push(u8::from(*v)),
            Value::Str(v) => write_text(v, out),
            Value::U64(v) => out.extend(v.to_le_bytes()),
            Value::I64(v) => out.extend(v.to_le_bytes()),
            Value::F64(v) => out.extend(v.to_le_bytes()),
            Value::Array(kind, items) => {
                out.extend(kind.number().to_le_bytes());
                out.extend((items.len() as u64).to_le_bytes());
                items.iter().for_each(|v| v.write(out));
            }
        }
    }
}

/// Appends a text with its length.
pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

//! A JSON schema as a grammar.
//!
//! The JSON is on one line, with one blank behind each comma and colon and none elsewhere: white space that is
//! free would be another place for a model to go astray.

use super::Error;
use serde_json::{Map, Value};

/// Rules that the others use. A character of a string may be escaped, but not by its number, which could be half of a pair.
const BASICS: &str = r#"char ::= [^"\\\x00-\x1F\x7F] | "\\" ["\\/bfnrt]
string ::= "\"" char* "\""
whole ::= "0" | [1-9] [0-9]{0,15}
integer ::= "0" | "-"? [1-9] [0-9]{0,15}
number ::= "-"? whole ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?
boolean ::= "true" | "false"
null ::= "null"
"#;

/// Keywords that say nothing about which values are valid.
const ANNOTATIONS: [&str; 8] =
    ["$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"];

/// The grammar of a schema's values.
pub(super) fn to_grammar(schema: &str) -> Result<String, Error> {
    let schema: Value =
        serde_json::from_str(schema).map_err(|e| Error::Json { reason: e.to_string() })?;
    let mut grammar = Grammar { text: BASICS.to_owned(), n_rules: 0 };
    let root = grammar.value(&schema, &At::default())?;
    grammar.text += &format!("root ::= {root}\n");
    Ok(grammar.text)
}

/// A place in the schema, as a JSON pointer.
#[derive(Clone, Default)]
struct At(String);

impl At {
    fn child(&self, name: &str) -> At {
        At(format!("{}/{}", self.0, name.replace('~', "~0").replace('/', "~1")))
    }

    fn error(&self, reason: impl Into<String>) -> Error {
        let pointer = if self.0.is_empty() { "/".into() } else { self.0.clone() };
        Error::Schema { pointer, reason: reason.into() }
    }
}

struct Grammar {
    text: String,
    n_rules: usize,
}

impl Grammar {
    /// Adds a rule; gives its name.
    fn rule(&mut self, body: &str) -> String {
        let name = format!("r{}", self.n_rules);
        self.n_rules += 1;
        self.text += &format!("{name} ::= {body}\n");
        name
    }

    /// Something that stands for the values of a schema.
    fn value(&mut self, schema: &Value, at: &At) -> Result<String, Error> {
        let schema = match schema {
            Value::Object(map) => map,
            _ => {
                return Err(
                    at.error("an object with `type`, `enum`, `const` or `anyOf` is expected")
                );
            }
        };
        let main = ["const", "enum", "anyOf", "oneOf", "type"]
            .into_iter()
            .find(|k| schema.contains_key(*k));
        match main {
            Some(key @ ("const" | "enum")) => self.one_of_values(schema, key, at),
            Some(key @ ("anyOf" | "oneOf")) => self.one_of_schemas(schema, key, at),
            Some("type") => self.typed(schema, at),
            _ => Err(at.error("one of `type`, `enum`, `const`, `anyOf` and `oneOf` is needed")),
        }
    }

    fn one_of_values(
        &mut self,
        schema: &Map<String, Value>,
        key: &str,
        at: &At,
    ) -> Result<String, Error> {
        check_keywords(schema, &[key, "type"], at)?;
        let at = at.child(key);
        let values = match (key, &schema[key]) {
            ("const", value) => std::slice::from_ref(value),
            (_, Value::Array(values)) if !values.is_empty() => values,
            _ => return Err(at.error("a list of values is expected")),
        };
        if let Some(types) = schema.get("type") {
            let types = type_names(types, &at)?;
            if let Some(value) = values.iter().find(|v| !types.iter().any(|t| is_of_type(v, t))) {
                return Err(at.error(format!("{value} is not of the type that is asked for")));
            }
        }
        let literals: Vec<String> = values.iter().map(|v| literal(&v.to_string())).collect();
        Ok(self.rule(&literals.join(" | ")))
    }

    fn one_of_schemas(
        &mut self,
        schema: &Map<String, Value>,
        key: &str,
        at: &At,
    ) -> Result<String, Error> {
        check_keywords(schema, &[key], at)?;
        let at = at.child(key);
        let Value::Array(branches) = &schema[key] else {
            return Err(at.error("a list of schemas is expected"));
        };
        if branches.is_empty() {
            return Err(at.error("a list of schemas is expected"));
        }
        let branch = |(i, b): (usize, &Value)| self.value(b, &at.child(&i.to_string()));
        let branches = branches.iter().enumerate().map(branch).collect::<Result<Vec<_>, _>>()?;
        Ok(self.rule(&branches.join(" | ")))
    }

    fn typed(&mut self, schema: &Map<String, Value>, at: &At) -> Result<String, Error> {
        let types = type_names(&schema["type"], at)?;
        let mut known = vec!["type"];
        known.extend(types.iter().flat_map(|t| keywords(t)));
        check_keywords(schema, &known, at)?;
        let of_type = |t: &&str| self.of_type(schema, t, at);
        let all = types.iter().map(of_type).collect::<Result<Vec<_>, _>>()?;
        Ok(if all.len() == 1 { all.concat() } else { self.rule(&all.join(" | ")) })
    }

    fn of_type(
        &mut self,
        schema: &Map<String, Value>,
        name: &str,
        at: &At,
    ) -> Result<String, Error> {
        match name {
            "string" => self.string(schema, at),
            "object" => self.object(schema, at),
            "array" => self.array(schema, at),
            "integer" | "number" | "boolean" | "null" => Ok(name.to_owned()),
            _ => Err(at.child("type").error(format!("there is no type `{name}`"))),
        }
    }

    fn string(&mut self, schema: &Map<String, Value>, at: &At) -> Result<String, Error> {
        let times = times(schema, "minLength", "maxLength", at)?;
        Ok(match times {
            (0, None) => "string".to_owned(),
            (min, max) => self.rule(&format!(r#""\"" char{} "\"""#, repetition(min, max))),
        })
    }

    fn array(&mut self, schema: &Map<String, Value>, at: &At) -> Result<String, Error> {
        let items =
            schema.get("items").ok_or_else(|| at.error("`items` is needed for an array"))?;
        let item = self.value(items, &at.child("items"))?;
        let (min, max) = times(schema, "minItems", "maxItems", at)?;
        if max == Some(0) {
            return Ok(self.rule(r#""[]""#));
        }
        let more = repetition(min.saturating_sub(1), max.map(|m| m - 1));
        let filled = format!(r#""[" {item} (", " {item}){more} "]""#);
        Ok(self.rule(&if min == 0 { format!(r#""[]" | {filled}"#) } else { filled }))
    }

    /// Each property has two rules for itself and all behind it: as the first that is written, and as a later one.
    fn object(&mut self, schema: &Map<String, Value>, at: &At) -> Result<String, Error> {
        let empty = Map::new();
        let properties = match schema.get("properties") {
            None => &empty,
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err(at.child("properties").error("an object is expected")),
        };
        if schema.get("additionalProperties").is_some_and(|v| !v.is_boolean()) {
            return Err(at.child("additionalProperties").error("true or false is expected"));
        }
        let required = required(schema, properties, at)?;
        let (mut first, mut later) = (r#""}""#.to_owned(), r#""}""#.to_owned());
        for (name, property) in properties.iter().rev() {
            let value = self.value(property, &at.child("properties").child(name))?;
            let key = literal(&format!("{}: ", Value::from(name.as_str())));
            let (with, with_later) =
                (format!("{key} {value} {later}"), format!(r#"", " {key} {value} {later}"#));
            let or_not = |with: String, without: &str| match required.contains(&name.as_str()) {
                true => with,
                false => format!("{with} | {without}"),
            };
            let bodies = (or_not(with, &first), or_not(with_later, &later));
            (first, later) = (self.rule(&bodies.0), self.rule(&bodies.1));
        }
        Ok(self.rule(&format!(r#""{{" {first}"#)))
    }
}

/// Keywords of a type, without `type` itself.
fn keywords(name: &str) -> &'static [&'static str] {
    match name {
        "string" => &["minLength", "maxLength"],
        "array" => &["items", "minItems", "maxItems"],
        "object" => &["properties", "required", "additionalProperties"],
        _ => &[],
    }
}

fn check_keywords(schema: &Map<String, Value>, known: &[&str], at: &At) -> Result<(), Error> {
    let is_known = |k: &str| known.contains(&k) || ANNOTATIONS.contains(&k);
    match schema.keys().find(|k| !is_known(k)) {
        Some(other) => Err(at.child(other).error("is a keyword that is not supported here")),
        None => Ok(()),
    }
}

fn type_names<'a>(types: &'a Value, at: &At) -> Result<Vec<&'a str>, Error> {
    let names: Option<Vec<&str>> = match types {
        Value::String(name) => Some(vec![name]),
        Value::Array(names) if !names.is_empty() => names.iter().map(Value::as_str).collect(),
        _ => None,
    };
    names
        .ok_or_else(|| at.child("type").error("the name of a type, or a list of them, is expected"))
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn required<'a>(
    schema: &'a Map<String, Value>,
    properties: &Map<String, Value>,
    at: &At,
) -> Result<Vec<&'a str>, Error> {
    let at = at.child("required");
    let names: Option<Vec<&str>> = match schema.get("required") {
        None => return Ok(Vec::new()),
        Some(Value::Array(names)) => names.iter().map(Value::as_str).collect(),
        Some(_) => None,
    };
    let names = names.ok_or_else(|| at.error("a list of names is expected"))?;
    match names.iter().find(|n| !properties.contains_key(**n)) {
        Some(unknown) => Err(at.error(format!("`{unknown}` is not among the properties"))),
        None => Ok(names),
    }
}

/// The least and the most of something that can be counted.
fn times(
    schema: &Map<String, Value>,
    least: &str,
    most: &str,
    at: &At,
) -> Result<(u64, Option<u64>), Error> {
    let number = |key: &str| match schema.get(key) {
        None => Ok(None),
        Some(value) => match value.as_u64().filter(|n| *n <= 10_000) {
            Some(n) => Ok(Some(n)),
            None => Err(at.child(key).error("a whole number from 0 to 10000 is expected")),
        },
    };
    let (min, max) = (number(least)?.unwrap_or(0), number(most)?);
    match max {
        Some(max) if max < min => Err(at.child(most).error(format!("is less than `{least}`"))),
        _ => Ok((min, max)),
    }
}

fn repetition(min: u64, max: Option<u64>) -> String {
    match max {
        Some(max) => format!("{{{min},{max}}}"),
        None => format!("{{{min},}}"),
    }
}

/// A text as a literal of a grammar.
fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            c if c.is_control() => literal += &format!("\\U{:08x}", c as u32),
            c => literal.push(c),
        }
    }
    literal + "\""
}

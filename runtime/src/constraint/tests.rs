use super::*;
use crate::constraint::matcher::Completion;
use proptest::prelude::*;

fn grammar(text: &str) -> Constraint {
    Constraint::from_grammar(text).unwrap_or_else(|e| panic!("{e}"))
}

fn accepts(constraint: &Constraint, text: &str) -> bool {
    let mut matcher = constraint.matcher("A: ", "\n#");
    let all = format!("A: {text}\n#");
    all.bytes().all(|b| matcher.accept(&[b])) && matcher.completion() == Completion::Whole
}

fn refused(text: &str) -> String {
    Constraint::from_grammar(text).expect_err(text).to_string()
}

fn schema(value: serde_json::Value) -> Constraint {
    Constraint::from_json_schema(&value.to_string()).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn grammars_mean_what_they_say() {
    for (text, yes, no) in [
        (r#"root ::= "yes" | "no""#, &["yes", "no"][..], &["", "y", "yesno", "noo"][..]),
        ("root ::= [a-c]+", &["a", "abcabc"], &["", "d", "ad"]),
        ("root ::= [^a-c\\]]{2,3}", &["xy", "äöü"], &["x", "xa", "wxyz", "]]"]),
        (r#"root ::= ("a" | "b" c)* # x"#.trim_end_matches("# x"), &[], &[]),
        ("root ::= a ( \"-\"\n a )?\na ::= \"x\" | \"y\" # end", &["x", "x-y"], &["x-", "-y"]),
        (r#"root ::= "(" root ")" | """#, &["", "()", "((()))"], &["(", "())"]),
        (r#"root ::= "\x41\u00e9\U0001F600" ."#, &["Aé😀!", "Aé😀😀"], &["Aé😀"]),
        (r#"root ::= "ab"{2} [-x]"#, &["abab-", "ababx"], &["ab-", "abb-"]),
        ("root ::= .*", &["", "a\n#b", "x\ny"], &[]),
        (
            r#"root ::= "a" root "b" | "a" dead | "c"
dead ::= "d" dead"#,
            &["c", "acb"],
            &["ad", "a"],
        ),
    ] {
        if text.contains(" c)*") {
            assert!(refused(text).contains("`c` of the grammar is used but not defined"));
            continue;
        }
        let constraint = grammar(text);
        yes.iter().for_each(|t| assert!(accepts(&constraint, t), "{text}: {t}"));
        no.iter().for_each(|t| assert!(!accepts(&constraint, t), "{text}: {t}"));
    }
}

#[test]
fn malformed_grammars_say_where() {
    for (text, says) in [
        ("", "line 1, column 1: it is empty"),
        ("# nothing\n\n", "it is empty"),
        ("root", "line 1, column 5: `::=`"),
        ("root ::= (", "`)` is expected"),
        ("root ::= \"abc", "ends too early"),
        ("root ::= \"a\"\nb ::= [z", "line 2, column 9: it ends too early"),
        ("root ::= \"\\q\"", "no such escape"),
        ("root ::= \"\\ud800\"", "4 hex digits"),
        ("root ::= \"\\u12", "4 hex digits"),
        ("root ::= [z-a]", "smaller to the larger"),
        ("root ::= *", "nothing in front"),
        ("root ::= \"a\"{3,2}", "at most is less"),
        ("root ::= \"a\"{99999999999999999999}", "10000"),
        ("root ::= \"a\"{,}", "number"),
        ("root ::= \"a\"{2}{3}", "parentheses"),
        ("root ::= <think>", "tokens cannot be named"),
        ("root ::= other", "`other` of the grammar is used but not defined"),
        ("other ::= \"a\"", "`root` of the grammar is missing"),
        ("root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: rule `root` is defined twice"),
        ("root ::= \"a\" ; x", "the end of the line is expected"),
        ("root ::= root \"a\" | \"b\"", "`root` of the grammar begins with itself"),
        ("root ::= a root \"y\" | \"x\"\na ::= b\nb ::= \"\"", "begins with itself"),
        ("root ::= (\"a\"?)*", "begins with itself"),
        ("root ::= \"a\" root", "no text that ends"),
        ("root ::= []", "no text that ends"),
    ] {
        let message = refused(text);
        assert!(message.contains(says), "{text}: {message}");
    }
}

#[test]
fn huge_and_deep_grammars_are_refused_or_quick() {
    let started = std::time::Instant::now();
    assert!(refused(&"x".repeat(2 << 20)).contains("too large"));
    assert!(refused(&format!("root ::= {}", "(".repeat(100_000))).contains("nested"));
    let nested = Constraint::from_grammar("root ::= (\"abcdefghij\"{10000}){10000}");
    assert!(nested.is_ok(), "what is repeated is a rule, which is stored once");
    let long = "a".repeat(1000);
    assert!(
        refused(&format!("root ::= \"{long}\"{{1000}} a{{10000}} b{{9000,10000}}")).contains("`a`")
    );
    let many: String = (0..200).map(|i| format!(" \"a{i}\"{{0,10000}}")).collect();
    assert!(refused(&format!("root ::={many}")).contains("too large"));
    // A chain of rules, one that doubles at each step, and one that is ambiguous at each character.
    let chain: String = (0..20_000).map(|i| format!("r{i} ::= r{}\n", i + 1)).collect();
    assert!(accepts(&grammar(&format!("root ::= r0\n{chain}r20000 ::= \"x\"")), "x"));
    let double = |more: &str| {
        let rule = |i| format!("r{i} ::= r{0} | r{0} {more}\n", i + 1);
        let rules: String = (0..60).map(rule).collect();
        grammar(&format!("root ::= r0\n{rules}r60 ::= \"x\""))
    };
    assert!(accepts(&double(""), "x"));
    assert!(!accepts(&double("\"y\""), "x"), "2^60 ways to read it are too many");
    let ambiguous = grammar("root ::= \"x\" root \"a\" | \"x\" root \"b\" | \"y\"");
    assert!(accepts(&ambiguous, "xxxyaba") && !accepts(&ambiguous, &"x".repeat(100)));
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn what_follows_is_known_when_nothing_else_may() {
    let completion = |text: &str, said: &str| {
        let mut matcher = grammar(text).matcher("", "\n#");
        assert!(matcher.accept(said.as_bytes()));
        matcher.completion()
    };
    let yes = r#"root ::= "yes""#;
    assert_eq!(completion(yes, "ye"), Completion::Open);
    assert_eq!(completion(yes, "yes"), Completion::Inner);
    assert_eq!(completion(yes, " yes\n"), Completion::Open);
    assert_eq!(completion(yes, "yes\n#"), Completion::Whole);
    assert_eq!(completion("root ::= [a-z]+", "yes"), Completion::Open);
    assert_eq!(completion("root ::= .*", "yes\n#"), Completion::Whole);
}

#[test]
fn characters_may_come_in_parts() {
    let matcher = grammar("root ::= [à-ü]+").matcher("", "#");
    let mut own = matcher.clone();
    assert!(own.accept(&[0xC3]) && own.completion() == Completion::Open);
    assert!(!own.allows(b"#") && !own.allows(&[0xC3]) && own.accept(&[0xA9]));
    assert!(own.accept(b"#") && own.completion() == Completion::Whole);
    for bytes in [&[0xC2][..], &[0x80], &[0xF0], &[0xC3, 0x41], &[0xFF], &[]] {
        assert!(!matcher.allows(bytes), "{bytes:?}");
    }
}

#[test]
fn schemas_mean_what_they_say() {
    use serde_json::json;
    let object = json!({
        "type": "object", "title": "what is there",
        "properties": {
            "object": { "type": "string", "minLength": 1, "maxLength": 5 },
            "colour": { "enum": ["red", "dark \"blue\""] },
            "n": { "type": ["integer", "null"] },
            "tags": { "type": "array", "items": { "type": "boolean" }, "maxItems": 2 },
        },
        "required": ["object", "n"],
    });
    for (schema_json, yes, no) in [
        (
            object,
            &[
                r#"{"object": "cup", "colour": "red", "n": -12, "tags": [true, false]}"#,
                r#"{"object": "é😀\n\"", "n": null}"#,
                r#"{"object": "x", "colour": "dark \"blue\"", "n": 0, "tags": []}"#,
            ][..],
            &[
                r#"{"object": "", "n": 1}"#,
                r#"{"n": 1}"#,
                r#"{"object": "cup"}"#,
                "{}",
                r#"{"object": "cupcup", "n": 1}"#,
                r#"{"object": "x", "n": 01}"#,
                r#"{"object": "x", "n": 1, "tags": [true, true, true]}"#,
                r#"{"object": "x", "n": 1,}"#,
            ][..],
        ),
        (
            json!({ "type": "object", "properties": { "a": { "const": 1 }, "b": { "const": 2 } } }),
            &["{}", r#"{"a": 1}"#, r#"{"b": 2}"#, r#"{"a": 1, "b": 2}"#],
            &[r#"{"b": 2, "a": 1}"#, r#"{, "b": 2}"#, r#"{"a": 1 }"#],
        ),
        (
            json!({ "anyOf": [{ "type": "number" }, { "const": { "k": [1, null] } }] }),
            &["1", "-0.5", "12.25e-3", r#"{"k":[1,null]}"#],
            &["1.", "+1", "e3", "nan"],
        ),
        (
            json!({ "type": "array", "items": { "type": "null" }, "minItems": 2 }),
            &["[null, null]", "[null, null, null]"],
            &["[]", "[null]", "[null,null]"],
        ),
        (
            json!({ "type": "array", "items": { "type": "null" }, "maxItems": 0 }),
            &["[]"],
            &["[null]"],
        ),
        (json!({ "type": "string" }), &[r#""""#, r#""a\\b""#], &[r#""\x""#, "\"\n\"", "a"]),
    ] {
        let constraint = schema(schema_json.clone());
        for text in yes {
            assert!(accepts(&constraint, text), "{schema_json}: {text}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok());
        }
        no.iter().for_each(|t| assert!(!accepts(&constraint, t), "{schema_json}: {t}"));
    }
}

#[test]
fn schemas_that_cannot_be_used_say_where() {
    for (text, says) in [
        ("", "not JSON"),
        ("{\"type\": \"string\"", "not JSON"),
        ("true", "at `/`"),
        ("{}", "is needed"),
        (r#"{"type": "widget"}"#, "`/type` there is no type `widget`"),
        (r#"{"type": "string", "pattern": "a"}"#, "`/pattern` is a keyword"),
        (r##"{"$ref": "#/definitions/a"}"##, "is needed"),
        (
            r#"{"type": "object", "properties": {"a/b": {"type": "integer", "minimum": 3}}}"#,
            "`/properties/a~1b/minimum`",
        ),
        (r#"{"type": "object", "required": ["x"]}"#, "`/required` `x`"),
        (r#"{"type": "object", "properties": 3}"#, "`/properties`"),
        (r#"{"type": "array"}"#, "`items`"),
        (r#"{"type": "string", "minLength": 5, "maxLength": 2}"#, "`/maxLength`"),
        (r#"{"type": "string", "maxLength": -2}"#, "`/maxLength`"),
        (r#"{"enum": []}"#, "`/enum`"),
        (r#"{"type": "integer", "enum": [1, "a"]}"#, "`/enum` \"a\" is not"),
        (r#"{"anyOf": [{"type": "null"}, {"not": {}}]}"#, "`/anyOf/1`"),
        (r#"{"anyOf": []}"#, "`/anyOf`"),
    ] {
        let message = Constraint::from_json_schema(text).expect_err(text).to_string();
        assert!(message.contains(says), "{text}: {message}");
    }
    let deep = "[".repeat(100_000);
    assert!(Constraint::from_json_schema(&deep).is_err());
}

/// Good grammars and schemas for a mutation to spoil.
const GRAMMARS: [&str; 4] = [
    "root ::= a ( \"-\"\n a )?{0,3}\na ::= [a-z]+ | \"\\x41\\u00e9\" # end\n",
    r#"root ::= "(" root ")" | "" | [^\]\n] ."#,
    "root ::= \"a\" root \"b\" | dead | \"c\"{2,}\ndead ::= \"d\" dead",
    "root ::= ((x | y)* z)+\nx ::= \"x\"\ny ::= \"y\"?  \"q\"\nz ::= x{1,2}\n",
];
const SCHEMAS: [&str; 3] = [
    r#"{"type": "object", "properties": {"a": {"type": "string", "minLength": 1, "maxLength": 3}},
        "required": ["a"]}"#,
    r#"{"type": ["array", "null"], "items": {"enum": ["x", 1, null, "\u00e9\""]}, "minItems": 2}"#,
    r#"{"anyOf": [{"const": {"a": [1.5]}}, {"type": "integer", "title": "t"}, {"type": "boolean"}]}"#,
];

/// Pieces of both languages, and numbers that are too large.
const PIECES: [&str; 36] = [
    "root",
    "::=",
    "|",
    "\"",
    "[",
    "]",
    "^",
    "-",
    "(",
    ")",
    "*",
    "+",
    "?",
    "{",
    "}",
    ",",
    "{3,2}",
    "{9999}",
    "99999999999999999999",
    "\\",
    "\\u",
    "\\xff",
    ".",
    "<",
    "#",
    "\n",
    "\u{1f415}",
    "\0",
    ":",
    "\"type\"",
    "\"string\"",
    "\"items\"",
    "\"minItems\"",
    "-1",
    "1e999",
    "null",
];

/// Texts that are like one of these, or like none.
fn spoiled(seeds: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => prop::sample::select(&PIECES[..]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6, piece), 0..6);
    (prop::sample::select(seeds), edits).prop_map(|(seed, edits)| {
        let mut text: Vec<char> = seed.chars().collect();
        for (place, n_gone, piece) in edits {
            let at = place.index(text.len() + 1);
            let end = (at + n_gone).min(text.len());
            text.splice(at..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

/// Bytes that such constraints may allow, one after the other.
fn follow(constraint: &Constraint, bytes: &[u8]) {
    let mut matcher = constraint.matcher("A: ", "\n#");
    let mut accepted = "A: ".bytes().all(|b| matcher.accept(&[b]));
    for byte in bytes {
        let next = [*byte];
        let (allowed, before) = (matcher.allows(&next), matcher.completion());
        accepted = matcher.accept(&next);
        assert_eq!(accepted, allowed);
        assert!(accepted || matcher.completion() == before, "a refusal changes nothing");
    }
    assert!(accepted || !bytes.is_empty());
}

/// As many as the environment says (`PROPTEST_CASES`), and never less than 256.
fn many_cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig { failure_persistence: None, cases: default.cases.max(256), ..default }
}

proptest! {
    #![proptest_config(many_cases())]

    #[test]
    fn spoiled_grammars_are_refused_or_followed(
        text in spoiled(&GRAMMARS),
        bytes in prop::collection::vec(prop_oneof![Just(b'a'), Just(b'x'), Just(b'('), any::<u8>()], 0..12),
    ) {
        if let Ok(constraint) = Constraint::from_grammar(&text) {
            follow(&constraint, &bytes);
        }
    }

    #[test]
    fn spoiled_schemas_are_refused_as_schemas(
        text in spoiled(&SCHEMAS),
        bytes in prop::collection::vec(prop::sample::select(&b"{\"a\": [1, 2]}xn"[..]), 0..12),
    ) {
        match Constraint::from_json_schema(&text) {
            Ok(constraint) => follow(&constraint, &bytes),
            Err(Error::Json { .. } | Error::Schema { .. } | Error::TooLarge { .. }) => {}
            Err(e) => prop_assert!(false, "{text}\ngave a grammar with an error: {e}"),
        }
    }
}

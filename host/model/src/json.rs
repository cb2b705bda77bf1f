//! JSON, read once and strictly, written in one way.
//!
//! [`parse`] refuses what two readers could understand differently: duplicate keys, numbers that would lose digits or
//! size, text after the end, nesting without end, more values than memory is meant for. A number that is whole is read as an integer, however
//! it is spelled. [`canonical`] is RFC 8785 (JCS), with one difference: an integer
//! beyond ±2^53 keeps all its digits, where JCS would round it and give two inputs one digest.

use std::cell::Cell;
use std::fmt;

use serde::de::DeserializeSeed;
use serde::de::Error as _;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Map;
use serde_json::Number;
use serde_json::Value;
use thiserror::Error;

use crate::limits::JSON_DEPTH_MAX;
use crate::limits::JSON_VALUES_MAX;
use crate::outcome::is_unprintable;

/// Up to here every integer has a float of its own.
const INTEGER_F64_MAX: f64 = 9_007_199_254_740_992.0;

/// Characters of a key that an error repeats.
const KEY_CHARS_SHOWN: usize = 80;

/// Why a text is not JSON that this system reads.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{problem} at line {line}, column {column}")]
pub struct JsonError {
    problem: String,
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        let problem = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem).to_owned();
        Self { problem, line: error.line(), column: error.column() }
    }
}

/// Parses one JSON text of at most [`JSON_VALUES_MAX`] values.
pub fn parse(text: &[u8]) -> Result<Value, JsonError> {
    parse_within(text, JSON_VALUES_MAX)
}

/// Parses one JSON text of at most so many values.
pub fn parse_within(text: &[u8], values_max: usize) -> Result<Value, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let values = Values { found: Cell::new(0), max: values_max };
    let value = Strict { depth: 0, at: None, values: &values }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    refuse_rounded_integers(text)?;
    Ok(value)
}

/// The canonical bytes of a value: RFC 8785, but with every digit of large integers.
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => write_object(members, out),
    }
}

fn write_object(members: &Map<String, Value>, out: &mut Vec<u8>) {
    let mut sorted: Vec<_> = members.iter().collect();
    // RFC 8785, 3.2.3: by UTF-16 code units, not by bytes.
    sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push(b'{');
    for (index, (key, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
        write_canonical(value, out);
    }
    out.push(b'}');
}

fn write_number(number: &Number, out: &mut Vec<u8>) {
    if number.is_f64() {
        // A `Number` is finite, so the library has no reason to refuse it; `null` would be its spelling of the rest.
        out.extend(serde_json_canonicalizer::to_vec(number).unwrap_or_else(|_| b"null".to_vec()));
    } else {
        out.extend_from_slice(number.to_string().as_bytes());
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    // serde_json's escapes are those of RFC 8785, 3.2.2.2; writing into memory can't fail.
    out.extend(serde_json::to_vec(text).unwrap_or_default());
}

/// An integer of more digits than 64 bits hold would come out of the parser as the nearest float: a silent change of
/// what was asked. Strings are skipped; the text is known to be JSON.
fn refuse_rounded_integers(text: &[u8]) -> Result<(), JsonError> {
    let (mut line, mut column, mut in_string, mut escaped) = (1, 0, false, false);
    let mut digits = Vec::new();
    for byte in text.iter().copied().chain([b' ']) {
        column += 1;
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte.is_ascii_digit()
            || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E') && !digits.is_empty()
            || byte == b'-'
        {
            digits.push(byte);
        } else {
            if is_rounded_integer(&digits) {
                let problem = format!("`{}` is beyond 64 bits", String::from_utf8_lossy(&digits));
                return Err(JsonError { problem, line, column: column - 1 });
            }
            digits.clear();
            in_string = byte == b'"';
        }
        if byte == b'\n' {
            (line, column) = (line + 1, 0);
        }
    }
    Ok(())
}

fn is_rounded_integer(digits: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(digits) else { return false };
    let is_integer = !text.is_empty() && !text.contains(['.', 'e', 'E']);
    is_integer && text.parse::<i64>().is_err() && text.parse::<u64>().is_err()
}

/// Where a value stands: its own token, and where its parent stands. Written out only for an error.
#[derive(Clone, Copy)]
struct At<'a> {
    parent: Option<&'a At<'a>>,
    token: Token<'a>,
}

#[derive(Clone, Copy)]
enum Token<'a> {
    Index(usize),
    Key(&'a str),
}

impl At<'_> {
    /// The JSON Pointer (RFC 6901), each token cut to a sensible length.
    fn pointer(&self) -> String {
        let parent = self.parent.map(At::pointer).unwrap_or_default();
        match self.token {
            Token::Index(index) => format!("{parent}/{index}"),
            Token::Key(key) => {
                let key: String = key.chars().take(KEY_CHARS_SHOWN).collect();
                format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"))
            }
        }
    }
}

/// The values of one text, counted before each is built.
struct Values {
    found: Cell<usize>,
    max: usize,
}

/// Builds a [`Value`] and refuses duplicate keys, bottomless nesting and more values than there may be.
struct Strict<'a> {
    depth: usize,
    at: Option<&'a At<'a>>,
    values: &'a Values,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > JSON_DEPTH_MAX {
            return Err(D::Error::custom(format!("more than {JSON_DEPTH_MAX} levels of nesting")));
        }
        let Values { found, max } = self.values;
        if found.replace(found.get() + 1) >= *max {
            return Err(D::Error::custom(format!("more than {max} values")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    #[expect(clippy::cast_possible_truncation, reason = "checked to be an integer that fits")]
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // `1.0` and `1` have the same canonical bytes, so they are the same value from here on.
        if value.fract() == 0.0 && value.abs() <= INTEGER_F64_MAX {
            return Ok(Value::from(value as i64));
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        loop {
            let at = At { parent: self.at, token: Token::Index(array.len()) };
            let below = Strict { depth: self.depth + 1, at: Some(&at), values: self.values };
            match items.next_element_seed(below)? {
                Some(item) => array.push(item),
                None => break,
            }
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let at = At { parent: self.at, token: Token::Key(&key) };
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("duplicate key at `{}`", at.pointer())));
            }
            let below = Strict { depth: self.depth + 1, at: Some(&at), values: self.values };
            let value = members.next_value_seed(below)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// JSON text with every character that is not for printing as an escape of four digits: the same JSON, harmless wherever it is shown.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) && c != '\n' {
            let mut units = [0; 2];
            escaped.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(text: &str) -> String {
        parse(text.as_bytes()).expect_err(text).to_string()
    }

    #[test]
    fn ambiguous_texts_are_refused() {
        // POL-07, POL-08
        for (text, wanted) in [
            (r#"{"a":1,"b":{"c":1,"c":2}}"#, "duplicate key at `/b/c`"),
            (r#"[{"x/y":1,"x/y":1}]"#, "duplicate key at `/0/x~1y`"),
            ("1 2", "trailing characters"),
            ("\u{feff}1", "expected value"),
            ("1e309", "number out of range"),
            ("18446744073709551616", "beyond 64 bits"),
            (r#"{"a":[1,-9223372036854775809]}"#, "beyond 64 bits"),
            ("{'a':1}", "key must be a string"),
            ("[1,]", "trailing comma"),
            ("// x\n1", "expected value"),
            ("NaN", "expected value"),
            (r#""\ud800""#, "hex escape"),
            ("", "EOF"),
        ] {
            assert!(problem(text).contains(wanted), "{text}: {}", problem(text));
        }
        let deep = "[".repeat(100_000);
        assert!(problem(&deep).contains("nesting"));
    }

    #[test]
    fn digits_in_strings_are_text() {
        let text = r#"{"a\"1":"99999999999999999999 \\","b":[18446744073709551615]}"#;
        assert!(parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn long_keys_cost_nothing_below() {
        // A path that is written out at every element would make a hundred gigabytes of this.
        let text = format!("{{\"{}\":[{}0]}}", "k".repeat(1 << 20), "0,".repeat(1 << 17));
        assert!(parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn values_beyond_the_bound_are_refused() {
        // MAL-05: as values, some texts take a hundred times their bytes.
        for one in ["0", "[]", "{}", "\"\"", "null"] {
            let text = |count: usize| format!("[{}{one}]", format!("{one},").repeat(count - 1));
            assert!(parse(text(JSON_VALUES_MAX - 1).as_bytes()).is_ok(), "{one}");
            let problem = problem(&text(JSON_VALUES_MAX));
            assert!(problem.starts_with("more than 200000 values at line 1"), "{one}: {problem}");
        }
        let members = |count: usize| format!("[{}{{\"\":0}}]", "{\"\":0},".repeat(count - 1));
        assert!(parse(members(JSON_VALUES_MAX / 2 - 1).as_bytes()).is_ok());
        assert!(problem(&members(JSON_VALUES_MAX / 2)).contains("more than 200000 values"));
        assert!(parse_within(b"[[1,2]]", 4).is_ok());
        assert!(parse_within(b"[[1,2]]", 3).is_err());
    }

    #[test]
    fn errors_say_line_and_column() {
        assert_eq!(problem("{\n  \"a\": 1,\n  \"a\": 2}"), "duplicate key at `/a` at line 3, column 5");
    }

    #[test]
    fn sixty_four_bits_stay_exact() {
        for text in ["9007199254740993", "18446744073709551615", "-9223372036854775808"] {
            assert_eq!(canonical(&parse(text.as_bytes()).expect("an integer")), text.as_bytes());
        }
    }

    #[test]
    fn rfc_8785_sample_is_reproduced() {
        // RFC 8785, 3.2.4
        let text = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        let wanted = concat!(
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
            r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
        assert_eq!(String::from_utf8_lossy(&canonical(&parse(text.as_bytes()).expect("JSON"))), wanted);
    }

    #[test]
    fn whole_floats_are_integers() {
        for (text, wanted) in [("1.0", "1"), ("-0.0", "0"), ("2e3", "2000"), ("9007199254740992.0", "9007199254740992")]
        {
            let value = parse(text.as_bytes()).expect("JSON");
            assert!(value.is_i64(), "{text}");
            assert_eq!(value.to_string(), wanted, "{text}");
        }
        assert!(parse(b"1e300").expect("JSON").is_f64());
    }

    #[test]
    fn printed_json_is_harmless_and_the_same() {
        // OUT-02
        let value = serde_json::json!({ "a\u{9b}": "x\u{202e}\u{e0041}\u{2028}é\n" });
        let text = escaped(&serde_json::to_string_pretty(&value).expect("JSON"));
        assert!(!text.chars().any(|c| is_unprintable(c) && c != '\n'), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }

    #[test]
    fn spelling_does_not_change_bytes() {
        // IDM-11
        let one = canonical(&parse(br#"{"b":1.0,"a":"\u0061"}"#).expect("JSON"));
        assert_eq!(one, canonical(&parse(b"{ \"a\" : \"a\", \"b\" : 1e0 }").expect("JSON")));
        assert_eq!(one, br#"{"a":"a","b":1}"#);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(1i64 << 53)..(1i64 << 53)).prop_map(Value::from),
            any::<f64>().prop_filter_map("finite", |f| Number::from_f64(f).map(Value::Number)),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((".*", inner), 0..8).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_agrees_with_library(value in any_json()) {
            let library = serde_json_canonicalizer::to_vec(&value).expect("finite JSON");
            prop_assert_eq!(String::from_utf8(canonical(&value)), String::from_utf8(library));
        }

        #[test]
        fn canonical_bytes_are_a_fixed_point(value in any_json()) {
            let once = canonical(&value);
            if let Ok(again) = parse(&once) {
                prop_assert_eq!(canonical(&again), once);
            }
        }

        #[test]
        fn parse_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse(&bytes);
        }
    }
}

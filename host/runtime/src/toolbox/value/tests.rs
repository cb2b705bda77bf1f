//! Tests of values: what is read, what is written again, what is refused with which words, and what it may cost.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ringfence_model::json::canonical;
use serde_json::Map;
use serde_json::json;
use wasmtime::Store;
use wasmtime::component::Component;
use wasmtime::component::Linker;
use wasmtime::component::types::ComponentItem;

use super::*;
use crate::toolbox::schema;
use crate::toolbox::schema::testing::ENGINE;
use crate::toolbox::schema::testing::function;
use crate::toolbox::schema::testing::function_with;
use crate::toolbox::value::excerpt::SHOWN_BYTES_MAX;
use crate::toolbox::value::excerpt::shown;
use crate::toolbox::value::writer::number;
use crate::toolbox::value::writer::shortest;
use crate::toolbox::value::writer::tag;

/// A function of one parameter; its result can't be split, whatever the type.
fn one(ty: &str) -> ComponentFunc {
    function(&format!(r#"(param "x" {ty}) (result (tuple {ty}))"#))
}

/// Reads the parameter and writes it again.
fn there_and_back(function: &ComponentFunc, input: &Value) -> Result<Value, InputError> {
    let arguments = arguments(function, &json!({"x": input}))?;
    match returned(function, &[Val::Tuple(arguments)]) {
        Ok(Returned::Value(Some(Value::Array(mut written)))) => Ok(written.pop().expect("one item")),
        other => panic!("{other:?}"),
    }
}

fn text_of(value: &Value) -> String {
    String::from_utf8(canonical(value)).expect("JSON")
}

fn is_valid(schema: &Value, value: &Value) -> bool {
    jsonschema::draft202012::is_valid(schema, value)
}

/// A type, inputs that come back as they are, inputs that come back as another, inputs that are refused.
struct Case(&'static str, Vec<Value>, Vec<(Value, Value)>, Vec<Value>);

fn cases() -> Vec<Case> {
    let same = |ty, same, refused| Case(ty, same, vec![], refused);
    [scalars(same), collections(same), alternatives(same)].into_iter().flatten().collect()
}

type Same = fn(&'static str, Vec<Value>, Vec<Value>) -> Case;

fn scalars(same: Same) -> Vec<Case> {
    let special = || ["NaN", "Infinity", "-Infinity"].map(Value::from);
    let numbers = |numbers: &[f64]| numbers.iter().copied().map(Value::from).chain(special()).collect();
    let unspecial = || ["nan", "inf", "+Infinity", "infinity", "1", ""].map(Value::from).to_vec();
    let not_f32 = [json!(3.402_823_6e38), json!(-1e39), json!(f64::MAX)].into_iter().chain(unspecial()).collect();
    vec![
        same("bool", vec![json!(true), json!(false)], vec![json!(0), json!("true"), json!(null)]),
        same("s8", vec![json!(-128), json!(127)], vec![json!(-129), json!(128), json!(1.5), json!("1")]),
        same("u8", vec![json!(0), json!(255)], vec![json!(-1), json!(256), json!(null)]),
        same("s16", vec![json!(-32768), json!(32767)], vec![json!(-32769), json!(32768)]),
        same("u16", vec![json!(0), json!(65535)], vec![json!(-1), json!(65536)]),
        same("s32", vec![json!(i32::MIN), json!(i32::MAX)], vec![json!(1_u64 << 31), json!(i64::MIN)]),
        same("u32", vec![json!(0), json!(u32::MAX)], vec![json!(-1), json!(1_u64 << 32)]),
        same("s64", vec![json!(i64::MIN), json!(i64::MAX)], vec![json!(1_u64 << 63), json!(u64::MAX), json!(-1e19)]),
        same("u64", vec![json!(9_007_199_254_740_993_u64), json!(u64::MAX)], vec![json!(-1), json!(2e19)]),
        Case(
            "f32",
            numbers(&[0.0, -0.0, 0.1, 16_777_216.0, 1e-45, -3.402_823_5e38]),
            vec![(json!(0.100_000_001), json!(0.1)), (json!(16_777_217), json!(16_777_216)), (json!(1e-60), json!(0))],
            not_f32,
        ),
        same("f64", numbers(&[0.1, -1.5, 5e-324, f64::MAX]), unspecial()),
        same(
            "char",
            vec![json!("a"), json!("é"), json!("🦀"), json!("\0")],
            vec![json!(""), json!("ab"), json!("e\u{301}"), json!(97)],
        ),
        same("string", vec![json!(""), json!("\0\u{ffff}🦀")], vec![json!(1), json!(null), json!([])]),
    ]
}

fn collections(same: Same) -> Vec<Case> {
    vec![
        same(
            "(list u8)",
            vec![json!(""), json!("AA=="), json!("+/8="), json!("AAEC"), json!("AAECAw==")],
            vec![json!("AA"), json!("AB=="), json!("AAF="), json!("-_8="), json!("AA==\n"), json!("A A="), json!([1])],
        ),
        same("(list u16)", vec![json!([]), json!([1, 2, 65535])], vec![json!([-1]), json!({}), json!("AA==")]),
        same("(list (list u8))", vec![json!(["AA==", ""])], vec![json!("AA=="), json!([[0]])]),
        same("(list u8 2)", vec![json!([1, 2])], vec![json!([1]), json!([1, 2, 3]), json!("AAA="), json!([1, 256])]),
        same("(map string u8)", vec![json!({}), json!({"": 1, "a/b": 2})], vec![json!([["a", 1]]), json!({"a": -1})]),
        same(
            "(map u8 string)",
            vec![json!([]), json!([[2, "a"], [1, "b"]])],
            vec![
                json!({"1": "a"}),
                json!([[1]]),
                json!([[1, "a", 2]]),
                json!([[1, "a"], [1, "a"]]),
                json!([["1", "a"]]),
            ],
        ),
        same("(map char bool)", vec![json!([["a", true]])], vec![json!({"a": true}), json!([["ab", true]])]),
        Case(
            "$point",
            vec![json!({"x": 1, "label": "a"}), json!({"x": 1, "label": null})],
            vec![(json!({"x": 1}), json!({"x": 1, "label": null}))],
            vec![json!({}), json!({"label": "a"}), json!({"x": 1, "y": 2}), json!({"x": null}), json!([1, "a"])],
        ),
        Case(
            "$sparse",
            vec![json!({"a": 1, "b": {"some": null}})],
            vec![(json!({}), json!({"a": null, "b": null})), (json!({"b": null}), json!({"a": null, "b": null}))],
            vec![json!({"b": 1}), json!(null)],
        ),
        same(
            "(tuple u8 string)",
            vec![json!([1, "a"])],
            vec![json!([1]), json!([1, "a", null]), json!(["a", 1]), json!({})],
        ),
    ]
}

fn alternatives(same: Same) -> Vec<Case> {
    vec![
        same(
            "$shape",
            vec![json!("none"), json!({"dot": {"x": 1, "label": null}}), json!({"text": null}), json!({"text": "all"})],
            vec![
                json!({"none": null}),
                json!("dot"),
                json!("other"),
                json!({"dot": 1}),
                json!({}),
                json!({"text": null, "dot": 1}),
                json!({"other": 1}),
            ],
        ),
        same(
            "$color",
            vec![json!("red"), json!("dark-green")],
            vec![json!("Red"), json!(""), json!(0), json!({"red": null})],
        ),
        same("(option string)", vec![json!(null), json!("some")], vec![json!(1), json!({"some": "a"})]),
        same(
            "(option (option u8))",
            vec![json!(null), json!({"some": null}), json!({"some": 1})],
            vec![json!(1), json!("some"), json!({}), json!({"none": 1}), json!({"some": {"some": 1}})],
        ),
        same(
            "(option (option (option u8)))",
            vec![json!(null), json!({"some": null}), json!({"some": {"some": null}}), json!({"some": {"some": 1}})],
            vec![json!({"some": 1})],
        ),
        same("(option (list (option u8)))", vec![json!(null), json!([null, 1])], vec![json!({"some": []})]),
        same(
            "(result string (error u8))",
            vec![json!({"ok": "a"}), json!({"err": 1})],
            vec![json!("a"), json!({"ok": 1}), json!({"ok": "a", "err": 1}), json!({}), json!("ok"), json!(null)],
        ),
        same("(result)", vec![json!({"ok": null}), json!({"err": null})], vec![json!({"ok": 1}), json!("ok")]),
        same(
            "(result (option (result)))",
            vec![json!({"ok": null}), json!({"ok": {"err": null}})],
            vec![json!({"ok": "err"})],
        ),
        Case(
            "$rights",
            vec![json!([]), json!(["read"]), json!(["read", "execute"])],
            vec![(json!(["execute", "read"]), json!(["read", "execute"]))],
            vec![json!(["read", "read"]), json!(["fly"]), json!("read"), json!([1]), json!({"read": true})],
        ),
    ]
}

#[test]
fn values_come_back_as_they_went() {
    for Case(ty, same, changed, refused) in cases() {
        let function = one(ty);
        let pairs = same.into_iter().map(|input| (input.clone(), input)).chain(changed);
        for (input, wanted) in pairs {
            let written = there_and_back(&function, &input).expect(ty);
            assert_eq!(text_of(&written), text_of(&wanted), "{ty}: {input}");
            assert_eq!(text_of(&there_and_back(&function, &written).expect(ty)), text_of(&wanted), "{ty}: {written}");
        }
        for input in refused {
            assert!(there_and_back(&function, &input).is_err(), "{ty}: {input}");
        }
    }
}

#[test]
fn schema_accepts_exactly_what_is_read() {
    for Case(ty, same, changed, refused) in cases() {
        let schema = schema::parameters(&one(ty)).expect(ty);
        let schema = &schema["properties"]["x"];
        for input in same.iter().chain(changed.iter().flat_map(|(input, output)| [input, output])) {
            assert!(is_valid(schema, input), "{ty}: {input}");
        }
        for input in refused {
            assert!(!is_valid(schema, &input), "{ty}: {input}");
        }
    }
}

#[test]
fn every_f32_is_written_in_digits_that_read_back() {
    // 7.038531e-26: its shortest digits, read as an `f64`, round to the neighbour.
    for value in [0.1, f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), 7.038_531e-26, 16_777_216.0, -0.0] {
        assert_eq!(narrowed(shortest(value)).to_bits(), value.to_bits(), "{value:e}");
    }
    assert_eq!(number(shortest(0.1)).to_string(), "0.1");
    assert_eq!(number(shortest(f32::MAX)).to_string(), "3.4028235e+38");
}

/// A signature, an input, and the error it makes.
fn check_errors(cases: &[(&str, Value, &str)]) {
    for (signature, input, wanted) in cases {
        let error = arguments(&function(signature), input).expect_err(signature);
        assert_eq!(error.to_string(), *wanted, "{signature}");
    }
}

#[test]
fn errors_say_where_and_what() {
    check_errors(&[
        ("", json!(12), "in the input as a whole: expected an object, found `12`"),
        ("", json!({"a": 1}), "in the input as a whole: expected no keys, found the unknown key `a`"),
        (
            r#"(param "a" u8) (param "b" u8)"#,
            json!({"a": 1}),
            "in the input as a whole: expected the key `b`, found no such key",
        ),
        (
            r#"(param "list" (list $point))"#,
            json!({"list": [{"x": true}]}),
            "at `/list/0/x`: expected an integer from -2147483648 to 2147483647, found `true`",
        ),
        (
            r#"(param "list" (list $point))"#,
            json!({"list": [{"x": 1}, {"label": "a"}]}),
            "at `/list/1`: expected the key `x`, found no such key",
        ),
        (
            r#"(param "p" $point)"#,
            json!({"p": {"x": 1, "z": 1}}),
            "at `/p`: expected only the keys `x`, `label`, found the unknown key `z`",
        ),
        (r#"(param "p" $point)"#, json!({"p": {"x": 1, "label": 12}}), "at `/p/label`: expected a string, found `12`"),
        (
            r#"(param "m" (map string bool))"#,
            json!({"m": {"a/b~c": 1}}),
            "at `/m/a~1b~0c`: expected `true` or `false`, found `1`",
        ),
        (
            r#"(param "m" (map u8 bool))"#,
            json!({"m": [[1, true], [1, false]]}),
            "at `/m/1/0`: expected a key that is not in the map yet, found `1`",
        ),
        (r#"(param "m" (map u8 bool))"#, json!({"m": [1]}), "at `/m/0`: expected an array, found `1`"),
    ]);
}

#[test]
fn errors_list_what_would_fit() {
    check_errors(&[
        (
            r#"(param "s" $shape)"#,
            json!({"s": "dot"}),
            r#"at `/s`: expected one of `"none"`, `"all"`, `{"dot": …}`, `{"text": …}`, found `"dot"`"#,
        ),
        (
            r#"(param "s" $shape)"#,
            json!({"s": {"dot": {"x": "a"}}}),
            r#"at `/s/dot/x`: expected an integer from -2147483648 to 2147483647, found `"a"`"#,
        ),
        (
            r#"(param "c" $color)"#,
            json!({"c": "blue"}),
            r#"at `/c`: expected one of `"red"`, `"dark-green"`, found `"blue"`"#,
        ),
        (
            r#"(param "f" $rights)"#,
            json!({"f": ["read", "read"]}),
            r#"at `/f/1`: expected a flag that is not set yet, found `"read"`"#,
        ),
        (
            r#"(param "o" (option (option u8)))"#,
            json!({"o": {"some": "a"}}),
            r#"at `/o/some`: expected an integer from 0 to 255, found `"a"`"#,
        ),
        (
            r#"(param "o" (option (option u8)))"#,
            json!({"o": 1}),
            r#"at `/o`: expected `null` or `{"some": …}`, found `1`"#,
        ),
        (r#"(param "r" (result u8))"#, json!({"r": {"err": 1}}), "at `/r/err`: expected `null`, found `1`"),
        (r#"(param "r" (result u8))"#, json!({"r": 1}), r#"at `/r`: expected `{"ok": …}` or `{"err": …}`, found `1`"#),
    ]);
}

#[test]
fn errors_show_what_is_there() {
    check_errors(&[
        (r#"(param "t" (tuple u8 u8))"#, json!({"t": [1]}), "at `/t`: expected an array of length 2, found `[1]`"),
        (
            r#"(param "b" (list u8))"#,
            json!({"b": "*"}),
            r#"at `/b`: expected a string of base64, with padding, found `"*"`"#,
        ),
        (
            r#"(param "f" f32)"#,
            json!({"f": 1e39}),
            r#"at `/f`: expected a number from -3.4028235e38 to 3.4028235e38, `"NaN"`, `"Infinity"` or `"-Infinity"`, found `1e+39`"#,
        ),
        (
            r#"(param "h" (own $handle))"#,
            json!({"h": 1}),
            "at `/h`: expected no value, since resource handles can't be passed yet, found `1`",
        ),
        (
            r#"(param "c" char)"#,
            json!({"c": "\u{7f}\u{202e}\n"}),
            r#"at `/c`: expected a string of one character, found `"\u{7f}\u{202e}\n"`"#,
        ),
        ("", json!({"\u{1b}[2J": 1}), r"in the input as a whole: expected no keys, found the unknown key `\u{1b}[2J`"),
    ]);
}

#[test]
fn pointers_find_the_fault() {
    let function = function(r#"(param "m" (map string (list $point)))"#);
    let input = json!({"m": {"a/b": [{"x": 1}], "~": [{"x": 1}, {"x": "here"}]}});
    let error = arguments(&function, &input).expect_err("a string");
    assert_eq!(error.pointer, "/m/~0/1/x");
    assert_eq!(input.pointer(&error.pointer), Some(&json!("here")));
}

#[test]
fn found_text_is_cut_at_a_character() {
    for length in 70..100 {
        for text in ["é".repeat(length), format!("a{}", "🦀".repeat(length)), "\u{1}".repeat(length)] {
            let shown = shown(&Value::from(text));
            assert!(shown.ends_with("…`") && shown.len() <= SHOWN_BYTES_MAX + 5, "{shown}");
        }
    }
    assert_eq!(shown(&json!("x".repeat(100))), format!("`\"{}…`", "x".repeat(79)));
    let nested = json!([["a".repeat(60)], {"b": "c"}]);
    assert_eq!(shown(&nested), format!("`{nested}`"));
}

#[test]
fn long_lists_of_names_are_cut() {
    let names: Vec<_> = (0..40).map(|number| format!("\"n{number}\"")).collect();
    let definitions = format!(r#"(type $e_ (enum {})) (import "e" (type $e (eq $e_)))"#, names.join(" "));
    let function = function_with(&definitions, r#"(param "x" $e)"#);
    let error = arguments(&function, &json!({"x": 1})).expect_err("a number");
    assert!(error.expected.ends_with(r#"`"n15"` and 24 more"#), "{error}");
}

#[test]
fn small_input_makes_no_huge_value() {
    let fields = join(&[(); 1_000], |index, ()| format!(r#"(field "f{index}" (option u8))"#));
    let definitions = format!(r#"(type $r_ (record {fields})) (import "r" (type $r (eq $r_)))"#);
    let function = function_with(&definitions, r#"(param "x" (list $r))"#);
    let input = |count| json!({"x": vec![json!({}); count]});
    assert!(arguments(&function, &input(100)).is_ok());
    let error = arguments(&function, &input(1_000_000)).expect_err("a gigabyte");
    assert_eq!(
        (error.expected.as_str(), error.found.as_str()),
        ("at most 8388608 bytes, or as much work, once options are written out", "more")
    );
}

#[test]
fn search_among_many_cases_is_charged() {
    let cases = join(&[(); 10_000], |index, ()| format!("(case \"n{index}\")"));
    let definitions = format!(
        r#"(type $e_ (enum {})) (import "e" (type $e (eq $e_)))
            (type $v_ (variant {cases})) (import "v" (type $v (eq $v_)))"#,
        names(10_000)
    );
    let last = "n9999".to_owned();
    for (ty, value) in [("$e", Val::Enum(last.clone())), ("$v", Val::Variant(last.clone(), None))] {
        let function = function_with(&definitions, &format!(r#"(param "x" (list {ty})) (result (list {ty}))"#));
        let read = |count| arguments(&function, &json!({"x": vec![json!(last); count]}));
        let write = |count| returned(&function, &[Val::List(vec![value.clone(); count])]);
        assert!(read(1_000).is_ok() && write(1_000).is_ok(), "{ty}");
        assert!(read(100_000).is_err_and(|error| error.found == "more"), "{ty}");
        assert_eq!(write(100_000), Err(OutputError::TooLong), "{ty}");
    }
}

#[test]
fn long_output_is_refused() {
    let limit = usize::try_from(OUTPUT_BYTES_MAX).expect("a size");
    let text = |length| returned(&function("(result string)"), &[Val::String("a".repeat(length))]);
    assert!(text(limit - 2).is_ok());
    assert_eq!(text(limit + 1), Err(OutputError::TooLong));
    let bytes = returned(&function("(result (list u8))"), &[Val::List(vec![Val::U8(0); limit])]);
    assert_eq!(bytes, Err(OutputError::TooLong));
}

#[test]
fn top_level_result_is_an_outcome() {
    let text = || Some(Box::new(Val::String("a".to_owned())));
    for (signature, results, wanted) in [
        ("", vec![], Returned::Value(None)),
        ("(result string)", vec![*text().expect("text")], Returned::Value(Some(json!("a")))),
        ("(result (result string (error string)))", vec![Val::Result(Ok(text()))], Returned::Value(Some(json!("a")))),
        ("(result (result string (error string)))", vec![Val::Result(Err(text()))], Returned::Error(Some(json!("a")))),
        ("(result (result))", vec![Val::Result(Ok(None))], Returned::Value(None)),
        ("(result (result))", vec![Val::Result(Err(None))], Returned::Error(None)),
        (
            "(result (result (option u8)))",
            vec![Val::Result(Ok(Some(Box::new(Val::Option(None)))))],
            Returned::Value(Some(Value::Null)),
        ),
        (
            "(result (option (result)))",
            vec![Val::Option(Some(Box::new(Val::Result(Err(None)))))],
            Returned::Value(Some(json!({"err": null}))),
        ),
    ] {
        assert_eq!(returned(&function(signature), &results), Ok(wanted), "{signature}");
    }
}

#[test]
fn value_of_another_type_is_an_error() {
    let named = |name: &str, value| Val::Record(vec![(name.to_owned(), value)]);
    for (ty, value) in [
        ("bool", Val::U8(1)),
        ("u8", Val::U16(1)),
        ("f32", Val::Float64(1.0)),
        ("(list u8)", Val::List(vec![Val::Bool(true)])),
        ("(list u8 2)", Val::FixedLengthList(vec![Val::U8(1)])),
        ("(tuple u8 u8)", Val::Tuple(vec![Val::U8(1)])),
        ("$point", named("x", Val::S32(1))),
        ("$sparse", Val::Record(vec![("b".to_owned(), Val::Option(None)), ("a".to_owned(), Val::Option(None))])),
        ("$shape", Val::Variant("dot".to_owned(), None)),
        ("$shape", Val::Variant("none".to_owned(), Some(Box::new(Val::U8(1))))),
        ("$shape", Val::Variant("other".to_owned(), None)),
        ("$color", Val::Enum("blue".to_owned())),
        ("$rights", Val::Flags(vec!["fly".to_owned()])),
        ("(result u8)", Val::Result(Ok(None))),
        ("(result u8)", Val::Result(Err(Some(Box::new(Val::U8(1)))))),
    ] {
        let function = function(&format!("(result {ty})"));
        assert_eq!(returned(&function, &[value]), Err(OutputError::Mismatch), "{ty}");
    }
    assert_eq!(returned(&function("(result u8)"), &[]), Err(OutputError::Mismatch));
    assert_eq!(returned(&function(""), &[Val::U8(1)]), Err(OutputError::Mismatch));
}

#[test]
fn returned_map_holds_no_key_twice() {
    let twice = |key: Val| Val::Map(vec![(key.clone(), Val::U8(1)), (key, Val::U8(2))]);
    for (ty, value, wanted) in [
        ("(map string u8)", twice(Val::String("a".to_owned())), "the returned map holds the key `\"a\"` twice"),
        ("(map u8 u8)", twice(Val::U8(7)), "the returned map holds the key `7` twice"),
    ] {
        let error = returned(&function(&format!("(result {ty})")), &[value]).expect_err(ty);
        assert_eq!(error.to_string(), wanted);
    }
}

/// A type, for random ones.
#[derive(Clone, Debug)]
enum Shape {
    Plain(&'static str),
    List(Box<Shape>),
    Fixed(Box<Shape>, usize),
    Map(&'static str, Box<Shape>),
    Record(Vec<Shape>),
    Tuple(Vec<Shape>),
    Variant(Vec<Option<Shape>>),
    Enum(usize),
    Option(Box<Shape>),
    Result(Option<Box<Shape>>, Option<Box<Shape>>),
    Flags(usize),
}

impl Shape {
    /// How a function mentions the type; what must be defined before goes to `definitions`.
    fn text(&self, definitions: &mut Vec<String>) -> String {
        let mut payload = |inner: &Option<Box<Self>>| inner.as_ref().map(|inner| inner.text(definitions));
        match self {
            Self::Plain(name) => (*name).to_owned(),
            Self::List(inner) => format!("(list {})", inner.text(definitions)),
            Self::Fixed(inner, length) => format!("(list {} {length})", inner.text(definitions)),
            Self::Map(key, inner) => format!("(map {key} {})", inner.text(definitions)),
            Self::Tuple(inner) => format!("(tuple {})", join(inner, |_, inner| inner.text(definitions))),
            Self::Option(inner) => format!("(option {})", inner.text(definitions)),
            Self::Result(ok, err) => {
                let ok = payload(ok).unwrap_or_default();
                format!("(result {ok} {})", payload(err).map_or(String::new(), |err| format!("(error {err})")))
            }
            Self::Record(inner) => {
                let fields = join(inner, |index, inner| format!(r#"(field "n{index}" {})"#, inner.text(definitions)));
                define(definitions, &format!("(record {fields})"))
            }
            Self::Variant(inner) => {
                let cases = join(inner, |index, inner| {
                    let payload = inner.as_ref().map(|inner| inner.text(definitions)).unwrap_or_default();
                    format!(r#"(case "n{index}" {payload})"#)
                });
                define(definitions, &format!("(variant {cases})"))
            }
            Self::Enum(count) => define(definitions, &format!("(enum {})", names(*count))),
            Self::Flags(count) => define(definitions, &format!("(flags {})", names(*count))),
        }
    }

    /// Inputs that come back as they are.
    fn inputs(&self) -> BoxedStrategy<Value> {
        match self {
            Self::Plain(name) => plain(name),
            Self::List(inner) if matches!(**inner, Self::Plain("u8")) => {
                prop::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| json!(STANDARD.encode(bytes))).boxed()
            }
            Self::List(inner) => prop::collection::vec(inner.inputs(), 0..4).prop_map(Value::from).boxed(),
            Self::Fixed(inner, length) => prop::collection::vec(inner.inputs(), *length).prop_map(Value::from).boxed(),
            Self::Map("string", inner) => {
                prop::collection::btree_map(".{0,3}", inner.inputs(), 0..4).prop_map(|map| json!(map)).boxed()
            }
            Self::Map(key, inner) => prop::collection::vec((plain(key), inner.inputs()), 0..4)
                .prop_map(|pairs| {
                    let pairs: BTreeMap<_, _> = pairs.into_iter().map(|pair| (pair.0.to_string(), pair)).collect();
                    json!(pairs.into_values().collect::<Vec<_>>())
                })
                .boxed(),
            Self::Record(inner) => inner
                .iter()
                .map(Self::inputs)
                .collect::<Vec<_>>()
                .prop_map(|values| {
                    let members = values.into_iter().enumerate();
                    Value::Object(members.map(|(index, value)| (format!("n{index}"), value)).collect())
                })
                .boxed(),
            Self::Tuple(inner) => inner.iter().map(Self::inputs).collect::<Vec<_>>().prop_map(Value::from).boxed(),
            Self::Variant(cases) => {
                let cases = cases.iter().enumerate().map(|(index, case)| match case {
                    Some(inner) => inner.inputs().prop_map(move |value| tag(&format!("n{index}"), value)).boxed(),
                    None => Just(json!(format!("n{index}"))).boxed(),
                });
                prop::strategy::Union::new(cases).boxed()
            }
            Self::Enum(count) => (0..*count).prop_map(|index| json!(format!("n{index}"))).boxed(),
            Self::Option(inner) => {
                let nested = matches!(**inner, Self::Option(_));
                let some = inner.inputs().prop_map(move |value| if nested { tag("some", value) } else { value });
                prop_oneof![Just(Value::Null), some].boxed()
            }
            Self::Result(ok, err) => {
                let payload = |inner: &Option<Box<Self>>, name| {
                    let inner = inner.as_ref().map_or(Just(Value::Null).boxed(), |inner| inner.inputs());
                    inner.prop_map(move |value| tag(name, value))
                };
                prop_oneof![payload(ok, "ok"), payload(err, "err")].boxed()
            }
            Self::Flags(count) => {
                let names: Vec<_> = (0..*count).map(|index| format!("n{index}")).collect();
                prop::sample::subsequence(names, 0..=*count).prop_map(|names| json!(names)).boxed()
            }
        }
    }
}

fn join<T>(items: &[T], mut text: impl FnMut(usize, &T) -> String) -> String {
    items.iter().enumerate().map(|(index, item)| text(index, item)).collect::<Vec<_>>().join(" ")
}

fn names(count: usize) -> String {
    join(&vec![(); count], |index, ()| format!("\"n{index}\""))
}

fn define(definitions: &mut Vec<String>, ty: &str) -> String {
    let number = definitions.len();
    definitions.push(format!(r#"(type $d{number} {ty}) (import "t{number}" (type $t{number} (eq $d{number})))"#));
    format!("$t{number}")
}

fn plain(name: &str) -> BoxedStrategy<Value> {
    let special = || prop::sample::select(&NOT_NUMBERS[..]).prop_map(Value::from);
    let finite = |number: f64| if number.is_finite() { json!(number) } else { json!(0) };
    match name {
        "bool" => any::<bool>().prop_map(Value::from).boxed(),
        "s8" => any::<i8>().prop_map(Value::from).boxed(),
        "u8" => any::<u8>().prop_map(Value::from).boxed(),
        "s16" => any::<i16>().prop_map(Value::from).boxed(),
        "u16" => any::<u16>().prop_map(Value::from).boxed(),
        "s32" => any::<i32>().prop_map(Value::from).boxed(),
        "u32" => any::<u32>().prop_map(Value::from).boxed(),
        "s64" => any::<i64>().prop_map(Value::from).boxed(),
        "u64" => any::<u64>().prop_map(Value::from).boxed(),
        "f32" => prop_oneof![any::<f32>().prop_map(move |float| finite(shortest(float))), special()].boxed(),
        "f64" => prop_oneof![any::<f64>().prop_map(finite), special()].boxed(),
        "char" => any::<char>().prop_map(|character| json!(character)).boxed(),
        _ => ".{0,5}".prop_map(Value::from).boxed(),
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    const PLAIN: [&str; 13] =
        ["bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"];
    let keys = prop::sample::select(vec!["string", "u8", "s64", "char", "bool"]);
    let leaf = prop_oneof![
        4 => prop::sample::select(&PLAIN[..]).prop_map(Shape::Plain),
        1 => (1..9_usize).prop_map(Shape::Enum),
        1 => (1..20_usize).prop_map(Shape::Flags),
    ];
    leaf.prop_recursive(3, 12, 4, move |inner| {
        let boxed = || inner.clone().prop_map(Box::new);
        let maybe = || prop::option::of(boxed());
        prop_oneof![
            boxed().prop_map(Shape::List),
            (boxed(), 1..4_usize).prop_map(|(inner, length)| Shape::Fixed(inner, length)),
            (keys.clone(), boxed()).prop_map(|(key, inner)| Shape::Map(key, inner)),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Shape::Record),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Shape::Tuple),
            prop::collection::vec(prop::option::of(inner.clone()), 1..4).prop_map(Shape::Variant),
            boxed().prop_map(Shape::Option),
            (maybe(), maybe()).prop_map(|(ok, err)| Shape::Result(ok, err)),
        ]
    })
}

fn shapes_and_inputs() -> impl Strategy<Value = (Shape, Value)> {
    shapes().prop_flat_map(|shape| {
        let inputs = shape.inputs();
        (Just(shape), inputs)
    })
}

/// Something small that is rarely right.
fn junk() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(-1),
        json!(300),
        json!(1.5),
        json!(u64::MAX),
        json!(1e39),
        json!(""),
        json!("a"),
        json!("n0"),
        json!("n1"),
        json!("AA=="),
        json!("NaN"),
        json!([]),
        json!(["n0", "n0"]),
        json!([1, 2]),
        json!({}),
        json!({"n0": null}),
        json!({"n1": 1}),
        json!({"some": null}),
        json!({"ok": null}),
        json!({"err": "a"}),
        json!({"n0": 1, "n1": 2}),
    ])
}

/// Replaces, adds or removes one thing; `path` says where.
fn spoil(value: &mut Value, path: &[u8], junk: Value) {
    let Some((step, path)) = path.split_first() else {
        *value = junk;
        return;
    };
    let step = usize::from(*step);
    match value {
        Value::Array(items) if items.is_empty() || step % 7 == 0 => items.push(junk),
        Value::Array(items) if step % 7 == 1 => drop(items.pop()),
        Value::Array(items) => {
            let index = step % items.len();
            spoil(&mut items[index], path, junk);
        }
        Value::Object(members) if members.is_empty() || step % 7 == 0 => {
            drop(members.insert("n3".to_owned(), junk));
        }
        Value::Object(members) => {
            let key = members.keys().nth(step % members.len()).expect("a key").clone();
            if step % 7 == 1 {
                members.remove(&key);
            } else {
                spoil(members.get_mut(&key).expect("a member"), path, junk);
            }
        }
        _ => *value = junk,
    }
}

/// A guest that returns its first parameter. The others make the parameters too many for registers, so that the
/// guest is called with their address, which is that of the result as well.
const IDENTITY: &str = r#"
    (core module $m
        (memory (export "memory") 16)
        (global $next (mut i32) (i32.const 1024))
        (func (export "realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
            (local $start i32)
            (local.set $start (i32.and
                (i32.add (global.get $next) (i32.sub (local.get $align) (i32.const 1)))
                (i32.sub (i32.const 0) (local.get $align))))
            (global.set $next (i32.add (local.get $start) (local.get $new)))
            (local.get $start))
        (func (export "f") (param i32) (result i32) (local.get 0)))
    (core instance $i (instantiate $m))
    (alias core export $i "memory" (core memory $memory))
    (alias core export $i "realloc" (core func $realloc))
    (alias core export $i "f" (core func $f))
"#;

/// The guest's answer to an input of this type.
fn through_guest(shape: &Shape, input: &Value) -> Value {
    let mut definitions = Vec::new();
    let ty = shape.text(&mut definitions);
    let padding = join(&[(); 17], |index, ()| format!("(param \"p{index}\" u64)"));
    let text = format!(
        r#"(component {} {IDENTITY} (func (export "f") (param "x" {ty}) {padding} (result (tuple {ty} u64))
            (canon lift (core func $f) (memory $memory) (realloc $realloc))))"#,
        definitions.concat()
    );
    let component = Component::new(&ENGINE, wat::parse_str(&text).expect(&text)).expect(&text);
    let export = component.component_type().get_export(&ENGINE, "f").expect("the function").ty;
    let ComponentItem::ComponentFunc(function) = export else { panic!("{export:?}") };
    let mut named: Map<_, _> = (0..17).map(|index| (format!("p{index}"), json!(u64::MAX))).collect();
    named.insert("x".to_owned(), input.clone());
    let named = Value::Object(named);
    assert!(is_valid(&schema::parameters(&function).expect("a schema"), &named));
    let arguments = arguments(&function, &named).expect("arguments");

    let mut store = Store::new(&ENGINE, ());
    let instance = Linker::new(&ENGINE).instantiate(&mut store, &component).expect("an instance");
    let mut results = [Val::Bool(false)];
    let guest = instance.get_func(&mut store, "f").expect("the function");
    guest.call(&mut store, &arguments, &mut results).expect("an answer");
    let Ok(Returned::Value(Some(answer))) = returned(&function, &results) else { panic!("{results:?}") };
    assert!(is_valid(&schema::result(&function).expect("a schema").expect("a result"), &answer));
    assert_eq!(answer[1], json!(u64::MAX));
    answer[0].clone()
}

proptest! {
    #[test]
    fn values_survive_a_guest((shape, input) in shapes_and_inputs()) {
        prop_assert_eq!(text_of(&through_guest(&shape, &input)), text_of(&input));
    }

    #[test]
    fn schema_agrees_on_spoiled_inputs(
        (shape, input) in shapes_and_inputs(),
        path in prop::collection::vec(any::<u8>(), 0..4),
        junk in junk(),
    ) {
        let mut input = input;
        spoil(&mut input, &path, junk);
        let mut definitions = Vec::new();
        let ty = shape.text(&mut definitions);
        let function = function_with(&definitions.concat(), &format!(r#"(param "x" {ty}) (result (tuple {ty}))"#));
        let schema = schema::parameters(&function).expect("a schema");
        let whole = json!({"x": input});
        let written = there_and_back(&function, &input);
        match &written {
            Ok(written) => {
                let written = json!({"x": written});
                prop_assert!(is_valid(&schema, &written), "{}", written);
            }
            // What a schema can't say.
            Err(error) if error.expected == "a key that is not in the map yet" => return Ok(()),
            Err(error) => {
                prop_assert!(whole.pointer(&error.pointer).is_some(), "{}", error);
            }
        }
        prop_assert_eq!(is_valid(&schema, &whole), written.is_ok(), "{:?}", written);
    }

    #[test]
    fn floats_are_written_as_they_are_read(bits in any::<u32>()) {
        let value = f32::from_bits(bits);
        prop_assert!(value.is_nan() || narrowed(shortest(value)).to_bits() == bits);
    }
}

//! JSON Schema (2020-12) of a typed function, derived from its WIT types.
//!
//! A schema says exactly what [`super::value`] accepts and writes; the table of forms is there, and both files walk a
//! type in the same order. Two things a schema can't say: that a map's keys differ (only that its pairs do), and that
//! `1.0` is not taken for the integer `1` (the input is canonical by then). Names and descriptions of types are not
//! here, because a component's types don't carry them.
//!
//! A type comes from an untrusted component and can be far larger than its description, so a schema that is certain to
//! be longer than [`SCHEMA_BYTES_MAX`] is refused before it is built. One that passes may still be a few times longer.

use ringfence_model::limits::SCHEMA_BYTES_MAX;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use thiserror::Error;
use wasmtime::component::Type;
use wasmtime::component::types;
use wasmtime::component::types::ComponentFunc;

use super::value;

/// Why a type that holds `own` or `borrow` has no JSON form.
pub(super) const HANDLES_UNSUPPORTED: &str = "resource handles can't be passed yet";
/// Why a type that holds `future`, `stream` or `error-context` has no JSON form.
pub(super) const STREAMS_UNSUPPORTED: &str = "futures, streams and error contexts can't be passed";

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Bytes of the shortest schema of a type.
const TYPE_BYTES_MIN: usize = 15;
/// What a strict decoder takes: full groups of four, then one with padding whose unused bits are zero.
const BASE64_PATTERN: &str = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// A function that can't be offered, since one of its types has no JSON form.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what}")]
pub struct Unsupported {
    /// Which parameter, and what about it.
    pub what: String,
}

/// The schema of the object that holds a function's parameters by name.
pub fn parameters(function: &ComponentFunc) -> Result<Value, Unsupported> {
    let mut walker = Walker { left: SCHEMA_BYTES_MAX };
    let mut fields = Vec::new();
    for (name, ty) in function.params() {
        let field = walker.field(name, &ty);
        fields.push(field.map_err(|why| Unsupported { what: format!("parameter `{name}`: {why}") })?);
    }
    Ok(top(object(fields)))
}

/// The schema of what a successful call returns; none if it returns nothing.
///
/// If the function's result is a `result`, that is the schema of its `ok`, for the other is a failed call.
pub fn result(function: &ComponentFunc) -> Result<Option<Value>, Unsupported> {
    let mut walker = Walker { left: SCHEMA_BYTES_MAX };
    let schema = match function.results().next() {
        None => Ok(None),
        Some(Type::Result(ty)) => walker.outcome(&ty),
        Some(ty) => walker.schema(&ty).map(Some),
    };
    match schema {
        Ok(schema) => Ok(schema.map(top)),
        Err(why) => Err(Unsupported { what: format!("result: {why}") }),
    }
}

/// From types to schemas, charging for each before it is built.
struct Walker {
    left: usize,
}

/// A field of a record: its name, whether it may be left out, its schema.
type Field = (String, bool, Value);
/// Why a type has no schema.
type Why = &'static str;

impl Walker {
    fn schema(&mut self, ty: &Type) -> Result<Value, Why> {
        self.spend(TYPE_BYTES_MIN)?;
        match ty {
            Type::Bool => Ok(json!({"type": "boolean"})),
            Type::S8 => Ok(integer(i8::MIN, i8::MAX)),
            Type::U8 => Ok(integer(u8::MIN, u8::MAX)),
            Type::S16 => Ok(integer(i16::MIN, i16::MAX)),
            Type::U16 => Ok(integer(u16::MIN, u16::MAX)),
            Type::S32 => Ok(integer(i32::MIN, i32::MAX)),
            Type::U32 => Ok(integer(u32::MIN, u32::MAX)),
            Type::S64 => Ok(integer(i64::MIN, i64::MAX)),
            Type::U64 => Ok(integer(u64::MIN, u64::MAX)),
            Type::Float32 => {
                Ok(float(&json!({"type": "number", "minimum": -value::F32_MAX, "maximum": value::F32_MAX})))
            }
            Type::Float64 => Ok(float(&json!({"type": "number"}))),
            Type::Char => Ok(json!({"type": "string", "minLength": 1, "maxLength": 1})),
            Type::String => Ok(json!({"type": "string"})),
            Type::List(list) if value::is_bytes(list) => {
                Ok(json!({"type": "string", "contentEncoding": "base64", "pattern": BASE64_PATTERN}))
            }
            Type::List(list) => Ok(json!({"type": "array", "items": self.schema(&list.ty())?})),
            Type::Map(map) => self.map(map),
            Type::Record(record) => self.record(record),
            Type::Tuple(tuple) => self.tuple(tuple.types()),
            Type::Variant(variant) => self.variant(variant),
            Type::Enum(names) => Ok(strings(self.names(names.names())?)),
            Type::Option(option) => self.option(&option.ty()),
            Type::Result(result) => self.result(result),
            Type::Flags(flags) => {
                Ok(json!({"type": "array", "items": strings(self.names(flags.names())?), "uniqueItems": true}))
            }
            Type::Own(_) | Type::Borrow(_) => Err(HANDLES_UNSUPPORTED),
            Type::Future(_) | Type::Stream(_) | Type::ErrorContext => Err(STREAMS_UNSUPPORTED),
            Type::FixedLengthList(list) => {
                let (items, length) = (self.schema(&list.ty())?, list.len());
                Ok(json!({"type": "array", "items": items, "minItems": length, "maxItems": length}))
            }
        }
    }

    fn map(&mut self, map: &types::Map) -> Result<Value, Why> {
        if matches!(map.key(), Type::String) {
            return Ok(json!({"type": "object", "additionalProperties": self.schema(&map.value())?}));
        }
        let pair = self.tuple([map.key(), map.value()].into_iter())?;
        Ok(json!({"type": "array", "items": pair, "uniqueItems": true}))
    }

    fn record(&mut self, record: &types::Record) -> Result<Value, Why> {
        let fields: Result<_, _> = record.fields().map(|field| self.field(field.name, &field.ty)).collect();
        Ok(object(fields?))
    }

    fn field(&mut self, name: &str, ty: &Type) -> Result<Field, Why> {
        self.spend(name.len())?;
        Ok((name.to_owned(), value::is_nullable(ty), self.schema(ty)?))
    }

    fn tuple(&mut self, types: impl ExactSizeIterator<Item = Type>) -> Result<Value, Why> {
        let length = types.len();
        let items: Value = types.map(|ty| self.schema(&ty)).collect::<Result<_, _>>()?;
        Ok(json!({"type": "array", "prefixItems": items, "items": false, "minItems": length}))
    }

    fn variant(&mut self, variant: &types::Variant) -> Result<Value, Why> {
        let bare: Vec<_> = variant.cases().filter(|case| case.ty.is_none()).map(|case| case.name).collect();
        let mut forms = Vec::new();
        if !bare.is_empty() {
            forms.push(strings(self.names(bare.into_iter())?));
        }
        for case in variant.cases() {
            if let Some(ty) = case.ty {
                self.spend(case.name.len())?;
                forms.push(tagged(case.name, self.schema(&ty)?));
            }
        }
        Ok(any_of(forms))
    }

    fn names<'a>(&mut self, names: impl Iterator<Item = &'a str>) -> Result<Value, Why> {
        names.map(|name| self.spend(name.len()).map(|()| Value::from(name))).collect()
    }

    fn option(&mut self, ty: &Type) -> Result<Value, Why> {
        let some = self.schema(ty)?;
        Ok(if value::is_nullable(ty) { nullable(tagged("some", some)) } else { nullable(some) })
    }

    fn result(&mut self, result: &types::ResultType) -> Result<Value, Why> {
        let (ok, err) = (self.payload(result.ok())?, self.payload(result.err())?);
        let null = || json!({"type": "null"});
        Ok(any_of(vec![tagged("ok", ok.unwrap_or_else(null)), tagged("err", err.unwrap_or_else(null))]))
    }

    fn payload(&mut self, ty: Option<Type>) -> Result<Option<Value>, Why> {
        ty.map(|ty| self.schema(&ty)).transpose()
    }

    /// The schema of the `ok` of a function's result. The `err` must have one too: it is told in JSON as well.
    fn outcome(&mut self, result: &types::ResultType) -> Result<Option<Value>, Why> {
        self.payload(result.err())?;
        self.payload(result.ok())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Why> {
        self.left = self.left.checked_sub(bytes).ok_or("its types make too long a schema")?;
        Ok(())
    }
}

fn top(mut schema: Value) -> Value {
    if let Value::Object(members) = &mut schema {
        members.insert("$schema".to_owned(), Value::from(DIALECT));
    }
    schema
}

fn object(fields: Vec<Field>) -> Value {
    let required: Vec<_> =
        fields.iter().filter(|(_, optional, _)| !optional).map(|(name, _, _)| name.clone()).collect();
    let properties: Map<_, _> = fields.into_iter().map(|(name, _, schema)| (name, schema)).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn tagged(name: &str, payload: Value) -> Value {
    object(vec![(name.to_owned(), false, payload)])
}

fn integer<T: Into<Value>>(minimum: T, maximum: T) -> Value {
    json!({"type": "integer", "minimum": minimum.into(), "maximum": maximum.into()})
}

fn float(number: &Value) -> Value {
    any_of(vec![number.clone(), strings(json!(value::NOT_NUMBERS))])
}

fn strings(names: Value) -> Value {
    Value::Object(Map::from_iter([("type".to_owned(), Value::from("string")), ("enum".to_owned(), names)]))
}

/// The schema of what may be missing as well.
fn nullable(some: Value) -> Value {
    any_of(vec![some, json!({"type": "null"})])
}

/// The schema of a function's result that may be missing as well: of an `option` of what another function returns.
pub(super) fn optional(mut result: Value) -> Value {
    if let Some(members) = result.as_object_mut() {
        members.remove("$schema");
    }
    top(nullable(result))
}

/// One schema of several forms; forms that are alternatives themselves join the others.
fn any_of(forms: Vec<Value>) -> Value {
    let mut flat = Vec::new();
    for mut form in forms {
        match form.get_mut("anyOf").map(Value::take) {
            Some(Value::Array(inner)) => flat.extend(inner),
            _ => flat.push(form),
        }
    }
    match (flat.pop(), flat.is_empty()) {
        (Some(only), true) => only,
        (last, _) => json!({"anyOf": flat.into_iter().chain(last).collect::<Vec<_>>()}),
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Functions whose types are written as text.

    use std::sync::LazyLock;

    use wasmtime::Config;
    use wasmtime::Engine;
    use wasmtime::component::Component;
    use wasmtime::component::types::ComponentFunc;
    use wasmtime::component::types::ComponentItem;

    /// An engine that knows more types than the product's does.
    pub(in crate::toolbox) static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
        let mut config = Config::new();
        config.wasm_component_model_map(true).wasm_component_model_fixed_length_lists(true);
        Engine::new(&config).expect("an engine")
    });

    /// Types that must have a name before a function can mention them.
    const NAMED: &str = r#"
        (type $point_ (record (field "x" s32) (field "label" (option string))))
        (import "point" (type $point (eq $point_)))
        (type $sparse_ (record (field "a" (option u8)) (field "b" (option (option u8)))))
        (import "sparse" (type $sparse (eq $sparse_)))
        (type $shape_ (variant (case "none") (case "all") (case "dot" $point) (case "text" (option string))))
        (import "shape" (type $shape (eq $shape_)))
        (type $color_ (enum "red" "dark-green"))
        (import "color" (type $color (eq $color_)))
        (type $rights_ (flags "read" "write" "execute"))
        (import "rights" (type $rights (eq $rights_)))
        (import "handle" (type $handle (sub resource)))
    "#;

    /// A function of the given parameters and result, with the named types and those of `definitions`.
    pub(in crate::toolbox) fn function_with(definitions: &str, signature: &str) -> ComponentFunc {
        let text = format!("(component {NAMED} {definitions} (import \"f\" (func {signature})))");
        let binary = wat::parse_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let component = Component::new(&ENGINE, binary).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        match component.component_type().get_import(&ENGINE, "f").map(|import| import.ty) {
            Some(ComponentItem::ComponentFunc(function)) => function,
            other => panic!("{other:?}"),
        }
    }

    /// A function of the given parameters and result, with the named types.
    pub(in crate::toolbox) fn function(signature: &str) -> ComponentFunc {
        function_with("", signature)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::function;
    use super::testing::function_with;
    use super::*;

    /// The schema of one type.
    fn schema_of(ty: &str) -> Value {
        let schema = parameters(&function(&format!("(param \"x\" {ty})"))).expect(ty);
        schema["properties"]["x"].clone()
    }

    #[test]
    fn schemas_follow_the_table() {
        let tagged = |name: &str, payload: Value| json!({"type": "object", "properties": {name: payload}, "required": [name], "additionalProperties": false});
        let nothing = json!({"type": "null"});
        let point = json!({
            "type": "object",
            "properties": {
                "x": {"type": "integer", "minimum": -2_147_483_648_i64, "maximum": 2_147_483_647},
                "label": {"anyOf": [{"type": "string"}, nothing]},
            },
            "required": ["x"],
            "additionalProperties": false,
        });
        let specials = json!({"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]});
        let byte = json!({"type": "integer", "minimum": 0, "maximum": 255});
        let flag = json!({"type": "boolean"});
        for (ty, wanted) in [
            ("bool", flag.clone()),
            ("s8", json!({"type": "integer", "minimum": -128, "maximum": 127})),
            ("u8", byte.clone()),
            ("s16", json!({"type": "integer", "minimum": -32768, "maximum": 32767})),
            ("u16", json!({"type": "integer", "minimum": 0, "maximum": 65535})),
            ("u32", json!({"type": "integer", "minimum": 0, "maximum": 4_294_967_295_u32})),
            ("s64", json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX})),
            ("u64", json!({"type": "integer", "minimum": 0, "maximum": 18_446_744_073_709_551_615_u64})),
            (
                "f32",
                json!({"anyOf": [{"type": "number", "minimum": -3.402_823_5e38, "maximum": 3.402_823_5e38}, specials]}),
            ),
            ("f64", json!({"anyOf": [{"type": "number"}, specials]})),
            ("char", json!({"type": "string", "minLength": 1, "maxLength": 1})),
            ("string", json!({"type": "string"})),
            ("(list u8)", json!({"type": "string", "contentEncoding": "base64", "pattern": BASE64_PATTERN})),
            ("(list bool)", json!({"type": "array", "items": flag})),
            ("(list u8 4)", json!({"type": "array", "items": byte, "minItems": 4, "maxItems": 4})),
            ("(map string bool)", json!({"type": "object", "additionalProperties": flag})),
            (
                "(map u8 bool)",
                json!({"type": "array", "uniqueItems": true, "items":
                    {"type": "array", "prefixItems": [byte, flag], "items": false, "minItems": 2}}),
            ),
            ("$point", point.clone()),
            ("(tuple bool u8)", json!({"type": "array", "prefixItems": [flag, byte], "items": false, "minItems": 2})),
            (
                "$shape",
                json!({"anyOf": [
                    {"type": "string", "enum": ["none", "all"]},
                    tagged("dot", point),
                    tagged("text", json!({"anyOf": [{"type": "string"}, nothing]})),
                ]}),
            ),
            ("$color", json!({"type": "string", "enum": ["red", "dark-green"]})),
            ("(option bool)", json!({"anyOf": [flag, nothing]})),
            ("(option f64)", json!({"anyOf": [{"type": "number"}, specials, nothing]})),
            ("(option (option bool))", json!({"anyOf": [tagged("some", json!({"anyOf": [flag, nothing]})), nothing]})),
            ("(result bool (error u8))", json!({"anyOf": [tagged("ok", flag.clone()), tagged("err", byte.clone())]})),
            ("(result)", json!({"anyOf": [tagged("ok", nothing.clone()), tagged("err", nothing.clone())]})),
            (
                "$rights",
                json!({"type": "array", "uniqueItems": true,
                    "items": {"type": "string", "enum": ["read", "write", "execute"]}}),
            ),
        ] {
            assert_eq!(schema_of(ty), wanted, "{ty}");
            assert!(jsonschema::draft202012::meta::is_valid(&wanted), "{ty}");
        }
    }

    #[test]
    fn parameters_become_one_object() {
        let of = |signature| parameters(&function(signature)).expect(signature);
        assert_eq!(
            of(r#"(param "first-name" string) (param "age" (option u8))"#),
            json!({
                "$schema": DIALECT,
                "type": "object",
                "properties": {
                    "first-name": {"type": "string"},
                    "age": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 255}, {"type": "null"}]},
                },
                "required": ["first-name"],
                "additionalProperties": false,
            })
        );
        assert_eq!(of("")["properties"], json!({}));
    }

    #[test]
    fn result_schema_is_that_of_success() {
        let text = json!({"$schema": DIALECT, "type": "string"});
        for (signature, wanted) in [
            ("", None),
            ("(result string)", Some(&text)),
            ("(result (result string (error u8)))", Some(&text)),
            ("(result (result string))", Some(&text)),
            ("(result (result (error string)))", None),
            ("(result (result))", None),
        ] {
            assert_eq!(result(&function(signature)).expect(signature).as_ref(), wanted, "{signature}");
        }
    }

    #[test]
    fn handles_are_refused_by_parameter() {
        for (ty, wanted) in [
            ("(own $handle)", "parameter `db`: resource handles can't be passed yet"),
            ("(borrow $handle)", "parameter `db`: resource handles can't be passed yet"),
            ("(list (tuple u8 (option (own $handle))))", "parameter `db`: resource handles can't be passed yet"),
        ] {
            let function = function(&format!(r#"(param "a" u8) (param "db" {ty})"#));
            assert_eq!(parameters(&function).expect_err(ty).to_string(), wanted);
        }
        for ty in ["(own $handle)", "(result (own $handle))", "(result u8 (error (own $handle)))"] {
            let error = result(&function(&format!("(result {ty})"))).expect_err(ty);
            assert_eq!(error.to_string(), "result: resource handles can't be passed yet", "{ty}");
        }
    }

    #[test]
    fn types_that_double_are_refused() {
        let doubled = |level| format!("(type $t{level} (tuple $t{0} $t{0}))", level - 1);
        let definitions: Vec<_> = (1..16).map(doubled).collect();
        let definitions = format!("(type $t0 (tuple u8 u8)) {}", definitions.concat());
        let function = function_with(&definitions, r#"(param "x" $t15) (result $t15)"#);
        let wanted = "its types make too long a schema";
        assert_eq!(parameters(&function).expect_err("a long schema").what, format!("parameter `x`: {wanted}"));
        assert_eq!(result(&function).expect_err("a long schema").what, format!("result: {wanted}"));
    }
}

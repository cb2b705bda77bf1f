//! WIT values in JSON and back. [`super::schema`] describes exactly what this file accepts and writes.
//!
//! | WIT | JSON |
//! |---|---|
//! | `bool` | boolean |
//! | `s8` … `u64` | integer within the type's range, with all its digits; `1.0` is no integer |
//! | `f32`, `f64` | number, or `"NaN"`, `"Infinity"`, `"-Infinity"`; an `f32` is written with its shortest digits |
//! | `char` | string of one Unicode scalar value |
//! | `string` | string |
//! | `list<u8>` | string: base64, standard alphabet, padded |
//! | `list<T>` | array |
//! | `list<T, N>` | array of N, also for `u8` |
//! | `map<string, V>` | object |
//! | `map<K, V>` | array of `[key, value]`; no key twice |
//! | `record` | object; a field that is an `option` may be left out and is `null` when written |
//! | `tuple` | array |
//! | `variant` | `"case"`, or `{"case": payload}` if the case has one |
//! | `enum` | string |
//! | `option<T>` | `null` or T |
//! | `option<option<T>>` | `null` or `{"some": …}`, since the inner value may be `null` itself |
//! | `result<T, E>` | `{"ok": …}` or `{"err": …}`, `null` for a payload that is not declared |
//! | `flags` | array of strings, none twice; written in the order of declaration |
//! | `own`, `borrow`, `future`, `stream`, `error-context` | nothing yet |
//!
//! A function's parameters are an object, as a record's fields are. A result that is a `result` as a whole is no value
//! but an outcome: see [`Returned`].
//!
//! A small input can stand for a large value (`[{}, {}]` for records of a thousand options), and a type comes from an
//! untrusted component. So what is built is charged for, as if it were written out in full, before it is built; and so
//! is the search for a case among many, since it runs outside the guest's fuel and deadline. Depth needs no limit of its
//! own: it is that of the type, which the component's validation bounds.

use std::collections::HashSet;
use std::fmt::Display;
use std::io;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringfence_model::limits::OUTPUT_BYTES_MAX;
use serde_json::Map;
use serde_json::Number;
use serde_json::Value;
use thiserror::Error;
use wasmtime::component::Type;
use wasmtime::component::Val;
use wasmtime::component::types;
use wasmtime::component::types::ComponentFunc;

use crate::toolbox::schema::HANDLES_UNSUPPORTED;
use crate::toolbox::schema::STREAMS_UNSUPPORTED;

/// The largest `f32` in its shortest digits: as an `f64` a little above `f32::MAX`, and rounded to it.
pub(super) const F32_MAX: f64 = 3.402_823_5e38;
/// What stands for the numbers JSON has no spelling for.
pub(super) const NOT_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// Bytes of a value, a key or a pointer that an error message repeats.
const SHOWN_BYTES_MAX: usize = 80;
/// Names that an error message lists.
const SHOWN_NAMES_MAX: usize = 16;
/// Cases that are searched for the charge of one byte. All in all a second of work, at worst.
const CASES_PER_BYTE: usize = 16;

/// Why an input is not what a function takes. The caller is at fault.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}: expected {expected}, found {found}", place(.pointer))]
pub struct InputError {
    /// Where in the input, as a JSON Pointer (RFC 6901); empty for the whole of it.
    pub pointer: String,
    /// What should have been there.
    pub expected: String,
    /// What is there: the start of its JSON in backticks, or a few words.
    pub found: String,
}

/// Why a function's answer can't be told in JSON.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputError {
    /// The same key twice in a map: the guest is at fault.
    #[error("the returned map holds the key {0} twice")]
    DuplicateKey(String),
    /// A value the engine has let through although it is not of its type: we are at fault.
    #[error("the returned value is not of the type that the function declares")]
    Mismatch,
    /// More than an answer may be: the guest is at fault.
    #[error("the returned value is over {OUTPUT_BYTES_MAX} bytes of JSON, or as much work to write")]
    TooLong,
    /// A type whose function should not have been offered: we are at fault.
    #[error("the returned value has no JSON form: {0}")]
    Unsupported(&'static str),
}

/// What a function answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Returned {
    /// It answered with the error of its `result`: the payload, if one is declared.
    Error(Option<Value>),
    /// It succeeded: the result, or the payload of its `result`, if one is declared.
    Value(Option<Value>),
}

/// The arguments that an input stands for, in the order of the function's parameters.
pub fn arguments(function: &ComponentFunc, input: &Value) -> Result<Vec<Val>, InputError> {
    let fields: Vec<_> = function.params().collect();
    let values = Reader { left: OUTPUT_BYTES_MAX }.fields(&fields, input, At::Root)?;
    Ok(values.into_iter().map(|(_, value)| value).collect())
}

/// The answer that a function's results stand for.
pub fn returned(function: &ComponentFunc, results: &[Val]) -> Result<Returned, OutputError> {
    let mut writer = Writer { left: OUTPUT_BYTES_MAX };
    let declared: Vec<_> = function.results().collect();
    match (declared.as_slice(), results) {
        ([], []) => Ok(Returned::Value(None)),
        ([Type::Result(ty)], [Val::Result(Ok(value))]) => {
            Ok(Returned::Value(writer.payload(ty.ok(), value.as_deref())?))
        }
        ([Type::Result(ty)], [Val::Result(Err(value))]) => {
            Ok(Returned::Error(writer.payload(ty.err(), value.as_deref())?))
        }
        ([ty], [value]) => Ok(Returned::Value(Some(writer.write(ty, value)?))),
        _ => Err(OutputError::Mismatch),
    }
}

/// Whether a list is one of bytes, which has a form of its own.
pub(super) fn is_bytes(list: &types::List) -> bool {
    matches!(list.ty(), Type::U8)
}

/// Whether a type's own form can be `null`, so that an `option` of it needs a wrapper. It may be left out of a record.
pub(super) fn is_nullable(ty: &Type) -> bool {
    matches!(ty, Type::Option(_))
}

/// From JSON to values, charging for each before it is built.
struct Reader {
    left: u64,
}

impl Reader {
    fn read(&mut self, ty: &Type, input: &Value, at: At<'_>) -> Result<Val, InputError> {
        self.spend(1, at)?;
        match ty {
            Type::Bool => input.as_bool().map(Val::Bool).ok_or_else(|| wrong(at, "`true` or `false`", input)),
            Type::S8 => integer(i8::MIN..=i8::MAX, input, at).map(Val::S8),
            Type::U8 => integer(u8::MIN..=u8::MAX, input, at).map(Val::U8),
            Type::S16 => integer(i16::MIN..=i16::MAX, input, at).map(Val::S16),
            Type::U16 => integer(u16::MIN..=u16::MAX, input, at).map(Val::U16),
            Type::S32 => integer(i32::MIN..=i32::MAX, input, at).map(Val::S32),
            Type::U32 => integer(u32::MIN..=u32::MAX, input, at).map(Val::U32),
            Type::S64 => integer(i64::MIN..=i64::MAX, input, at).map(Val::S64),
            Type::U64 => integer(u64::MIN..=u64::MAX, input, at).map(Val::U64),
            Type::Float32 => float(F32_MAX, input, at).map(|number| Val::Float32(narrowed(number))),
            Type::Float64 => float(f64::MAX, input, at).map(Val::Float64),
            Type::Char => character(input, at).map(Val::Char),
            Type::String => text(input, "a string", at).map(|text| Val::String(text.to_owned())),
            Type::List(list) if is_bytes(list) => bytes(input, at).map(Val::List),
            Type::List(list) => self.items(&list.ty(), array(input, at)?, at).map(Val::List),
            Type::Map(map) => self.map(map, input, at).map(Val::Map),
            Type::Record(record) => self.record(record, input, at).map(Val::Record),
            Type::Tuple(tuple) => self.tuple(tuple.types(), input, at).map(Val::Tuple),
            Type::Variant(variant) => self.variant(variant, input, at),
            Type::Enum(names) => self.name(names, input, at).map(Val::Enum),
            Type::Option(option) => self.option(&option.ty(), input, at).map(Val::Option),
            Type::Result(result) => self.result(result, input, at).map(Val::Result),
            Type::Flags(flags) => self.flags(flags, input, at).map(Val::Flags),
            Type::Own(_) | Type::Borrow(_) => Err(wrong(at, no_value(HANDLES_UNSUPPORTED), input)),
            Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
                Err(wrong(at, no_value(STREAMS_UNSUPPORTED), input))
            }
            Type::FixedLengthList(list) => self.fixed(list, input, at).map(Val::FixedLengthList),
        }
    }

    fn items(&mut self, ty: &Type, items: &[Value], at: At<'_>) -> Result<Vec<Val>, InputError> {
        items.iter().enumerate().map(|(index, item)| self.read(ty, item, At::Index(&at, index))).collect()
    }

    fn map(&mut self, map: &types::Map, input: &Value, at: At<'_>) -> Result<Vec<(Val, Val)>, InputError> {
        let (key, value) = (map.key(), map.value());
        if matches!(key, Type::String) {
            let members = object(input, at)?.iter();
            return members
                .map(|(name, input)| Ok((Val::String(name.clone()), self.read(&value, input, At::Key(&at, name))?)))
                .collect();
        }
        let mut seen = HashSet::new();
        let mut pairs = Vec::new();
        for (index, input) in array(input, at)?.iter().enumerate() {
            let at = At::Index(&at, index);
            let [name, held] = array(input, at)?.as_slice() else {
                return Err(wrong(at, "a key and its value", input));
            };
            let pair = (self.read(&key, name, At::Index(&at, 0))?, self.read(&value, held, At::Index(&at, 1))?);
            if !seen.insert(name.to_string()) {
                return Err(wrong(At::Index(&at, 0), "a key that is not in the map yet", name));
            }
            pairs.push(pair);
        }
        Ok(pairs)
    }

    fn record(&mut self, record: &types::Record, input: &Value, at: At<'_>) -> Result<Vec<(String, Val)>, InputError> {
        let fields: Vec<_> = record.fields().map(|field| (field.name, field.ty)).collect();
        self.fields(&fields, input, at)
    }

    /// The fields of a record, or the parameters of a function.
    fn fields(&mut self, fields: &[(&str, Type)], input: &Value, at: At<'_>) -> Result<Vec<(String, Val)>, InputError> {
        let members = object(input, at)?;
        let known = fields.iter().filter(|(name, _)| members.contains_key(*name)).count();
        if known < members.len() {
            return Err(unknown_key(fields, members, at));
        }
        let mut values = Vec::with_capacity(fields.len());
        for (name, ty) in fields {
            self.spend(name_bytes(name), at)?;
            let value = match members.get(*name) {
                Some(input) => self.read(ty, input, At::Key(&at, name))?,
                None if is_nullable(ty) => Val::Option(None),
                None => return Err(InputError::new(at, format!("the key `{name}`"), "no such key".to_owned())),
            };
            values.push(((*name).to_owned(), value));
        }
        Ok(values)
    }

    fn tuple(
        &mut self,
        types: impl ExactSizeIterator<Item = Type>,
        input: &Value,
        at: At<'_>,
    ) -> Result<Vec<Val>, InputError> {
        let items = array_of(types.len(), input, at)?;
        let pairs = types.zip(items).enumerate();
        pairs.map(|(index, (ty, item))| self.read(&ty, item, At::Index(&at, index))).collect()
    }

    fn variant(&mut self, variant: &types::Variant, input: &Value, at: At<'_>) -> Result<Val, InputError> {
        self.spend(search_bytes(variant.cases().len()), at)?;
        let named = tagged(input).and_then(|(name, payload)| {
            let mut cases = variant.cases();
            cases.find(|case| case.name == name && case.ty.is_some() == payload.is_some()).zip(Some(payload))
        });
        let Some((case, payload)) = named else {
            return Err(wrong(at, one_of(variant.cases().map(|case| case_form(&case))), input));
        };
        self.spend(name_bytes(case.name), at)?;
        let payload = match case.ty.zip(payload) {
            Some((ty, payload)) => Some(Box::new(self.read(&ty, payload, At::Key(&at, case.name))?)),
            None => None,
        };
        Ok(Val::Variant(case.name.to_owned(), payload))
    }

    fn name(&mut self, names: &types::Enum, input: &Value, at: At<'_>) -> Result<String, InputError> {
        self.spend(search_bytes(names.names().len()), at)?;
        let name = input.as_str().filter(|name| names.names().any(|known| known == *name));
        let name = name.ok_or_else(|| wrong(at, one_of(names.names().map(quoted)), input))?;
        self.spend(name_bytes(name), at)?;
        Ok(name.to_owned())
    }

    fn option(&mut self, ty: &Type, input: &Value, at: At<'_>) -> Result<Option<Box<Val>>, InputError> {
        match tagged(input) {
            _ if input.is_null() => Ok(None),
            _ if !is_nullable(ty) => self.read(ty, input, at).map(|value| Some(Box::new(value))),
            Some(("some", Some(payload))) => {
                self.read(ty, payload, At::Key(&at, "some")).map(|value| Some(Box::new(value)))
            }
            _ => Err(wrong(at, "`null` or `{\"some\": …}`", input)),
        }
    }

    fn result(&mut self, result: &types::ResultType, input: &Value, at: At<'_>) -> Result<ResultVal, InputError> {
        match tagged(input) {
            Some(("ok", Some(payload))) => self.payload(result.ok(), payload, At::Key(&at, "ok")).map(Ok),
            Some(("err", Some(payload))) => self.payload(result.err(), payload, At::Key(&at, "err")).map(Err),
            _ => Err(wrong(at, "`{\"ok\": …}` or `{\"err\": …}`", input)),
        }
    }

    fn payload(&mut self, ty: Option<Type>, input: &Value, at: At<'_>) -> Result<Option<Box<Val>>, InputError> {
        match ty {
            Some(ty) => self.read(&ty, input, at).map(|value| Some(Box::new(value))),
            None if input.is_null() => Ok(None),
            None => Err(wrong(at, "`null`", input)),
        }
    }

    fn flags(&mut self, flags: &types::Flags, input: &Value, at: At<'_>) -> Result<Vec<String>, InputError> {
        let mut named = HashSet::new();
        for (index, input) in array(input, at)?.iter().enumerate() {
            let at = At::Index(&at, index);
            let name = input.as_str().filter(|name| flags.names().any(|known| known == *name));
            let name = name.ok_or_else(|| wrong(at, one_of(flags.names().map(quoted)), input))?;
            self.spend(name_bytes(name), at)?;
            if !named.insert(name) {
                return Err(wrong(at, "a flag that is not set yet", input));
            }
        }
        Ok(flags.names().filter(|name| named.contains(name)).map(str::to_owned).collect())
    }

    fn fixed(&mut self, list: &types::FixedLengthList, input: &Value, at: At<'_>) -> Result<Vec<Val>, InputError> {
        let length = usize::try_from(list.len()).unwrap_or(usize::MAX);
        self.items(&list.ty(), array_of(length, input, at)?, at)
    }

    fn spend(&mut self, bytes: u64, at: At<'_>) -> Result<(), InputError> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let expected = format!("at most {OUTPUT_BYTES_MAX} bytes, or as much work, once options are written out");
            InputError::new(at, expected, "more".to_owned())
        })?;
        Ok(())
    }
}

/// The inside of a [`Val::Result`].
type ResultVal = Result<Option<Box<Val>>, Option<Box<Val>>>;

fn integer<T: Display + TryFrom<i128>>(range: RangeInclusive<T>, input: &Value, at: At<'_>) -> Result<T, InputError> {
    let whole = input.as_i64().map(i128::from).or_else(|| input.as_u64().map(i128::from));
    whole
        .and_then(|whole| T::try_from(whole).ok())
        .ok_or_else(|| wrong(at, format!("an integer from {} to {}", range.start(), range.end()), input))
}

fn float(max: f64, input: &Value, at: At<'_>) -> Result<f64, InputError> {
    let number = match input {
        Value::Number(number) => number.as_f64().filter(|number| number.abs() <= max),
        // Rust would read other spellings of these as well.
        Value::String(text) => NOT_NUMBERS.contains(&text.as_str()).then(|| text.parse().ok()).flatten(),
        _ => None,
    };
    let range = || if max < f64::MAX { format!("a number from -{max:e} to {max:e}") } else { "a number".to_owned() };
    number.ok_or_else(|| wrong(at, format!("{}, `\"NaN\"`, `\"Infinity\"` or `\"-Infinity\"`", range()), input))
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest `f32` is the point")]
fn narrowed(number: f64) -> f32 {
    number as f32
}

fn character(input: &Value, at: At<'_>) -> Result<char, InputError> {
    let mut characters = input.as_str().unwrap_or_default().chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(character),
        _ => Err(wrong(at, "a string of one character", input)),
    }
}

fn text<'a>(input: &'a Value, expected: &str, at: At<'_>) -> Result<&'a str, InputError> {
    input.as_str().ok_or_else(|| wrong(at, expected, input))
}

fn bytes(input: &Value, at: At<'_>) -> Result<Vec<Val>, InputError> {
    let expected = "a string of base64, with padding";
    let bytes = STANDARD.decode(text(input, expected, at)?).map_err(|_| wrong(at, expected, input))?;
    Ok(bytes.into_iter().map(Val::U8).collect())
}

fn array<'a>(input: &'a Value, at: At<'_>) -> Result<&'a Vec<Value>, InputError> {
    input.as_array().ok_or_else(|| wrong(at, "an array", input))
}

fn array_of<'a>(length: usize, input: &'a Value, at: At<'_>) -> Result<&'a Vec<Value>, InputError> {
    let array = input.as_array().filter(|items| items.len() == length);
    array.ok_or_else(|| wrong(at, format!("an array of length {length}"), input))
}

fn object<'a>(input: &'a Value, at: At<'_>) -> Result<&'a Map<String, Value>, InputError> {
    input.as_object().ok_or_else(|| wrong(at, "an object", input))
}

/// A case and its payload: `"case"` or `{"case": payload}`.
fn tagged(input: &Value) -> Option<(&str, Option<&Value>)> {
    match input {
        Value::String(name) => Some((name, None)),
        Value::Object(members) if members.len() == 1 => {
            members.iter().next().map(|(name, payload)| (name.as_str(), Some(payload)))
        }
        _ => None,
    }
}

/// From values to JSON, charging for each before it is built.
struct Writer {
    left: u64,
}

impl Writer {
    fn write(&mut self, ty: &Type, value: &Val) -> Result<Value, OutputError> {
        self.spend(1)?;
        match (ty, value) {
            (Type::Bool, Val::Bool(value)) => Ok(Value::from(*value)),
            (Type::S8, Val::S8(value)) => Ok(Value::from(*value)),
            (Type::U8, Val::U8(value)) => Ok(Value::from(*value)),
            (Type::S16, Val::S16(value)) => Ok(Value::from(*value)),
            (Type::U16, Val::U16(value)) => Ok(Value::from(*value)),
            (Type::S32, Val::S32(value)) => Ok(Value::from(*value)),
            (Type::U32, Val::U32(value)) => Ok(Value::from(*value)),
            (Type::S64, Val::S64(value)) => Ok(Value::from(*value)),
            (Type::U64, Val::U64(value)) => Ok(Value::from(*value)),
            (Type::Float32, Val::Float32(value)) => Ok(number(shortest(*value))),
            (Type::Float64, Val::Float64(value)) => Ok(number(*value)),
            (Type::Char, Val::Char(value)) => self.text(value.to_string()),
            (Type::String, Val::String(value)) => self.text(value.clone()),
            (Type::List(list), Val::List(items)) if is_bytes(list) => self.text(base64_of(items)?),
            (Type::List(list), Val::List(items)) => self.items(&list.ty(), items),
            (Type::Map(map), Val::Map(pairs)) => self.map(map, pairs),
            (Type::Record(record), Val::Record(fields)) => self.record(record, fields),
            (Type::Tuple(tuple), Val::Tuple(items)) => self.tuple(tuple.types(), items),
            (Type::Variant(variant), Val::Variant(name, payload)) => self.variant(variant, name, payload.as_deref()),
            (Type::Enum(names), Val::Enum(name)) => self.name(names, name),
            (Type::Option(option), Val::Option(value)) => self.option(&option.ty(), value.as_deref()),
            (Type::Result(result), Val::Result(value)) => self.result(result, value),
            (Type::Flags(flags), Val::Flags(set)) => self.flags(flags, set),
            (Type::Own(_) | Type::Borrow(_), _) => Err(OutputError::Unsupported(HANDLES_UNSUPPORTED)),
            (Type::Future(_) | Type::Stream(_) | Type::ErrorContext, _) => {
                Err(OutputError::Unsupported(STREAMS_UNSUPPORTED))
            }
            (Type::FixedLengthList(list), Val::FixedLengthList(items)) => self.fixed(list, items),
            _ => Err(OutputError::Mismatch),
        }
    }

    fn text(&mut self, text: String) -> Result<Value, OutputError> {
        self.spend(length(&text))?;
        Ok(Value::String(text))
    }

    fn items(&mut self, ty: &Type, items: &[Val]) -> Result<Value, OutputError> {
        items.iter().map(|item| self.write(ty, item)).collect()
    }

    fn map(&mut self, map: &types::Map, pairs: &[(Val, Val)]) -> Result<Value, OutputError> {
        let (key, value) = (map.key(), map.value());
        let mut seen = HashSet::new();
        let mut written = Vec::new();
        for (name, held) in pairs {
            let pair = (self.write(&key, name)?, self.write(&value, held)?);
            if !seen.insert(pair.0.to_string()) {
                return Err(OutputError::DuplicateKey(shown(&pair.0)));
            }
            written.push(pair);
        }
        if matches!(key, Type::String) {
            let members = written.into_iter().filter_map(|(name, value)| Some((name.as_str()?.to_owned(), value)));
            return Ok(Value::Object(members.collect()));
        }
        Ok(written.into_iter().map(|(name, value)| Value::from(vec![name, value])).collect())
    }

    fn record(&mut self, record: &types::Record, fields: &[(String, Val)]) -> Result<Value, OutputError> {
        matching(record.fields().len() == fields.len())?;
        let mut members = Map::new();
        for (field, (name, value)) in record.fields().zip(fields) {
            matching(field.name == name)?;
            members.insert(name.clone(), self.named(name, &field.ty, value)?);
        }
        Ok(Value::Object(members))
    }

    fn tuple(&mut self, types: impl ExactSizeIterator<Item = Type>, items: &[Val]) -> Result<Value, OutputError> {
        matching(types.len() == items.len())?;
        types.zip(items).map(|(ty, item)| self.write(&ty, item)).collect()
    }

    fn variant(&mut self, variant: &types::Variant, name: &str, payload: Option<&Val>) -> Result<Value, OutputError> {
        self.spend(search_bytes(variant.cases().len()))?;
        let case = variant.cases().find(|case| case.name == name).ok_or(OutputError::Mismatch)?;
        match (case.ty, payload) {
            (Some(ty), Some(payload)) => Ok(tag(name, self.named(name, &ty, payload)?)),
            (None, None) => self.text(name.to_owned()),
            _ => Err(OutputError::Mismatch),
        }
    }

    fn name(&mut self, names: &types::Enum, name: &str) -> Result<Value, OutputError> {
        self.spend(search_bytes(names.names().len()))?;
        matching(names.names().any(|known| known == name))?;
        self.text(name.to_owned())
    }

    fn option(&mut self, ty: &Type, value: Option<&Val>) -> Result<Value, OutputError> {
        match value {
            None => Ok(Value::Null),
            Some(value) if is_nullable(ty) => Ok(tag("some", self.named("some", ty, value)?)),
            Some(value) => self.write(ty, value),
        }
    }

    fn result(&mut self, result: &types::ResultType, value: &ResultVal) -> Result<Value, OutputError> {
        let (name, ty, payload) = match value {
            Ok(payload) => ("ok", result.ok(), payload),
            Err(payload) => ("err", result.err(), payload),
        };
        self.spend(name_bytes(name))?;
        Ok(tag(name, self.payload(ty, payload.as_deref())?.unwrap_or_default()))
    }

    fn payload(&mut self, ty: Option<Type>, value: Option<&Val>) -> Result<Option<Value>, OutputError> {
        match (ty, value) {
            (Some(ty), Some(value)) => self.write(&ty, value).map(Some),
            (None, None) => Ok(None),
            _ => Err(OutputError::Mismatch),
        }
    }

    fn flags(&mut self, flags: &types::Flags, set: &[String]) -> Result<Value, OutputError> {
        let names: Vec<_> = flags.names().filter(|name| set.iter().any(|flag| flag == name)).collect();
        matching(names.len() == set.len())?;
        names.into_iter().map(|name| self.text(name.to_owned())).collect()
    }

    fn fixed(&mut self, list: &types::FixedLengthList, items: &[Val]) -> Result<Value, OutputError> {
        matching(usize::try_from(list.len()) == Ok(items.len()))?;
        self.items(&list.ty(), items)
    }

    fn named(&mut self, name: &str, ty: &Type, value: &Val) -> Result<Value, OutputError> {
        self.spend(name_bytes(name))?;
        self.write(ty, value)
    }

    fn spend(&mut self, bytes: u64) -> Result<(), OutputError> {
        self.left = self.left.checked_sub(bytes).ok_or(OutputError::TooLong)?;
        Ok(())
    }
}

/// The number whose JSON has the fewest digits that are read as this `f32`.
fn shortest(value: f32) -> f64 {
    // The digits are read as an `f64` and rounded again. For a few values the two roundings miss the value.
    let digits = value.to_string().parse().ok().filter(|number| narrowed(*number).to_bits() == value.to_bits());
    digits.unwrap_or(f64::from(value))
}

fn number(value: f64) -> Value {
    let [not_a_number, infinity, negative_infinity] = NOT_NUMBERS;
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => Value::from(not_a_number),
        None if value > 0.0 => Value::from(infinity),
        None => Value::from(negative_infinity),
    }
}

fn base64_of(items: &[Val]) -> Result<String, OutputError> {
    let byte = |item: &Val| if let Val::U8(byte) = item { Ok(*byte) } else { Err(OutputError::Mismatch) };
    let bytes: Vec<u8> = items.iter().map(byte).collect::<Result<_, _>>()?;
    Ok(STANDARD.encode(bytes))
}

fn tag(name: &str, payload: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), payload)]))
}

fn matching(matches: bool) -> Result<(), OutputError> {
    if matches { Ok(()) } else { Err(OutputError::Mismatch) }
}

/// Bytes that a key takes in JSON, at least.
fn name_bytes(name: &str) -> u64 {
    length(name) + 3
}

/// What the search for one of so many cases is charged with.
fn search_bytes(cases: usize) -> u64 {
    u64::try_from(cases / CASES_PER_BYTE).unwrap_or(u64::MAX)
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX - 3)
}

/// A place in the input, kept on the stack while its value is read.
#[derive(Clone, Copy)]
enum At<'a> {
    Index(&'a At<'a>, usize),
    Key(&'a At<'a>, &'a str),
    Root,
}

impl At<'_> {
    /// This place as a JSON Pointer.
    fn pointer(&self) -> String {
        match self {
            Self::Index(parent, index) => format!("{}/{index}", parent.pointer()),
            // RFC 6901, 3: the tilde first.
            Self::Key(parent, key) => format!("{}/{}", parent.pointer(), key.replace('~', "~0").replace('/', "~1")),
            Self::Root => String::new(),
        }
    }
}

impl InputError {
    fn new(at: At<'_>, expected: String, found: String) -> Self {
        Self { pointer: at.pointer(), expected, found }
    }
}

fn wrong(at: At<'_>, expected: impl Into<String>, input: &Value) -> InputError {
    InputError::new(at, expected.into(), shown(input))
}

fn unknown_key(fields: &[(&str, Type)], members: &Map<String, Value>, at: At<'_>) -> InputError {
    let known: HashSet<_> = fields.iter().map(|(name, _)| *name).collect();
    let unknown = members.keys().find(|key| !known.contains(key.as_str())).map_or("", String::as_str);
    let names: Vec<_> = fields.iter().map(|(name, _)| format!("`{name}`")).collect();
    let expected = if names.is_empty() { "no keys".to_owned() } else { format!("only the keys {}", listed(&names)) };
    InputError::new(at, expected, format!("the unknown key `{}`", cut(unknown)))
}

fn no_value(reason: &str) -> String {
    format!("no value, since {reason}")
}

fn case_form(case: &types::Case<'_>) -> String {
    if case.ty.is_some() { format!("`{{\"{}\": …}}`", case.name) } else { quoted(case.name) }
}

fn quoted(name: &str) -> String {
    format!("`\"{name}\"`")
}

fn one_of(forms: impl Iterator<Item = String>) -> String {
    let forms: Vec<_> = forms.collect();
    let list = listed(&forms);
    if forms.len() == 1 { list } else { format!("one of {list}") }
}

fn listed(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(SHOWN_NAMES_MAX).map(String::as_str).collect();
    match names.len().saturating_sub(SHOWN_NAMES_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "in the input as a whole".to_owned() } else { format!("at `{}`", cut(pointer)) }
}

/// The start of a value's JSON, in backticks.
fn shown(value: &Value) -> String {
    let mut head = Head(Vec::new());
    // Fails where the head is full; `cut` marks that.
    let _ = serde_json::to_writer(&mut head, value);
    let text = head.0.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    format!("`{}`", cut(text))
}

/// Trust boundary: the text is the caller's or the guest's, and is shown on terminals and in logs.
fn cut(text: &str) -> String {
    let (head, tail) = text.split_at(text.floor_char_boundary(SHOWN_BYTES_MAX));
    let mut clean = String::new();
    for character in head.chars() {
        if is_misleading(character) {
            clean.extend(character.escape_unicode());
        } else {
            clean.push(character);
        }
    }
    if !tail.is_empty() {
        clean.push('…');
    }
    clean
}

/// Whether a character moves the cursor, ends the line or turns the direction of the text.
fn is_misleading(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Keeps the first bytes written to it, a few more than are shown, and ends the writing there.
struct Head(Vec<u8>);

impl io::Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = (SHOWN_BYTES_MAX + 8).saturating_sub(self.0.len());
        self.0.extend(bytes.iter().take(room));
        Ok(bytes.len().min(room))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use ringfence_model::json::canonical;
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
            same(
                "s64",
                vec![json!(i64::MIN), json!(i64::MAX)],
                vec![json!(1_u64 << 63), json!(u64::MAX), json!(-1e19)],
            ),
            same("u64", vec![json!(9_007_199_254_740_993_u64), json!(u64::MAX)], vec![json!(-1), json!(2e19)]),
            Case(
                "f32",
                numbers(&[0.0, -0.0, 0.1, 16_777_216.0, 1e-45, -3.402_823_5e38]),
                vec![
                    (json!(0.100_000_001), json!(0.1)),
                    (json!(16_777_217), json!(16_777_216)),
                    (json!(1e-60), json!(0)),
                ],
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
                vec![
                    json!("AA"),
                    json!("AB=="),
                    json!("AAF="),
                    json!("-_8="),
                    json!("AA==\n"),
                    json!("A A="),
                    json!([1]),
                ],
            ),
            same("(list u16)", vec![json!([]), json!([1, 2, 65535])], vec![json!([-1]), json!({}), json!("AA==")]),
            same("(list (list u8))", vec![json!(["AA==", ""])], vec![json!("AA=="), json!([[0]])]),
            same(
                "(list u8 2)",
                vec![json!([1, 2])],
                vec![json!([1]), json!([1, 2, 3]), json!("AAA="), json!([1, 256])],
            ),
            same(
                "(map string u8)",
                vec![json!({}), json!({"": 1, "a/b": 2})],
                vec![json!([["a", 1]]), json!({"a": -1})],
            ),
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
                vec![
                    json!("none"),
                    json!({"dot": {"x": 1, "label": null}}),
                    json!({"text": null}),
                    json!({"text": "all"}),
                ],
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
                assert_eq!(
                    text_of(&there_and_back(&function, &written).expect(ty)),
                    text_of(&wanted),
                    "{ty}: {written}"
                );
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
            (
                r#"(param "p" $point)"#,
                json!({"p": {"x": 1, "label": 12}}),
                "at `/p/label`: expected a string, found `12`",
            ),
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
            (
                r#"(param "r" (result u8))"#,
                json!({"r": 1}),
                r#"at `/r`: expected `{"ok": …}` or `{"err": …}`, found `1`"#,
            ),
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
            (
                "",
                json!({"\u{1b}[2J": 1}),
                r"in the input as a whole: expected no keys, found the unknown key `\u{1b}[2J`",
            ),
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
            (
                "(result (result string (error string)))",
                vec![Val::Result(Ok(text()))],
                Returned::Value(Some(json!("a"))),
            ),
            (
                "(result (result string (error string)))",
                vec![Val::Result(Err(text()))],
                Returned::Error(Some(json!("a"))),
            ),
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
                    let fields =
                        join(inner, |index, inner| format!(r#"(field "n{index}" {})"#, inner.text(definitions)));
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
                Self::Fixed(inner, length) => {
                    prop::collection::vec(inner.inputs(), *length).prop_map(Value::from).boxed()
                }
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
}

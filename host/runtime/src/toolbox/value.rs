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
mod tests;

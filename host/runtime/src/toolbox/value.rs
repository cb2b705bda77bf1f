//! WIT values in JSON and back. [`super::schema`] describes exactly what this module accepts and writes.
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

mod excerpt;
mod reader;
mod writer;

use ringfence_model::limits::OUTPUT_BYTES_MAX;
use serde_json::Value;
use thiserror::Error;
use wasmtime::component::Type;
use wasmtime::component::Val;
use wasmtime::component::types;
use wasmtime::component::types::ComponentFunc;

use crate::toolbox::value::excerpt::place;
use crate::toolbox::value::reader::At;
use crate::toolbox::value::reader::Reader;
use crate::toolbox::value::writer::Writer;

/// The largest `f32` in its shortest digits: as an `f64` a little above `f32::MAX`, and rounded to it.
pub(super) const F32_MAX: f64 = 3.402_823_5e38;

/// What stands for the numbers JSON has no spelling for.
pub(super) const NOT_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

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

/// The inside of a [`Val::Result`].
type ResultVal = Result<Option<Box<Val>>, Option<Box<Val>>>;

#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest `f32` is the point")]
fn narrowed(number: f64) -> f32 {
    number as f32
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

#[cfg(test)]
mod tests;

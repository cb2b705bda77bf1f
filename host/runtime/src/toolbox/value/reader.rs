//! From JSON to values: each is charged for before it is built, and what does not fit is named with its place.

use std::collections::HashSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ringfence_model::limits::OUTPUT_BYTES_MAX;
use serde_json::Map;
use serde_json::Value;
use wasmtime::component::Type;
use wasmtime::component::Val;
use wasmtime::component::types;

use crate::toolbox::schema::HANDLES_UNSUPPORTED;
use crate::toolbox::schema::STREAMS_UNSUPPORTED;
use crate::toolbox::value::F32_MAX;
use crate::toolbox::value::InputError;
use crate::toolbox::value::NOT_NUMBERS;
use crate::toolbox::value::ResultVal;
use crate::toolbox::value::excerpt::cut;
use crate::toolbox::value::excerpt::shown;
use crate::toolbox::value::is_bytes;
use crate::toolbox::value::is_nullable;
use crate::toolbox::value::name_bytes;
use crate::toolbox::value::narrowed;
use crate::toolbox::value::search_bytes;

/// From JSON to values, charging for each before it is built.
pub(super) struct Reader {
    pub(super) left: u64,
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
    pub(super) fn fields(
        &mut self,
        fields: &[(&str, Type)],
        input: &Value,
        at: At<'_>,
    ) -> Result<Vec<(String, Val)>, InputError> {
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

/// A place in the input, kept on the stack while its value is read.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
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

/// Names that an error message lists.
const SHOWN_NAMES_MAX: usize = 16;

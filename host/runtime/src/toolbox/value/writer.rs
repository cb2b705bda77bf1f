//! From values to JSON: each is charged for before it is built, and what is not of its declared type is an error.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Map;
use serde_json::Number;
use serde_json::Value;
use wasmtime::component::Type;
use wasmtime::component::Val;
use wasmtime::component::types;

use crate::toolbox::schema::HANDLES_UNSUPPORTED;
use crate::toolbox::schema::STREAMS_UNSUPPORTED;
use crate::toolbox::value::NOT_NUMBERS;
use crate::toolbox::value::OutputError;
use crate::toolbox::value::ResultVal;
use crate::toolbox::value::excerpt::shown;
use crate::toolbox::value::is_bytes;
use crate::toolbox::value::is_nullable;
use crate::toolbox::value::length;
use crate::toolbox::value::name_bytes;
use crate::toolbox::value::narrowed;
use crate::toolbox::value::search_bytes;

/// From values to JSON, charging for each before it is built.
pub(super) struct Writer {
    pub(super) left: u64,
}

impl Writer {
    pub(super) fn write(&mut self, ty: &Type, value: &Val) -> Result<Value, OutputError> {
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

    pub(super) fn payload(&mut self, ty: Option<Type>, value: Option<&Val>) -> Result<Option<Value>, OutputError> {
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
pub(super) fn shortest(value: f32) -> f64 {
    // The digits are read as an `f64` and rounded again. For a few values the two roundings miss the value.
    let digits = value.to_string().parse().ok().filter(|number| narrowed(*number).to_bits() == value.to_bits());
    digits.unwrap_or(f64::from(value))
}

pub(super) fn number(value: f64) -> Value {
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

pub(super) fn tag(name: &str, payload: Value) -> Value {
    Value::Object(Map::from_iter([(name.to_owned(), payload)]))
}

fn matching(matches: bool) -> Result<(), OutputError> {
    if matches { Ok(()) } else { Err(OutputError::Mismatch) }
}

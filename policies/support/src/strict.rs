//! Settings, read strictly: what is not understood is a problem, and every problem is named with its JSON Pointer.
//!
//! A [`Table`] hands out its members one by one. What nobody has asked for in the end is a setting that does not exist.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::types::SettingsProblem;
use crate::{problem, quoted};

/// An object of settings that is being read.
#[derive(Debug)]
pub struct Table {
    pointer: String,
    members: Map<String, Value>,
    problems: Vec<SettingsProblem>,
}

impl Table {
    /// The settings as a whole.
    pub fn parse(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(value) => Self::new(String::new(), value),
            Err(error) => {
                let problems = vec![problem("", format!("the settings are not JSON: {error}"))];
                Self { pointer: String::new(), members: Map::new(), problems }
            }
        }
    }

    fn new(pointer: String, value: Value) -> Self {
        match value {
            Value::Object(members) => Self { pointer, members, problems: Vec::new() },
            _ => {
                let problems = vec![problem(pointer.as_str(), "has to be an object")];
                Self { pointer, members: Map::new(), problems }
            }
        }
    }

    /// What was read, or everything that is wrong.
    pub fn finish<T>(self, read: T) -> Result<T, Vec<SettingsProblem>> {
        let problems = self.into_problems();
        if problems.is_empty() { Ok(read) } else { Err(problems) }
    }

    fn into_problems(mut self) -> Vec<SettingsProblem> {
        let unknown = self.members.keys().map(|key| problem(self.at(key), "there is no such setting"));
        let unknown: Vec<_> = unknown.collect();
        self.problems.extend(unknown);
        self.problems
    }

    /// Says that a member is wrong.
    pub fn reject(&mut self, key: &str, text: impl Into<String>) {
        self.problems.push(problem(self.at(key), text));
    }

    /// Whether there is such a member.
    pub fn has(&self, key: &str) -> bool {
        self.members.contains_key(key)
    }

    /// A member as it is.
    pub fn value(&mut self, key: &str) -> Option<Value> {
        self.members.remove(key)
    }

    /// `true` or `false`; `false` if it is missing.
    pub fn flag(&mut self, key: &str) -> bool {
        match self.members.remove(key) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.reject(key, "has to be `true` or `false`");
                false
            }
        }
    }

    /// A whole number within a range.
    pub fn integer(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let value = self.members.remove(key)?;
        let integer = value.as_u64().filter(|integer| range.contains(integer));
        if integer.is_none() {
            self.reject(key, format!("has to be a whole number from {} to {}", range.start(), range.end()));
        }
        integer
    }

    /// A text that `read` accepts.
    pub fn text<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.members.remove(key)?;
        let read = value.as_str().ok_or_else(|| "has to be text".to_owned()).and_then(read);
        read.map_err(|text| self.reject(key, text)).ok()
    }

    /// A list of texts that `read` accepts; empty if it is missing.
    pub fn texts<T>(&mut self, key: &str, max: usize, read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let mut texts = Vec::new();
        for (index, value) in self.list(key, max).into_iter().enumerate() {
            match value.as_str().ok_or_else(|| "has to be text".to_owned()).and_then(&read) {
                Ok(text) => texts.push(text),
                Err(text) => self.problems.push(problem(format!("{}/{index}", self.at(key)), text)),
            }
        }
        texts
    }

    /// A list of objects, each read by `read`; empty if it is missing.
    pub fn tables<T>(&mut self, key: &str, max: usize, mut read: impl FnMut(&mut Self) -> Option<T>) -> Vec<T> {
        let mut read_ones = Vec::new();
        for (index, value) in self.list(key, max).into_iter().enumerate() {
            read_ones.extend(self.nested(format!("{}/{index}", self.at(key)), value, &mut read));
        }
        read_ones
    }

    /// An object, read by `read`.
    pub fn table<T>(&mut self, key: &str, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<T> {
        let value = self.members.remove(key)?;
        self.nested(self.at(key), value, &mut read)
    }

    fn nested<T>(&mut self, pointer: String, value: Value, read: &mut impl FnMut(&mut Self) -> Option<T>) -> Option<T> {
        let mut table = Self::new(pointer, value);
        let was_object = table.problems.is_empty();
        let read = was_object.then(|| read(&mut table)).flatten();
        self.problems.extend(table.into_problems());
        read
    }

    fn list(&mut self, key: &str, max: usize) -> Vec<Value> {
        match self.members.remove(key) {
            None => Vec::new(),
            Some(Value::Array(values)) if values.len() <= max => values,
            Some(_) => {
                self.reject(key, format!("has to be a list of at most {max}"));
                Vec::new()
            }
        }
    }

    fn at(&self, key: &str) -> String {
        format!("{}/{}", self.pointer, key.replace('~', "~0").replace('/', "~1"))
    }
}

/// Reads a JSON Pointer (RFC 6901).
pub fn pointer(text: &str) -> Result<String, String> {
    let escapes_are_whole = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if (text.is_empty() || text.starts_with('/')) && escapes_are_whole {
        Ok(text.to_owned())
    } else {
        Err(format!("{} is not a JSON Pointer", quoted(text)))
    }
}

/// Reads text that is not empty.
pub fn some_text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("has to hold something".to_owned()) } else { Ok(text.to_owned()) }
}

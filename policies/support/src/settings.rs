//! Settings, read strictly: whatever is wrong with them is named with its JSON Pointer, and nothing is passed over.

use core::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::types::{SettingsProblem, Verdict};
use crate::{forbid, problem, quoted, reason};

/// Problems that are named at a time.
const PROBLEMS_MAX: usize = 32;

/// Reads settings, or lists what is wrong with them. `read` answers with nothing only where it has named a problem.
pub fn read<T>(
    text: &str,
    read: impl FnOnce(&Place<'_>, &mut Problems) -> Option<T>,
) -> Result<T, Vec<SettingsProblem>> {
    let value: Value =
        serde_json::from_str(text).map_err(|error| vec![problem("", format!("the settings are not JSON: {error}"))])?;
    of(&value, read)
}

/// Reads what was parsed already, or a part of the settings.
pub fn of<T>(
    value: &Value,
    read: impl FnOnce(&Place<'_>, &mut Problems) -> Option<T>,
) -> Result<T, Vec<SettingsProblem>> {
    let mut problems = Problems::default();
    let settings = read(&Place { value, at: At::Root }, &mut problems);
    settings.filter(|_| problems.list.is_empty()).ok_or(problems.list)
}

/// What a policy says that is asked with settings it never accepted.
pub fn not_valid() -> Verdict {
    forbid(reason("settings-not-valid", "the settings are not those of this policy"))
}

/// What was found to be wrong.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<SettingsProblem>,
}

/// A value in the settings, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The value.
    pub value: &'a Value,
    at: At<'a>,
}

/// Where a value stands. It is written out only for a problem.
#[derive(Clone, Copy, Debug)]
enum At<'a> {
    Item(&'a Place<'a>, usize),
    Member(&'a Place<'a>, &'a str),
    Root,
}

/// The members of an object in the settings.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    members: &'a Map<String, Value>,
    place: &'a Place<'a>,
}

impl Place<'_> {
    /// Names a problem here; answers with nothing, so that a reader can end with it.
    pub fn wrong<T>(&self, problems: &mut Problems, text: impl Into<String>) -> Option<T> {
        if problems.list.len() < PROBLEMS_MAX {
            problems.list.push(problem(self.pointer(), text));
        }
        None
    }

    fn pointer(&self) -> String {
        match self.at {
            At::Item(parent, index) => format!("{}/{index}", parent.pointer()),
            At::Member(parent, key) => {
                format!("{}/{}", parent.pointer(), key.replace('~', "~0").replace('/', "~1"))
            }
            At::Root => String::new(),
        }
    }

    /// An object whose keys are among these.
    pub fn object(&self, known: &[&str], problems: &mut Problems) -> Option<Members<'_>> {
        let members = self.members(problems)?;
        for (key, place) in members.all() {
            if !known.contains(&key) {
                place.wrong::<()>(problems, "there is no such setting");
            }
        }
        Some(members)
    }

    /// An object whatever its keys.
    pub fn members(&self, problems: &mut Problems) -> Option<Members<'_>> {
        match self.value {
            Value::Object(members) => Some(Members { members, place: self }),
            _ => self.wrong(problems, "this has to be an object"),
        }
    }

    /// A list with so many items.
    pub fn list<T>(
        &self,
        count: RangeInclusive<usize>,
        problems: &mut Problems,
        mut item: impl FnMut(&Place<'_>, &mut Problems) -> Option<T>,
    ) -> Option<Vec<T>> {
        let values = match self.value {
            Value::Array(values) if count.contains(&values.len()) => values,
            _ => return self.wrong(problems, format!("this has to be a list of {} to {}", count.start(), count.end())),
        };
        let places = values.iter().enumerate().map(|(index, value)| Place { value, at: At::Item(self, index) });
        Some(places.filter_map(|place| item(&place, problems)).collect())
    }

    /// A text.
    pub fn text(&self, problems: &mut Problems) -> Option<&str> {
        self.value.as_str().or_else(|| self.wrong(problems, "this has to be text"))
    }

    /// A text that is read further; `wanted` says what it has to be.
    pub fn parsed<T>(&self, wanted: &str, problems: &mut Problems, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.text(problems)?;
        parse(text).or_else(|| self.wrong(problems, format!("{} is not {wanted}", quoted(text))))
    }

    /// One of these words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let found = self.value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
        found.map(|(_, meaning)| *meaning).or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| quoted(word)).collect();
            self.wrong(problems, format!("this has to be one of {}", known.join(", ")))
        })
    }

    /// A whole number within a range.
    pub fn integer(&self, range: RangeInclusive<i64>, problems: &mut Problems) -> Option<i64> {
        self.value.as_i64().filter(|number| range.contains(number)).or_else(|| {
            self.wrong(problems, format!("this has to be a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// Yes or no.
    pub fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        self.value.as_bool().or_else(|| self.wrong(problems, "this has to be `true` or `false`"))
    }
}

impl<'a> Members<'a> {
    /// Every member, in order.
    pub fn all(self) -> impl Iterator<Item = (&'a str, Place<'a>)> {
        self.members.iter().map(move |(key, value)| (key.as_str(), self.member(key, value)))
    }

    /// A member, if it is there.
    pub fn get(&self, key: &str) -> Option<Place<'a>> {
        self.members.get_key_value(key).map(|(key, value)| self.member(key, value))
    }

    /// A member that has to be there.
    pub fn required(&self, key: &str, problems: &mut Problems) -> Option<Place<'a>> {
        self.get(key).or_else(|| self.place.wrong(problems, format!("`{key}` is missing")))
    }

    /// A member that is read if it is there.
    pub fn optional<T>(&self, key: &str, read: impl FnOnce(&Place<'_>) -> Option<T>) -> Option<T> {
        read(&self.get(key)?)
    }

    fn member(&self, key: &'a str, value: &'a Value) -> Place<'a> {
        Place { value, at: At::Member(self.place, key) }
    }
}

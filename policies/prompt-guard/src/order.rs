//! Whether messages are in order, and what has to be taken out for them to be.
//!
//! Each message is judged by those before it that stay. So what is left is in order by itself: judged again, nothing
//! more is taken out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cut;
use crate::fault::{Fault, Faults};
use crate::message::{Message, ToolCall, ToolResult};
use crate::settings::{Duplicates, Settings};

/// What is wrong, and what is taken out for it.
#[derive(Debug, Default)]
pub struct Order {
    pub faults: Faults,
    /// Pointers to what is taken out, in the order of the transcript.
    pub cuts: Vec<String>,
    /// Which messages stay.
    pub kept: Vec<usize>,
}

/// Judges messages in their order.
pub fn judge(settings: &Settings, messages: &[Value]) -> Order {
    let read: Vec<_> = messages.iter().map(Message::read).collect();
    let mut walk = Walk {
        settings,
        everywhere: Ids::of(read.iter().flatten()),
        called: BTreeSet::new(),
        open: BTreeMap::new(),
        seen: Seen::default(),
        order: Order::default(),
    };
    for (index, (value, message)) in messages.iter().zip(&read).enumerate() {
        match message {
            Err(what) => walk.cannot_be_read(index, Fault::MalformedMessage, what),
            Ok(message) if !settings.roles.contains(message.role) => {
                walk.cannot_be_read(index, Fault::InvalidRole, "has no role that a message can have");
            }
            Ok(message) => walk.message(index, value, message),
        }
    }
    walk.order
}

/// Ids anywhere in a transcript, whether or not they stay.
struct Ids<'m> {
    called: BTreeSet<&'m str>,
    answered: BTreeSet<&'m str>,
}

impl<'m> Ids<'m> {
    fn of(messages: impl Iterator<Item = &'m Message<'m>>) -> Self {
        let mut ids = Self { called: BTreeSet::new(), answered: BTreeSet::new() };
        for message in messages {
            ids.called.extend(message.calls.iter().filter_map(|call| call.id));
            ids.answered.extend(message.results.iter().filter_map(|result| result.id));
        }
        ids
    }
}

struct Walk<'m> {
    settings: &'m Settings,
    everywhere: Ids<'m>,
    /// Calls that stay.
    called: BTreeSet<&'m str>,
    /// Calls that the next message can answer, and whether they are answered.
    open: BTreeMap<&'m str, bool>,
    seen: Seen<'m>,
    order: Order,
}

impl<'m> Walk<'m> {
    fn cannot_be_read(&mut self, index: usize, fault: Fault, what: &str) {
        self.order.faults.add(fault, || format!("message {index} {what}"));
        self.order.kept.push(index);
        self.open.clear();
    }

    fn message(&mut self, index: usize, value: &'m Value, message: &Message<'m>) {
        if self.is_duplicate(value) {
            self.drop_duplicate(index);
            return;
        }
        let mut cuts = Vec::new();
        let called = self.calls(index, message, &mut cuts);
        let answered = self.results(index, message, &mut cuts);
        for artifact in &message.artifacts {
            self.fault(Fault::ParsedArtifact, index, "holds what a library parsed");
            cuts.push(artifact.clone());
        }
        let Some(left) = cut::apply(value, cuts) else {
            self.order.cuts.push(format!("/{index}"));
            return;
        };
        if left.message.as_ref().is_some_and(|message| self.is_duplicate(message)) {
            self.drop_duplicate(index);
            return;
        }
        self.order.cuts.extend(left.cuts.iter().map(|cut| format!("/{index}{cut}")));
        self.stays(index, message, called, answered);
        self.seen.add(self.settings.duplicates, value, left.message);
    }

    fn stays(&mut self, index: usize, message: &Message<'m>, called: Vec<&'m str>, answered: usize) {
        self.order.kept.push(index);
        self.called.extend(&called);
        // Answers follow their call at once: as messages of their own, or all of them in the user's next message.
        if message.role == "assistant" {
            self.open = called.into_iter().map(|id| (id, false)).collect();
        } else if message.role != "tool" || answered == 0 {
            self.open.clear();
        }
    }

    fn drop_duplicate(&mut self, index: usize) {
        self.fault(Fault::DuplicateMessage, index, "is the same as an earlier one");
        self.order.cuts.push(format!("/{index}"));
    }

    fn is_duplicate(&self, value: &Value) -> bool {
        self.seen.has(self.settings.duplicates, value)
    }

    /// The calls of a message that stay.
    fn calls(&mut self, index: usize, message: &Message<'m>, cuts: &mut Vec<String>) -> Vec<&'m str> {
        let mut staying: Vec<&ToolCall<'m>> = Vec::new();
        let mut ids = BTreeSet::new();
        for call in &message.calls {
            let objection = match call.id {
                _ if message.role != "assistant" => {
                    Some((Fault::MisplacedToolCall, "calls a tool and is not the assistant's"))
                }
                None => Some((Fault::MissingToolCallId, "has a tool call without an id")),
                Some(id) if self.called.contains(id) || !ids.insert(id) => {
                    Some((Fault::DuplicateToolCallIds, "has a tool call with the id of another"))
                }
                Some(_) => None,
            };
            match objection {
                Some((fault, what)) => {
                    self.fault(fault, index, what);
                    cuts.push(call.pointer.clone());
                }
                None => staying.push(call),
            }
        }
        for pointer in self.doubled(&staying) {
            self.fault(Fault::DuplicateToolCallBlocks, index, "has one tool call in two forms");
            staying.retain(|call| call.pointer != pointer);
            cuts.push(pointer);
        }
        for call in &staying {
            self.leftovers(index, call, cuts);
        }
        staying.iter().filter_map(|call| call.id).collect()
    }

    /// Calls that two interfaces wrote down, each in its own form: `fc_…` beside `call_…`, of the same function with the
    /// same arguments. The form that is answered stays.
    fn doubled(&self, calls: &[&ToolCall<'m>]) -> Vec<String> {
        let mut groups: BTreeMap<_, [Vec<&ToolCall<'m>>; 2]> = BTreeMap::new();
        for call in calls {
            let (Some(id), Some(function)) = (call.id, call.function) else { continue };
            let form = if id.starts_with("fc_") {
                0
            } else if id.starts_with("call_") {
                1
            } else {
                continue;
            };
            // Not all of it: one form may hold what a library parsed, and the other not.
            let key = (function["name"].to_string(), function["arguments"].to_string());
            groups.entry(key).or_default()[form].push(call);
        }
        let is_answered = |call: &&ToolCall<'m>| call.id.is_some_and(|id| self.everywhere.answered.contains(id));
        let mut doubled = Vec::new();
        for [items, calls] in groups.into_values().filter(|[items, calls]| !items.is_empty() && !calls.is_empty()) {
            let calls_go = items.iter().any(is_answered) && !calls.iter().any(is_answered);
            let going = if calls_go { calls } else { items };
            doubled.extend(going.into_iter().map(|call| call.pointer.clone()));
        }
        doubled
    }

    /// What a stream or a library left behind in a call that stays.
    fn leftovers(&mut self, index: usize, call: &ToolCall<'m>, cuts: &mut Vec<String>) {
        if let Some(pointer) = &call.index {
            self.fault(Fault::NonzeroToolCallIndex, index, "has a tool call with an index other than 0");
            cuts.push(pointer.clone());
        }
        if let Some(pointer) = &call.artifact {
            self.fault(Fault::ParsedArtifact, index, "holds what a library parsed");
            cuts.push(pointer.clone());
        }
    }

    /// How many of a message's results stay.
    fn results(&mut self, index: usize, message: &Message<'m>, cuts: &mut Vec<String>) -> usize {
        let before = cuts.len();
        for result in &message.results {
            if let Some((fault, what)) = self.objection(message, result) {
                self.fault(fault, index, what);
                cuts.push(result.pointer.clone());
            }
        }
        message.results.len() - (cuts.len() - before)
    }

    fn objection(&mut self, message: &Message<'m>, result: &ToolResult<'m>) -> Option<(Fault, &'static str)> {
        let Some(id) = result.id else {
            return Some((Fault::MissingToolCallId, "has a tool's result without the id of a call"));
        };
        if !self.everywhere.called.contains(id) {
            return Some((Fault::OrphanedToolResult, "has the result of a call that nobody made"));
        }
        let is_in_place = if result.pointer.is_empty() { message.role == "tool" } else { message.role == "user" };
        match self.open.get_mut(id) {
            Some(is_answered) if is_in_place && !*is_answered => {
                *is_answered = true;
                None
            }
            Some(_) if is_in_place => {
                Some((Fault::DuplicateToolResult, "has the result of a call that has one already"))
            }
            _ => Some((Fault::MisplacedToolResult, "has a tool's result that does not follow its call")),
        }
    }

    fn fault(&mut self, fault: Fault, index: usize, what: &str) {
        self.order.faults.add(fault, || format!("message {index} {what}"));
    }
}

/// Messages that stay, as they were and as they are: what a later one may not be the same as.
#[derive(Default)]
struct Seen<'m> {
    last: (Option<&'m Value>, Option<Value>),
    all: BTreeSet<String>,
}

impl<'m> Seen<'m> {
    fn has(&self, duplicates: Duplicates, message: &Value) -> bool {
        match duplicates {
            Duplicates::Adjacent => self.last.0 == Some(message) || self.last.1.as_ref() == Some(message),
            Duplicates::Allowed => false,
            Duplicates::Anywhere => self.all.contains(&message.to_string()),
        }
    }

    fn add(&mut self, duplicates: Duplicates, before: &'m Value, after: Option<Value>) {
        match duplicates {
            Duplicates::Adjacent => self.last = (Some(before), after),
            Duplicates::Allowed => {}
            Duplicates::Anywhere => {
                self.all.insert(before.to_string());
                self.all.extend(after.map(|after| after.to_string()));
            }
        }
    }
}

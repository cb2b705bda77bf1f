//! What is left of a message when parts of it are taken out.

use std::cmp::Reverse;

use serde_json::Value;

/// Members that are lists, and that go when nothing is left in them.
const LISTS: [&str; 2] = ["/content", "/tool_calls"];

/// What is left.
#[derive(Debug)]
pub struct Left {
    /// The message, if it changed.
    pub message: Option<Value>,
    /// Pointers to what was taken out, in the order of the message.
    pub cuts: Vec<String>,
}

/// Takes parts out of a message. Nothing is left of one that was a tool's result itself, or that said nothing but what
/// was taken out.
pub fn apply(message: &Value, mut cuts: Vec<String>) -> Option<Left> {
    if cuts.is_empty() {
        return Some(Left { message: None, cuts });
    }
    if cuts.iter().any(String::is_empty) {
        return None;
    }
    let mut left = message.clone();
    // From the last to the first, so that no element moves before its turn.
    cuts.sort_by_cached_key(|cut| Reverse(place(cut)));
    cuts.iter().for_each(|cut| remove(&mut left, cut));
    let lost_something = cuts.iter().any(|cut| LISTS.iter().any(|list| is_element(cut, list)));
    if lost_something && LISTS.iter().all(|list| says_nothing(&left, list)) {
        return None;
    }
    for list in LISTS {
        let lost_all = says_nothing(&left, list) && cuts.iter().any(|cut| is_element(cut, list));
        if lost_all {
            cuts.retain(|cut| !cut.starts_with(&format!("{list}/")));
            cuts.push(list.to_owned());
            remove(&mut left, list);
        }
    }
    cuts.sort_by_cached_key(|cut| place(cut));
    Some(Left { message: Some(left), cuts })
}

/// Where a pointer stands among others: element 10 after element 9.
fn place(cut: &str) -> Vec<(usize, String)> {
    cut.split('/').map(|step| (step.parse().unwrap_or(0), step.to_owned())).collect()
}

fn is_element(cut: &str, list: &str) -> bool {
    cut.strip_prefix(list).and_then(|rest| rest.strip_prefix('/')).is_some_and(|rest| !rest.contains('/'))
}

fn says_nothing(message: &Value, list: &str) -> bool {
    match message.pointer(list) {
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::String(text)) => text.is_empty(),
        _ => true,
    }
}

fn remove(message: &mut Value, cut: &str) {
    let Some((parent, last)) = cut.rsplit_once('/') else { return };
    match message.pointer_mut(parent) {
        Some(Value::Object(members)) => drop(members.remove(last)),
        Some(Value::Array(items)) => {
            let index = last.parse().unwrap_or(usize::MAX);
            if index < items.len() {
                items.remove(index);
            }
        }
        _ => {}
    }
}

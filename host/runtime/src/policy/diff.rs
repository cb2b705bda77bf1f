//! What changes when one set of policies takes the place of another.
//!
//! Both are asked about the same request. A decision changes if one allows what the other denies, or allows it under
//! other conditions; other reasons for the same no change nothing.

use std::collections::BTreeSet;

use ringfence_model::decision::Answer;
use ringfence_model::decision::Decision;
use ringfence_model::decision::Ruling;
use serde::Serialize;

use crate::policy::cases::said;
use crate::policy::cases::word;

/// A decision that is another one under another set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it was.
    pub from: &'static str,
    /// What it becomes.
    pub to: &'static str,
    /// The policies that make the difference, with what each says now: those that say it in one of the two sets only.
    pub by: Vec<String>,
}

/// How two decisions on one request differ, if they do.
pub fn change(from: &Decision, to: &Decision) -> Option<Change> {
    let (from_word, to_word) = match (&from.answer, &to.answer) {
        (Answer::Allow(before), Answer::Allow(after)) if before != after => ("allowed", "allowed otherwise"),
        (Answer::Allow(_), Answer::Deny(_)) => ("allowed", "denied"),
        (Answer::Deny(_), Answer::Allow(_)) => ("denied", "allowed"),
        _ => return None,
    };
    let before: BTreeSet<_> = from.rulings.iter().map(line).collect();
    let after: BTreeSet<_> = to.rulings.iter().map(line).collect();
    let gone = before.difference(&after).map(|line| format!("no longer {line}"));
    let new = after.difference(&before).cloned();
    let mut by: Vec<_> = new.chain(gone).collect();
    if by.is_empty() {
        by.push("the conditions of a permit".to_owned());
    }
    Some(Change { from: from_word, to: to_word, by })
}

fn line(ruling: &Ruling) -> String {
    let (verdict, codes) = said(&ruling.verdict);
    let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
    format!("{} {}{codes}", ruling.policy.name, word(verdict))
}

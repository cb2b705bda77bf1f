//! One pass over a text: where its secrets are.
//!
//! Each byte costs one look-up, and each anchor a bounded look around it or one that nothing looks at again: the cost
//! grows with the size, whoever wrote the text. Only an operator's own patterns cost more.

use crate::bytes::{self, ALPHANUMERIC, ANCHOR, BASE64, DASH, UNDERSCORE};
use crate::settings::{Entropy, Settings};
use crate::{assignments, tokens};

/// A secret in a text: the rule that found it, and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Finding<'s> {
    pub rule: &'s str,
    pub start: usize,
    pub end: usize,
}

/// The secrets of a text, in order.
pub fn scan<'s>(settings: &'s Settings, text: &[u8]) -> Vec<Finding<'s>> {
    if bytes::find(text, 0, ANCHOR).is_none() && settings.is_plain() {
        return Vec::new();
    }
    let mut found = anchored(text);
    found.extend(settings.entropy.iter().flat_map(|entropy| random_runs(text, *entropy)));
    found.extend(by_patterns(settings, text));
    found.retain(|finding| !settings.excuses(finding.rule, &text[finding.start..finding.end]));
    found.sort_by_key(|finding| (finding.start, finding.end));
    found
}

fn anchored(text: &[u8]) -> Vec<Finding<'static>> {
    let mut found = Vec::new();
    let (mut from, mut aws_from) = (0, 0);
    while let Some(at) = bytes::find(text, from, ANCHOR) {
        let anchor = text[at];
        let finding = match anchor {
            b'=' | b':' => assignments::at(text, at, anchor),
            _ => tokens::at(text, at, anchor),
        };
        from = at + 1;
        if let Some(finding) = finding {
            if finding.rule == "aws-access-key" {
                let (secrets, until) = tokens::aws_secrets(text, &finding, aws_from);
                found.extend(secrets);
                aws_from = until;
            }
            from = from.max(finding.end);
            found.push(finding);
        }
    }
    found
}

/// Runs of letters and digits that look like chance.
fn random_runs(text: &[u8], entropy: Entropy) -> Vec<Finding<'static>> {
    const RUN: u8 = ALPHANUMERIC | BASE64 | DASH | UNDERSCORE;
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = bytes::find(text, from, RUN) {
        let end = bytes::run(text, start, RUN);
        if end - start >= entropy.bytes_min && bits_per_byte(&text[start..end]) >= entropy.bits {
            found.push(Finding { rule: "entropy", start, end });
        }
        from = end;
    }
    found
}

/// Shannon's entropy of the bytes that a run has.
fn bits_per_byte(run: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in run {
        counts[usize::from(*byte)] += 1;
    }
    let length = run.len() as f64;
    let bits = |count: &u32| -f64::from(*count) * (f64::from(*count) / length).log2();
    counts.iter().filter(|count| **count > 0).map(bits).sum::<f64>() / length
}

fn by_patterns<'s>(settings: &'s Settings, text: &[u8]) -> Vec<Finding<'s>> {
    // What is not text is looked at by the rules that are about bytes; patterns are about text.
    let Some(text) = std::str::from_utf8(text).ok().filter(|_| !settings.patterns.is_empty()) else {
        return Vec::new();
    };
    let found_by = |pattern: &'s crate::settings::Pattern| {
        let found = pattern.regex.find_iter(text).filter(|found| !found.is_empty());
        found.map(|found| Finding { rule: &pattern.name, start: found.start(), end: found.end() })
    };
    settings.patterns.iter().flat_map(found_by).collect()
}

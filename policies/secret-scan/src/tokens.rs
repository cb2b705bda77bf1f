//! Tokens that are known by their shape: what they begin with, and what follows it.

use crate::bytes::{self, ALPHANUMERIC, BASE64, DASH, DIGIT, DOT, LOWER, UNDERSCORE, UPPER, URL_SAFE};
use crate::scan::Finding;

/// A token that has a beginning of its own.
struct Shape {
    rule: &'static str,
    beginning: &'static [u8],
    /// What the rest is written with.
    rest: u8,
    /// The fewest bytes of the rest.
    rest_bytes_min: usize,
}

const GITHUB: &str = "github-token";
const GITLAB: &str = "gitlab-token";
const SLACK: &str = "slack-token";
const WORD: u8 = ALPHANUMERIC | UNDERSCORE;

/// Which shape could end its beginning at a dash or underscore, by the three bytes before it: nearly always none.
const fn shape_before(three: [u8; 3], anchor: u8) -> Option<Shape> {
    let (rule, beginning, rest, rest_bytes_min): (_, &[u8], _, _) = match (&three, anchor) {
        (b"gho", b'_') => (GITHUB, b"gho_", WORD, 30),
        (b"ghp", b'_') => (GITHUB, b"ghp_", WORD, 30),
        (b"ghr", b'_') => (GITHUB, b"ghr_", WORD, 30),
        (b"ghs", b'_') => (GITHUB, b"ghs_", WORD, 30),
        (b"ghu", b'_') => (GITHUB, b"ghu_", WORD, 30),
        (b"pat", b'_') => (GITHUB, b"github_pat_", WORD, 22),
        (b"ldt", b'-') => (GITLAB, b"gldt-", URL_SAFE, 20),
        (b"pat", b'-') => (GITLAB, b"glpat-", URL_SAFE, 20),
        (b"ptt", b'-') => (GITLAB, b"glptt-", URL_SAFE, 20),
        (b"lrt", b'-') => (GITLAB, b"glrt-", URL_SAFE, 20),
        (b"npm", b'_') => ("npm-token", b"npm_", ALPHANUMERIC, 36),
        (b"ypi", b'-') => ("pypi-token", b"pypi-", URL_SAFE, 50),
        (b"app", b'-') => (SLACK, b"xapp-", ALPHANUMERIC | DASH, 10),
        (b"oxa", b'-') => (SLACK, b"xoxa-", ALPHANUMERIC | DASH, 10),
        (b"oxb", b'-') => (SLACK, b"xoxb-", ALPHANUMERIC | DASH, 10),
        (b"oxp", b'-') => (SLACK, b"xoxp-", ALPHANUMERIC | DASH, 10),
        (b"oxr", b'-') => (SLACK, b"xoxr-", ALPHANUMERIC | DASH, 10),
        (b"oxs", b'-') => (SLACK, b"xoxs-", ALPHANUMERIC | DASH, 10),
        _ => return None,
    };
    Some(Shape { rule, beginning, rest, rest_bytes_min })
}

/// The fewest bytes that a key of a model's provider has without a dash: words joined by dashes have no such run.
const MODEL_RUN_BYTES_MIN: usize = 16;
const MODEL_REST_BYTES_MIN: usize = 20;
const MODEL_BYTES_LOOKED_AT: usize = 128;

const STRIPE_REST_BYTES_MIN: usize = 10;

const GOOGLE_BYTES_MIN: usize = 39;

const AWS_ID_BYTES: usize = 20;
const AWS_SECRET_BYTES: usize = 40;
/// How far from a key's id its secret is looked for, in bytes.
const AWS_NEAR_BYTES: usize = 256;

const PEM_BEGIN: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"-----END ";
const PEM_DASHES: &[u8] = b"-----";
const PEM_LABEL_BYTES_MAX: usize = 64;

/// A token that begins at an anchor, or around it.
pub fn at(text: &[u8], at: usize, anchor: u8) -> Option<Finding<'static>> {
    match anchor {
        b'-' => private_key(text, at).or_else(|| model_key(text, at)).or_else(|| shaped(text, at, anchor)),
        b'A' => aws_id(text, at).or_else(|| google_key(text, at)),
        b'J' => web_token(text, at),
        b'_' => shaped(text, at, anchor).or_else(|| stripe_key(text, at)),
        _ => None,
    }
}

fn shaped(text: &[u8], at: usize, anchor: u8) -> Option<Finding<'static>> {
    let three = text.get(at.checked_sub(3)?..at)?.try_into().ok()?;
    let Shape { rule, beginning, rest, rest_bytes_min } = shape_before(three, anchor)?;
    let start = (at + 1).checked_sub(beginning.len())?;
    let end = bytes::run(text, at + 1, rest);
    let fits = text.get(start..=at)? == beginning && end - at > rest_bytes_min;
    fits.then_some(Finding { rule, start, end })
}

fn google_key(text: &[u8], start: usize) -> Option<Finding<'static>> {
    const BEGINNING: &[u8] = b"AIza";
    text.get(start..)?.strip_prefix(BEGINNING)?;
    let end = bytes::run(text, start + BEGINNING.len(), URL_SAFE);
    (end - start >= GOOGLE_BYTES_MIN).then_some(Finding { rule: "google-key", start, end })
}

fn stripe_key(text: &[u8], at: usize) -> Option<Finding<'static>> {
    let start = at.checked_sub(7)?;
    let is_key = matches!(text.get(start..=at)?, b"rk_live_" | b"sk_live_");
    let end = if is_key { bytes::run(text, at + 1, ALPHANUMERIC) } else { at };
    (end - at > STRIPE_REST_BYTES_MIN).then_some(Finding { rule: "stripe-key", start, end })
}

/// A key of a model's provider, `sk-…`. Many words end like that, so none may stand before it.
fn model_key(text: &[u8], at: usize) -> Option<Finding<'static>> {
    let start = at.checked_sub(2)?;
    let follows_word = start > 0 && bytes::is(text[start - 1], ALPHANUMERIC);
    if text.get(start..at)? != b"sk" || follows_word || !is_random(text, at + 1) {
        return None;
    }
    let end = bytes::run(text, at + 1, URL_SAFE);
    (end - at > MODEL_REST_BYTES_MIN).then_some(Finding { rule: "model-key", start, end })
}

/// Words joined by dashes are no key. Only the beginning is looked at, however often it comes to nothing.
fn is_random(text: &[u8], from: usize) -> bool {
    let window = &text[from..text.len().min(from + MODEL_BYTES_LOOKED_AT)];
    window[..bytes::run(window, 0, URL_SAFE)]
        .split(|byte| bytes::is(*byte, DASH | UNDERSCORE))
        .any(|run| run.len() >= MODEL_RUN_BYTES_MIN && run.iter().any(|byte| bytes::is(*byte, DIGIT)))
}

fn aws_id(text: &[u8], start: usize) -> Option<Finding<'static>> {
    let beginning = text.get(start..start + 4)?;
    let is_id = (beginning == b"AKIA" || beginning == b"ASIA")
        && !(start > 0 && bytes::is(text[start - 1], UPPER | DIGIT))
        && bytes::run(text, start, UPPER | DIGIT) == start + AWS_ID_BYTES;
    is_id.then_some(Finding { rule: "aws-access-key", start, end: start + AWS_ID_BYTES })
}

/// Secrets of AWS have no beginning of their own: what has their length and letters is one if it stands near an id.
/// Nothing before `from` is looked at, so that many ids cost no more than one.
pub fn aws_secrets(text: &[u8], id: &Finding<'_>, from: usize) -> (Vec<Finding<'static>>, usize) {
    let start = id.start.saturating_sub(AWS_NEAR_BYTES).max(from);
    let end = text.len().min(id.end + AWS_NEAR_BYTES);
    let mut found = Vec::new();
    let mut at = start;
    while let Some(begin) = bytes::find(text, at, ALPHANUMERIC | BASE64).filter(|begin| *begin < end) {
        let until = bytes::run(text, begin, ALPHANUMERIC | BASE64).min(begin + AWS_NEAR_BYTES);
        let candidate = &text[begin..until];
        let has = |class| candidate.iter().any(|byte| bytes::is(*byte, class));
        if candidate.len() == AWS_SECRET_BYTES && has(UPPER) && has(LOWER) && has(DIGIT) {
            found.push(Finding { rule: "aws-secret-key", start: begin, end: until });
        }
        at = until;
    }
    (found, at.max(end))
}

/// A JSON Web Token, found at the `J` of `.eyJ`, with which its second part begins.
fn web_token(text: &[u8], at: usize) -> Option<Finding<'static>> {
    let dot = at.checked_sub(3)?;
    if text.get(dot..=at)? != b".eyJ" {
        return None;
    }
    let run_start = bytes::run_back(text, dot, URL_SAFE);
    let header = text.get(run_start..dot)?.windows(3).position(|bytes| bytes == b"eyJ")?;
    let second = bytes::run(text, dot + 1, URL_SAFE);
    let end = if text.get(second) == Some(&b'.') { bytes::run(text, second + 1, URL_SAFE | DOT) } else { second };
    (end > second).then_some(Finding { rule: "jwt", start: run_start + header, end })
}

/// A block of a private key, or all the rest if its end is cut off.
fn private_key(text: &[u8], start: usize) -> Option<Finding<'static>> {
    let rest = text.get(start..)?.strip_prefix(PEM_BEGIN)?;
    let label = rest.get(..rest.len().min(PEM_LABEL_BYTES_MAX))?;
    let label = label.get(..position(label, PEM_DASHES)?)?;
    position(label, b"PRIVATE KEY")?;
    let end = position(rest, PEM_END).and_then(|begin| {
        let after = begin + PEM_END.len();
        Some(after + position(rest.get(after..)?, PEM_DASHES)? + PEM_DASHES.len())
    });
    let end = start + PEM_BEGIN.len() + end.unwrap_or(rest.len());
    Some(Finding { rule: "private-key", start, end })
}

fn position(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

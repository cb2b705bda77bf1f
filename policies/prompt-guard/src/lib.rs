//! Keeps an agent's messages in order: tool calls and their results pair up, nothing is said twice, nothing is lost.
//!
//! It judges the form of a transcript and never what is said in it. What taking something out can mend, it mends if the
//! settings say so; it never adds a word. Tokens are estimated, as it has no model's tokenizer.

mod cut;
mod digests;
mod fault;
mod message;
mod order;
mod settings;

use ringfence_policy_support::types::{
    DecisionPoint, Description, Obligation, Permission, RedactedPart, Redaction, Request, SettingsProblem, Subject,
    Transcript, Verdict,
};
use ringfence_policy_support::{Guest, canonical, permit, reason};

use crate::fault::Fault;
use crate::order::Order;
use crate::settings::{SETTINGS_SCHEMA, Settings};

/// Parts that are taken out of one transcript: more would not fit a reply.
const CUTS_MAX: usize = 2_000;

struct PromptGuard;

ringfence_policy_support::export!(PromptGuard with_types_in ringfence_policy_support::bindings);

impl Guest for PromptGuard {
    fn describe() -> Description {
        Description {
            name: "prompt-guard".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            summary: "Permits a transcript whose messages are in order, and takes out what is not if that mends it."
                .to_owned(),
            points: vec![DecisionPoint::Transcript],
            settings_schema: SETTINGS_SCHEMA.to_owned(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsProblem>> {
        Settings::parse(&settings).map(|_| ())
    }

    fn evaluate(settings: String, request: Request) -> Verdict {
        let Subject::Transcript(transcript) = &request.subject else { return Verdict::Abstain };
        let Ok(settings) = Settings::parse(&settings) else {
            return Verdict::Forbid(vec![reason("settings-not-valid", "the settings are not those of this policy")]);
        };
        judge(&settings, transcript).unwrap_or_else(|| {
            Verdict::Forbid(vec![reason("messages-not-readable", "the messages are no list in canonical JSON")])
        })
    }
}

fn judge(settings: &Settings, transcript: &Transcript) -> Option<Verdict> {
    let texts = canonical::elements(&transcript.messages)?;
    let messages: Vec<_> = texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>().ok()?;
    let mut order = order::judge(settings, &messages);
    check_dropped(settings, transcript, &texts, &mut order);
    check_size(settings, &texts, &mut order);
    Some(verdict(settings, order))
}

fn check_dropped(settings: &Settings, transcript: &Transcript, texts: &[&str], order: &mut Order) {
    let dropped = if settings.may_drop { None } else { digests::first_dropped(&transcript.known, texts) };
    if let Some(index) = dropped {
        let text = || format!("message {index} of the last transcript is not in its place any more");
        order.faults.add(Fault::DroppedTurns, text);
    }
}

/// Counts what stays.
fn check_size(settings: &Settings, texts: &[&str], order: &mut Order) {
    let count = order.kept.len() as u64;
    if count > settings.messages_max {
        let text = || format!("{count} messages are more than {}", settings.messages_max);
        order.faults.add(Fault::TooManyMessages, text);
    }
    let bytes = order.kept.iter().filter_map(|index| texts.get(*index)).map(|text| text.len() as u64);
    let tokens = 3 + bytes.map(|bytes| 4 + bytes / 4).sum::<u64>();
    let Some(max) = settings.tokens_max.filter(|max| tokens > *max) else { return };
    order.faults.add(Fault::TooManyTokens, || format!("about {tokens} tokens are more than {max}"));
}

fn verdict(settings: &Settings, order: Order) -> Verdict {
    let Order { mut faults, cuts, .. } = order;
    if faults.is_empty() {
        return permit(reason("transcript-in-order", "every message is in order"), Vec::new());
    }
    if settings.repairs && cuts.len() > CUTS_MAX {
        let text = || format!("{} parts would have to be taken out, and {CUTS_MAX} are the most", cuts.len());
        faults.add(Fault::TooMuchToMend, text);
    }
    let reasons = faults.reasons();
    if !settings.repairs || !faults.can_be_mended() {
        return Verdict::Forbid(reasons);
    }
    // From the last to the first: taken out one after the other, none moves before its turn.
    let redactions = cuts.into_iter().rev().map(|pointer| Redaction { pointer, part: RedactedPart::Member });
    Verdict::Permit(Permission { reasons, obligations: vec![Obligation::Redact(redactions.collect())] })
}

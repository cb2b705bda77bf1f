//! Reconcile: before a call is made again whose effect is unknown, its own tool is asked what became of it.
//!
//! Only where the function names one of the same tool that can tell. Asking is a call like any other, decided, granted and
//! on record by itself, under what the grant of the call in question leaves to somebody who only looks. What it says is
//! believed, as the tool is believed when it returns: a tool that lies about itself could as well have done it twice.

use std::pin::Pin;
use std::sync::Arc;

use ringfence_model::call::CallRequest;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Used;
use ringfence_model::outcome::Outcome;
use ringfence_model::outcome::OutcomeKind;
use ringfence_model::outcome::Trace;
use serde_json::Value;

use crate::host::Parts;
use crate::ledger::Ending;
use crate::ledger::Ledger;
use crate::ledger::adoption::Finding;
use crate::pipeline::CallFailure;
use crate::pipeline::GrantedCall;
use crate::pipeline::IncomingCall;
use crate::pipeline::Response;
use crate::pipeline::Stop;
use crate::pipeline::answer;
use crate::pipeline::answer::Judged;
use crate::pipeline::intent;
use crate::policy::PolicySet;
use crate::sandbox::Contact;
use crate::toolbox::repeat;
use crate::toolbox::repeat::Found;

/// Settles what the key of a call stands for, if that is of unknown effect and the tool can tell. Goes on with a call that
/// is to run; one that was made before comes to what was found.
pub(super) async fn reconciled<'t>(
    parts: &Parts,
    policies: &Arc<PolicySet>,
    granted: GrantedCall<'t>,
) -> Result<GrantedCall<'t>, Stop> {
    let Some(by) = &granted.admitted.function.reconcile else { return Ok(granted) };
    let asked_about = intent(&granted);
    let Some(doubt) = parts.on_ledger(move |ledger| ledger.doubted(&asked_about)).await? else { return Ok(granted) };
    let response = ask(parts, policies, &granted, by).await?;
    let finding = Finding { doubt, by: response.call };
    match found(&granted, &response) {
        // Nobody can tell, so nothing changes: the call is refused as before.
        None => Ok(granted),
        Some(Found::Nothing) => {
            parts.on_ledger(move |ledger| ledger.disown(finding)).await?;
            Ok(granted)
        }
        Some(Found::Value(value)) => adopt(parts, policies, granted, finding, value).await,
    }
}

fn found(granted: &GrantedCall<'_>, response: &Response) -> Option<Found> {
    // What a policy took something out of says nothing any more, least of all that nothing was found.
    let is_whole = response.denial.is_none() && response.redacted == 0;
    let has_returned = is_whole && response.outcome.kind == OutcomeKind::Returned;
    has_returned.then(|| repeat::found(granted.admitted.function, response.outcome.value.as_ref())).flatten()
}

async fn ask(
    parts: &Parts,
    policies: &Arc<PolicySet>,
    granted: &GrantedCall<'_>,
    function: &str,
) -> Result<Response, CallFailure> {
    let admitted = &granted.admitted;
    let request = CallRequest {
        call: parts.on_ledger(Ledger::new_call_id).await?,
        function: Some(function.to_owned()),
        asked: granted.grant.asked_to_read(),
        idempotency_key: None,
        ..admitted.request.clone()
    };
    // Whoever watches watches the call, and not what is asked about it.
    let contact = Contact { interrupt: admitted.interrupt.clone(), watcher: None };
    let incoming = IncomingCall { request, tool: admitted.tool, contact: &contact };
    call(parts, policies, incoming).await
}

/// A call within a call. A function that looks after another is not looked after itself, so this goes no deeper.
fn call<'a>(
    parts: &'a Parts,
    policies: &'a Arc<PolicySet>,
    incoming: IncomingCall<'a>,
) -> Pin<Box<dyn Future<Output = Result<Response, CallFailure>> + Send + 'a>> {
    Box::pin(super::call(parts, policies, incoming))
}

/// The call comes to what was found. Nothing runs, so it needs no approval, no place and no cap.
async fn adopt<'t>(
    parts: &Parts,
    policies: &Arc<PolicySet>,
    granted: GrantedCall<'t>,
    finding: Finding,
    value: Value,
) -> Result<GrantedCall<'t>, Stop> {
    let (outcome, used) = (Outcome::returned(Some(value)), Used::default());
    let redactions = granted.obligations.redactions.clone();
    let Judged { outcome, decision, redacted } =
        answer::judge(parts, policies, &granted.admitted, redactions, outcome, used).await;
    let ending = Ending { decision, redacted, ..Ending::of(&outcome, EffectState::Committed, &Trace::default(), used) };
    let intent = intent(&granted);
    match parts.on_ledger(move |ledger| ledger.adopt(intent, finding, ending)).await? {
        Some(stored) => Err(Stop::Known(Box::new(stored))),
        None => Ok(granted),
    }
}

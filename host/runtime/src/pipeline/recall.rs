//! Recall: what is on record of a call already, for whoever may have nothing new written down: the answer under its key, or
//! that it waits for an approval.
//!
//! It comes after what comes before it in every call: the session, the input, the policies, the grant. Who has lost the right
//! gets no old result. What is refused on the way is not an entry here, so this is for callers who are refused anyway.

use std::sync::Arc;

use ringfence_model::entry::Stage;

use crate::host::Parts;
use crate::pipeline;
use crate::pipeline::CallFailure;
use crate::pipeline::IncomingCall;
use crate::pipeline::Response;
use crate::pipeline::Stop;
use crate::pipeline::decide;
use crate::pipeline::hold;
use crate::policy::PolicySet;
use crate::session;

/// The answer of a call that was made before, if it is its caller's to have still.
pub(crate) async fn recalled(
    parts: &Parts,
    policies: &Arc<PolicySet>,
    incoming: IncomingCall<'_>,
) -> Result<Option<Response>, CallFailure> {
    match sought(parts, policies, incoming).await {
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Known(stored)) => pipeline::known(&stored).map(Some),
        Err(Stop::Held(_) | Stop::Refused(_) | Stop::Reused(_)) | Ok(()) => Ok(None),
    }
}

async fn sought(parts: &Parts, policies: &Arc<PolicySet>, incoming: IncomingCall<'_>) -> Result<(), Stop> {
    let session = session::find(parts, &incoming.request, incoming.tool).await?;
    let admitted = session::admit(incoming, session)?;
    pipeline::not_halted(parts, &admitted, Stage::Admit)?;
    // A key that nothing stands under costs a look-up, and no decision.
    let Some(key) = admitted.request.idempotency_key.clone() else { return Ok(()) };
    let principal = admitted.request.principal.clone();
    if !parts.on_ledger(move |ledger| ledger.knows_key(&principal, &key)).await? {
        return Ok(());
    }
    let authorized = decide::decide(parts, policies, admitted).await?;
    let granted = pipeline::narrow(parts, authorized)?;
    pipeline::recall(parts, &granted).await
}

/// Whether a call waits for somebody's approval, or has it and has not used it.
pub(crate) async fn is_held(
    parts: &Parts,
    policies: &Arc<PolicySet>,
    incoming: IncomingCall<'_>,
) -> Result<bool, CallFailure> {
    match found_held(parts, policies, incoming).await {
        Err(Stop::Failed(failure)) => Err(failure),
        // What is refused on the way waits for nobody.
        Err(Stop::Held(_) | Stop::Known(_) | Stop::Refused(_) | Stop::Reused(_)) => Ok(false),
        Ok(is_held) => Ok(is_held),
    }
}

async fn found_held(parts: &Parts, policies: &Arc<PolicySet>, incoming: IncomingCall<'_>) -> Result<bool, Stop> {
    let session = session::find(parts, &incoming.request, incoming.tool).await?;
    let admitted = session::admit(incoming, session)?;
    pipeline::not_halted(parts, &admitted, Stage::Admit)?;
    let authorized = decide::decide(parts, policies, admitted).await?;
    let granted = pipeline::narrow(parts, authorized)?;
    hold::is_asked(parts, &granted).await
}

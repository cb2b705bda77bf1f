//! Asking the policies whether a component may be loaded, before anything is done with it.

use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::time::Clock as _;
use ringfence_runtime::pipeline::Admission;
use ringfence_runtime::pipeline::Arrival;
use ringfence_runtime::pipeline::admission;
use ringfence_runtime::policy::PolicySet;

use crate::commands;
use crate::error::CommandError;
use crate::home::Home;
use crate::home::SystemClock;
use crate::output::Output;

/// How the policies decide on a component. A no is written down and ends the command; a yes is written down by whoever
/// makes use of it.
pub(super) fn admit(
    home: &Home,
    policies: &PolicySet,
    arrival: Arrival<'_>,
    ring: Ring,
    output: Output,
) -> Result<Admission, CommandError> {
    let name = arrival.name.to_owned();
    let admission = admission(policies, arrival, &commands::operator()?, ring, SystemClock.now());
    let Some(why) = admission.denial() else { return Ok(admission) };
    let (ledger, sequencer) = commands::open_log(home, output)?;
    let index = ledger.decide(admission.into_entry())?;
    sequencer.publish(&ledger)?;
    Err(CommandError::not_admitted(&name, &why, index))
}

/// Lets a component in that is only looked at. Nobody is about to call anything of it, so a no is not written down.
pub(super) fn to_look_at(
    policies: &PolicySet,
    principal: &Principal,
    ring: Ring,
) -> impl FnOnce(Arrival<'_>) -> Result<(), CommandError> {
    move |arrival| {
        let name = arrival.name.to_owned();
        let denial = admission(policies, arrival, principal, ring, SystemClock.now()).denial();
        denial.map_or(Ok(()), |why| Err(CommandError::would_not_be_admitted(&name, &why)))
    }
}

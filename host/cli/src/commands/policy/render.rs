//! Rulings and conditions, for people.

use ringfence_model::decision::Obligation;
use ringfence_model::decision::Reason;
use ringfence_model::decision::Ruling;
use ringfence_model::decision::Verdict;
use ringfence_runtime::policy::shown::obligation;

use crate::output::Output;

/// A ruling for people.
pub(super) fn print_ruling(ruling: &Ruling, output: Output) {
    let (verdict, reasons, obligations): (_, &[Reason], &[Obligation]) = match &ruling.verdict {
        Ok(Verdict::Abstain) => ("abstain", &[], &[]),
        Ok(Verdict::Forbid(reasons)) => ("forbid", reasons, &[]),
        Ok(Verdict::Permit(reasons, obligations)) => ("permit", reasons, obligations),
        Err(_) => ("fault", &[], &[]),
    };
    output.line(&format!("verdict  {verdict}"));
    for Reason { code, text } in reasons {
        output.line(&format!("reason   {code}: {text}"));
    }
    for condition in obligations {
        output.line(&format!("must     {}", obligation(condition)));
    }
    if let Err(fault) = &ruling.verdict {
        output.line(&format!("fault    {fault}"));
    }
    output.line(&format!("fuel     {}", ruling.fuel));
}

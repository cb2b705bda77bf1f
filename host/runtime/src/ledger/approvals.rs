//! Approvals: a question that is bound to one thing, answered once, used once.
//!
//! What a policy wants approved is bound to a digest of everything that was decided on: tool, input, grant, principal,
//! session, ring and policy set. The question is an entry, so is the answer, and the entry that uses an approval names
//! it. Whoever asks can't answer; what was rejected stays rejected; what has expired is asked anew (POL-16, POL-22).

use ringfence_model::decision::ApprovalDemand;
use ringfence_model::decision::DecisionPoint;
use ringfence_model::digest::Digest;
use ringfence_model::entry::ApprovalAnswer;
use ringfence_model::entry::Body;
use ringfence_model::entry::Held;
use ringfence_model::grant::Reach;
use ringfence_model::id::ApprovalId;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;
use ringfence_model::lifecycle::Phase;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::time::Timestamp;
use ringfence_model::tool::ToolRef;
use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::backend::Fact;
use crate::ledger::backend::FactKind;
use crate::ledger::backend::StoredContent;
use crate::ledger::call::DecisionDraft;
use crate::ledger::call::Opening;
use crate::ledger::error::LedgerError;
use crate::ledger::facts::Hold;
use crate::ledger::facts::fact;
use crate::ledger::listed;
use crate::ledger::record::Ledger;

/// A question, and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Its id.
    pub approval: ApprovalId,
    /// What it is bound to.
    pub binding: Digest,
    /// The call that was held, if it was one.
    pub call: Option<CallId>,
    /// What the policies demand; whoever answers has to be named by each.
    pub demands: Vec<ApprovalDemand>,
    /// Until when it can be answered, and then used.
    pub expires: Timestamp,
    /// The function.
    pub function: Option<String>,
    /// Index of the entry that asks.
    pub held: u64,
    /// The point that it is held at.
    pub point: DecisionPoint,
    /// Who asks.
    pub principal: Principal,
    /// The ring.
    pub ring: Ring,
    /// The session.
    pub session: Option<SessionId>,
    /// What has become of it.
    pub state: ApprovalState,
    /// The tool.
    pub tool: Option<ToolRef>,
}

/// What has become of a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "is")]
pub enum ApprovalState {
    /// Somebody said yes.
    Approved {
        /// Who.
        by: Principal,
    },
    /// Nobody has answered.
    Pending,
    /// Somebody said no.
    Rejected {
        /// Who.
        by: Principal,
    },
    /// Somebody said yes, and it was made use of.
    Used {
        /// Who.
        by: Principal,
    },
}

impl Approval {
    /// Whether it is of no use any more because time has passed.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        let waits = matches!(self.state, ApprovalState::Pending | ApprovalState::Approved { .. });
        waits && self.expires <= now
    }

    /// Whether the policies name whoever this is, who is not whoever asks.
    pub fn accepts(&self, by: &Principal) -> bool {
        self.principal != *by && self.demands.iter().all(|demand| demand.accepts(by, &self.principal))
    }

    fn facts(&self) -> Vec<Fact> {
        vec![
            fact(FactKind::Approval, self.approval.to_string(), self),
            fact(FactKind::Binding, self.binding.to_string(), &self.approval),
        ]
    }
}

/// Something that is to be held until somebody approves.
#[derive(Clone, Debug)]
pub struct HoldDraft {
    /// What it is bound to.
    pub binding: Digest,
    /// The call, if it is one.
    pub call: Option<CallId>,
    /// How the policies decided.
    pub decision: DecisionDraft,
    /// What they demand.
    pub demands: Vec<ApprovalDemand>,
    /// The function.
    pub function: Option<String>,
    /// The input: canonical bytes.
    pub input: Option<Vec<u8>>,
    /// The point.
    pub point: DecisionPoint,
    /// Who asks.
    pub principal: Principal,
    /// The ring.
    pub ring: Ring,
    /// The session.
    pub session: Option<SessionId>,
    /// The tool.
    pub tool: Option<ToolRef>,
}

/// Where a question stands for whoever needs its answer.
#[derive(Debug)]
pub enum Standing {
    /// Somebody said yes, and it can be used.
    Approved(Approval),
    /// Somebody has been asked, now or before.
    Asked(Approval),
    /// Somebody said no.
    Rejected(Approval),
}

/// What was written of a question.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Index of the entry.
    pub index: u64,
    /// Hash of the entry.
    pub hash: Digest,
    /// Opens the input.
    pub input: Option<Opening>,
}

/// Why a question can't be answered.
#[derive(Debug, Error)]
pub enum AnswerError {
    /// There is none by this id.
    #[error("there is no approval `{0}`")]
    Unknown(ApprovalId),
    /// It has been answered.
    #[error("approval `{0}` has been {1} already")]
    Answered(ApprovalId, &'static str),
    /// Its time is over.
    #[error("approval `{0}` expired at {1}")]
    Expired(ApprovalId, Timestamp),
    /// Whoever asks can't answer.
    #[error("approval `{0}` was asked for by `{1}`, who can't answer it")]
    OwnRequest(ApprovalId, Principal),
    /// The policy names somebody else.
    #[error("approval `{0}` can't be answered by `{1}`: the policy names {2}")]
    NotNamed(ApprovalId, Principal, String),
    /// Somebody is answering or using it at this moment.
    #[error("approval `{0}` is being answered or used at this moment")]
    Busy(ApprovalId),
    /// The ledger could not do its work.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Ledger {
    /// Where the question bound to `binding` stands; none if it was never asked, was used up, or has expired.
    pub fn standing(&self, binding: &Digest) -> Result<Option<Standing>, LedgerError> {
        let Some(approval) = self.newest(binding)? else { return Ok(None) };
        if approval.is_expired(self.clock.now()) {
            return Ok(None);
        }
        Ok(match approval.state {
            ApprovalState::Approved { .. } => Some(Standing::Approved(approval)),
            ApprovalState::Pending => Some(Standing::Asked(approval)),
            ApprovalState::Rejected { .. } => Some(Standing::Rejected(approval)),
            ApprovalState::Used { .. } => None,
        })
    }

    /// Asks. None if somebody asks the same at this very moment.
    pub fn hold(&self, draft: HoldDraft) -> Result<Option<(Approval, Written)>, LedgerError> {
        let _pen = self.pen()?;
        let Some(_hold) = self.holds.hold(FactKind::Binding, &draft.binding.to_string()) else { return Ok(None) };
        let HoldDraft { binding, call, decision, demands, function, input, point, principal, ring, .. } = draft;
        let HoldDraft { session, tool, .. } = draft;
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes)?;
        let approval = ApprovalId::from_random(bytes);
        let valid_ms = demands.iter().map(|demand| demand.valid_ms).min().unwrap_or_default();
        let expires = self.clock.now().plus_millis(valid_ms);
        let (decision, request) = self.decision(decision)?;
        let input = input.map(|input| self.contents([input])).transpose()?.map(|[input]| input);
        let opening = input.as_ref().map(StoredContent::opening);
        self.queue.append(|page| {
            let body = Held {
                approval,
                binding,
                call,
                decision,
                expires,
                function: function.clone(),
                input: input.as_ref().map(|input| input.commitment),
                point,
                principal: principal.clone(),
                ring,
                session,
                tool: tool.clone(),
            };
            let contents = request.into_iter().chain(input);
            let (index, hash) = page.entry_with(Body::Held(Box::new(body)), contents)?;
            if let Some(call) = call {
                let row = CallRow {
                    call,
                    principal: principal.clone(),
                    key: None,
                    reach: Reach::Nothing,
                    state: CallState::Refused { refused: index },
                };
                page.call(Phase::Intended, row)?;
            }
            let state = ApprovalState::Pending;
            let held = index;
            let approval = Approval {
                approval,
                binding,
                call,
                demands,
                expires,
                function,
                held,
                point,
                principal,
                ring,
                session,
                state,
                tool,
            };
            page.facts(approval.facts());
            page.facts([listed::waits(&approval)]);
            Ok(Some((approval, Written { index, hash, input: opening })))
        })
    }

    /// Answers a question: once, in time, by somebody it names.
    pub fn answer(
        &self,
        id: ApprovalId,
        by: &Principal,
        is_yes: bool,
        reason: Option<&str>,
    ) -> Result<(Approval, u64), AnswerError> {
        let _pen = self.pen()?;
        let _hold = self.hold_approval(id).ok_or(AnswerError::Busy(id))?;
        let mut approval = self.approval(id)?.ok_or(AnswerError::Unknown(id))?;
        check(&approval, by, self.clock.now())?;
        let (by, waited) = (by.clone(), listed::waits_no_more(&approval));
        approval.state = if is_yes {
            ApprovalState::Approved { by: by.clone() }
        } else {
            ApprovalState::Rejected { by: by.clone() }
        };
        if let (true, Some(valid_ms)) = (is_yes, approval.demands.iter().map(|demand| demand.valid_ms).min()) {
            approval.expires = self.clock.now().plus_millis(valid_ms);
        }
        let reason = reason.map(|text| self.contents([text.as_bytes().to_vec()])).transpose()?.map(|[reason]| reason);
        let answer =
            ApprovalAnswer { approval: id, by, held: approval.held, reason: reason.as_ref().map(|r| r.commitment) };
        let index = self.queue.append(|page| {
            let body = if is_yes { Body::Approved(answer) } else { Body::Rejected(answer) };
            let (index, _) = page.entry_with(body, reason)?;
            page.facts(approval.facts());
            page.facts([waited]);
            Ok(index)
        })?;
        Ok((approval, index))
    }

    /// A question.
    pub fn approval(&self, id: ApprovalId) -> Result<Option<Approval>, LedgerError> {
        self.known_fact(FactKind::Approval, &id.to_string())
    }

    /// Every question there was, by id: as many as that is.
    pub fn approvals(&self) -> Result<Vec<Approval>, LedgerError> {
        self.known_facts(FactKind::Approval)
    }

    /// Takes an approval to use it up: none if it is not one that can be used for this.
    pub(in crate::ledger) fn take(
        &self,
        id: ApprovalId,
        binding: &Digest,
    ) -> Result<Option<TakenApproval>, LedgerError> {
        let Some(hold) = self.hold_approval(id) else { return Ok(None) };
        let Some(mut approval) = self.approval(id)? else { return Ok(None) };
        let ApprovalState::Approved { by } = approval.state.clone() else { return Ok(None) };
        if approval.binding != *binding || approval.is_expired(self.clock.now()) {
            return Ok(None);
        }
        approval.state = ApprovalState::Used { by };
        Ok(Some(TakenApproval { facts: approval.facts(), _hold: hold }))
    }

    fn newest(&self, binding: &Digest) -> Result<Option<Approval>, LedgerError> {
        match self.known_fact(FactKind::Binding, &binding.to_string())? {
            Some(id) => self.approval(id),
            None => Ok(None),
        }
    }

    fn hold_approval(&self, id: ApprovalId) -> Option<Hold> {
        self.holds.hold(FactKind::Approval, &id.to_string())
    }
}

/// An approval that nobody else can use, and what has to be written when it is.
#[derive(Debug)]
pub(in crate::ledger) struct TakenApproval {
    pub(in crate::ledger) facts: Vec<Fact>,
    _hold: Hold,
}

fn check(approval: &Approval, by: &Principal, now: Timestamp) -> Result<(), AnswerError> {
    let id = approval.approval;
    match approval.state {
        ApprovalState::Pending => {}
        ApprovalState::Approved { .. } => return Err(AnswerError::Answered(id, "approved")),
        ApprovalState::Rejected { .. } => return Err(AnswerError::Answered(id, "rejected")),
        ApprovalState::Used { .. } => return Err(AnswerError::Answered(id, "used")),
    }
    if approval.is_expired(now) {
        return Err(AnswerError::Expired(id, approval.expires));
    }
    if approval.principal == *by {
        return Err(AnswerError::OwnRequest(id, by.clone()));
    }
    if !approval.accepts(by) {
        let named = approval.demands.iter().flat_map(|demand| &demand.by).map(|who| format!("`{who}`"));
        return Err(AnswerError::NotNamed(id, by.clone(), named.collect::<Vec<_>>().join(", ")));
    }
    Ok(())
}

//! Decisions on what is no call: a component, a transcript, a ring that was not given.

use ringfence_model::decision::DecisionPoint;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Body;
use ringfence_model::entry::Decided;
use ringfence_model::id::SessionId;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::tool::ToolRef;

use crate::ledger::call::DecisionDraft;
use crate::ledger::error::LedgerError;
use crate::ledger::listed::facts_of_session;
use crate::ledger::record::Ledger;
use crate::ledger::sessions::SessionError;

/// A decision that is to be written down.
#[derive(Clone, Debug)]
pub struct DecidedDraft {
    /// How the policies decided.
    pub decision: DecisionDraft,
    /// The point.
    pub point: DecisionPoint,
    /// Who asked.
    pub principal: Principal,
    /// How many redactions were carried out.
    pub redacted: u64,
    /// The ring.
    pub ring: Ring,
    /// The session it belongs to.
    pub session: Option<SessionId>,
    /// The tool, if it is about one.
    pub tool: Option<ToolRef>,
}

impl Ledger {
    /// Writes a decision down; answers with the entry's index.
    pub fn decide(&self, draft: DecidedDraft) -> Result<u64, LedgerError> {
        let DecidedDraft { decision, point, principal, redacted, ring, session, tool } = draft;
        let _pen = self.pen()?;
        let (decision, request) = self.decision(decision)?;
        self.queue.append(|page| {
            let body = Decided { decision, point, principal, redacted, ring, session, tool };
            let (index, _) = page.entry_with(Body::Decided(Box::new(body)), request)?;
            Ok(index)
        })
    }

    /// Keeps what a session's last transcript was made of.
    pub fn remember_messages(&self, session: SessionId, messages: Vec<Digest>) -> Result<(), SessionError> {
        let _pen = self.pen()?;
        let (_hold, mut session) = self.held_session(session)?;
        session.messages = messages;
        self.queue.append(|page| {
            page.facts(facts_of_session(&session));
            Ok(())
        })?;
        Ok(())
    }
}

//! Sessions: a principal in a ring, opened and closed by somebody, moved to another ring for a time.
//!
//! What a session is now is a fact; that it was opened, moved and closed are entries.

use ringfence_model::capability::Ceiling;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Body;
use ringfence_model::entry::Elevated;
use ringfence_model::entry::SessionClosed;
use ringfence_model::entry::SessionOpened;
use ringfence_model::function_pattern::FunctionPattern;
use ringfence_model::id::ApprovalId;
use ringfence_model::id::SessionId;
use ringfence_model::principal::Principal;
use ringfence_model::ring::Ring;
use ringfence_model::time::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

use crate::ledger::backend::FactKind;
use crate::ledger::call::DecisionDraft;
use crate::ledger::error::LedgerError;
use crate::ledger::facts::Hold;
use crate::ledger::listed::facts_of_session;
use crate::ledger::record::Ledger;

/// A session as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// What may be called in it at all, if not everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<FunctionPattern>>,
    /// What bounds its calls, beside its ring.
    #[serde(default, skip_serializing_if = "Ceiling::is_open")]
    pub ceiling: Ceiling,
    /// When it was closed, if it was.
    pub closed: Option<Timestamp>,
    /// The ring it has for a time, and until when.
    pub elevated: Option<Elevation>,
    /// Digests of the messages of its last transcript.
    #[serde(default)]
    pub messages: Vec<Digest>,
    /// The name it was given.
    pub name: String,
    /// When it was opened.
    pub opened: Timestamp,
    /// Whose it is.
    pub principal: Principal,
    /// The ring it was opened in.
    pub ring: Ring,
    /// Its id.
    pub session: SessionId,
}

/// A ring for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elevation {
    /// The ring.
    pub ring: Ring,
    /// Until when.
    pub until: Timestamp,
}

impl Session {
    /// Whether a function of a tool may be called in it.
    pub fn allows(&self, tool: &str, function: &str) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow.iter().any(|pattern| pattern.covers(tool, function)))
    }

    /// The ring it has now.
    pub fn ring_at(&self, now: Timestamp) -> Ring {
        self.elevated.filter(|elevation| now < elevation.until).map_or(self.ring, |elevation| elevation.ring)
    }
}

/// Why something can't be done with a session.
#[derive(Debug, Error)]
pub enum SessionError {
    /// There is none by this id.
    #[error("there is no session `{0}`")]
    Unknown(SessionId),
    /// It is closed.
    #[error("session `{0}` was closed at {1}")]
    Closed(SessionId, Timestamp),
    /// It has a more privileged ring for a time already.
    #[error("session `{0}` is elevated to ring `{1}` until {2}")]
    ElevatedAlready(SessionId, Ring, Timestamp),
    /// The approval was used or has expired meanwhile.
    #[error("approval `{0}` can't be used any more")]
    ApprovalGone(ApprovalId),
    /// Somebody changes it at this moment.
    #[error("session `{0}` is being changed at this moment")]
    Busy(SessionId),
    /// The ledger could not do its work.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// A session that is to be opened.
#[derive(Clone, Debug)]
pub struct SessionDraft {
    /// What may be called in it at all, if not everything: no more than [`ringfence_model::limits::SESSION_FUNCTIONS_MAX`].
    pub allow: Option<Vec<FunctionPattern>>,
    /// What bounds its calls, beside its ring.
    pub ceiling: Ceiling,
    /// A name.
    pub name: String,
    /// Whose it is.
    pub principal: Principal,
    /// Its ring.
    pub ring: Ring,
}

/// A move that was allowed.
#[derive(Clone, Debug)]
pub struct ElevationDraft {
    /// The approval it uses up, and what that is bound to.
    pub approval: Option<(ApprovalId, Digest)>,
    /// How the policies decided.
    pub decision: DecisionDraft,
    /// For how long.
    pub duration_ms: u64,
    /// The session.
    pub session: SessionId,
    /// The ring it gets.
    pub to: Ring,
}

impl Ledger {
    /// Opens a session.
    pub fn open_session(&self, draft: SessionDraft, by: &Principal) -> Result<Session, LedgerError> {
        let SessionDraft { allow, ceiling, name, principal, ring } = draft;
        let _pen = self.pen()?;
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes)?;
        let now = self.clock.now();
        let session = Session {
            allow: allow.clone(),
            ceiling: ceiling.clone(),
            closed: None,
            elevated: None,
            messages: Vec::new(),
            name: name.clone(),
            opened: now,
            principal: principal.clone(),
            ring,
            session: SessionId::from_random(bytes),
        };
        self.queue.append(|page| {
            page.entry(Body::SessionOpened(SessionOpened {
                allow,
                by: by.clone(),
                ceiling: (!ceiling.is_open()).then(|| Box::new(ceiling)),
                name,
                principal,
                ring,
                session: session.session,
            }))?;
            page.facts(facts_of_session(&session));
            Ok(())
        })?;
        Ok(session)
    }

    /// Closes a session.
    pub fn close_session(&self, id: SessionId, by: &Principal) -> Result<Session, SessionError> {
        let _pen = self.pen()?;
        let (_hold, mut session) = self.held_session(id)?;
        let now = self.clock.now();
        session.closed = Some(now);
        self.queue.append(|page| {
            page.entry(Body::SessionClosed(SessionClosed { by: by.clone(), session: id }))?;
            page.facts(facts_of_session(&session));
            Ok(())
        })?;
        Ok(session)
    }

    /// Moves a session to a more privileged ring for a time.
    pub fn elevate(&self, draft: ElevationDraft) -> Result<Session, SessionError> {
        let ElevationDraft { approval, decision, duration_ms, session: id, to } = draft;
        let _pen = self.pen()?;
        let (_hold, mut session) = self.held_session(id)?;
        let now = self.clock.now();
        if let Some(elevation) = session.elevated.filter(|elevation| now < elevation.until) {
            return Err(SessionError::ElevatedAlready(id, elevation.ring, elevation.until));
        }
        let taken = match approval {
            None => None,
            Some((approval, binding)) => {
                Some(self.take(approval, &binding)?.ok_or(SessionError::ApprovalGone(approval))?)
            }
        };
        let until = now.plus_millis(duration_ms);
        session.elevated = Some(Elevation { ring: to, until });
        let (decision, request) = self.decision(decision)?;
        self.queue.append(|page| {
            let body = Elevated {
                approval: approval.map(|(approval, _)| approval),
                decision,
                from: session.ring,
                principal: session.principal.clone(),
                session: id,
                to,
                until,
            };
            page.entry_with(Body::Elevated(Box::new(body)), request)?;
            page.facts(facts_of_session(&session));
            page.facts(taken.iter().flat_map(|taken| taken.facts.clone()));
            Ok(())
        })?;
        Ok(session)
    }

    /// A session.
    pub fn session(&self, id: SessionId) -> Result<Option<Session>, LedgerError> {
        self.known_fact(FactKind::Session, &id.to_string())
    }

    /// Every session there was, by id: as many as that is.
    pub fn sessions(&self) -> Result<Vec<Session>, LedgerError> {
        self.known_facts(FactKind::Session)
    }

    /// An open session.
    pub fn open_session_by(&self, id: SessionId) -> Result<Session, SessionError> {
        let session = self.session(id)?.ok_or(SessionError::Unknown(id))?;
        match session.closed {
            Some(closed) => Err(SessionError::Closed(id, closed)),
            None => Ok(session),
        }
    }

    pub(in crate::ledger) fn held_session(&self, id: SessionId) -> Result<(Hold, Session), SessionError> {
        let hold = self.holds.hold(FactKind::Session, &id.to_string()).ok_or(SessionError::Busy(id))?;
        Ok((hold, self.open_session_by(id)?))
    }
}

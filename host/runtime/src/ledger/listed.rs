//! Lists: the sessions that are open and the questions that wait for an answer, a page at a time.
//!
//! Each is a fact once more, under a key by which it is listed, for as long as it is open or waits: a page costs what stands on
//! it, whatever has been closed, answered or run out since the log began. Kept by the batch that changes what is listed, so the
//! two are never apart.

use ringfence_model::principal::Principal;
use ringfence_model::principal::PrincipalKind;
use ringfence_model::time::Timestamp;

use crate::ledger::approvals::Approval;
use crate::ledger::backend::Fact;
use crate::ledger::backend::FactKind;
use crate::ledger::error::LedgerError;
use crate::ledger::facts::fact;
use crate::ledger::record::Ledger;
use crate::ledger::sessions::Session;

/// Whose sessions.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'p> {
    /// Everybody's.
    All,
    /// Those of every principal of a kind.
    Every(PrincipalKind),
    /// Those of one.
    One(&'p Principal),
}

impl Whose<'_> {
    /// What the keys of these begin with, and of no others. `~` stands in no principal.
    fn prefix(self) -> String {
        match self {
            Self::All => String::new(),
            Self::Every(PrincipalKind::Agent) => "agent:".to_owned(),
            Self::Every(PrincipalKind::Operator) => "operator:".to_owned(),
            Self::Every(PrincipalKind::Service) => "service:".to_owned(),
            Self::One(principal) => format!("{principal}~"),
        }
    }
}

/// A question that waits, and where it stands in the list.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The question.
    pub approval: Approval,
    /// What the list goes on after.
    pub place: String,
}

impl Ledger {
    /// At most `limit` sessions that are open, by principal, and those that were opened first; after one of them, which may
    /// have been closed meanwhile.
    pub fn open_sessions(
        &self,
        whose: Whose<'_>,
        after: Option<&Session>,
        limit: usize,
    ) -> Result<Vec<Session>, LedgerError> {
        let prefix = whose.prefix();
        let from = after.map(key_of_session).filter(|after| *after > prefix).unwrap_or_else(|| prefix.clone());
        let listed = self.known_facts_after(FactKind::OpenSession, &from, limit)?;
        Ok(listed.into_iter().take_while(|(key, _)| key.starts_with(&prefix)).map(|(_, session)| session).collect())
    }

    /// At most `limit` questions that wait for an answer, those first whose time is over first; after a place in that order.
    /// Those whose time is over are not looked at.
    pub fn waiting(&self, after: Option<&str>, limit: usize) -> Result<Vec<Waiting>, LedgerError> {
        // The last place of now: what ends now has ended.
        let now = format!("{}~~", in_key(self.clock.now()));
        let from = after.filter(|after| **after > *now).unwrap_or(&now);
        let listed = self.known_facts_after(FactKind::Waiting, from, limit)?;
        Ok(listed.into_iter().map(|(place, approval)| Waiting { approval, place }).collect())
    }
}

/// A session and its place in the list, as they are written.
pub(super) fn facts_of_session(session: &Session) -> [Fact; 2] {
    let listed = fact(FactKind::OpenSession, key_of_session(session), session);
    let listed = if session.closed.is_some() { Fact { value: None, ..listed } } else { listed };
    [fact(FactKind::Session, session.session.to_string(), session), listed]
}

/// The place of a question that waits.
pub(super) fn waits(approval: &Approval) -> Fact {
    let key = format!("{}~{:020}", in_key(approval.expires), approval.held);
    fact(FactKind::Waiting, key, approval)
}

/// Whether a text is made like the place of a question that waits.
pub fn is_place(text: &str) -> bool {
    let Some((time, entry)) = text.split_once('~') else { return false };
    let is_time = time.starts_with(|first: char| first.is_ascii_digit()) && time.ends_with('Z');
    is_time && entry.len() == 20 && entry.bytes().all(|byte| byte.is_ascii_digit())
}

/// The same, where it waits no more: of the question as it was.
pub(super) fn waits_no_more(approval: &Approval) -> Fact {
    Fact { value: None, ..waits(approval) }
}

fn key_of_session(session: &Session) -> String {
    let Session { opened, principal, session, .. } = session;
    format!("{principal}~{}~{session}", in_key(*opened))
}

/// A time as it stands in keys: in the order of times, and as it can stand in an address.
fn in_key(time: Timestamp) -> String {
    time.to_string().replace(':', "")
}

#[cfg(test)]
mod tests {
    use ringfence_model::digest::Digest;
    use ringfence_model::id::ApprovalId;
    use ringfence_model::id::SessionId;

    use super::*;
    use crate::ledger::approvals::ApprovalState;
    use crate::ledger::backend::Backend;
    use crate::ledger::backend::Batch;
    use crate::ledger::backend::MemoryBackend;
    use crate::ledger::backend::PostgresBackend;
    use crate::ledger::backend::SqliteBackend;
    use crate::ledger::backend::faulty::FaultyBackend;
    use crate::ledger::backend::postgres::server::Database;
    use crate::ledger::backend::postgres::tests::access;
    use crate::ledger::fixture;
    use crate::ledger::fixture::principal;
    use crate::ledger::fixture::question;
    use crate::ledger::fixture::session;

    /// How many there were before.
    const PAST: u64 = 1_000;

    /// What a thousand sessions leave that were opened and closed, and as many questions of each end.
    fn past(ledger: &Ledger) -> Vec<Fact> {
        let opened = ledger.open_session(session("s", &principal("a")), &principal("a")).expect("a session");
        let session = ledger.close_session(opened.session, &principal("a")).expect("closed");
        let (asked, _) = ledger.hold(question(PAST, 1)).expect("an answer").expect("a question");
        let by: Principal = "operator:o".parse().expect("a principal");
        // Of other bytes than the fixture's.
        let id =
            |number: u64| *Digest::of(format!("past {number}").as_bytes()).as_bytes().first_chunk().expect("16 bytes");
        let mut facts = Vec::new();
        for number in 0..PAST {
            let opened = Timestamp::from_millis(session.opened.as_millis() - number);
            facts.extend(facts_of_session(&Session {
                session: SessionId::from_random(id(number)),
                opened,
                ..session.clone()
            }));
            // One that nobody has answered waits in its place for ever, before what is listed.
            let expires = Timestamp::from_millis(1_700_000_000_000 + number);
            let unanswered = Approval { approval: ApprovalId::from_random(id(number)), expires, ..asked.clone() };
            facts.extend([fact(FactKind::Approval, unanswered.approval.to_string(), &unanswered), waits(&unanswered)]);
            let state = ApprovalState::Used { by: by.clone() };
            let used = Approval { approval: ApprovalId::from_random(id(PAST + number)), state, ..unanswered };
            facts.push(fact(FactKind::Approval, used.approval.to_string(), &used));
        }
        facts
    }

    /// What is listed of a log with such a past, and how many facts are read for that.
    fn checks(backend: impl Backend + 'static, name: &str) {
        let mut disk = FaultyBackend::new(backend);
        let ledger = fixture::create(disk.clone());
        let facts = past(&ledger);
        drop(ledger);
        disk.take_pen().expect("the pen");
        disk.commit(Batch { facts, ..Batch::default() }).expect("a past");
        disk.give_pen().expect("the pen, given back");
        let ledger = fixture::open(disk.clone());
        let whose = ["b", "a", "a.b", "a"].map(principal);
        let opened: Vec<_> =
            whose.iter().map(|who| ledger.open_session(session("t", who), who).expect("open")).collect();
        let asked: Vec<_> = [3_600_000, 1_800_000, 7_200_000]
            .iter()
            .zip(0..)
            .map(|(valid_ms, number)| ledger.hold(question(number, *valid_ms)).expect("an answer").expect("asked").0)
            .collect();

        let read = |wanted: u64, what: &dyn Fn()| {
            let before = disk.facts_read();
            what();
            assert_eq!(disk.facts_read() - before, wanted, "{name}");
        };
        let mine = principal("a");
        let ids = |sessions: &[Session]| sessions.iter().map(|session| session.session).collect::<Vec<_>>();
        let wanted: Vec<_> = [2, 1, 3, 0].iter().map(|at: &usize| opened[*at].clone()).collect();
        let page = |whose, after, limit| ids(&ledger.open_sessions(whose, after, limit).expect("sessions"));
        read(4, &|| assert_eq!(page(Whose::All, None, 9), ids(&wanted)));
        read(2, &|| assert_eq!(page(Whose::All, None, 2), ids(&wanted[..2])));
        read(2, &|| assert_eq!(page(Whose::All, Some(&wanted[1]), 2), ids(&wanted[2..])));
        read(2, &|| assert_eq!(page(Whose::One(&mine), None, 2), ids(&wanted[1..3])));
        read(0, &|| assert_eq!(page(Whose::Every(PrincipalKind::Operator), None, 1), []));
        assert_eq!(page(Whose::One(&mine), Some(&wanted[3]), 9), []);
        assert_eq!(page(Whose::Every(PrincipalKind::Agent), Some(&wanted[2]), 9), ids(&wanted[3..]));

        let wanted: Vec<_> = [1, 0, 2].iter().map(|at: &usize| asked[*at].approval).collect();
        let page = |after: Option<&str>, limit| {
            let waiting = ledger.waiting(after, limit).expect("questions");
            let place = waiting.last().map(|last| last.place.clone());
            (waiting.iter().map(|it| it.approval.approval).collect::<Vec<_>>(), place)
        };
        read(3, &|| assert_eq!(page(None, 9).0, wanted));
        let (first, place) = page(None, 1);
        assert_eq!(first, wanted[..1]);
        let place = place.expect("a place");
        assert!(is_place(&place), "{place}");
        for other in ["", "0", "~", "Z~00000000000000000001", "ses_1", "2026Z~1", "2026Z~0000000000000000000x"] {
            assert!(!is_place(other), "{other}");
        }
        assert!(place.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)), "{place}");
        read(2, &|| assert_eq!(page(Some(&place), 9).0, wanted[1..]));

        // What is closed or answered is listed no more, and one's place is not lost by that.
        ledger.close_session(opened[1].session, &principal("a")).expect("closed");
        let listed = ledger.open_sessions(Whose::All, Some(&opened[1]), 9).expect("sessions");
        assert_eq!(ids(&listed), [opened[3].session, opened[0].session]);
        for (at, is_yes) in [(1, true), (0, false)] {
            ledger.answer(asked[at].approval, &"operator:o".parse().expect("one"), is_yes, None).expect("answered");
        }
        assert_eq!(page(Some(&place), 9).0, wanted[2..]);
        assert_eq!(page(None, 9).0, wanted[2..]);
        // What is listed is what there is.
        let open = ledger.sessions().expect("sessions").into_iter().filter(|session| session.closed.is_none());
        let mut open: Vec<_> = open.map(|session| session.session.to_string()).collect();
        let listed = ledger.open_sessions(Whose::All, None, 9).expect("sessions");
        let mut listed: Vec<_> = listed.iter().map(|session| session.session.to_string()).collect();
        open.sort();
        listed.sort();
        assert_eq!(open, listed);
        assert_eq!(ledger.sessions().expect("sessions").len() as u64, PAST + 5);
    }

    #[test]
    fn page_costs_what_stands_on_it() {
        let (folder, database) = (tempfile::tempdir().expect("a folder"), Database::new());
        checks(MemoryBackend::new(), "memory");
        checks(SqliteBackend::create(&folder.path().join("log")).expect("a new log"), "sqlite");
        checks(PostgresBackend::create(access(&database)).expect("a new log"), "postgres");
    }

    #[test]
    fn failed_batch_leaves_the_list_as_it_was() {
        use crate::ledger::backend::BackendError;
        use crate::ledger::backend::faulty::Fault;

        let disk = FaultyBackend::new(MemoryBackend::new());
        let ledger = fixture::create(disk.clone());
        let mine = principal("a");
        let opened = ledger.open_session(session("s", &mine), &mine).expect("a session");
        disk.fail(0, Fault::Failed(BackendError::DiskFull));
        assert!(ledger.close_session(opened.session, &mine).is_err());
        assert_eq!(ledger.open_sessions(Whose::One(&mine), None, 9).expect("sessions").len(), 1);
        let ledger = fixture::open(disk.restart());
        ledger.close_session(opened.session, &mine).expect("closed");
        assert!(ledger.open_sessions(Whose::All, None, 9).expect("sessions").is_empty());
    }
}

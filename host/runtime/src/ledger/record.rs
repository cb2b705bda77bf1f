//! The ledger's verbs: begin, finish, refuse, rotate, remove.
//!
//! The rule of [`Ledger::begin`]: the intent is durable before the tool can touch the world. Under a grant that reaches
//! nothing there is no world to touch, so the intent waits in memory and is written with the ending, two entries in one
//! commit; a crash before that leaves nothing, and nothing has happened.

use std::sync::Arc;
use std::sync::Mutex;

use ringfence_audit::chain::Head;
use ringfence_model::content;
use ringfence_model::content::ContentName;
use ringfence_model::entry::Body;
use ringfence_model::entry::Finished;
use ringfence_model::entry::Opened;
use ringfence_model::entry::Refused;
use ringfence_model::entry::Removed;
use ringfence_model::entry::RemovedContent;
use ringfence_model::entry::Rotated;
use ringfence_model::grant::Reach;
use ringfence_model::id::CallId;
use ringfence_model::lifecycle::Phase;
use ringfence_model::limits;
use ringfence_model::time::Clock;

use crate::lease::HostLease;
use crate::ledger::backend::Backend;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::Batch;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::Lease;
use crate::ledger::backend::StoredContent;
use crate::ledger::call::Begin;
use crate::ledger::call::Begun;
use crate::ledger::call::Ending;
use crate::ledger::call::Intent;
use crate::ledger::call::Recorded;
use crate::ledger::call::RefusalDraft;
use crate::ledger::call::Removal;
use crate::ledger::call::Unfinished;
use crate::ledger::call::Written;
use crate::ledger::claim::Claims;
use crate::ledger::entries::check_link;
use crate::ledger::entries::checked;
use crate::ledger::error::LedgerError;
use crate::ledger::facts::Holds;
use crate::ledger::keys::key_row;
use crate::ledger::queue::Filed;
use crate::ledger::queue::Page;
use crate::ledger::queue::Pen;
use crate::ledger::queue::Queue;
use crate::ledger::queue::lock;
use crate::ledger::random::Random;
use crate::ledger::usage::Counted;
use crate::ledger::usage::Usages;

/// What is put on a page once it is clear where in the log it goes.
type Write<'a, T> = Box<dyn FnOnce(&mut Page) -> Result<T, LedgerError> + 'a>;

/// What beginning a call comes to.
enum Prepared<'a> {
    /// Nothing has to be written for it.
    Done(Begin),
    /// This has.
    Write(Write<'a, Begin>),
}

/// The durable record of calls. Share it by reference: every method takes `&self` and may wait for the disk.
#[derive(Debug)]
pub struct Ledger {
    pub(in crate::ledger) claims: Claims,
    pub(in crate::ledger) clock: Arc<dyn Clock>,
    pub(in crate::ledger) holds: Holds,
    pub(in crate::ledger) opened: Opened,
    /// How many entries there were when it was opened: calls begun before that belong to recovery.
    pub(in crate::ledger) opened_len: u64,
    pub(in crate::ledger) queue: Arc<Queue>,
    pub(in crate::ledger) random: Arc<dyn Random>,
    /// Held while recovery runs, and while somebody settles a call, so that no call is settled twice.
    pub(in crate::ledger) settling: Mutex<()>,
    pub(in crate::ledger) usages: Mutex<Usages>,
}

impl Ledger {
    /// Opens a log for the first time: writes its first entry. Fails if the backend holds entries.
    pub fn create(
        backend: Box<dyn Backend>,
        opened: Opened,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, LedgerError> {
        if backend.head()?.is_some() {
            return Err(LedgerError::NotNew);
        }
        let queue = Arc::new(Queue::new(backend, Head::empty(), Arc::clone(&clock)));
        let pen = queue.pen(|| {})?;
        if queue.durable().next_index > 0 {
            return Err(LedgerError::NotNew);
        }
        queue.append(|page| page.entry(Body::Opened(opened.clone())))?;
        drop(pen);
        let opened_len = queue.durable().next_index;
        Ok(Self::of(queue, opened, opened_len, clock, random))
    }

    /// Opens a log that exists. Checks its first entry and its last, not all of them: that is verification's work.
    /// Calls that were begun and not finished stay so until [`crate::ledger::recovery::settle`].
    pub fn open(
        backend: Box<dyn Backend>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, LedgerError> {
        let missing = || LedgerError::Corrupt { index: 0, why: "it is missing".to_owned() };
        let (_, first) = checked(&backend.entry(0)?.ok_or_else(missing)?, 0)?;
        let Body::Opened(opened) = first.body else {
            return Err(LedgerError::Corrupt { index: 0, why: "it does not open a log".to_owned() });
        };
        let last = backend.head()?.ok_or_else(missing)?;
        let (index, hash) = (last.index, last.hash);
        let (_, entry) = checked(&last, index)?;
        if let Some(before) = index.checked_sub(1) {
            check_link(&entry, backend.entry(before)?)?;
        }
        let opened_len = index.saturating_add(1);
        let queue = Arc::new(Queue::new(backend, Head { next_index: opened_len, hash }, Arc::clone(&clock)));
        Ok(Self::of(queue, opened, opened_len, clock, random))
    }

    fn of(queue: Arc<Queue>, opened: Opened, opened_len: u64, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self {
            claims: Claims::default(),
            clock,
            holds: Holds::default(),
            opened,
            opened_len,
            queue,
            random,
            settling: Mutex::default(),
            usages: Mutex::default(),
        }
    }

    /// An id for a new call.
    pub fn new_call_id(&self) -> Result<CallId, LedgerError> {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes)?;
        Ok(CallId::at(self.clock.now(), bytes))
    }

    /// Claims the idempotency key and the approval, counts, and writes the intent. When this returns [`Begin::Begun`], the call may run.
    pub fn begin(&self, intent: Intent) -> Result<Begin, LedgerError> {
        let _pen = self.pen()?;
        match self.prepare(intent)? {
            Prepared::Done(begin) => Ok(begin),
            Prepared::Write(write) => self.queue.append(write),
        }
    }

    /// Whether a call can be begun and ended by tasks, for nothing has to be read from the disk first.
    pub(crate) fn needs_no_reading(&self, intent: &Intent) -> bool {
        let Intent { approval, idempotency_key, principal, session, tool, .. } = intent;
        let counted = Counted { principal: principal.clone(), session: *session, tool: tool.digest };
        !self.is_shared() && idempotency_key.is_none() && approval.is_none() && self.knows_usage(&counted)
    }

    /// The same for whoever waits as a task, of a call that [needs no reading](Self::needs_no_reading).
    pub(crate) fn file_begin(&self, intent: Intent) -> Result<Filed<Begin>, LedgerError> {
        match self.prepare(intent)? {
            Prepared::Done(begin) => Ok(Filed::at_once(begin)),
            Prepared::Write(write) => self.queue.file(write),
        }
    }

    fn prepare(&self, intent: Intent) -> Result<Prepared<'_>, LedgerError> {
        let key = key_row(&intent);
        let claim = match &key {
            None => None,
            Some(key) => match self.claim(&intent, key)? {
                Ok(claim) => Some(claim),
                Err(known) => return Ok(Prepared::Done(known)),
            },
        };
        let approval = match intent.approval {
            None => None,
            Some((id, binding)) => match self.take(id, &binding)? {
                Some(taken) => Some(taken),
                None => return Ok(Prepared::Done(Begin::ApprovalGone)),
            },
        };
        let counted =
            Counted { principal: intent.principal.clone(), session: intent.session, tool: intent.tool.digest };
        let now = self.clock.now();
        if let Err(capped) = self.count_call(&counted, &intent.caps, now)? {
            return Ok(Prepared::Done(Begin::Capped(capped)));
        }
        let (reach, keep) = (intent.reach, intent.keep);
        let (row, entry, contents) = self.draft(intent, key)?;
        let input = contents.first().map(StoredContent::opening);
        let begun = move |row, written, counted, approval| {
            let counted = Some(counted);
            Begin::Begun(Begun(Box::new(Unfinished { row, input, written, claim, counted, approval, keep })))
        };
        // Other hosts know what is written, and nothing of what is in memory.
        if reach == Reach::Nothing && !self.is_shared() {
            let written = Written::WithEnding(Box::new(entry), contents);
            return Ok(Prepared::Done(begun(row, written, counted, approval)));
        }
        let write = move |page: &mut Page| {
            // With the intent: a call that is cut off has been counted, and has used its approval, all the same.
            page.facts(approval.iter().flat_map(|taken| taken.facts.clone()));
            page.facts(self.counts(&counted));
            if reach == Reach::Nothing {
                return Ok(begun(row, Written::WithEnding(Box::new(entry), contents), counted, approval));
            }
            let (index, _) = page.entry_with(Body::Begun(Box::new(entry)), contents)?;
            page.call(Phase::Intended, CallRow { state: CallState::Begun { begun: index }, ..row.clone() })?;
            Ok(begun(row, Written::At(index), counted, approval))
        };
        Ok(Prepared::Write(Box::new(write)))
    }

    /// Writes how a call ended: the commit point. If this fails, the call stays open and recovery settles it.
    pub fn finish(&self, begun: Begun, ending: Ending) -> Result<Recorded, LedgerError> {
        let _pen = self.pen()?;
        self.finish_with_pen(begun, ending)
    }

    pub(in crate::ledger) fn finish_with_pen(&self, begun: Begun, ending: Ending) -> Result<Recorded, LedgerError> {
        let write = self.ending(begun, ending)?;
        self.queue.append(write)
    }

    /// The same for whoever waits as a task, in a log that is not shared, of a call that this process began.
    pub(crate) fn file_ending(&self, begun: Begun, ending: Ending) -> Result<Filed<Recorded>, LedgerError> {
        let write = self.ending(begun, ending)?;
        self.queue.file(write)
    }

    fn ending(&self, begun: Begun, ending: Ending) -> Result<Write<'_, Recorded>, LedgerError> {
        let Unfinished { mut row, input, written, claim, counted, approval, keep } = *begun.0;
        let (ended, contents) = self.draft_ending(row.call, ending)?;
        let output = contents.first().map(StoredContent::opening);
        let now = self.clock.now();
        // What this process began is attempting as long as there is its token. Of what another began, only the log knows.
        let from = match (&counted, &written) {
            (Some(_), Written::WithEnding(..)) => Phase::Attempting,
            // In a log that hosts share another may have ended it meanwhile.
            (Some(_), Written::At(_)) if !self.queue.is_shared() => Phase::Attempting,
            _ => self.phase(&row.call)?,
        };
        if let Some(counted) = &counted {
            self.count_used(counted, ended.used, now)?;
        }
        let write = move |page: &mut Page| {
            let begun = match written {
                Written::At(index) => index,
                Written::WithEnding(entry, contents) => {
                    // Where hosts share the log they were written when it began, and may have changed since.
                    let used = approval.iter().filter(|_| !self.queue.is_shared());
                    page.facts(used.flat_map(|taken| taken.facts.clone()));
                    page.entry_with(Body::Begun(entry), contents)?.0
                }
            };
            let (call, effect, outcome) = (ended.call, ended.effect, ended.outcome);
            let ended = Finished { begun, ..ended };
            let (index, hash) = page.entry_with(Body::Finished(Box::new(ended)), contents)?;
            page.facts(counted.iter().flat_map(|counted| self.counts(counted)));
            page.facts(keep.map(|keep| keep.fact(call, index, outcome, now)));
            row.state = CallState::Finished { begun, finished: index, effect };
            page.call(from, row)?;
            // Ownership: only when it is durable may another call ask the log about the key.
            page.hold((claim, approval));
            Ok(Recorded { call, index, hash, input, output })
        };
        Ok(Box::new(write))
    }

    /// Writes that a call did not run.
    pub fn refuse(&self, refusal: RefusalDraft) -> Result<Recorded, LedgerError> {
        let _pen = self.pen()?;
        let write = self.refusal(refusal)?;
        self.queue.append(write)
    }

    /// The same for whoever waits as a task, in a log that is not shared.
    pub(crate) fn file_refusal(&self, refusal: RefusalDraft) -> Result<Filed<Recorded>, LedgerError> {
        let write = self.refusal(refusal)?;
        self.queue.file(write)
    }

    fn refusal(&self, refusal: RefusalDraft) -> Result<Write<'_, Recorded>, LedgerError> {
        let RefusalDraft { admission, call, code, decision, function, input, layer, .. } = refusal;
        let RefusalDraft { principal, ring, session, stage, tool, .. } = refusal;
        let (admission, component) = self.decision_if(admission)?;
        let (decision, request) = self.decision_if(decision)?;
        let [input] = self.contents([input])?;
        let opening = input.opening();
        let write = move |page: &mut Page| {
            let key = None;
            let body = Refused {
                admission,
                call,
                code,
                decision,
                function,
                input: input.commitment,
                layer,
                principal: principal.clone(),
                ring,
                session,
                stage,
                tool,
            };
            let contents = component.into_iter().chain(request).chain([input]);
            let (index, hash) = page.entry_with(Body::Refused(Box::new(body)), contents)?;
            let state = CallState::Refused { refused: index };
            page.call(Phase::Intended, CallRow { call, principal, key, reach: Reach::Nothing, state })?;
            Ok(Recorded { call, index, hash, input: Some(opening), output: None })
        };
        Ok(Box::new(write))
    }

    /// Writes that the key of the log is replaced. `check` is asked while nobody else writes; `sign` gets the end of the log
    /// that the entry goes to.
    pub(crate) fn rotate(
        &self,
        check: impl FnOnce(&Self) -> Result<(), LedgerError>,
        sign: impl FnOnce(&Head) -> Result<Rotated, LedgerError>,
    ) -> Result<(Head, Rotated), LedgerError> {
        let _pen = self.pen()?;
        check(self)?;
        self.queue.append(|page| {
            let end = *page.head();
            let rotated = sign(&end)?;
            page.entry(Body::Rotated(Box::new(rotated.clone())))?;
            Ok((end, rotated))
        })
    }

    /// Takes contents out of the store, for good, and writes down that it did: each content is gone in the same commit
    /// as the entry that says so. Entries keep their commitments, so nothing that was proven stops being so. Returns the
    /// entries that say what was removed, with what each of them says; none if everything was gone already.
    pub fn remove(&self, removal: Removal) -> Result<Vec<(u64, Vec<RemovedContent>)>, LedgerError> {
        let Removal { by, mut contents, principal, reason } = removal;
        contents.sort_unstable();
        contents.dedup();
        let pen = self.pen()?;
        let mut there = Vec::new();
        for content in contents {
            there.extend(self.removable(content)?.map(|key| (content, key)));
        }
        let mut removed = Vec::new();
        for part in there.chunks(limits::REMOVED_PER_ENTRY_MAX) {
            let contents: Vec<_> = part.iter().map(|(content, _)| *content).collect();
            let (by, reason, principal) = (by.clone(), reason.clone(), principal.clone());
            let body = Removed { by, contents: contents.clone(), principal, reason };
            let index = self.queue.append(|page| {
                page.removals(part.iter().map(|(_, key)| *key));
                Ok(page.entry(Body::Removed(Box::new(body)))?.0)
            })?;
            removed.push((index, contents));
        }
        drop(pen);
        // Also when there was nothing left to remove: an earlier time may have been cut off before this.
        self.queue.scrub()?;
        Ok(removed)
    }

    /// The key of a content that is there.
    fn removable(&self, content: RemovedContent) -> Result<Option<ContentKey>, LedgerError> {
        let RemovedContent { entry, name } = content;
        let body = self.checked_entry(entry)?.body;
        let Some(commitment) = content::commitment(&body, name) else { return Ok(None) };
        let key = ContentKey { entry, name, commitment };
        Ok(self.content_length(&key)?.map(|_| key))
    }

    /// This host's lease on what it has begun: when it is over, another host may have taken over.
    pub(crate) fn host_lease(&self) -> HostLease {
        self.queue.host_lease()
    }

    /// Whether other hosts write to the log as well.
    pub(crate) fn is_shared(&self) -> bool {
        self.queue.is_shared()
    }

    /// While it is held, no other host writes to the log.
    pub(crate) fn pen(&self) -> Result<Pen<'_>, LedgerError> {
        self.queue.pen(|| lock(&self.usages).forget())
    }

    /// Asks the backend something that is no call: nodes, checkpoints.
    pub(crate) fn read<T>(
        &self,
        question: impl FnOnce(&dyn Backend) -> Result<T, BackendError>,
    ) -> Result<T, LedgerError> {
        self.queue.read(question)
    }

    /// Commits nodes of the tree and a checkpoint.
    pub(crate) fn commit_aside(&self, batch: Batch) -> Result<(), LedgerError> {
        self.queue.commit_aside(batch)
    }

    /// The calls that an earlier process began and did not finish, as tokens to finish them by.
    pub(in crate::ledger) fn left_open(&self) -> Result<Vec<Begun>, LedgerError> {
        self.queue.take_over()?;
        let rows = self.queue.read(|backend| backend.open_calls())?;
        let mut left = Vec::new();
        for row in rows {
            if let CallState::Begun { begun } = row.state
                && self.is_left(&row.call, begun)?
            {
                let Body::Begun(entry) = self.checked_entry(begun)?.body else {
                    return Err(LedgerError::Corrupt { index: begun, why: "it does not begin a call".to_owned() });
                };
                let key = ContentKey { entry: begun, name: ContentName::Input, commitment: entry.input };
                let input = self.content(&key)?.map(|content| content.opening());
                left.push(Begun(Box::new(Unfinished {
                    row,
                    input,
                    written: Written::At(begun),
                    claim: None,
                    counted: None,
                    approval: None,
                    keep: None,
                })));
            }
        }
        Ok(left)
    }

    /// Whether nobody runs a call any more that was begun and has not ended.
    pub(in crate::ledger) fn is_left(&self, call: &CallId, begun: u64) -> Result<bool, LedgerError> {
        Ok(match self.queue.read(|backend| backend.lease(call))? {
            Lease::Held | Lease::Overdue => false,
            Lease::Lost => true,
            Lease::Unshared => begun < self.opened_len,
        })
    }
}

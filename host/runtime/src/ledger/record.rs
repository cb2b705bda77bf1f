//! The ledger's verbs: begin, finish, refuse; and the questions about what was written.
//!
//! The rule of [`Ledger::begin`]: the intent is durable before the tool can touch the world. Under a grant that reaches
//! nothing there is no world to touch, so the intent waits in memory and is written with the ending, two entries in one
//! commit; a crash before that leaves nothing, and nothing has happened.

use std::sync::Arc;
use std::sync::Mutex;

use ringfence_audit::chain::Head;
use ringfence_audit::hash;
use ringfence_model::content;
use ringfence_model::content::ContentName;
use ringfence_model::digest::Digest;
use ringfence_model::digest::Nonce;
use ringfence_model::encoding;
use ringfence_model::entry;
use ringfence_model::entry::Body;
use ringfence_model::entry::DecisionRecord;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Entry;
use ringfence_model::entry::Finished;
use ringfence_model::entry::Opened;
use ringfence_model::entry::Refused;
use ringfence_model::entry::Removed;
use ringfence_model::entry::RemovedContent;
use ringfence_model::entry::Rotated;
use ringfence_model::entry::Settlement;
use ringfence_model::grant::Reach;
use ringfence_model::id::CallId;
use ringfence_model::lifecycle::Phase;
use ringfence_model::limits;
use ringfence_model::principal::Principal;
use ringfence_model::time::Clock;

use crate::lease::HostLease;
use crate::ledger::backend::Backend;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::Batch;
use crate::ledger::backend::CallRow;
use crate::ledger::backend::CallState;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::KeyRow;
use crate::ledger::backend::Lease;
use crate::ledger::backend::StoredContent;
use crate::ledger::backend::StoredEntry;
use crate::ledger::call::Begin;
use crate::ledger::call::Begun;
use crate::ledger::call::DecisionDraft;
use crate::ledger::call::Ending;
use crate::ledger::call::Intent;
use crate::ledger::call::Recorded;
use crate::ledger::call::RefusalDraft;
use crate::ledger::call::Removal;
use crate::ledger::call::StoredCall;
use crate::ledger::call::Unfinished;
use crate::ledger::call::Written;
use crate::ledger::claim::Claim;
use crate::ledger::claim::Claims;
use crate::ledger::error::LedgerError;
use crate::ledger::facts::Holds;
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
    claims: Claims,
    pub(in crate::ledger) clock: Arc<dyn Clock>,
    pub(in crate::ledger) holds: Holds,
    opened: Opened,
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

    /// The answer that is on record under a call's key, if the same call has ended. Claims nothing and writes nothing: such an
    /// ending stays what it is.
    pub fn recall(&self, intent: &Intent) -> Result<Option<Box<StoredCall>>, LedgerError> {
        let Some(key) = key_row(intent) else { return Ok(None) };
        let Some(row) = self.queue.read(|backend| backend.call_by_key(&intent.principal, &key.key))? else {
            return Ok(None);
        };
        Ok(match self.known(&row, &key)? {
            Some(Begin::Known(stored)) => Some(stored),
            _ => None,
        })
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
        let [output, trace] = self.contents([ending.outcome, ending.trace])?;
        let opening = output.opening();
        let now = self.clock.now();
        // What this process began is attempting as long as there is its token. Of what another began, only the log knows.
        let from = match (&counted, &written) {
            (Some(_), Written::WithEnding(..)) => Phase::Attempting,
            // In a log that hosts share another may have ended it meanwhile.
            (Some(_), Written::At(_)) if !self.queue.is_shared() => Phase::Attempting,
            _ => self.phase(&row.call)?,
        };
        let (decision, request) = self.decision_if(ending.decision)?;
        if let Some(counted) = &counted {
            self.count_used(counted, ending.used, now)?;
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
            let body = Finished {
                begun,
                call: row.call,
                code: ending.code,
                decision,
                effect: ending.effect,
                outcome: ending.kind,
                output: output.commitment,
                redacted: ending.redacted,
                trace: trace.commitment,
                used: ending.used,
            };
            let contents = [output, trace].into_iter().chain(request);
            let (index, hash) = page.entry_with(Body::Finished(Box::new(body)), contents)?;
            page.facts(counted.iter().flat_map(|counted| self.counts(counted)));
            page.facts(keep.map(|keep| keep.fact(row.call, index, ending.kind, now)));
            row.state = CallState::Finished { begun, finished: index, effect: ending.effect };
            let call = row.call;
            page.call(from, row)?;
            // Ownership: only when it is durable may another call ask the log about the key.
            page.hold((claim, approval));
            Ok(Recorded { call, index, hash, input, output: Some(opening) })
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

    /// How many bytes a content has; none if it has been removed.
    pub fn content_length(&self, key: &ContentKey) -> Result<Option<u64>, LedgerError> {
        self.queue.read(|backend| backend.content_length(key))
    }

    /// What is known of a call. A call that runs under a grant that reaches nothing is not known until it has ended.
    pub fn find(&self, call: &CallId) -> Result<Option<CallRow>, LedgerError> {
        self.queue.read(|backend| backend.call(call))
    }

    /// How far a call has come.
    pub fn phase(&self, call: &CallId) -> Result<Phase, LedgerError> {
        Ok(self.find(call)?.map_or(Phase::Intended, |row| row.state.phase()))
    }

    /// What came of a call that has ended; none of one that runs, or did not run.
    pub fn ended(&self, row: &CallRow) -> Result<Option<StoredCall>, LedgerError> {
        match row.state {
            CallState::Finished { finished, .. } | CallState::Settled { finished, .. } => {
                self.stored(row.call, finished).map(Some)
            }
            CallState::Begun { .. } | CallState::Refused { .. } => Ok(None),
        }
    }

    /// A content, checked against its commitment; none if it has been removed.
    pub fn content(&self, key: &ContentKey) -> Result<Option<StoredContent>, LedgerError> {
        let content = self.queue.read(|backend| backend.content(key))?;
        match content {
            Some(content) if content.nonce.commit(&content.bytes) != key.commitment => {
                let why = format!("the content behind commitment `{}` is another one", key.commitment.digest());
                Err(BackendError::Corrupt(why).into())
            }
            content => Ok(content),
        }
    }

    /// The entry at `index`, as it is stored.
    pub fn entry(&self, index: u64) -> Result<Option<StoredEntry>, LedgerError> {
        self.queue.read(|backend| backend.entry(index))
    }

    /// At most `limit` entries from index `from` on, as they are stored.
    pub fn entries(&self, from: u64, limit: usize) -> Result<Vec<StoredEntry>, LedgerError> {
        self.queue.read(|backend| backend.entries(from, limit))
    }

    /// How many entries are durable.
    #[expect(clippy::len_without_is_empty, reason = "a ledger always holds its first entry")]
    pub fn len(&self) -> u64 {
        self.queue.durable().next_index
    }

    /// The first entry: who keeps the log.
    pub fn opened(&self) -> &Opened {
        &self.opened
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

    /// Holds a key, or says what is known under it.
    fn claim(&self, intent: &Intent, key: &KeyRow) -> Result<Result<Claim, Begin>, LedgerError> {
        let Intent { call, principal, idempotent, .. } = intent;
        let claim = match self.hold_key(principal, key, *call) {
            Ok(claim) => claim,
            Err(held) => return Ok(Err(held)),
        };
        // Ownership: nobody else writes under this key while the claim is held, so this answer stays true.
        let Some(row) = self.queue.read(|backend| backend.call_by_key(principal, &key.key))? else {
            return Ok(Ok(claim));
        };
        Ok(match self.known(&row, key)? {
            // Whatever it did, doing it once more changes nothing.
            Some(Begin::EffectUnknown { .. }) if *idempotent => Ok(claim),
            known => known.map_or(Ok(claim), Err),
        })
    }

    /// Holds a key among the calls of this process.
    pub(in crate::ledger) fn hold_key(
        &self,
        principal: &Principal,
        key: &KeyRow,
        call: CallId,
    ) -> Result<Claim, Begin> {
        match self.claims.hold(principal, key, call) {
            Ok(claim) => Ok(claim),
            Err(holder) if holder.fingerprint == key.fingerprint => Err(Begin::InProgress { call: holder.call }),
            Err(holder) => Err(Begin::Conflict { call: holder.call }),
        }
    }

    /// What a key's earlier call means for a new one; none if the new one may run.
    fn known(&self, row: &CallRow, key: &KeyRow) -> Result<Option<Begin>, LedgerError> {
        let call = row.call;
        if row.key.is_none_or(|earlier| earlier.fingerprint != key.fingerprint) {
            return Ok(Some(Begin::Conflict { call }));
        }
        Ok(match row.state {
            CallState::Finished { effect: EffectState::Committed, finished, .. } => {
                Some(Begin::Known(Box::new(self.stored(call, finished)?)))
            }
            CallState::Finished { effect: EffectState::Unknown, begun, .. } => {
                Some(Begin::EffectUnknown { call, begun })
            }
            // Another host runs it, or did so a moment ago (IDM-05).
            CallState::Begun { .. } if self.queue.read(|backend| backend.lease(&call))? == Lease::Held => {
                Some(Begin::InProgress { call })
            }
            // Begun, not finished, and nobody holds the key: whoever ran it is gone. What it did is anybody's guess,
            // unless it could change nothing.
            CallState::Begun { begun } if row.reach == Reach::Writes => Some(Begin::EffectUnknown { call, begun }),
            CallState::Settled { how: Settlement::Committed, settled, .. } => Some(self.settled(call, settled)?),
            CallState::Begun { .. }
            | CallState::Finished { effect: EffectState::Aborted, .. }
            | CallState::Refused { .. }
            | CallState::Settled { how: Settlement::NotExecuted, .. } => None,
        })
    }

    pub(in crate::ledger) fn stored(&self, call: CallId, index: u64) -> Result<StoredCall, LedgerError> {
        let wrong = |why: &str| LedgerError::Corrupt { index, why: why.to_owned() };
        let stored = self.entry(index)?.ok_or_else(|| wrong("it is missing"))?;
        let (hash, entry) = checked(&stored, index)?;
        let Body::Finished(finished) = entry.body else { return Err(wrong("it does not end a call")) };
        if finished.call != call {
            return Err(wrong("it ends another call"));
        }
        let Body::Begun(begun) = self.checked_entry(finished.begun)?.body else {
            return Err(LedgerError::Corrupt { index: finished.begun, why: "it does not begin a call".to_owned() });
        };
        let input = ContentKey { entry: finished.begun, name: ContentName::Input, commitment: begun.input };
        let input = self.content(&input)?.map(|content| content.opening());
        let output = ContentKey { entry: index, name: ContentName::Output, commitment: finished.output };
        let content = self.content(&output)?;
        let output = content.as_ref().map(StoredContent::opening);
        let recorded = Recorded { call, index, hash, input, output };
        Ok(StoredCall { recorded, finished: *finished, outcome: content.map(|content| content.bytes) })
    }

    pub(in crate::ledger) fn checked_entry(&self, index: u64) -> Result<Entry, LedgerError> {
        let missing = || LedgerError::Corrupt { index, why: "it is missing".to_owned() };
        Ok(checked(&self.entry(index)?.ok_or_else(missing)?, index)?.1)
    }

    /// An intent as it is written: the row, the entry and the contents, input first.
    pub(in crate::ledger) fn draft(
        &self,
        intent: Intent,
        key: Option<KeyRow>,
    ) -> Result<(CallRow, entry::Begun, Vec<StoredContent>), LedgerError> {
        let Intent { admission, approval, call, decision, effect, function, grant, input, limits, .. } = intent;
        let Intent { principal, reach, ring, session, tool, .. } = intent;
        let (admission, component) = self.decision_if(admission)?;
        let (decision, request) = self.decision(decision)?;
        let [input, grant] = self.contents([input, grant])?;
        let entry = entry::Begun {
            admission,
            approval: approval.map(|(approval, _)| approval),
            call,
            decision,
            effect,
            function,
            grant: grant.commitment,
            idempotency_key: key.map(|key| key.key),
            input: input.commitment,
            limits,
            principal: principal.clone(),
            reach,
            ring,
            session,
            tool,
        };
        // The state is set when the index is known.
        let row = CallRow { call, principal, key, reach, state: CallState::Begun { begun: 0 } };
        Ok((row, entry, [input, grant].into_iter().chain(request).chain(component).collect()))
    }

    /// A decision as it is written, and what the policies were told, unless that is not kept.
    pub(in crate::ledger) fn decision(
        &self,
        draft: DecisionDraft,
    ) -> Result<(DecisionRecord, Option<StoredContent>), LedgerError> {
        let DecisionDraft { allowed, keeps_request, policy_set, request, rulings } = draft;
        let [request] = self.contents([request])?;
        let record = DecisionRecord { allowed, policy_set, request: request.commitment, rulings };
        Ok((record, keeps_request.then_some(request)))
    }

    pub(in crate::ledger) fn decision_if(
        &self,
        draft: Option<DecisionDraft>,
    ) -> Result<(Option<DecisionRecord>, Option<StoredContent>), LedgerError> {
        let Some(draft) = draft else { return Ok((None, None)) };
        let (record, request) = self.decision(draft)?;
        Ok((Some(record), request))
    }

    /// Draws a nonce for each content and commits to it.
    pub(in crate::ledger) fn contents<const N: usize>(
        &self,
        contents: [Vec<u8>; N],
    ) -> Result<[StoredContent; N], LedgerError> {
        let mut nonces = [[0; 16]; N];
        self.random.fill(nonces.as_flattened_mut())?;
        let mut nonces = nonces.into_iter();
        Ok(contents.map(|bytes| {
            let nonce = Nonce::from_random(nonces.next().unwrap_or_default());
            StoredContent { commitment: nonce.commit(&bytes), nonce, bytes }
        }))
    }
}

pub(in crate::ledger) fn key_row(intent: &Intent) -> Option<KeyRow> {
    let key = Digest::of(intent.idempotency_key.as_ref()?.as_str().as_bytes());
    Some(KeyRow { key, fingerprint: fingerprint(intent) })
}

/// What an idempotency key stands for: the tool, the ring, the input, which names the function, and what the call would
/// see of the world. Each part has a fixed width, so no border between two can move.
fn fingerprint(intent: &Intent) -> Digest {
    let ring = Digest::of(intent.ring.to_string().as_bytes());
    let input = Digest::of(&intent.input);
    let reachable = &intent.reachable;
    Digest::of_parts(&[intent.tool.digest.as_bytes(), ring.as_bytes(), input.as_bytes(), reachable.as_bytes()])
}

/// Reads an entry back: it must hash to its hash, decode, and stand where it says.
fn checked(stored: &StoredEntry, index: u64) -> Result<(Digest, Entry), LedgerError> {
    let wrong = |why: String| LedgerError::Corrupt { index, why };
    if hash::leaf(&stored.bytes) != stored.hash {
        return Err(wrong("its bytes do not have its hash".to_owned()));
    }
    let entry = encoding::decode(&stored.bytes).map_err(|error| wrong(error.to_string()))?;
    if entry.index != index || stored.index != index {
        return Err(wrong(format!("it says that its index is `{}`", entry.index)));
    }
    Ok((stored.hash, entry))
}

fn check_link(entry: &Entry, before: Option<StoredEntry>) -> Result<(), LedgerError> {
    let Some(before) = before else {
        let index = entry.index.saturating_sub(1);
        return Err(LedgerError::Corrupt { index, why: "it is missing".to_owned() });
    };
    if before.hash != entry.prev {
        let why = "it is not linked to the entry before".to_owned();
        return Err(LedgerError::Corrupt { index: entry.index, why });
    }
    Ok(())
}

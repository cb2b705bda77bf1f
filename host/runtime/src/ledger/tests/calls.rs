//! What is written of a call, what opens it, what is removed of it, and what it costs.

use ringfence_model::content;
use ringfence_model::content::ContentName;
use ringfence_model::entry::Body;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::RemovedContent;
use ringfence_model::grant::Reach;

use crate::ledger::Intent;
use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::Random;
use crate::ledger::RefusalDraft;
use crate::ledger::Removal;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::CallState;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::MemoryBackend;
use crate::ledger::backend::PostgresBackend;
use crate::ledger::backend::SqliteBackend;
use crate::ledger::backend::postgres::server::Database;
use crate::ledger::backend::postgres::tests::access;
use crate::ledger::fixture::*;
use crate::ledger::random::RandomError;
use crate::ledger::tests::bodies;
use crate::ledger::tests::disk;
use crate::ledger::tests::history;
use crate::ledger::tests::kinds;
use crate::ledger::tests::known;

#[test]
fn one_history_has_same_bytes_everywhere() {
    let (folder, database) = (tempfile::tempdir().expect("a folder"), Database::new());
    let memory = create(MemoryBackend::new());
    let recorded = history(&memory);
    let entries = verified(&memory);
    assert_eq!(entries.len(), 14);
    for other in [
        create(SqliteBackend::create(&folder.path().join("log")).expect("a new log")),
        create(PostgresBackend::create(access(&database)).expect("a new log")),
    ] {
        assert_eq!(history(&other), recorded);
        assert_eq!(verified(&other), entries);
    }
}

#[test]
fn intent_is_durable_before_call_runs() {
    let ledger = create(MemoryBackend::new());
    for (number, reach) in [(1, Reach::Reads), (2, Reach::Writes)] {
        let before = ledger.len();
        let begun = begin(&ledger, intent(number, reach));
        assert_eq!((begun.index(), ledger.len()), (Some(before), before + 1));
        assert_eq!(bodies(&ledger).last().and_then(Body::call), Some(call(number)));
        ledger.finish(begun, ending(EffectState::Committed, "x")).expect("an ending");
    }
}

#[test]
fn call_that_reaches_nothing_is_one_commit() {
    let disk = disk();
    let ledger = create(disk.clone());
    let before = disk.counts().0;
    let begun = begin(&ledger, intent(1, Reach::Nothing));
    assert_eq!((begun.index(), disk.counts().0, ledger.len()), (None, before, 1));
    assert_eq!(ledger.find(&call(1)).expect("an answer"), None);
    let recorded = ledger.finish(begun, ending(EffectState::Committed, "x")).expect("an ending");
    assert_eq!((recorded.index, disk.counts().0), (2, before + 1));
    assert_eq!(kinds(&ledger), ["opened", "begun", "finished"]);
}

#[test]
fn contents_open_their_commitments() {
    let ledger = create(MemoryBackend::new());
    let recorded = make(&ledger, intent(1, Reach::Writes));
    let (input, output) = (recorded.input.expect("an input"), recorded.output.expect("an output"));
    let key = ContentKey { entry: recorded.index - 1, name: ContentName::Input, commitment: input.commitment };
    let content = ledger.content(&key).expect("an answer").expect("a content");
    assert_eq!((content.nonce, content.bytes), (input.nonce, intent(1, Reach::Writes).input));
    let outcome = ending(EffectState::Committed, "done").outcome;
    assert_eq!(output.nonce.commit(&outcome), output.commitment);
    for (entry, body) in (0..).zip(bodies(&ledger)) {
        for (name, commitment) in content::commitments(&body) {
            assert!(ledger.content(&ContentKey { entry, name, commitment }).expect("an answer").is_some(), "{name}");
        }
    }
}

#[test]
fn same_content_gets_another_commitment_each_time() {
    let ledger = create(MemoryBackend::new());
    let (one, two) = (
        make(&ledger, keyed(1, Reach::Reads, "a")),
        make(&ledger, Intent { idempotency_key: None, ..keyed(2, Reach::Reads, "a") }),
    );
    assert_ne!(one.input.map(|o| o.commitment), two.input.map(|o| o.commitment));
}

#[test]
fn refusal_is_written_and_found() {
    // AUD-20
    let ledger = create(MemoryBackend::new());
    let recorded = ledger.refuse(refusal(1)).expect("a refusal");
    let row = ledger.find(&call(1)).expect("an answer").expect("a call");
    assert_eq!(row.state, CallState::Refused { refused: recorded.index });
    assert_eq!(kinds(&ledger), ["opened", "refused"]);
    ledger.refuse(RefusalDraft { decision: None, ..refusal(2) }).expect("a refusal");
    verified(&ledger);
}

#[test]
fn removal_is_recorded_with_what_is_gone() {
    // AUD-18
    let disk = disk();
    let ledger = create(disk.clone());
    let first = make(&ledger, keyed(1, Reach::Writes, "k"));
    let contents = vec![
        RemovedContent { entry: first.index, name: ContentName::Output },
        RemovedContent { entry: first.index - 1, name: ContentName::Input },
    ];
    let removal = Removal { by: "desk".into(), contents, principal: principal("a"), reason: "asked for".into() };
    let removed = ledger.remove(removal.clone()).expect("a removal");
    let [(index, contents)] = &removed[..] else { panic!("{removed:?}") };
    assert_eq!((*index, contents.len()), (first.index + 1, 2));
    let batch = disk.batches().pop().expect("a batch");
    assert_eq!((batch.entries.len(), batch.removals.len()), (1, 2), "the entry and what it says are one commit");
    let stored = known(ledger.begin(keyed(2, Reach::Writes, "k")).expect("an answer"));
    assert_eq!((stored.outcome, stored.recorded.input), (None, None));
    let commits = disk.counts().0;
    assert_eq!(ledger.remove(removal).expect("nothing to remove"), Vec::new());
    assert_eq!(disk.counts().0, commits, "nothing to remove is nothing to record");
    verified(&ledger);
}

#[test]
fn entries_hold_no_content() {
    // AUD-17
    let ledger = create(MemoryBackend::new());
    make(&ledger, Intent { input: b"hunter2".to_vec(), grant: b"hunter2".to_vec(), ..intent(1, Reach::Writes) });
    for entry in verified(&ledger) {
        assert!(!String::from_utf8_lossy(&entry.bytes).contains("hunter2"));
    }
}

#[test]
fn oversized_entry_leaves_chain_unmoved() {
    let ledger = create(MemoryBackend::new());
    let long = Intent { function: "f".repeat(100_000), ..intent(1, Reach::Writes) };
    assert!(matches!(ledger.begin(long), Err(LedgerError::Encode(_))));
    let begun = begin(&ledger, Intent { function: "f".repeat(100_000), ..intent(2, Reach::Nothing) });
    assert!(matches!(ledger.finish(begun, ending(EffectState::Committed, "x")), Err(LedgerError::Encode(_))));
    assert_eq!(ledger.len(), 1);
    history(&ledger);
    verified(&ledger);
}

#[derive(Debug)]
struct NoRandom;

impl Random for NoRandom {
    fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError("none left".into()))
    }
}

#[test]
fn without_randomness_nothing_is_written() {
    let random = std::sync::Arc::new(NoRandom);
    let backend = Box::new(MemoryBackend::new());
    let ledger = Ledger::create(backend, opened(), SteppingClock::new(false), random).expect("a new log");
    assert!(matches!(ledger.begin(intent(1, Reach::Writes)), Err(LedgerError::Random(_))));
    assert!(matches!(ledger.refuse(refusal(2)), Err(LedgerError::Random(_))));
    assert_eq!(ledger.len(), 1);
}

#[test]
fn messages_are_one_line_in_our_words() {
    let errors = [
        LedgerError::Corrupt { index: 3, why: "it is missing".into() },
        LedgerError::Encode("an entry of 70000 bytes is larger than 65535".into()),
        LedgerError::Misuse("x"),
        LedgerError::Random(RandomError("x".into())),
        LedgerError::Stopped(BackendError::DiskFull),
        LedgerError::Storage(BackendError::DiskFull),
        LedgerError::Storage(BackendError::ReadOnly),
        LedgerError::Storage(BackendError::InUse),
        LedgerError::Storage(BackendError::Unusable { path: "a".into(), why: "it is empty".into() }),
    ];
    for message in errors.map(|error| error.to_string()) {
        assert!(!message.contains('\n') && !message.ends_with('.'), "{message}");
        assert!(message.starts_with(|c: char| c.is_lowercase() || c == '`'), "{message}");
    }
}

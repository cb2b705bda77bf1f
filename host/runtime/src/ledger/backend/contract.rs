//! One list of tests for every backend.

use std::path::Path;

use ringfence_audit::tree::Node;
use ringfence_model::content::ContentName;
use ringfence_model::digest::Digest;
use ringfence_model::digest::Nonce;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Settlement;
use ringfence_model::grant::Reach;

use super::*;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::postgres::server::Database;
use crate::ledger::fixture::call;
use crate::ledger::fixture::principal;

/// The backends, each by its name and a way to make an empty one in a folder.
type Make = fn(&Path) -> (Box<dyn Backend>, Option<Database>);
const BACKENDS: &[(&str, Make)] = &[
    ("memory", |_| (Box::new(MemoryBackend::new()), None)),
    ("sqlite", |folder| (Box::new(SqliteBackend::create(&folder.join("log")).expect("a new log")), None)),
    ("postgres", |_| {
        let database = Database::new();
        (Box::new(PostgresBackend::create(postgres::tests::access(&database)).expect("a new log")), Some(database))
    }),
];

/// What each of them must keep to.
type Check = fn(&mut dyn Backend);
const CONTRACT: &[(&str, Check)] = &[
    ("empty backend holds nothing", empty_backend_holds_nothing),
    ("entries come back as written", entries_come_back_as_written),
    ("gaps and replacements are refused", gaps_and_replacements_are_refused),
    ("refused batch leaves nothing", refused_batch_leaves_nothing),
    ("first content stays", first_content_stays),
    ("calls move on", calls_move_on),
    ("newest call holds the key", newest_call_holds_the_key),
    ("open calls are the oldest first", open_calls_are_the_oldest_first),
    ("unknown calls stay when settled", unknown_calls_stay_when_settled),
    ("nodes and checkpoints come back", nodes_and_checkpoints_come_back),
    ("removed contents are gone", removed_contents_are_gone),
    ("bytes of any kind survive", bytes_of_any_kind_survive),
    ("newest fact replaces the last", newest_fact_replaces_the_last),
];

#[test]
fn every_backend_keeps_the_contract() {
    for (backend, make) in BACKENDS {
        for (name, check) in CONTRACT {
            println!("{backend}: {name}");
            let folder = tempfile::tempdir().expect("a folder");
            let (mut backend, _database) = make(folder.path());
            backend.take_pen().expect("the pen");
            check(backend.as_mut());
        }
    }
}

fn entry(index: u64) -> StoredEntry {
    StoredEntry { index, hash: Digest::of(&index.to_be_bytes()), bytes: format!("entry {index}").into_bytes() }
}

pub(in crate::ledger) fn entries(range: std::ops::Range<u64>) -> Batch {
    Batch { entries: range.map(entry).collect(), ..Batch::default() }
}

fn content(nonce: u8, bytes: &[u8]) -> (ContentKey, StoredContent) {
    let (entry, nonce) = (u64::from(nonce), Nonce::from_random([nonce; 16]));
    let commitment = nonce.commit(bytes);
    (
        ContentKey { entry, name: ContentName::Trace, commitment },
        StoredContent { commitment, nonce, bytes: bytes.to_vec() },
    )
}

fn row(number: u64, state: CallState) -> CallRow {
    CallRow { call: call(number), principal: principal("a"), key: None, reach: Reach::Writes, state }
}

fn keyed(number: u64, begun: u64) -> CallRow {
    let key = Some(KeyRow { key: Digest::of(b"key"), fingerprint: Digest::of(&number.to_be_bytes()) });
    CallRow { key, ..row(number, CallState::Begun { begun }) }
}

fn calls(rows: impl IntoIterator<Item = CallRow>) -> Batch {
    Batch { calls: rows.into_iter().collect(), ..Batch::default() }
}

fn empty_backend_holds_nothing(backend: &mut dyn Backend) {
    assert_eq!(backend.head(), Ok(None));
    assert_eq!(backend.entry(0), Ok(None));
    assert_eq!(backend.entries(0, 10), Ok(Vec::new()));
    assert_eq!(backend.call(&call(0)), Ok(None));
    assert_eq!(backend.open_calls(), Ok(Vec::new()));
    assert_eq!(backend.latest_checkpoint(), Ok(None));
    assert_eq!(backend.commit(Batch::default()), Ok(()));
    assert_eq!(backend.head(), Ok(None));
}

fn entries_come_back_as_written(backend: &mut dyn Backend) {
    for range in [0..1, 1..2, 2..9] {
        backend.commit(entries(range)).expect("a commit");
    }
    assert_eq!(backend.head(), Ok(Some(entry(8))));
    assert_eq!(backend.entry(3), Ok(Some(entry(3))));
    for (missing, found) in [(9, None), (u64::MAX, None), (8, Some(entry(8)))] {
        assert_eq!(backend.entry(missing), Ok(found));
    }
    assert_eq!(backend.entries(3, 2), Ok(vec![entry(3), entry(4)]));
    assert_eq!(backend.entries(7, usize::MAX), Ok(vec![entry(7), entry(8)]));
    assert_eq!(backend.entries(9, 5), Ok(Vec::new()));
}

fn gaps_and_replacements_are_refused(backend: &mut dyn Backend) {
    assert!(backend.commit(entries(1..2)).is_err());
    backend.commit(entries(0..2)).expect("a commit");
    for range in [0..1, 1..3, 3..4] {
        assert!(matches!(backend.commit(entries(range)), Err(BackendError::Other(_))));
    }
    let gap = Batch { entries: vec![entry(2), entry(4)], ..Batch::default() };
    assert!(backend.commit(gap).is_err());
    assert_eq!(backend.head(), Ok(Some(entry(1))));
}

fn refused_batch_leaves_nothing(backend: &mut dyn Backend) {
    let contents = vec![content(1, b"x")];
    let checkpoint = Some(StoredCheckpoint { size: 1, note: "n".into() });
    let calls = vec![row(0, CallState::Begun { begun: 7 })];
    let batch = Batch { entries: vec![entry(0), entry(7)], contents, calls, checkpoint, ..Batch::default() };
    assert!(backend.commit(batch).is_err());
    assert_eq!(backend.head(), Ok(None));
    assert_eq!(backend.content(&content(1, b"x").0), Ok(None));
    assert_eq!(backend.open_calls(), Ok(Vec::new()));
    assert_eq!(backend.latest_checkpoint(), Ok(None));
}

fn first_content_stays(backend: &mut dyn Backend) {
    let (key, stored) = content(1, b"first");
    let forged = StoredContent { bytes: b"second".to_vec(), ..stored.clone() };
    backend.commit(Batch { contents: vec![(key, stored.clone())], ..Batch::default() }).expect("a commit");
    backend.commit(Batch { contents: vec![(key, forged)], ..Batch::default() }).expect("a commit");
    assert_eq!(backend.content(&key), Ok(Some(stored)));
}

fn calls_move_on(backend: &mut dyn Backend) {
    let finished = |effect| CallState::Finished { begun: 1, finished: 2, effect };
    for (number, state) in (0..).zip([
        CallState::Begun { begun: 1 },
        finished(EffectState::Aborted),
        finished(EffectState::Committed),
        finished(EffectState::Unknown),
        CallState::Refused { refused: 3 },
        CallState::Settled { begun: 1, finished: 2, settled: 3, how: Settlement::Committed },
        CallState::Settled { begun: 1, finished: 2, settled: 3, how: Settlement::NotExecuted },
    ]) {
        for reach in [Reach::Nothing, Reach::Reads, Reach::Writes] {
            let row = CallRow { reach, ..row(number, state) };
            backend.commit(calls([row.clone()])).expect("a commit");
            assert_eq!(backend.call(&row.call), Ok(Some(row)));
        }
    }
    backend.commit(calls([row(0, finished(EffectState::Committed))])).expect("a commit");
    assert_eq!(backend.call(&call(0)), Ok(Some(row(0, finished(EffectState::Committed)))));
    assert_eq!(backend.open_calls(), Ok(Vec::new()));
}

fn newest_call_holds_the_key(backend: &mut dyn Backend) {
    let key = Digest::of(b"key");
    backend.commit(calls([keyed(1, 10), keyed(2, 20)])).expect("a commit");
    assert_eq!(backend.call_by_key(&principal("a"), &key), Ok(Some(keyed(2, 20))));
    // An older call that ends later does not take the key back.
    let state = CallState::Finished { begun: 10, finished: 30, effect: EffectState::Aborted };
    backend.commit(calls([CallRow { state, ..keyed(1, 10) }])).expect("a commit");
    assert_eq!(backend.call_by_key(&principal("a"), &key), Ok(Some(keyed(2, 20))));
    // IDM-03
    assert_eq!(backend.call_by_key(&principal("b"), &key), Ok(None));
    assert_eq!(backend.call_by_key(&principal("a"), &Digest::of(b"other")), Ok(None));
}

fn open_calls_are_the_oldest_first(backend: &mut dyn Backend) {
    let begun = |number| row(number, CallState::Begun { begun: number });
    backend.commit(calls([5, 1, 9, 3].map(begun))).expect("a commit");
    let state = CallState::Finished { begun: 3, finished: 12, effect: EffectState::Unknown };
    backend.commit(calls([row(3, state)])).expect("a commit");
    assert_eq!(backend.open_calls(), Ok([1, 5, 9].map(begun).to_vec()));
}

fn unknown_calls_stay_when_settled(backend: &mut dyn Backend) {
    let finished = |number, effect| row(number, CallState::Finished { begun: number, finished: number + 1, effect });
    let unknown = |number| finished(number, EffectState::Unknown);
    assert_eq!(backend.unknown_calls(0, 10), Ok(Vec::new()));
    backend.commit(calls([7, 2, 4].map(unknown))).expect("a commit");
    backend.commit(calls([finished(1, EffectState::Committed), finished(3, EffectState::Aborted)])).expect("a commit");
    backend.commit(calls([row(9, CallState::Begun { begun: 9 })])).expect("a commit");
    let state = CallState::Settled { begun: 4, finished: 5, settled: 11, how: Settlement::Committed };
    let settled = row(4, state);
    backend.commit(calls([settled.clone()])).expect("a commit");
    assert_eq!(backend.unknown_calls(0, 10), Ok(vec![unknown(2), settled.clone(), unknown(7)]));
    assert_eq!(backend.unknown_calls(3, 1), Ok(vec![settled]));
    assert_eq!(backend.unknown_calls(8, 10), Ok(Vec::new()));
}

fn nodes_and_checkpoints_come_back(backend: &mut dyn Backend) {
    let node = |level, index| Node { level, index, hash: Digest::of(&[7, u8::try_from(level).expect("small")]) };
    let forged = Node { hash: Digest::ZERO, ..node(1, 0) };
    backend.commit(Batch { nodes: vec![node(1, 0), node(63, 5)], ..Batch::default() }).expect("a commit");
    backend.commit(Batch { nodes: vec![forged], ..Batch::default() }).expect("a commit");
    assert_eq!(backend.node(1, 0), Ok(Some(node(1, 0).hash)));
    assert_eq!(backend.node(63, 5), Ok(Some(node(63, 5).hash)));
    assert_eq!(backend.node(2, 0), Ok(None));
    let checkpoint = |size| StoredCheckpoint { size, note: format!("note\n{size}\n") };
    for size in [4, 9, 6] {
        backend.commit(Batch { checkpoint: Some(checkpoint(size)), ..Batch::default() }).expect("a commit");
    }
    assert_eq!(backend.latest_checkpoint(), Ok(Some(checkpoint(9))));
    for (size, wanted) in [(0, Some(4)), (4, Some(4)), (5, Some(6)), (9, Some(9)), (10, None)] {
        assert_eq!(backend.checkpoint_covering(size), Ok(wanted.map(checkpoint)));
    }
}

fn removed_contents_are_gone(backend: &mut dyn Backend) {
    // AUD-18
    let [gone, stays, never] = [content(1, b"gone"), content(2, b"stays"), content(3, b"never there")];
    backend.commit(Batch { contents: vec![gone.clone(), stays.clone()], ..entries(0..1) }).expect("a commit");
    assert_eq!(backend.content_length(&gone.0), Ok(Some(4)));
    let removals = vec![gone.0, never.0];
    for range in [1..2, 2..3] {
        backend.commit(Batch { removals: removals.clone(), ..entries(range) }).expect("a commit");
        backend.scrub().expect("scrubbed");
        assert_eq!(backend.content(&gone.0), Ok(None));
        assert_eq!(backend.content_length(&gone.0), Ok(None));
        assert_eq!(backend.content(&stays.0), Ok(Some(stays.1.clone())));
    }
    // A batch that fails removes nothing, and removing comes after adding.
    let failing = Batch { removals: vec![stays.0], ..entries(7..8) };
    assert!(backend.commit(failing).is_err());
    assert_eq!(backend.content_length(&stays.0), Ok(Some(5)));
    let both = Batch { contents: vec![never.clone()], removals: vec![never.0], ..Batch::default() };
    backend.commit(both).expect("a commit");
    assert_eq!(backend.content(&never.0), Ok(None));
    assert_eq!(backend.head(), Ok(Some(entry(2))));
}

fn bytes_of_any_kind_survive(backend: &mut dyn Backend) {
    // OUT-03
    let contents = [(1, Vec::new()), (2, vec![0, 0xff, 0]), (3, vec![7; 5 << 20])];
    let contents: Vec<_> = contents.iter().map(|(nonce, bytes)| content(*nonce, bytes)).collect();
    backend.commit(Batch { contents: contents.clone(), ..Batch::default() }).expect("a commit");
    for (key, content) in contents {
        assert_eq!(backend.content(&key), Ok(Some(content)));
    }
}

fn newest_fact_replaces_the_last(backend: &mut dyn Backend) {
    let fact = |kind, key: &str, value: Option<&str>| Fact {
        kind,
        key: key.to_owned(),
        value: value.map(|value| value.as_bytes().to_vec()),
    };
    let facts = |facts: Vec<Fact>| Batch { facts, ..Batch::default() };
    let (session, usage) = (FactKind::Session, FactKind::Usage);
    assert_eq!(backend.fact(session, "a"), Ok(None));
    let first = [("b", "1"), ("a", "2"), ("c", "3")].map(|(key, value)| fact(session, key, Some(value)));
    backend.commit(facts(first.into())).expect("a commit");
    backend.commit(facts(vec![fact(usage, "a", Some("9")), fact(session, "a", Some("4"))])).expect("a commit");
    assert_eq!(backend.fact(session, "a"), Ok(Some(b"4".to_vec())));
    assert_eq!(backend.fact(usage, "a"), Ok(Some(b"9".to_vec())));
    let keys = |backend: &dyn Backend, after: &str, limit| {
        let found = backend.facts(session, after, limit).expect("facts");
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(keys(backend, "", 10), ["a", "b", "c"]);
    assert_eq!(keys(backend, "a", 1), ["b"]);
    backend.commit(facts(vec![fact(session, "b", None), fact(session, "nobody", None)])).expect("a commit");
    assert_eq!(keys(backend, "", 10), ["a", "c"]);
}

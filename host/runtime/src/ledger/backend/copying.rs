//! A log copied from one store into another, through the storage door alone.
//!
//! What is copied is what the door shows: entries with what they commit to, how far each call has come, the tree, the
//! checkpoints, the facts. It checks nothing of it, and adds nothing: whether the copy is the log it should be is for
//! verification to say.

use ringfence_audit::tree::Tree;
use ringfence_model::content;
use ringfence_model::encoding;
use ringfence_model::entry::Body;
use ringfence_model::id::CallId;

use crate::ledger::backend::Backend;
use crate::ledger::backend::BackendError;
use crate::ledger::backend::Batch;
use crate::ledger::backend::ContentKey;
use crate::ledger::backend::Fact;
use crate::ledger::backend::FactKind;
use crate::ledger::backend::StoredEntry;

/// Entries, or facts, that are copied at a time.
const PAGE: usize = 256;
/// Bytes of contents that are held before they are written. A page of entries may have gigabytes of them, and a server has its
/// time for each batch.
const CONTENT_BYTES_HELD_MAX: usize = 8 * 1024 * 1024;
/// Nodes that are held before they are written.
const NODES_HELD_MAX: usize = 4_096;

/// Copies a log into a store that holds none. Whatever fails, what is in there then is no log yet.
pub fn copy(from: &dyn Backend, to: &mut dyn Backend) -> Result<(), BackendError> {
    to.take_pen()?;
    let mut tree = Tree::new();
    let covered = from.latest_checkpoint()?.map_or(0, |checkpoint| checkpoint.size);
    let (mut next, mut nodes) = (0, Vec::new());
    loop {
        let entries = from.entries(next, PAGE)?;
        let Some(last) = entries.last() else { break };
        next = last.index.saturating_add(1);
        for entry in entries.iter().filter(|entry| entry.index < covered) {
            tree.push_with(entry.hash, |node| nodes.extend((node.level > 0).then_some(node)));
        }
        copy_contents(from, to, &entries)?;
        to.commit(page(from, entries)?)?;
        if nodes.len() >= NODES_HELD_MAX {
            to.commit(Batch { nodes: std::mem::take(&mut nodes), ..Batch::default() })?;
        }
    }
    to.commit(Batch { nodes, ..Batch::default() })?;
    copy_facts(from, to)?;
    // Checkpoints come last: what they cover is there by then.
    copy_checkpoints(from, to)?;
    to.give_pen()
}

/// What entries commit to, as far as it is still there; before the entries, in batches that are bounded.
fn copy_contents(from: &dyn Backend, to: &mut dyn Backend, entries: &[StoredEntry]) -> Result<(), BackendError> {
    let (mut contents, mut held) = (Vec::new(), 0_usize);
    for entry in entries {
        let Ok(decoded) = encoding::decode(&entry.bytes) else { continue };
        for (name, commitment) in content::commitments(&decoded.body) {
            let key = ContentKey { entry: entry.index, name, commitment };
            let Some(content) = from.content(&key)? else { continue };
            held = held.saturating_add(content.bytes.len());
            contents.push((key, content));
            if held >= CONTENT_BYTES_HELD_MAX {
                to.commit(Batch { contents: std::mem::take(&mut contents), ..Batch::default() })?;
                held = 0;
            }
        }
    }
    to.commit(Batch { contents, ..Batch::default() })
}

/// Entries, and how their calls stand.
fn page(from: &dyn Backend, entries: Vec<StoredEntry>) -> Result<Batch, BackendError> {
    let mut batch = Batch::default();
    for entry in &entries {
        // One that can't be read is copied as it is: that is a finding, and verification's.
        let Ok(decoded) = encoding::decode(&entry.bytes) else { continue };
        if let Some(call) = call_of(&decoded.body) {
            batch.calls.extend(from.call(&call)?);
        }
    }
    Ok(Batch { entries, ..batch })
}

/// The call that has its row from an entry on.
fn call_of(body: &Body) -> Option<CallId> {
    match body {
        Body::Begun(begun) => Some(begun.call),
        Body::Refused(refused) => Some(refused.call),
        Body::Answered(answered) => Some(answered.call),
        Body::Held(held) => held.call,
        _ => None,
    }
}

fn copy_facts(from: &dyn Backend, to: &mut dyn Backend) -> Result<(), BackendError> {
    for kind in FactKind::ALL {
        let mut after = String::new();
        loop {
            let found = from.facts(kind, &after, PAGE)?;
            let Some((last, _)) = found.last() else { break };
            after.clone_from(last);
            let facts = found.into_iter().map(|(key, value)| Fact { kind, key, value: Some(value) }).collect();
            to.commit(Batch { facts, ..Batch::default() })?;
        }
    }
    Ok(())
}

fn copy_checkpoints(from: &dyn Backend, to: &mut dyn Backend) -> Result<(), BackendError> {
    let mut size = 0_u64;
    while let Some(checkpoint) = from.checkpoint_covering(size)? {
        size = checkpoint.size.saturating_add(1);
        to.commit(Batch { checkpoint: Some(checkpoint), ..Batch::default() })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ringfence_model::entry::EffectState;
    use ringfence_model::grant::Reach;

    use super::*;
    use crate::ledger::Ledger;
    use crate::ledger::backend::MemoryBackend;
    use crate::ledger::backend::PostgresBackend;
    use crate::ledger::backend::SqliteBackend;
    use crate::ledger::backend::faulty::FaultyBackend;
    use crate::ledger::backend::postgres::server::Database;
    use crate::ledger::backend::postgres::tests::access;
    use crate::ledger::fixture;
    use crate::sequencer::Sequencer;

    /// A log of every kind of state, over more than one page, and what can be asked of it.
    fn fill(ledger: &Ledger) {
        let sequencer = Sequencer::open(ledger, fixture::signer(), None).expect("a sequencer");
        for number in 0..300 {
            match number % 3 {
                0 => {
                    fixture::make(ledger, fixture::keyed(number, Reach::Writes, &number.to_string()));
                }
                1 => {
                    ledger.refuse(fixture::refusal(number)).expect("a refusal");
                }
                _ => drop(fixture::begin(ledger, fixture::intent(number, Reach::Writes))),
            }
            if number % 70 == 0 {
                sequencer.publish(ledger).expect("a checkpoint");
            }
        }
    }

    /// Everything that the door shows of a log.
    fn shown(backend: &dyn Backend) -> String {
        let entries = backend.entries(0, usize::MAX).expect("entries");
        let bodies = entries.iter().map(|entry| (entry.index, encoding::decode(&entry.bytes).expect("an entry").body));
        let of = |(entry, body): (u64, Body)| {
            let keys = content::commitments(&body).into_iter();
            let keys = keys.map(|(name, commitment)| ContentKey { entry, name, commitment });
            let contents: Vec<_> = keys.map(|key| backend.content(&key).expect("an answer")).collect();
            (contents, call_of(&body).map(|call| backend.call(&call).expect("an answer")))
        };
        let rows: Vec<_> = bodies.map(of).collect();
        let facts = FactKind::ALL.map(|kind| backend.facts(kind, "", usize::MAX >> 1).expect("facts"));
        let node = |level: u32, index| backend.node(level, index).expect("an answer");
        let nodes: Vec<_> = (0..9).flat_map(|level| (0..600).map(move |index| node(level, index))).collect();
        let checkpoints: Vec<_> = (0..600).map(|size| backend.checkpoint_covering(size).expect("an answer")).collect();
        let open = (backend.open_calls().expect("calls"), backend.unknown_calls(0, 1000).expect("calls"));
        format!("{entries:?} {rows:?} {facts:?} {nodes:?} {checkpoints:?} {open:?} {:?}", backend.head())
    }

    #[test]
    fn contents_are_copied_in_bounded_batches() {
        // A page of entries of large outputs is not held at once.
        let original = FaultyBackend::new(MemoryBackend::new());
        let ledger = fixture::create(original.clone());
        for number in 0..8 {
            let begun = fixture::begin(&ledger, fixture::intent(number, Reach::Nothing));
            let text = format!("{number}{}", "x".repeat(CONTENT_BYTES_HELD_MAX / 2));
            ledger.finish(begun, fixture::ending(EffectState::Committed, &text)).expect("an ending");
        }
        let mut copied = FaultyBackend::new(MemoryBackend::new());
        copy(&original, &mut copied).expect("a copy");
        let bytes = |batch: &Batch| batch.contents.iter().map(|(_, content)| content.bytes.len()).sum::<usize>();
        let most = copied.batches().iter().map(bytes).max().unwrap_or_default();
        assert!(most < 2 * CONTENT_BYTES_HELD_MAX, "{most}");
        assert_eq!(copied.head(), original.head());
    }

    #[test]
    fn copy_shows_what_its_original_does() {
        // AUD-13
        let (folder, database) = (tempfile::tempdir().expect("a folder"), Database::new());
        let path = |name: &str| folder.path().join(name);
        fill(&fixture::create(PostgresBackend::create(access(&database)).expect("a new log")));
        let original = PostgresBackend::open_read_only(access(&database)).expect("a log");
        let mut in_a_file = SqliteBackend::create(&path("a")).expect("a new log");
        copy(&original, &mut in_a_file).expect("a copy");
        let wanted = shown(&original);
        assert!(wanted.contains("Begun {") && wanted.contains("Finished {") && wanted.contains("Refused {"));
        assert_eq!(shown(&in_a_file), wanted);
        // And from there into another database, and into memory.
        let other = Database::new();
        let mut in_a_database = PostgresBackend::create(access(&other)).expect("a new log");
        copy(&in_a_file, &mut in_a_database).expect("a copy");
        assert_eq!(shown(&in_a_database), wanted);
        let mut in_memory = MemoryBackend::new();
        copy(&in_a_database, &mut in_memory).expect("a copy");
        assert_eq!(shown(&in_memory), wanted);
        // What was copied goes on as a log.
        drop((in_a_file, original));
        let ledger = fixture::open(SqliteBackend::open(&path("a")).expect("a log"));
        fixture::verified(&ledger);
        fixture::make(&ledger, fixture::intent(1000, Reach::Writes));
        let sequencer = Sequencer::open(&ledger, fixture::signer(), None).expect("a sequencer");
        sequencer.publish(&ledger).expect("a checkpoint");
        fixture::verified(&ledger);
    }
}

//! Every way to change a log that the attack catalogue lists, and what verification must say of it: what, and where.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

mod harness;

use harness::chain;
use harness::checkpoint;
use harness::edit;
use harness::failures;
use harness::key;
use harness::log;
use harness::rename;
use harness::root;
use harness::sample;
use harness::verify;
use harness::verify_bare;
use harness::verify_with;
use ringfence_audit::checkpoint::Checkpoint;
use ringfence_audit::hash;
use ringfence_audit::signer::Signer;
use ringfence_audit::signer::SoftwareSigner;
use ringfence_audit::verify::FINDINGS_MAX;
use ringfence_audit::verify::Kind;
use ringfence_audit::verify::LogCheck;
use ringfence_audit::verify::Options;
use ringfence_audit::verify::Severity;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Body;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::Settled;
use ringfence_model::entry::Settlement;
use ringfence_model::id::CallId;
use ringfence_model::time::Timestamp;

const COUNT: u64 = 12;
const LAST: usize = 11;

fn kinds(report: &ringfence_audit::verify::Report) -> Vec<(Severity, Kind)> {
    report.findings.iter().map(|finding| (finding.severity, finding.kind)).collect()
}

#[test]
fn whole_log_is_intact() {
    for count in 1..20 {
        let entries = log(count);
        let report = verify(&entries, &[checkpoint(&entries)]);
        assert!(report.is_intact(), "{:?}", report.findings);
        assert_eq!((report.entries, report.vouched), (count, count));
        assert_eq!(report.head, hash::leaf(&entries[entries.len() - 1]));
        assert_eq!(report.root, Some(root(&entries)));
        assert!(report.findings.iter().all(|finding| finding.kind == Kind::Unfinished));
    }
}

#[test]
fn empty_log_is_no_log() {
    // AUD-02
    assert_eq!(failures(&verify_bare(&[])), [(Kind::Missing, Some(0))]);
    // Nor does a signature over nothing vouch for anything.
    let report = verify(&[], &[checkpoint(&[])]);
    assert_eq!(failures(&report), [(Kind::Missing, Some(0)), (Kind::Unanchored, None)]);
    assert_eq!(failures(&verify(&log(3), &[checkpoint(&[])])), [(Kind::Unanchored, None)]);
    assert_eq!((report.entries, report.head, report.root), (0, Digest::ZERO, Some(hash::empty_root())));
}

#[test]
fn edited_entry_is_named() {
    // AUD-01
    for index in 0..LAST {
        let mut entries = log(COUNT);
        let note = checkpoint(&entries);
        edit(&mut entries, index, rename);
        for report in [verify_bare(&entries), verify(&entries, &[note])] {
            assert_eq!(failures(&report), [(Kind::Edited, Some(index as u64))], "{:?}", report.findings);
        }
    }
}

#[test]
fn edited_link_is_named() {
    // AUD-01: without a checkpoint, a wrong link of the last entry could be an edit of the one before.
    for index in 0..=LAST {
        let mut entries = log(COUNT);
        let note = checkpoint(&entries);
        edit(&mut entries, index, |entry| entry.prev = Digest::of(b"other"));
        let report = verify(&entries, &[note]);
        assert_eq!(failures(&report), [(Kind::Edited, Some(index as u64))], "{:?}", report.findings);
    }
}

#[test]
fn edited_index_is_named() {
    // AUD-01
    for index in 0..=LAST {
        for other in [0, 1, 5, 11, 12, 1 << 40, u64::MAX].into_iter().filter(|other| *other != index as u64) {
            let mut entries = log(COUNT);
            let note = checkpoint(&entries);
            edit(&mut entries, index, |entry| entry.index = other);
            let report = verify(&entries, &[note]);
            assert_eq!(failures(&report), [(Kind::Edited, Some(index as u64))], "{:?}", report.findings);
        }
    }
}

#[test]
fn edited_last_entry_needs_anchor() {
    // AUD-01, AUD-06
    let whole = log(COUNT);
    let mut entries = whole.clone();
    edit(&mut entries, LAST, rename);
    let report = verify_bare(&entries);
    assert!(report.is_intact() && report.vouched == 0);
    assert_eq!(report.findings.last().map(|finding| finding.kind), Some(Kind::Unanchored));
    assert_eq!(failures(&verify(&entries, &[])), [(Kind::Unanchored, None)]);
    let report = verify(&entries, &[checkpoint(&whole)]);
    assert_eq!(failures(&report), [(Kind::Rewritten, Some(0))]);
    let report = verify(&entries, &[checkpoint(&whole), checkpoint(&whole[..LAST])]);
    assert_eq!(failures(&report), [(Kind::Rewritten, Some(11))]);
}

#[test]
fn stored_hash_names_every_entry() {
    // AUD-01, AUD-14: over a live store, the last entry too.
    let whole = log(COUNT);
    let stored: Vec<_> = whole.iter().map(|entry| hash::leaf(entry)).collect();
    for index in 0..=LAST {
        let mut entries = whole.clone();
        edit(&mut entries, index, rename);
        let mut check = LogCheck::new(Options { keys: vec![key()] });
        check.checkpoint(&checkpoint(&whole));
        entries.iter().zip(&stored).for_each(|(entry, stored)| check.entry_with_hash(entry, stored));
        let report = check.finish();
        assert_eq!(failures(&report), [(Kind::Edited, Some(index as u64))], "{:?}", report.findings);
    }
    for index in 0..=LAST {
        let mut check = LogCheck::new(Options::default());
        let mut stored = stored.clone();
        stored[index] = Digest::ZERO;
        whole.iter().zip(&stored).for_each(|(entry, stored)| check.entry_with_hash(entry, stored));
        assert_eq!(failures(&check.finish()), [(Kind::Edited, Some(index as u64))]);
    }
}

#[test]
fn several_edits_are_each_named() {
    // AUD-01
    let mut entries = log(COUNT);
    let note = checkpoint(&entries);
    for index in [2, 5, 9] {
        edit(&mut entries, index, rename);
    }
    let report = verify(&entries, &[note]);
    assert_eq!(failures(&report), [(Kind::Edited, Some(2)), (Kind::Edited, Some(5)), (Kind::Edited, Some(9))]);
    assert_eq!(report.vouched, COUNT, "the hashes that successors carry are still those that were signed");
}

#[test]
fn neighbouring_edits_are_both_named() {
    // AUD-01
    let mut entries = log(COUNT);
    edit(&mut entries, 4, rename);
    edit(&mut entries, 5, rename);
    let report = verify_bare(&entries);
    assert_eq!(failures(&report), [(Kind::Edited, Some(5))]);
    let unvouched = report.findings.iter().find(|finding| finding.kind == Kind::Unvouched);
    assert_eq!(unvouched.and_then(|finding| finding.index), Some(4));
}

#[test]
fn missing_entry_is_named() {
    // AUD-02
    for index in 0..LAST {
        let mut entries = log(COUNT);
        let note = checkpoint(&entries);
        entries.remove(index);
        let report = verify(&entries, &[note]);
        assert_eq!(report.failures().next().map(|f| (f.kind, f.index)), Some((Kind::Missing, Some(index as u64))));
        assert!(failures(&report).len() == 1, "{:?}", report.findings);
        assert_eq!(report.entries, COUNT);
    }
}

#[test]
fn missing_run_is_named() {
    // AUD-02
    let mut entries = log(COUNT);
    let note = checkpoint(&entries);
    entries.drain(3..8);
    let report = verify(&entries, &[note]);
    assert_eq!(failures(&report), [(Kind::Missing, Some(3))], "{:?}", report.findings);
    assert!(report.findings[0].text.contains("`3` to `7`"));
    assert_eq!(report.root, None);
}

#[test]
fn inserted_entry_is_named() {
    // AUD-03: unlinked, linked into place, and of bytes that are no entry.
    for index in 0..=LAST {
        let whole = log(COUNT);
        let note = checkpoint(&whole);
        let mut alien = vec![whole[index].clone()];
        edit(&mut alien, 0, rename);
        let linked = alien[0].clone();
        edit(&mut alien, 0, |entry| entry.prev = Digest::of(b"other"));
        for (bytes, kind) in
            [(linked, Kind::Inserted), (alien[0].clone(), Kind::Inserted), (b"{}".to_vec(), Kind::Malformed)]
        {
            let mut entries = whole.clone();
            entries.insert(index, bytes);
            let report = verify(&entries, std::slice::from_ref(&note));
            assert_eq!(failures(&report), [(kind, Some(index as u64))], "{:?}", report.findings);
        }
    }
}

#[test]
fn appended_alien_is_named() {
    // AUD-03
    let whole = log(COUNT);
    let mut entries = whole.clone();
    entries.push(whole[LAST].clone());
    edit(&mut entries, 12, |entry| (entry.index, entry.prev) = (12, Digest::of(b"other")));
    let report = verify(&entries, &[checkpoint(&whole)]);
    assert_eq!(report.failures().next().map(|f| (f.kind, f.index)), Some((Kind::Edited, Some(12))));
}

#[test]
fn swapped_entries_are_named() {
    // AUD-04
    for index in 0..LAST {
        let mut entries = log(COUNT);
        let note = checkpoint(&entries);
        entries.swap(index, index + 1);
        let report = verify(&entries, &[note]);
        assert_eq!(failures(&report), [(Kind::Reordered, Some(index as u64))], "{:?}", report.findings);
        assert_eq!(report.vouched, COUNT);
    }
}

#[test]
fn moved_entry_is_named() {
    // AUD-04
    let mut entries = log(COUNT);
    let entry = entries.remove(3);
    entries.insert(7, entry);
    let found = failures(&verify_bare(&entries));
    assert_eq!(found, [(Kind::Missing, Some(3)), (Kind::Reordered, Some(3))]);
}

#[test]
fn duplicate_entry_is_named() {
    // AUD-05
    for index in 0..=LAST {
        for place in index + 1..=LAST + 1 {
            let mut entries = log(COUNT);
            let note = checkpoint(&entries);
            entries.insert(place, entries[index].clone());
            let report = verify(&entries, &[note]);
            assert_eq!(failures(&report), [(Kind::Duplicate, Some(index as u64))], "{:?}", report.findings);
        }
    }
}

#[test]
fn overlapping_exports_give_one_finding() {
    // AUD-05
    let whole = log(COUNT);
    let entries = [&whole[..9], &whole[4..]].concat();
    let report = verify(&entries, &[checkpoint(&whole)]);
    assert_eq!(failures(&report), [(Kind::Duplicate, Some(4))], "{:?}", report.findings);
    assert_eq!(report.vouched, COUNT);
}

#[test]
fn truncation_needs_checkpoint() {
    // AUD-06, AUD-07: a shorter chain is a chain; only what was signed says that it was longer.
    let whole = log(COUNT);
    for length in 1..whole.len() {
        let report = verify_bare(&whole[..length]);
        assert!(report.is_intact() && report.vouched == 0);
        assert!(kinds(&report).contains(&(Severity::Warning, Kind::Unanchored)));
        let report = verify(&whole[..length], &[checkpoint(&whole)]);
        assert_eq!(failures(&report), [(Kind::Truncated, Some(length as u64))]);
        let wanted = format!("the log holds {length} entries, the checkpoint covers 12");
        assert!(report.findings.iter().any(|finding| finding.text == wanted));
    }
}

#[test]
fn torn_last_line_is_reported() {
    // AUD-12: the export cut at every byte of its last line.
    let whole = log(7);
    let note = checkpoint(&whole);
    let export = [whole.join(&b'\n'), b"\n".to_vec()].concat();
    let start = export.len() - whole[6].len() - 1;
    for length in start..export.len() - 1 {
        let cut = &export[..length];
        let lines: Vec<_> =
            cut.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
        let report = verify(&lines, std::slice::from_ref(&note));
        let kind = if length == start { Kind::Truncated } else { Kind::Malformed };
        assert_eq!(failures(&report), [(kind, Some(6))], "{length}: {:?}", report.findings);
    }
}

#[test]
fn every_flipped_bit_is_named() {
    // AUD-13: at its entry; in the last one, an edit that leaves it well formed is found by the root alone.
    let whole = log(6);
    let note = checkpoint(&whole);
    for index in 0..whole.len() {
        for bit in 0..whole[index].len() * 8 {
            let mut entries = whole.clone();
            entries[index][bit / 8] ^= 1 << (bit % 8);
            let report = verify(&entries, std::slice::from_ref(&note));
            let found = failures(&report);
            let named = found.first().is_some_and(|(_, at)| *at == Some(index as u64));
            let by_root = index == 5 && found == [(Kind::Rewritten, Some(0))];
            assert!(named || by_root, "bit {bit} of entry {index}: {:?}", report.findings);
            let whole_log = [Kind::Rewritten, Kind::Unanchored];
            let elsewhere = found.iter().filter(|(kind, at)| *at != Some(index as u64) && !whole_log.contains(kind));
            assert_eq!(elsewhere.count(), 0, "bit {bit} of entry {index}: {:?}", report.findings);
        }
    }
}

#[test]
fn every_flipped_bit_of_checkpoint_counts() {
    // AUD-13
    let whole = log(3);
    let note = checkpoint(&whole);
    for bit in 0..note.len() * 8 {
        let mut bytes = note.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(edited) = String::from_utf8(bytes) else { continue };
        let report = verify(&whole, &[edited]);
        assert!(!report.is_intact() && report.vouched == 0, "bit {bit}");
    }
}

#[test]
fn rewritten_history_is_reported() {
    // AUD-10: every hash made anew from entry 4 on, by someone without the key.
    let whole = log(COUNT);
    let mut bodies = sample::bodies(COUNT, &key().to_string());
    if let Body::Finished(finished) = &mut bodies[4] {
        finished.used.fuel += 1;
    }
    let rewritten = harness::chain(bodies);
    assert!(verify_bare(&rewritten).is_intact());
    assert_eq!(failures(&verify(&rewritten, &[])), [(Kind::Unanchored, None)]);
    let notes = [checkpoint(&whole[..4]), checkpoint(&whole[..8]), checkpoint(&whole)];
    let report = verify(&rewritten, &notes);
    assert_eq!(failures(&report), [(Kind::Rewritten, Some(4)), (Kind::Rewritten, Some(4))]);
    assert_eq!(report.vouched, 4);
    let forger = SoftwareSigner::from_seed(sample::ORIGIN, &[43; 32]).expect("a signer");
    let own = Checkpoint { origin: sample::ORIGIN.to_owned(), size: COUNT, root: root(&rewritten) };
    let report = verify(&rewritten, &[own.sign(&forger).expect("a note")]);
    assert_eq!(failures(&report), [(Kind::UnknownKey, None), (Kind::Unanchored, None)]);
}

#[test]
fn forked_heads_can_not_both_verify() {
    // AUD-08, AUD-24: two signed checkpoints of one size and two roots.
    let whole = log(COUNT);
    let other = Checkpoint { origin: sample::ORIGIN.to_owned(), size: COUNT, root: Digest::of(b"other") };
    let report = verify(&whole, &[checkpoint(&whole), other.sign(&harness::signer()).expect("a note")]);
    assert_eq!(failures(&report), [(Kind::Forked, Some(COUNT - 1))]);
    // Whether the log as it is was signed too, at that size or later, is what makes a fork of it.
    let small = Checkpoint { size: 4, ..other };
    let report = verify(&whole, &[checkpoint(&whole[..3]), small.sign(&harness::signer()).expect("a note")]);
    assert_eq!(failures(&report), [(Kind::Rewritten, Some(3))]);
}

#[test]
fn log_that_was_put_back_is_told_from_one_cut_off() {
    // AUD-06, AUD-07
    let whole = log(COUNT);
    let notes = [checkpoint(&whole[..4]), checkpoint(&whole)];
    assert_eq!(failures(&verify(&whole[..4], &notes)), [(Kind::RolledBack, Some(4))]);
    assert_eq!(failures(&verify(&whole[..5], &notes)), [(Kind::Truncated, Some(5))]);
    assert_eq!(failures(&verify(&whole[..3], &notes)), [(Kind::Truncated, Some(3)), (Kind::Truncated, Some(3))]);
}

#[test]
fn key_from_log_is_said() {
    // AUD-11
    let whole = log(COUNT);
    let report = verify_with(Vec::new(), &whole, &[checkpoint(&whole)]);
    assert!(report.is_intact() && report.vouched == COUNT);
    let warning = report.findings.iter().find(|finding| finding.kind == Kind::KeyFromLog).expect("a warning");
    assert!(warning.severity == Severity::Warning && warning.text.contains(&key().to_string()));
}

#[test]
fn log_of_other_key_is_said() {
    // AUD-11: a whole log made by someone else, under their own key.
    let forger = SoftwareSigner::from_seed(sample::ORIGIN, &[43; 32]).expect("a signer");
    let entries = harness::chain(sample::bodies(3, &forger.verifier().to_string()));
    let signed = Checkpoint { origin: sample::ORIGIN.to_owned(), size: 3, root: root(&entries) }.sign(&forger);
    let report = verify(&entries, &[signed.expect("a note")]);
    assert!(kinds(&report).contains(&(Severity::Warning, Kind::ForeignKey)));
    assert_eq!(failures(&report), [(Kind::UnknownKey, None), (Kind::Unanchored, None)]);
    // Nor does it pass for want of the checkpoint.
    assert_eq!(failures(&verify(&entries, &[])), [(Kind::Unanchored, None)]);
}

#[test]
fn checkpoint_of_other_log_is_refused() {
    let whole = log(3);
    let other = Checkpoint { origin: "example.org/other".to_owned(), size: 3, root: root(&whole) };
    let report = verify(&whole, &[other.sign(&harness::signer()).expect("a note")]);
    assert_eq!(failures(&report), [(Kind::WrongOrigin, Some(0)), (Kind::Unanchored, None)]);
}

#[test]
fn older_checkpoint_leaves_the_rest_unanchored() {
    let whole = log(COUNT);
    let report = verify(&whole, &[checkpoint(&whole[..8])]);
    assert!(report.is_intact() && report.vouched == 8);
    let warning = report.findings.iter().find(|finding| finding.kind == Kind::Unanchored);
    assert_eq!(warning.map(|finding| finding.index), Some(Some(8)));
}

#[test]
fn backward_time_is_a_warning() {
    // AUD-23
    let mut head = ringfence_audit::chain::Head::empty();
    let bodies = sample::bodies(4, &key().to_string());
    let times = [5_000, 7_000, 6_999, 8_000];
    let append = |(body, millis)| head.append(body, Timestamp::from_millis(millis)).expect("an entry").0;
    let entries: Vec<_> = bodies.into_iter().zip(times).map(append).collect();
    let report = verify(&entries, &[checkpoint(&entries)]);
    assert!(report.is_intact());
    let found: Vec<_> = report.findings.iter().filter(|f| f.kind == Kind::TimeRegression).map(|f| f.index).collect();
    assert_eq!(found, [Some(2)]);
}

#[test]
fn unpaired_calls_are_named() {
    let key = key().to_string();
    let begun = || sample::body(1, &key);
    let finished = || sample::body(2, &key);
    let opened = || sample::body(0, &key);
    for (bodies, wanted) in [
        (vec![opened(), begun(), finished()], vec![]),
        (vec![opened(), finished()], vec![(Kind::Unpaired, Some(1))]),
        (vec![opened(), begun(), begun()], vec![(Kind::Unpaired, Some(2))]),
        (vec![opened(), begun(), finished(), finished()], vec![(Kind::Unpaired, Some(3))]),
        (vec![opened(), sample::body(3, &key), begun(), finished()], vec![(Kind::Unpaired, Some(3))]),
        (vec![opened(), opened()], vec![(Kind::Misplaced, Some(1))]),
        (vec![begun(), opened()], vec![(Kind::Misplaced, Some(0)), (Kind::Misplaced, Some(1))]),
    ] {
        let entries = harness::chain(bodies);
        assert_eq!(failures(&verify_bare(&entries)), wanted);
    }
}

#[test]
fn unfinished_call_is_no_failure() {
    let entries = log(2);
    let report = verify(&entries, &[checkpoint(&entries)]);
    assert!(report.is_intact());
    assert_eq!(kinds(&report), [(Severity::Info, Kind::Unfinished)]);
}

#[test]
fn findings_stay_bounded() {
    // AUD-22
    let mut check = LogCheck::new(Options::default());
    for _ in 0..1_000 {
        check.entry(b"garbage");
    }
    let report = check.finish();
    assert!(!report.is_intact());
    assert_eq!(report.failures().count(), FINDINGS_MAX);
    assert!(report.omitted >= 900);
}

#[test]
fn any_single_change_is_reported() {
    // AUD-22: seeded changes of all kinds, several at a time; none may pass, none may panic.
    let whole = log(20);
    let note = checkpoint(&whole);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % below
    };
    for round in 0..10_000 {
        let mut entries = whole.clone();
        for _ in 0..=next(4) {
            let (one, other) = (next(entries.len()), next(entries.len()));
            match next(6) {
                0 => entries.swap(one, other),
                1 => drop(entries.remove(one)),
                2 => entries.insert(other, entries[one].clone()),
                3 => entries[one].truncate(other * 30),
                4 => entries.truncate(entries.len() - 1),
                _ => {
                    let at = next(entries[one].len().max(1));
                    if let Some(byte) = entries[one].get_mut(at) {
                        *byte ^= 1 << next(8);
                    }
                }
            }
        }
        let report = verify(&entries, std::slice::from_ref(&note));
        assert_eq!(report.is_intact(), entries == whole, "round {round}: {:?}", report.findings);
    }
}

/// A log in which entry 2 ends a call of unknown effect, and then what `more` makes of that call.
fn unknown_then(more: impl Fn(CallId) -> Vec<Body>) -> Vec<Vec<u8>> {
    let mut bodies = sample::bodies(3, &key().to_string());
    let Body::Finished(finished) = &mut bodies[2] else { panic!("no ending") };
    finished.effect = EffectState::Unknown;
    let call = finished.call;
    chain(bodies.into_iter().chain(more(call)).collect())
}

fn settled(call: CallId, finished: u64) -> Body {
    Body::Settled(Settled {
        by: "operator:uid-0".parse().expect("a principal"),
        call,
        finished,
        how: Settlement::Committed,
        reason: sample::OUTPUT_NONCE.commit(b"reason"),
    })
}

#[test]
fn settlement_that_settles_nothing_is_named() {
    // AUD-01, AUD-03: by whoever has the key too, so a second settlement can't turn the first round.
    let intact = unknown_then(|call| vec![settled(call, 2)]);
    let report = verify(&intact, &[checkpoint(&intact)]);
    assert!(report.is_intact(), "{:?}", report.findings);
    let other = CallId::from_random([1; 16]);
    for entries in [unknown_then(|call| vec![settled(call, 1)]), unknown_then(|_| vec![settled(other, 2)])] {
        let report = verify(&entries, &[checkpoint(&entries)]);
        assert_eq!(failures(&report), [(Kind::Unpaired, Some(3))], "{:?}", report.findings);
    }
    let twice = unknown_then(|call| vec![settled(call, 2), settled(call, 2)]);
    assert_eq!(failures(&verify(&twice, &[checkpoint(&twice)])), [(Kind::Unpaired, Some(4))]);
    let mut known = sample::bodies(3, &key().to_string());
    let call = known[2].call().expect("a call");
    known.push(settled(call, 2));
    let known = chain(known);
    assert_eq!(failures(&verify(&known, &[checkpoint(&known)])), [(Kind::Unpaired, Some(3))]);
}

#[test]
fn edited_settlement_is_named() {
    // AUD-01: one word makes of a call that was done one that was not.
    let mut entries = unknown_then(|call| vec![settled(call, 2)]);
    let note = checkpoint(&entries);
    edit(&mut entries, 3, |entry| {
        let Body::Settled(settled) = &mut entry.body else { panic!("no settlement") };
        settled.how = Settlement::NotExecuted;
    });
    assert_eq!(failures(&verify(&entries, &[note])), [(Kind::Rewritten, Some(0))]);
}

//! A log whose key was rotated: who may sign what, and what a rotation that does not count is called.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod harness;

use ringfence_audit::chain::Head;
use ringfence_audit::checkpoint::Checkpoint;
use ringfence_audit::hash;
use ringfence_audit::rotation;
use ringfence_audit::signer::Signer as _;
use ringfence_audit::signer::SoftwareSigner;
use ringfence_audit::verify::Kind;
use ringfence_model::entry::Body;
use ringfence_model::entry::Rotated;

use crate::harness::failures;
use crate::harness::sample;
use crate::harness::sample::ORIGIN;
use crate::harness::verify_with;

/// Entries, and where in between the key is rotated.
const COUNT: u64 = 11;
const AT: u64 = 6;

fn next() -> SoftwareSigner {
    SoftwareSigner::from_seed(ORIGIN, &[43; 32]).expect("a signer")
}

/// What the log holds before the rotation.
fn before() -> Vec<Body> {
    let mut bodies = sample::bodies(COUNT, &harness::key().to_string());
    bodies.truncate(6);
    bodies
}

/// Where the log ends then.
fn end() -> Head {
    let entries = harness::chain(before());
    Head { next_index: AT, hash: hash::leaf(entries.last().expect("an entry")) }
}

fn genuine() -> Rotated {
    rotation::sign(ORIGIN, &end(), &harness::signer(), &next()).expect("a rotation")
}

/// A log with this rotation in it.
fn log(rotated: &Rotated) -> Vec<Vec<u8>> {
    log_after(before(), rotated)
}

fn log_after(mut bodies: Vec<Body>, rotated: &Rotated) -> Vec<Vec<u8>> {
    bodies.push(Body::Rotated(Box::new(rotated.clone())));
    // What follows are refusals, which stand for themselves.
    bodies.extend((7..COUNT).map(|_| sample::body(5, "")));
    harness::chain(bodies)
}

fn note(entries: &[Vec<u8>], signer: &SoftwareSigner) -> String {
    let size = entries.len() as u64;
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: harness::root(entries) };
    checkpoint.sign(signer).expect("a note")
}

#[test]
fn either_key_leads_to_the_other() {
    // AUD-11
    let whole = log(&genuine());
    let (old, new) = (harness::signer(), next());
    let notes = [note(&whole[..3], &old), note(&whole[..6], &old), note(&whole[..7], &new), note(&whole, &new)];
    for keys in [vec![old.verifier().clone()], vec![new.verifier().clone()], Vec::new()] {
        let report = verify_with(keys, &whole, &notes);
        assert!(report.is_intact() && report.vouched == COUNT, "{report:?}");
    }
    let stranger = SoftwareSigner::from_seed(ORIGIN, &[44; 32]).expect("a signer");
    let report = verify_with(vec![stranger.verifier().clone()], &whole, &notes);
    assert_eq!(failures(&report).first(), Some(&(Kind::UnknownKey, None)));
}

#[test]
fn key_signs_nothing_but_its_own_sizes() {
    // AUD-11: the old key leaks; and the new one has said nothing about what was before it.
    let whole = log(&genuine());
    let (old, new) = (harness::signer(), next());
    for (entries, signer) in [(&whole[..], &old), (&whole[..7], &old), (&whole[..6], &new), (&whole[..1], &new)] {
        for key in [&old, &new] {
            let report = verify_with(vec![key.verifier().clone()], &whole, &[note(entries, signer)]);
            let found = failures(&report);
            assert_eq!(found, [(Kind::RetiredKey, None), (Kind::Unanchored, None)], "{}", entries.len());
        }
    }
}

#[test]
fn forged_rotation_is_a_finding() {
    // AUD-11: made by whoever has the disk and one of the two keys, or neither; every link fits.
    let (old, new) = (harness::signer(), next());
    let genuine = genuine();
    let elsewhere = rotation::sign(ORIGIN, &Head { next_index: AT + 1, ..end() }, &old, &new).expect("a rotation");
    let other_log = rotation::sign("example.org/other", &end(), &old, &new).expect("a rotation");
    for forged in [
        Rotated { old_signature: genuine.new_signature.clone(), ..genuine.clone() },
        Rotated { new_signature: genuine.old_signature.clone(), ..genuine.clone() },
        Rotated { old: genuine.new.clone(), ..genuine.clone() },
        elsewhere,
        other_log,
    ] {
        let whole = log(&forged);
        let report = verify_with(vec![old.verifier().clone()], &whole, &[note(&whole[..6], &old), note(&whole, &new)]);
        let found = failures(&report);
        assert_eq!(found, [(Kind::WrongRotation, Some(AT)), (Kind::UnknownKey, None)]);
        assert_eq!(report.vouched, 6);
    }
}

#[test]
fn old_key_replaces_nothing_it_handed_over() {
    // AUD-11: whoever has the old key makes what it signed anew, in front of the genuine rotation. The new key, which they do
    // not have, is all that the reader trusts.
    let (old, new) = (harness::signer(), next());
    let whole = log(&genuine());
    let mut other = before();
    other[5] = sample::body(10, "");
    let relinked = log_after(other, &genuine());
    assert_ne!(relinked[5], whole[5]);
    let report = verify_with(vec![new.verifier().clone()], &relinked[..7], &[note(&relinked[..6], &old)]);
    assert_eq!(failures(&report).first(), Some(&(Kind::WrongRotation, Some(AT))));
    assert_eq!(report.vouched, 0);
    // With the rotation left as it was it is its link that does not fit.
    let spliced = [&relinked[..6], &whole[6..7]].concat();
    let report = verify_with(vec![new.verifier().clone()], &spliced, &[note(&relinked[..6], &old)]);
    assert!(!report.is_intact(), "{report:?}");
    let report = verify_with(vec![new.verifier().clone()], &whole[..7], &[note(&whole[..6], &old)]);
    assert!(report.is_intact() && report.vouched == AT, "{report:?}");
}

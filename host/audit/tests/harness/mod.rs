//! A log with its checkpoints, made by the code that makes real ones, with a fixed key and fixed times.

#![allow(dead_code, unreachable_pub, reason = "each test that includes this uses a part of it")]
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "../sample/mod.rs"]
pub mod sample;

use ringfence_audit::chain::Head;
use ringfence_audit::checkpoint::Checkpoint;
use ringfence_audit::hash;
use ringfence_audit::note::Verifier;
use ringfence_audit::signer::Signer;
use ringfence_audit::signer::SoftwareSigner;
use ringfence_audit::tree::Tree;
use ringfence_audit::verify::Kind;
use ringfence_audit::verify::LogCheck;
use ringfence_audit::verify::Options;
use ringfence_audit::verify::Report;
use ringfence_model::digest::Digest;
use ringfence_model::encoding::decode;
use ringfence_model::encoding::encode;
use ringfence_model::entry::Body;
use ringfence_model::entry::Entry;

pub fn signer() -> SoftwareSigner {
    SoftwareSigner::from_seed(sample::ORIGIN, &[42; 32]).expect("a signer")
}

pub fn key() -> Verifier {
    signer().verifier().clone()
}

/// Chains bodies.
pub fn chain(bodies: Vec<Body>) -> Vec<Vec<u8>> {
    let mut head = Head::empty();
    let append = |(index, body)| head.append(body, sample::time(index)).expect("an entry").0;
    (0..).zip(bodies).map(append).collect()
}

pub fn log(count: u64) -> Vec<Vec<u8>> {
    chain(sample::bodies(count, &key().to_string()))
}

pub fn root(entries: &[Vec<u8>]) -> Digest {
    let mut tree = Tree::new();
    for entry in entries {
        tree.push(hash::leaf(entry));
    }
    tree.root()
}

/// The signed checkpoint over all of `entries`.
pub fn checkpoint(entries: &[Vec<u8>]) -> String {
    let size = u64::try_from(entries.len()).expect("small");
    let checkpoint = Checkpoint { origin: sample::ORIGIN.to_owned(), size, root: root(entries) };
    checkpoint.sign(&signer()).expect("a note")
}

pub fn verify(entries: &[Vec<u8>], notes: &[String]) -> Report {
    verify_with(vec![key()], entries, notes)
}

/// Verifies a bare export: no key and no checkpoint.
pub fn verify_bare(entries: &[Vec<u8>]) -> Report {
    verify_with(Vec::new(), entries, &[])
}

pub fn verify_with(keys: Vec<Verifier>, entries: &[Vec<u8>], notes: &[String]) -> Report {
    let mut check = LogCheck::new(Options { keys });
    for note in notes {
        check.checkpoint(note);
    }
    for entry in entries {
        check.entry(entry);
    }
    check.finish()
}

/// What was found, without the words.
pub fn failures(report: &Report) -> Vec<(Kind, Option<u64>)> {
    report.failures().map(|finding| (finding.kind, finding.index)).collect()
}

/// Changes one entry and leaves everything else as it is.
pub fn edit(entries: &mut [Vec<u8>], index: usize, change: impl FnOnce(&mut Entry)) {
    let mut entry = decode(&entries[index]).expect("an entry");
    change(&mut entry);
    entries[index] = encode(&entry).expect("bytes");
}

/// Another function name: an edit that leaves the entry well formed.
pub fn rename(entry: &mut Entry) {
    match &mut entry.body {
        Body::Begun(begun) => begun.function.push('x'),
        Body::Finished(finished) => finished.used.wall_ms += 1,
        Body::Opened(opened) => opened.host.push('x'),
        Body::Refused(refused) => refused.function.push('x'),
        Body::Removed(removed) => removed.reason.push('x'),
        Body::Rotated(rotated) => rotated.new.push('x'),
        // No sample log holds another kind.
        _ => {}
    }
}

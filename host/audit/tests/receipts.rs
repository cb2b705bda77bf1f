//! Receipts, as a caller holds them: what verifies, what does not, and what they open.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

mod harness;

use harness::checkpoint;
use harness::key;
use harness::log;
use harness::sample;
use ringfence_audit::hash;
use ringfence_audit::proof;
use ringfence_audit::receipt::OpeningError;
use ringfence_audit::receipt::Receipt;
use ringfence_audit::receipt::ReceiptError;
use ringfence_audit::tree::Node;
use ringfence_audit::tree::Nodes;
use ringfence_audit::tree::Tree;
use ringfence_audit::verify::Kind;
use ringfence_audit::verify::Report;
use ringfence_model::digest::Digest;
use ringfence_model::limits;

/// The nodes that a store would have kept.
struct Kept(Vec<Node>);

impl Nodes for Kept {
    type Error = &'static str;

    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error> {
        let node = self.0.iter().find(|node| node.level == level && node.index == index);
        node.map(|node| node.hash).ok_or("not kept")
    }
}

fn kept(entries: &[Vec<u8>]) -> Kept {
    let (mut tree, mut nodes) = (Tree::new(), Vec::new());
    for entry in entries {
        tree.push_with(hash::leaf(entry), |node| nodes.push(node));
    }
    Kept(nodes)
}

fn receipt(entries: &[Vec<u8>], index: usize) -> Receipt {
    let size = entries.len() as u64;
    let proof = proof::inclusion(&kept(entries), index as u64, size).expect("a proof");
    Receipt::pending(&entries[index]).expect("an entry").with_proof(&proof, size, checkpoint(entries))
}

fn kinds(report: &Report) -> Vec<Kind> {
    report.findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn every_receipt_of_log_verifies() {
    let entries = log(13);
    for (index, entry) in entries.iter().enumerate() {
        let bytes = receipt(&entries, index).to_bytes().expect("JSON");
        let receipt = Receipt::parse(&bytes).expect("a receipt");
        assert_eq!(receipt.entry().expect("an entry").1, *entry);
        let report = receipt.verify(&[key()]);
        assert!(report.is_intact() && report.findings.is_empty(), "{:?}", report.findings);
        assert_eq!((report.head, report.root, report.vouched), (hash::leaf(entry), Some(harness::root(&entries)), 13));
    }
}

#[test]
fn spelling_of_entry_does_not_matter() {
    let entries = log(3);
    let receipt = receipt(&entries, 1);
    let pretty = serde_json::to_vec_pretty(&receipt).expect("JSON");
    assert!(Receipt::parse(&pretty).expect("a receipt").verify(&[key()]).is_intact());
}

#[test]
fn every_flipped_bit_of_receipt_counts() {
    // AUD-13: whatever still reads as a receipt and verifies must say the very same.
    let entries = log(3);
    let whole = receipt(&entries, 1);
    let bytes = whole.to_bytes().expect("JSON");
    for bit in 0..bytes.len() * 8 {
        let mut edited = bytes.clone();
        edited[bit / 8] ^= 1 << (bit % 8);
        let Ok(receipt) = Receipt::parse(&edited) else { continue };
        assert!(!receipt.verify(&[key()]).is_intact(), "bit {bit}");
    }
}

#[test]
fn pending_receipt_shows_nothing() {
    // AUD-16
    let report = Receipt::pending(&log(2)[1]).expect("an entry").verify(&[key()]);
    assert!(!report.is_intact());
    assert_eq!((kinds(&report), report.root, report.vouched), (vec![Kind::Pending], None, 0));
}

#[test]
fn incomplete_receipt_is_refused() {
    // AUD-16
    let whole = receipt(&log(5), 2);
    let proof = whole.proof.clone().expect("hashes");
    for (edited, kind) in [
        (Receipt { proof: None, ..whole.clone() }, Kind::WrongProof),
        (Receipt { checkpoint: None, ..whole.clone() }, Kind::WrongProof),
        (Receipt { proof: Some(Vec::new()), ..whole.clone() }, Kind::WrongProof),
        (Receipt { proof: Some(proof[1..].to_vec()), ..whole.clone() }, Kind::WrongProof),
        (Receipt { size: Some(6), ..whole.clone() }, Kind::WrongProof),
        (Receipt { entry: serde_json::json!({}), ..whole.clone() }, Kind::Malformed),
        (Receipt { v: 2, ..whole.clone() }, Kind::Malformed),
        (Receipt { checkpoint: Some("x".to_owned()), ..whole.clone() }, Kind::MalformedCheckpoint),
    ] {
        assert_eq!(kinds(&edited.verify(&[key()])), [kind]);
    }
    let moved = Receipt { index: 3, ..whole.clone() };
    assert_eq!(kinds(&moved.verify(&[key()])), [Kind::WrongIndex, Kind::WrongProof]);
    assert_eq!(kinds(&whole.verify(&[])), [Kind::UnknownKey]);
}

#[test]
fn receipt_outlives_the_log() {
    // AUD-06, AUD-09: the log grew on another branch; the receipt still binds its signer to the first one.
    let entries = log(8);
    let receipt = receipt(&entries[..5], 4);
    assert!(receipt.verify(&[key()]).is_intact());
}

/// The fields of a receipt in their order, without their names.
fn as_list(text: &str) -> String {
    let fields: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let names = ["checkpoint", "entry", "index", "openings", "proof", "size", "v"];
    serde_json::to_string(&names.map(|name| &fields[name])).expect("JSON")
}

#[test]
fn ambiguous_receipts_are_refused() {
    let bytes = receipt(&log(2), 1).to_bytes().expect("JSON");
    let text = String::from_utf8(bytes).expect("UTF-8");
    for other in [
        text.replacen("\"index\":1", "\"index\":1,\"index\":1", 1),
        text.replace("\"size\":2", "\"size\":2,\"zzz\":1"),
        text.replace("\"index\":1,\"kind\"", "\"index\":1,\"index\":2,\"kind\""),
        format!("{text}x"),
        as_list(&text),
    ] {
        assert!(other != text && Receipt::parse(other.as_bytes()).is_err(), "{other}");
    }
    // MAL-10
    let newer = Receipt { v: 2, ..Receipt::parse(text.as_bytes()).expect("a receipt") };
    let newer = Receipt::parse(&newer.to_bytes().expect("JSON"));
    assert!(matches!(newer, Err(ReceiptError::UnknownVersion(2))));
    let long = vec![b' '; usize::try_from(limits::RECEIPT_BYTES_MAX).expect("small") + 1];
    assert!(matches!(Receipt::parse(&long), Err(ReceiptError::TooLarge)));
}

#[test]
fn opening_shows_the_content() {
    // AUD-17, AUD-18
    let entries = log(3);
    let begun = receipt(&entries, 1).with_opening("input", &sample::INPUT_NONCE);
    assert_eq!(begun.check_opening("input", b"input"), Ok(()));
    assert!(matches!(begun.check_opening("input", b"other"), Err(OpeningError::OtherContent { .. })));
    assert_eq!(begun.check_opening("output", b""), Err(OpeningError::NoCommitment("output".to_owned())));
    assert_eq!(begun.check_opening("grant", b"grant"), Err(OpeningError::NoOpening("grant".to_owned())));
    let finished = receipt(&entries, 2).with_opening("output", &sample::OUTPUT_NONCE);
    assert_eq!(finished.check_opening("output", b"output"), Ok(()));
    assert!(finished.verify(&[key()]).is_intact());
    let mut odd = finished.clone();
    odd.openings.insert("output".to_owned(), "AB".repeat(16));
    assert!(matches!(odd.check_opening("output", b"output"), Err(OpeningError::NoOpening(_))));
}

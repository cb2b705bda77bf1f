//! Bytes that may never change: a log, its checkpoint and a receipt, made with a fixed key and fixed times.
//!
//! Nothing here writes the golden files. When the format changes on purpose, it is a new version, with files of its own
//! beside these.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "helpers of tests")]

mod harness;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use harness::checkpoint;
use harness::edit;
use harness::key;
use harness::log;
use harness::rename;
use ringfence_audit::proof::Inclusion;
use ringfence_audit::receipt::Receipt;
use ringfence_audit::verify::LogCheck;
use ringfence_audit::verify::Options;

const COUNT: u64 = 8;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn check(name: &str, made: &[u8]) {
    let wanted = fs::read(golden(name)).unwrap_or_default();
    if wanted != made {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, made).expect("a file");
        panic!("`{name}` is not what is made now: compare it with `{}`", path.display());
    }
}

fn export(entries: &[Vec<u8>]) -> Vec<u8> {
    entries.iter().flat_map(|entry| [entry.as_slice(), b"\n"].concat()).collect()
}

/// Runs the script over `entries`: what it printed.
fn script(name: &str, entries: &[Vec<u8>]) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, export(entries)).expect("a file");
    let run = Command::new("python3").arg(golden("verify_log.py")).arg(&path).output();
    let output = run.expect("this test needs `python3`: it compares with a second implementation");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

#[test]
fn log_is_made_byte_by_byte() {
    check("log.jsonl", &export(&log(COUNT)));
}

#[test]
fn checkpoint_is_made_byte_by_byte() {
    check("checkpoint.txt", checkpoint(&log(COUNT)).as_bytes());
    check("key.txt", format!("{}\n", key()).as_bytes());
}

#[test]
fn receipt_is_made_byte_by_byte() {
    let entries = log(COUNT);
    let leaf = |index: usize| ringfence_audit::hash::leaf(&entries[index]);
    let pair = |index: usize| ringfence_audit::hash::node(&leaf(index), &leaf(index + 1));
    let right = ringfence_audit::hash::node(&pair(4), &pair(6));
    let proof = Inclusion::from_hashes(vec![leaf(3), pair(0), right]);
    let receipt = Receipt::pending(&entries[2]).expect("an entry").with_proof(&proof, COUNT, checkpoint(&entries));
    let receipt = receipt.with_opening("output", &harness::sample::OUTPUT_NONCE);
    assert!(receipt.verify(&[key()]).is_intact());
    check("receipt.json", &receipt.to_bytes().expect("JSON"));
}

#[test]
fn golden_files_verify() {
    let key = fs::read_to_string(golden("key.txt")).expect("a key");
    let key = key.trim().parse().expect("a key");
    let mut check = LogCheck::new(Options { keys: vec![key] });
    check.checkpoint(&fs::read_to_string(golden("checkpoint.txt")).expect("a checkpoint"));
    let export = fs::read_to_string(golden("log.jsonl")).expect("a log");
    export.lines().for_each(|line| check.entry(line.as_bytes()));
    let report = check.finish();
    assert!(report.is_intact(), "{:?}", report.findings);
    assert_eq!((report.entries, report.vouched), (COUNT, COUNT));
}

#[test]
fn second_implementation_agrees() {
    // AUD-22
    assert_eq!(script("whole.jsonl", &log(COUNT)), "OK");
    for index in 0..usize::try_from(COUNT).expect("small") - 1 {
        let mut entries = log(COUNT);
        edit(&mut entries, index, rename);
        assert_eq!(script(&format!("edited-{index}.jsonl"), &entries), index.to_string());
    }
}

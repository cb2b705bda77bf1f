//! How fast a log is verified, beside how fast its bytes are hashed.
//!
//! Run it in release. The first figure is SHA-256 over the same entries, one by one; the second is the whole check.

#![allow(
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measurement, with the helpers of the tests"
)]

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use ringfence_audit::hash;
use ringfence_model::encoding;

const COUNT: u64 = 100_000;
const ROUNDS: usize = 7;

fn main() {
    let entries = harness::log(COUNT);
    let note = harness::checkpoint(&entries);
    let bytes: usize = entries.iter().map(Vec::len).sum();
    let hashing = best(|| {
        for entry in &entries {
            black_box(hash::leaf(entry));
        }
    });
    let verifying = best(|| assert!(harness::verify(&entries, std::slice::from_ref(&note)).is_intact()));
    let decoding = best(|| entries.iter().for_each(|entry| drop(black_box(encoding::decode(entry)))));
    println!("{COUNT} entries of {} bytes", bytes / entries.len());
    for (name, time) in [("sha-256", hashing), ("verify", verifying), ("decode alone", decoding)] {
        println!("{name}: {:.3} GB/s", bytes as f64 / time.as_secs_f64() / 1e9);
    }
    println!("verify / sha-256: {:.2}", hashing.as_secs_f64() / verifying.as_secs_f64());
}

fn best(mut work: impl FnMut()) -> Duration {
    let mut timed = || {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..ROUNDS).map(|_| timed()).min().unwrap_or_default()
}

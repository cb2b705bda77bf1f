//! A sample of what `fuzz` does, without its instrumentation: random bytes and changed good ones, from a fixed seed.
//!
//! `RINGFENCE_FUZZ_SECONDS=60` makes each of them run that long, from a seed of the day's.

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use ringfence_artifacts as guests;

#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Inputs of one sample.
const SAMPLE: u64 = 150;

#[test]
fn any_bytes_are_loaded_or_refused() {
    // MAL-01, MAL-02
    let more = [guests::TOOL_TABLE, guests::HOSTILE_SPIN_FOREVER].map(|path| std::fs::read(path).expect("a component"));
    feed(&[seeds("component"), more.to_vec()].concat(), SAMPLE / 10, targets::component);
}

#[test]
fn any_manifest_is_read_or_refused() {
    // MAL-04
    feed(&seeds("manifest"), SAMPLE, targets::manifest);
}

#[test]
fn any_rule_is_read_or_refused() {
    // NET-06, NET-09
    feed(&seeds("rules"), SAMPLE * 100, targets::rules);
}

#[test]
fn any_evidence_is_read_or_refused() {
    // MAL-04, AUD-16
    feed(&seeds("evidence"), SAMPLE * 20, targets::evidence);
}

#[test]
fn any_bundle_is_read_or_refused() {
    // ART-05
    let seeds = seeds("vouched");
    assert!(seeds.iter().all(|good| targets::vouched(good)), "the control");
    feed(&seeds, SAMPLE, |bytes| {
        targets::vouched(bytes);
    });
}

#[test]
fn any_roots_are_read_or_refused() {
    // ART-05
    let good = include_bytes!("../fuzz/seeds/trusted_root.json").to_vec();
    assert!(targets::roots(&good), "the control");
    assert!(!targets::roots(b"{}"));
    feed(&[good], SAMPLE, |bytes| {
        targets::roots(bytes);
    });
}

#[test]
fn any_reply_of_a_policy_is_judged() {
    // POL-02, POL-03
    let policy = targets::Scripted::new(&std::fs::read(guests::HOSTILE_POLICY_SCRIPTED).expect("the policy"));
    // The controls: a permit, a no, and a permit under an obligation that nobody knows.
    assert!(policy.ask(&[0; 6]));
    assert!(!policy.ask(&[1; 6]));
    assert!(!policy.ask(&[0, 3, 1, 5, 4]));
    feed(&seeds("reply"), SAMPLE, |bytes| {
        policy.ask(bytes);
    });
}

#[test]
fn host_survives_any_values() {
    // HOST-11, FS-01, FS-16, FS-18, FS-21, NET-11, NET-17, NET-18
    let host = targets::Host::new(&std::fs::read(guests::GUEST_PROBE).expect("the probe"));
    // The control: a folder is made, a file in it written to, its attributes asked for.
    assert_eq!(host.run(&[3, 4, 11, 6, 0, 9, 0, 1, 6]), Some(3));
    feed(&seeds("host"), SAMPLE, |bytes| {
        let _ = host.run(bytes);
    });
}

/// What a target starts from, here and under instrumentation.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("seeds").map(|entry| entry.expect("a seed").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect()
}

/// Feeds changed seeds and random bytes, for so many inputs or for as long as is asked.
fn feed(seeds: &[Vec<u8>], inputs: u64, target: impl Fn(&[u8])) {
    let seconds =
        std::env::var("RINGFENCE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let mut random = Random(seconds.map_or(0x5eed, |_| u64::from(std::process::id()) | 1));
    let started = Instant::now();
    let mut fed = 0;
    while seconds.map_or(fed < inputs, |seconds| started.elapsed() < seconds) {
        let bytes = random.input(seeds);
        target(&bytes);
        fed += 1;
    }
    println!("{fed} inputs in {:?}", started.elapsed());
    assert!(fed > 0);
}

/// Xorshift: enough to change bytes by.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound.max(1)).expect("a number")).expect("a number")
    }

    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let chosen = self.below(seeds.len() + 1);
        let Some(seed) = seeds.get(chosen) else {
            let length = self.below(200);
            return (0..length).map(|_| self.byte()).collect();
        };
        let mut bytes = seed.clone();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            match self.below(4) {
                0 => bytes.insert(at, self.byte()),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.truncate(at.max(bytes.len() / 2)),
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << self.below(8);
                    }
                }
            }
        }
        bytes
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).expect("a byte")
    }
}

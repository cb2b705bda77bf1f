//! A sample of what `fuzz` does, without its instrumentation: random bytes and changed good ones, from a fixed seed.
//!
//! `RINGFENCE_FUZZ_SECONDS=60` makes each of them run that long, from a seed of the day's.

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
    let echo = std::fs::read(guests::TOOL_TABLE).expect("a component");
    let hostile = std::fs::read(guests::HOSTILE_SPIN_FOREVER).expect("a component");
    feed(&[&echo, &hostile, b"\0asm\x0d\0\x01\0"], SAMPLE / 10, targets::component);
}

#[test]
fn any_manifest_is_read_or_refused() {
    // MAL-04
    let good = br#"name = "a"
version = "1.0.0"
[capabilities]
filesystem = "read"
http = ["GET https://*.example.com/v1"]
sockets = ["tcp://a.example:1-2"]
addresses = ["10.0.0.0/8"]
[functions.f]
effect = "reads"
"#;
    feed(&[good, b"[capabilities]\n", b""], SAMPLE, targets::manifest);
}

#[test]
fn any_rule_is_read_or_refused() {
    // NET-06, NET-09
    let seeds: [&[u8]; 6] = [
        b"GET,POST https://*.example.com:8443/v1/a%20b",
        b"* http://[10.0.0.0/8]:1-1024/",
        b"tcp://[fd00::/8]:53",
        b"*.b\xc3\xbccher.example",
        b"10.0.0.0/8",
        b"/a/%2e/b",
    ];
    feed(&seeds, SAMPLE * 100, targets::rules);
}

#[test]
fn host_survives_any_values() {
    // HOST-11, FS-01, FS-16, FS-18, FS-21, NET-11, NET-17, NET-18
    let host = targets::Host::new(&std::fs::read(guests::GUEST_PROBE).expect("the probe"));
    // The control: a folder is made, a file in it written to, its attributes asked for.
    assert_eq!(host.run(&[3, 4, 11, 6, 0, 9, 0, 1, 6]), Some(3));
    let seeds: [&[u8]; 3] =
        [&[3, 4, 11, 6, 0, 9, 0, 1, 6], &[13, 4, 3, 0, 14, 4, 1, 1], &[16, 31, 16, 23, 4, 2, 28, 31, 1, 5]];
    feed(&seeds, SAMPLE, |bytes| {
        let _ = host.run(bytes);
    });
}

/// Feeds changed seeds and random bytes, for so many inputs or for as long as is asked.
fn feed(seeds: &[&[u8]], inputs: u64, target: impl Fn(&[u8])) {
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

    fn input(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
        let chosen = self.below(seeds.len() + 1);
        let Some(seed) = seeds.get(chosen) else {
            let length = self.below(200);
            return (0..length).map(|_| self.byte()).collect();
        };
        let mut bytes = seed.to_vec();
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

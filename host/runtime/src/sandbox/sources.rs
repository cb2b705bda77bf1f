//! Clocks and random bytes that come from the call itself: a time that stands still, and bytes made from a seed.
//!
//! A call with both, and nothing else that is real, computes the same from the same input each time.

use std::convert::Infallible;
use std::time::Duration;

use rand_core::TryRng;
use ringfence_model::time::Timestamp;
use sha2::Digest as _;
use sha2::Sha256;
use wasmtime_wasi::HostMonotonicClock;
use wasmtime_wasi::HostWallClock;
use wasmtime_wasi::WasiCtxBuilder;

/// Sets what is not real.
pub(super) fn fix(builder: &mut WasiCtxBuilder, clock: Option<Timestamp>, seed: Option<u64>) {
    if let Some(time) = clock {
        builder.wall_clock(Standing(time)).monotonic_clock(Standing(time));
    }
    if let Some(seed) = seed {
        // Each source gets a stream of its own: what one gives out tells nothing of the other.
        builder
            .secure_random(Seeded::new(seed, b"secure"))
            .insecure_random(Seeded::new(seed, b"insecure"))
            .insecure_random_seed(u128::from(seed));
    }
}

/// A clock that stands still.
struct Standing(Timestamp);

impl HostWallClock for Standing {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.as_millis())
    }
}

impl HostMonotonicClock for Standing {
    fn resolution(&self) -> u64 {
        1_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

/// SHA-256 of a seed and a counter, over and over: the same on every machine, for years.
struct Seeded {
    block: [u8; 32],
    counter: u64,
    key: Sha256,
    used: usize,
}

impl Seeded {
    fn new(seed: u64, stream: &[u8]) -> Self {
        let key = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(stream);
        Self { block: [0; 32], counter: 0, key, used: 32 }
    }

    fn byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            self.block = self.key.clone().chain_update(self.counter.to_be_bytes()).finalize().into();
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        let byte = self.block.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        byte
    }
}

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(std::array::from_fn(|_| self.byte())))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(std::array::from_fn(|_| self.byte())))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill_with(|| self.byte());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_gives_the_same_bytes() {
        let bytes = |seed, stream: &[u8]| {
            let mut bytes = [0; 40];
            Seeded::new(seed, stream).try_fill_bytes(&mut bytes).expect("bytes");
            hex::encode(bytes)
        };
        assert_eq!(bytes(7, b"secure"), bytes(7, b"secure"));
        assert_ne!(bytes(7, b"secure"), bytes(8, b"secure"));
        assert_ne!(bytes(7, b"secure"), bytes(7, b"insecure"));
        assert!(bytes(7, b"secure").starts_with("9d3eb89c2ce08a8d9dfa6578e8eb2944"));
    }
}

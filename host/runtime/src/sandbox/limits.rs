//! Memory and tables: one total for everything a store allocates.
//!
//! wasmtime's own limiter counts each memory for itself; a component of sixteen memories would get sixteen times its
//! limit. This one adds up.

use ringfence_model::limits;
use wasmtime::ResourceLimiter;

/// Bytes that one table element takes on the host.
const TABLE_ELEMENT_BYTES: usize = 16;

/// Counts what a store allocates, and refuses what goes beyond its limit.
#[derive(Debug)]
pub struct Limiter {
    bytes_max: usize,
    bytes: usize,
    bytes_peak: usize,
    refused: bool,
}

impl Limiter {
    /// A limiter for a store that gets at most `bytes_max` bytes of memory and tables, all together.
    pub fn new(bytes_max: u64) -> Self {
        Self { bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX), bytes: 0, bytes_peak: 0, refused: false }
    }

    /// Whether something was refused: an ending that follows is most likely due to it.
    pub fn was_refused(&self) -> bool {
        self.refused
    }

    /// The most that was allocated at once.
    pub fn bytes_peak(&self) -> u64 {
        u64::try_from(self.bytes_peak).unwrap_or(u64::MAX)
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let grown = self.bytes.saturating_add(desired.saturating_sub(current));
        if grown > self.bytes_max {
            self.refused = true;
            return false;
        }
        self.bytes = grown;
        self.bytes_peak = self.bytes_peak.max(grown);
        true
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > limits::TABLE_ELEMENTS_MAX {
            self.refused = true;
            return Ok(false);
        }
        let bytes = |elements: usize| elements.saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(self.grow(bytes(current), bytes(desired)))
    }

    fn instances(&self) -> usize {
        limits::CORE_INSTANCES_PER_COMPONENT_MAX as usize
    }

    fn tables(&self) -> usize {
        limits::CORE_INSTANCES_PER_COMPONENT_MAX as usize
    }

    fn memories(&self) -> usize {
        limits::CORE_INSTANCES_PER_COMPONENT_MAX as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_share_one_limit() {
        // RES-03
        let mut limiter = Limiter::new(100);
        assert!(limiter.memory_growing(0, 60, None).expect("an answer"));
        assert!(!limiter.memory_growing(0, 60, None).expect("an answer"));
        assert!(limiter.was_refused());
        assert!(limiter.memory_growing(60, 100, None).expect("an answer"));
        assert_eq!(limiter.bytes_peak(), 100);
    }

    #[test]
    fn tables_count_and_have_a_maximum() {
        // RES-04
        let mut limiter = Limiter::new(1 << 40);
        assert!(!limiter.table_growing(0, usize::MAX, None).expect("an answer"));
        assert!(limiter.table_growing(0, 10, None).expect("an answer"));
        assert_eq!(limiter.bytes_peak(), 160);
    }
}

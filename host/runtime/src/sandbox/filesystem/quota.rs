//! How much a call may add: counted before the disk is touched. What is removed again is not given back.
//!
//! A file is charged for what it grows by, so the quota bounds what a call leaves on the disk at any time. A write into a
//! file with holes is charged whole, since it may fill one.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::sandbox::filesystem::refusal::Failure;
use crate::sandbox::filesystem::refusal::Refusal;

/// Bytes of a block in which the system counts what a file really takes.
const BLOCK_BYTES: u64 = 512;

/// What is left of two maxima.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: AtomicU64,
    files: AtomicU64,
}

/// What is left to one folder: of its own budget, and of the call's.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    folder: Arc<Budget>,
    call: Arc<Budget>,
}

impl Budget {
    pub(super) fn new(bytes: u64, files: u64) -> Self {
        Self { bytes: AtomicU64::new(bytes), files: AtomicU64::new(files) }
    }
}

impl Quota {
    /// A folder's own budget within that of the call.
    pub(super) fn new(folder: Budget, call: &Arc<Budget>) -> Self {
        Self { folder: Arc::new(folder), call: Arc::clone(call) }
    }

    /// Charges a file, folder or link that is about to be made.
    pub(super) fn charge_file(&self) -> Result<(), Failure> {
        let charged = take(&self.folder.files, 1) && take(&self.call.files, 1);
        if charged { Ok(()) } else { Err(Refusal::QuotaFiles.into()) }
    }

    /// Takes back the charge for one that could not be made.
    pub(super) fn uncharge_file(&self) {
        for budget in [&self.folder, &self.call] {
            budget.files.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Charges a write of `length` bytes that is about to be made at `offset`; none is the end of the file.
    pub(super) fn charge_write(&self, file: &File, offset: Option<u64>, length: u64) -> Result<(), Failure> {
        self.charge_bytes(cost(file, offset, length)?)
    }

    /// Charges a new size that a file is about to get.
    pub(super) fn charge_size(&self, file: &File, size: u64) -> Result<(), Failure> {
        self.charge_bytes(size.saturating_sub(file.metadata()?.len()))
    }

    fn charge_bytes(&self, bytes: u64) -> Result<(), Failure> {
        let charged = take(&self.folder.bytes, bytes) && take(&self.call.bytes, bytes);
        if charged { Ok(()) } else { Err(Refusal::QuotaBytes.into()) }
    }
}

/// Takes all of it or nothing. What one budget gave and the other refused stays taken: that errs on the safe side.
fn take(left: &AtomicU64, count: u64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(count)).is_ok()
}

fn cost(file: &File, offset: Option<u64>, length: u64) -> io::Result<u64> {
    let found = file.metadata()?;
    let end = offset.unwrap_or(found.len()).saturating_add(length);
    let growth = end.saturating_sub(found.len());
    let has_holes = found.blocks().saturating_mul(BLOCK_BYTES) < found.len();
    Ok(if has_holes { growth.max(length) } else { growth })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn quota(folder: (u64, u64), call: (u64, u64)) -> Quota {
        Quota::new(Budget::new(folder.0, folder.1), &Arc::new(Budget::new(call.0, call.1)))
    }

    #[test]
    fn growth_is_charged_and_rewriting_is_not() {
        // FS-18, FS-19
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[1; 4096]).expect("written");
        file.sync_all().expect("synced");
        for (offset, length, wanted) in [
            (Some(0), 4096, 0),
            (Some(4000), 100, 4),
            (None, 10, 10),
            (Some(u64::MAX), 1, u64::MAX - 4096),
            (Some(i64::MAX as u64), 1, i64::MAX as u64 + 1 - 4096),
        ] {
            assert_eq!(cost(&file, offset, length).expect("a cost"), wanted, "{offset:?} {length}");
        }
    }

    #[test]
    fn holes_are_charged_when_filled() {
        // FS-18
        let file = tempfile::tempfile().expect("a file");
        file.set_len(1 << 30).expect("a size");
        assert_eq!(cost(&file, Some(4096), 8192).expect("a cost"), 8192);
    }

    #[test]
    fn both_budgets_must_have_it() {
        // FS-19
        for quota in [quota((10, 2), (100, 20)), quota((100, 20), (10, 2))] {
            assert!(quota.charge_bytes(10).is_ok() && quota.charge_bytes(0).is_ok() && quota.charge_bytes(1).is_err());
            assert!(quota.charge_file().is_ok() && quota.charge_file().is_ok() && quota.charge_file().is_err());
        }
    }
}

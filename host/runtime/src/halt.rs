//! The halt: as long as a file is there, nothing starts, and what runs is stopped.
//!
//! It is a file because it must not have to wait for anything: not for the log, not for a process that does not answer,
//! not for a network. Every process of a home sees it. It says that nothing runs and not why; that is for the record. Where it can't be told whether the
//! file is there, it is.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often a call that runs looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether an operator has halted the host (POL-17).
#[derive(Clone, Debug, Default)]
pub struct Halt {
    file: Option<Arc<Path>>,
}

impl Halt {
    /// Halted while this file is there. A default one never is.
    pub fn by_file(file: &Path) -> Self {
        Self { file: Some(file.into()) }
    }

    /// Whether nothing may start now.
    pub fn is_on(&self) -> bool {
        let Some(file) = &self.file else { return false };
        // Fail closed: whatever keeps us from looking is no permission to go on.
        !matches!(file.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Ends when it is on.
    pub async fn wait(&self) {
        if self.file.is_none() {
            return std::future::pending().await;
        }
        while !self.is_on() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_looked_at_halts() {
        // POL-17
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("halted");
        assert!(!Halt::default().is_on() && !Halt::by_file(&file).is_on());
        std::fs::write(&file, "").expect("a file");
        assert!(Halt::by_file(&file).is_on());
        // What should be a folder is a file: neither there nor known not to be.
        assert!(Halt::by_file(&file.join("halted")).is_on());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).expect("a link");
        assert!(Halt::by_file(&link).is_on());
    }

    #[tokio::test]
    async fn waiting_ends_when_it_is_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("halted");
        let halt = Halt::by_file(&file);
        let ends = || tokio::time::timeout(Duration::from_secs(1), halt.wait());
        assert!(ends().await.is_err());
        std::fs::write(&file, "").expect("a file");
        assert!(ends().await.is_ok());
    }
}

//! The head: the newest checkpoint, in a second place, which is a file or a row of a database.
//!
//! It is replaced by compare and swap. Whoever publishes holds it from before the log is compared with it until the new
//! one stands, so that of two copies of a log only one ever signs at a size. What it says is the sequencer's to judge.
//! Where it can't be read, nobody goes on as if there were none.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;

use crate::ledger::backend::BackendError;
use crate::ledger::backend::postgres::Access;
use crate::ledger::backend::postgres::address::Address;
use crate::ledger::backend::postgres::head::HeadRow;
use crate::ledger::backend::postgres::head::HeldRow;
use crate::sequencer::SequencerError;
use crate::sequencer::head_file::HeadFile;

/// Where the newest checkpoint of a log is kept a second time.
#[derive(Clone, Debug)]
pub enum HeadPlace {
    /// In a database, by the log's origin.
    Database(Box<Access>),
    /// In a file.
    File(PathBuf),
}

impl fmt::Display for HeadPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(access) => access.address.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The head of a log.
#[derive(Debug)]
pub(super) enum Head {
    Database(HeadRow, Address),
    File(HeadFile),
}

impl Head {
    /// The head of the log of this origin.
    pub(super) fn new(place: HeadPlace, origin: &str) -> Result<Self, SequencerError> {
        match place {
            HeadPlace::Database(access) => {
                let address = access.address.clone();
                let row = HeadRow::new(*access, origin).map_err(|error| failed(&address, error))?;
                Ok(Self::Database(row, address))
            }
            HeadPlace::File(path) => Ok(Self::File(HeadFile::new(path))),
        }
    }

    /// What it says; none if there is none.
    pub(super) fn read(&self) -> Result<Option<String>, SequencerError> {
        match self {
            Self::Database(row, address) => row.read().map_err(|error| failed(address, error)),
            Self::File(file) => file.read(),
        }
    }

    /// Finds out whether it can be asked at all.
    pub(super) fn reach(&self) -> Result<(), SequencerError> {
        match self {
            Self::Database(row, address) => row.reach().map_err(|error| failed(address, error)),
            Self::File(_) => Ok(()),
        }
    }

    /// Waits until nobody else replaces it.
    pub(super) fn hold(&self) -> Result<HeldHead<'_>, SequencerError> {
        match self {
            Self::Database(row, address) => {
                let (held, note) = row.hold().map_err(|error| failed(address, error))?;
                Ok(HeldHead { note, held: Held::Database(held, address) })
            }
            Self::File(file) => {
                let lock = file.lock()?;
                Ok(HeldHead { note: file.read()?, held: Held::File(file, lock) })
            }
        }
    }

    /// It can't be believed.
    pub(super) fn refused(&self, why: impl Into<String>) -> SequencerError {
        match self {
            Self::Database(_, address) => refused(address, why.into()),
            Self::File(file) => file.refused(why),
        }
    }
}

/// The head, while nobody else replaces it.
#[derive(Debug)]
pub(super) struct HeldHead<'a> {
    note: Option<String>,
    held: Held<'a>,
}

/// Ownership: the lock goes with it.
#[derive(Debug)]
enum Held<'a> {
    Database(HeldRow<'a>, &'a Address),
    File(&'a HeadFile, #[expect(dead_code, reason = "the lock goes with it")] File),
}

impl HeldHead<'_> {
    /// What it says; none if there is none.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Replaces it, if it still says what it said.
    pub(super) fn swap(self, note: &str) -> Result<(), SequencerError> {
        match &self.held {
            Held::Database(row, address) => match row.swap(self.note(), note) {
                Ok(true) => Ok(()),
                Ok(false) => Err(refused(address, "somebody else has replaced it meanwhile".to_owned())),
                Err(error) => Err(failed(address, error)),
            },
            Held::File(file, _) => file.swap(self.note(), note),
        }
    }
}

fn refused(address: &Address, why: String) -> SequencerError {
    SequencerError::HeadStore { address: address.to_string(), why }
}

fn failed(address: &Address, error: BackendError) -> SequencerError {
    let why = match error {
        BackendError::DiskFull => "the disk of its server is full".to_owned(),
        BackendError::InUse => "another process holds it".to_owned(),
        BackendError::Lost(why) => format!("its server can't be reached: {why}"),
        BackendError::ReadOnly => "its server is read-only".to_owned(),
        BackendError::Corrupt(why)
        | BackendError::Io(why)
        | BackendError::Other(why)
        | BackendError::Unusable { why, .. } => why,
        error @ BackendError::Fenced => error.to_string(),
    };
    refused(address, why)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::ledger::backend::postgres::server::Database;
    use crate::ledger::backend::postgres::tests::access;

    /// Both places, and how somebody writes to each who does not ask this module.
    fn places<'a>(folder: &'a tempfile::TempDir, database: &'a Database) -> [(HeadPlace, Box<dyn Fn() + 'a>); 2] {
        let path = folder.path().join("head");
        let past_it = "UPDATE ringfence_heads.heads SET note = 'other'";
        [
            (HeadPlace::File(path.clone()), Box::new(move || fs::write(&path, "other").expect("a file"))),
            (HeadPlace::Database(Box::new(access(database))), Box::new(|| drop(database.sql(past_it)))),
        ]
    }

    fn head(place: &HeadPlace) -> Head {
        Head::new(place.clone(), "example.org/log").expect("a head")
    }

    #[test]
    fn only_one_holds_the_head() {
        // AUD-08
        let (folder, database) = (tempfile::tempdir().expect("a folder"), Database::new());
        let counter = folder.path().join("counter");
        for (place, _) in places(&folder, &database) {
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        let kept = head(&place);
                        let held = kept.hold().expect("the head");
                        assert!(!counter.exists(), "two hold it");
                        fs::write(&counter, "").expect("a file");
                        thread::sleep(Duration::from_millis(5));
                        let next = held.note().map_or(1, |note| note.parse::<u32>().expect("a number") + 1);
                        fs::remove_file(&counter).expect("a file");
                        held.swap(&next.to_string()).expect("the head");
                    });
                }
            });
            assert_eq!(head(&place).read().expect("the head").as_deref(), Some("8"));
        }
    }

    #[test]
    fn head_that_changed_meanwhile_is_not_replaced() {
        // AUD-08: somebody who does not know of the lock, such as a restore from a copy.
        let (folder, database) = (tempfile::tempdir().expect("a folder"), Database::new());
        for (place, write_past_it) in places(&folder, &database) {
            let kept = head(&place);
            kept.hold().and_then(|held| held.swap("one")).expect("the head");
            let held = kept.hold().expect("the head");
            write_past_it();
            let message = held.swap("two").expect_err("a refusal").to_string();
            assert!(message.contains("it was replaced by somebody") || message.contains("replaced it"), "{message}");
            assert_eq!(kept.read().expect("the head").as_deref(), Some("other"));
        }
    }

    #[test]
    fn swap_without_the_lock_puts_one_in() {
        // AUD-08: what holds is the statement. Both have seen the same head, none at first, and neither has waited.
        let database = Database::new();
        let rows = [(), ()].map(|()| HeadRow::new(access(&database), "example.org/log").expect("a head"));
        drop(rows[0].hold().expect("the head"));
        drop(rows[1].read().expect("a look"));
        let swapped = |from: Option<&str>, to: [&str; 2]| {
            let of = |row: usize| HeldRow::without_lock(&rows[row]).swap(from, to[row]).expect("an answer");
            let (first, second) = thread::scope(|scope| {
                let first = scope.spawn(|| of(0));
                (of(1), first.join().expect("an end"))
            });
            assert!(first != second, "one and only one");
            rows[0].read().expect("the head").expect("a head")
        };
        let mut said = swapped(None, ["a0", "a1"]);
        for round in 1..20 {
            let to = [format!("{round}-0"), format!("{round}-1")];
            said = swapped(Some(&said), [&to[0], &to[1]]);
        }
    }

    #[test]
    fn connection_that_ends_lets_go_of_the_head() {
        let database = Database::new();
        let place = HeadPlace::Database(Box::new(access(&database)));
        let (first, second) = (head(&place), head(&place));
        first.hold().and_then(|held| held.swap("one")).expect("the head");
        let held = first.hold().expect("the head");
        database.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = 'ringfence' AND datname = current_database()",
        );
        second.hold().and_then(|held| held.swap("two")).expect("the head is free");
        let message = held.swap("three").expect_err("a lost connection").to_string();
        assert!(message.contains("can't be reached"), "{message}");
        assert_eq!(second.read().expect("the head").as_deref(), Some("two"));
        // The next time it connects anew.
        first.hold().and_then(|held| held.swap("four")).expect("the head");
        assert_eq!(second.read().expect("the head").as_deref(), Some("four"));
    }

    #[test]
    fn heads_of_other_logs_stand_beside() {
        let database = Database::new();
        let of = |origin| Head::new(HeadPlace::Database(Box::new(access(&database))), origin).expect("a head");
        let (first, second) = (of("example.org/a"), of("example.org/b"));
        let held = first.hold().expect("the head");
        second.hold().and_then(|held| held.swap("b")).expect("another lock");
        held.swap("a").expect("the head");
        let said = [first, second].map(|head| head.read().expect("the head").expect("a head"));
        assert_eq!(said, ["a", "b"]);
    }

    #[test]
    fn head_that_can_not_be_believed_is_refused() {
        let database = Database::new();
        let head = head(&HeadPlace::Database(Box::new(access(&database))));
        assert_eq!(head.read().expect("no table is no head"), None);
        head.hold().and_then(|held| held.swap("one")).expect("the head");
        for (damage, wanted) in [
            ("version = 2", "it has version `2`, and this host knows version `1`"),
            ("version = 1, note = repeat('x', 10000000)", "it is larger than a checkpoint may be"),
        ] {
            database.sql(&format!("UPDATE ringfence_heads.heads SET {damage}"));
            let message = head.read().expect_err("a refusal").to_string();
            assert!(message.ends_with(wanted), "{message}");
        }
    }
}

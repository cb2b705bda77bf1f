//! Tests of what only a file can do: be in use, be another file, be torn, be full.

use std::env;
use std::fs;
use std::process::Command;

use ringfence_model::content;
use ringfence_model::content::ContentName;
use ringfence_model::encoding;
use ringfence_model::entry::EffectState;
use ringfence_model::entry::RemovedContent;
use ringfence_model::entry::Settlement;
use ringfence_model::grant::Reach;

use super::*;
use crate::ledger::Begin;
use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::Removal;
use crate::ledger::backend::CallState;
use crate::ledger::backend::ContentKey;
use crate::ledger::fixture;
use crate::ledger::fixture::begin;
use crate::ledger::fixture::call;
use crate::ledger::fixture::create;
use crate::ledger::fixture::ending;
use crate::ledger::fixture::intent;
use crate::ledger::fixture::keyed;
use crate::ledger::fixture::make;
use crate::ledger::fixture::principal;
use crate::ledger::fixture::question;
use crate::ledger::fixture::session;
use crate::ledger::fixture::try_open;
use crate::ledger::fixture::verified;
use crate::ledger::listed::Whose;
use crate::ledger::recovery::settle;

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("log{suffix}"))
    }

    fn create(&self) -> Ledger {
        create(SqliteBackend::create(&self.path()).expect("a new log"))
    }

    fn open(&self) -> Ledger {
        fixture::open(SqliteBackend::open(&self.path()).expect("a log"))
    }

    /// What a crash leaves: the file and its write-ahead file as they are now.
    fn crashed(&self) -> Self {
        let image = Self::new();
        for suffix in ["", "-wal"] {
            fs::copy(self.beside(suffix), image.beside(suffix)).expect("a copy");
        }
        image
    }
}

fn refused(result: Result<SqliteBackend, BackendError>) -> String {
    result.expect_err("a refusal").to_string()
}

#[test]
fn log_is_kept_across_restarts() {
    let scene = Scene::new();
    let ledger = scene.create();
    let first = make(&ledger, keyed(1, Reach::Writes, "k"));
    drop(ledger);
    let ledger = scene.open();
    let Ok(Begin::Known(stored)) = ledger.begin(keyed(2, Reach::Writes, "k")) else { panic!("not known") };
    assert_eq!(stored.recorded, first);
    drop(fixture::begin(&ledger, intent(3, Reach::Writes)));
    drop(ledger);
    let ledger = scene.open();
    assert_eq!(settle(&ledger).expect("a recovery").len(), 1);
    assert_eq!(verified(&ledger).len(), 5);
}

#[test]
fn commits_are_synced_under_one_lock() {
    let scene = Scene::new();
    drop(scene.create());
    let backend = SqliteBackend::open(&scene.path()).expect("a log");
    for (pragma, wanted) in [
        ("synchronous", "2"),
        ("journal_mode", "wal"),
        ("locking_mode", "exclusive"),
        ("fullfsync", "1"),
        ("trusted_schema", "0"),
        ("mmap_size", "0"),
    ] {
        let found: rusqlite::types::Value =
            backend.connection.pragma_query_value(None, pragma, |row| row.get(0)).expect(pragma);
        let found = match found {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{pragma}: {other:?}"),
        };
        assert_eq!(found, wanted, "{pragma}");
    }
}

#[test]
fn no_question_scans_the_log() {
    // IDM-13
    let scene = Scene::new();
    drop(scene.create());
    let backend = SqliteBackend::open(&scene.path()).expect("a log");
    for question in sql::QUESTIONS {
        let mut plan = backend.connection.prepare(&format!("EXPLAIN QUERY PLAN {question}")).expect(question);
        let parameters: Vec<Option<i64>> = vec![None; plan.parameter_count()];
        let rows = plan.query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>(3));
        for step in rows.expect(question).map(|step| step.expect("a step")) {
            let bounded = question.ends_with("DESC LIMIT 1") || question.contains("WHERE ended IS NULL");
            assert!(step.starts_with("SEARCH") || bounded, "{question}: {step}");
            assert!(!step.contains("TEMP B-TREE") && !step.contains("SCAN calls\n"), "{question}: {step}");
            assert!(!question.contains("ended IS NULL") || step.contains("calls_open"), "{question}: {step}");
        }
    }
}

#[test]
fn second_opener_is_refused() {
    // CR-31, AUD-08
    let scene = Scene::new();
    let ledger = scene.create();
    for second in [SqliteBackend::open(&scene.path()), SqliteBackend::open_read_only(&scene.path())] {
        assert_eq!(refused(second), "the log is in use by another process");
    }
    make(&ledger, intent(1, Reach::Writes));
    drop(ledger);
    verified(&scene.open());
}

#[test]
fn writer_is_refused_while_one_reads() {
    let scene = Scene::new();
    drop(scene.create());
    let reader = fixture::open(SqliteBackend::open_read_only(&scene.path()).expect("a log"));
    assert_eq!(refused(SqliteBackend::open(&scene.path())), "the log is in use by another process");
    assert_eq!(verified(&reader).len(), 1);
    drop(reader);
    make(&scene.open(), intent(1, Reach::Writes));
}

const CHILD: &str = "RINGFENCE_TEST_CHILD_LOG";

/// Does nothing unless it is the child of the test below.
#[test]
fn child_that_opens_a_log() {
    let Ok(path) = env::var(CHILD) else { return };
    for open in [SqliteBackend::open, SqliteBackend::open_read_only] {
        match open(Path::new(&path)) {
            Ok(_) => println!("child: opened"),
            Err(error) => println!("child: {error}"),
        }
    }
}

#[test]
fn second_process_is_refused() {
    // CR-31
    let scene = Scene::new();
    let ledger = scene.create();
    let child = || {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args(["--nocapture", "child_that_opens_a_log"]).env(CHILD, scene.path());
        let output = command.output().expect("a child").stdout;
        let output = String::from_utf8_lossy(&output).into_owned();
        let said = output.lines().filter_map(|line| line.split_once("child: ")).map(|(_, said)| said.to_owned());
        said.collect::<Vec<_>>()
    };
    assert_eq!(child(), ["the log is in use by another process"; 2]);
    drop(ledger);
    assert_eq!(child(), ["opened"; 2]);
}

#[test]
fn existing_file_is_never_overwritten() {
    let scene = Scene::new();
    fs::write(scene.path(), "mine").expect("a file");
    let message = refused(SqliteBackend::create(&scene.path()));
    assert!(message.ends_with("can't be opened as a log: it exists already"), "{message}");
    assert_eq!(fs::read(scene.path()).expect("a file"), b"mine");
    let message = refused(SqliteBackend::create(&scene.folder.path().join("no/log")));
    assert!(message.ends_with("its folder does not exist"), "{message}");
}

#[test]
fn file_that_is_no_log_is_refused_untouched() {
    let scene = Scene::new();
    let foreign = |id: i64, version: i64| {
        let _ = fs::remove_file(scene.path());
        let connection = Connection::open(scene.path()).expect("a database");
        let made = format!("CREATE TABLE t (a); PRAGMA application_id = {id}; PRAGMA user_version = {version};");
        connection.execute_batch(&made).expect("a table");
    };
    let unfinished = || {
        let _ = fs::remove_file(scene.path());
        let connection = Connection::open(scene.path()).expect("a database");
        connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).expect("a mode");
    };
    let text = |bytes: &[u8]| fs::write(scene.path(), bytes).expect("a file");
    let cases: [(&dyn Fn(), &str); 7] = [
        (&|| foreign(0, 0), "it is a database, but not a log"),
        (&|| foreign(7, 1), "it is a database, but not a log"),
        (&|| foreign(sql::APPLICATION_ID, 6), "its schema has version `6`, and this host knows version `5`"),
        (&unfinished, "it was not finished being made, holds nothing, and can be removed"),
        (&|| text(&[b'x'; 5000]), "it is not a log"),
        (&|| text(b""), "it is empty"),
        (&|| fs::remove_file(scene.path()).expect("a file"), "there is no such file"),
    ];
    for (make, why) in cases {
        make();
        let before = fs::read(scene.path()).ok();
        for result in [SqliteBackend::open(&scene.path()), SqliteBackend::open_read_only(&scene.path())] {
            let message = refused(result);
            assert!(message.ends_with(&format!("can't be opened as a log: {why}")), "{message}");
        }
        assert_eq!(fs::read(scene.path()).ok(), before, "{why}");
    }
    assert!(refused(SqliteBackend::open(scene.folder.path())).ends_with("it is not a file"));
}

#[test]
fn reader_changes_nothing() {
    // CR-32
    let scene = Scene::new();
    let ledger = scene.create();
    make(&ledger, intent(1, Reach::Writes));
    drop(ledger);
    let before = fs::read(scene.path()).expect("a file");
    let unchanging = SqliteBackend::open_as(&scene.path(), Mode::ReadUnchanging);
    for backend in [SqliteBackend::open_read_only(&scene.path()), unchanging] {
        let ledger = fixture::open(backend.expect("a log"));
        let error = ledger.begin(intent(2, Reach::Writes)).expect_err("read-only");
        assert!(matches!(error, LedgerError::Storage(BackendError::ReadOnly)), "{error}");
        assert_eq!(verified(&ledger).len(), 3);
    }
    assert_eq!(fs::read(scene.path()).expect("a file"), before);
}

#[test]
fn odd_paths_reach_the_same_file() {
    let scene = Scene::new();
    let path = scene.folder.path().join("a?b#c%41 é&mode=rwc");
    drop(create(SqliteBackend::create(&path).expect("a new log")));
    let unchanging = SqliteBackend::open_as(&path, Mode::ReadUnchanging).expect("a log");
    assert_eq!(verified(&fixture::open(unchanging)).len(), 1);
}

#[test]
fn full_disk_is_said_and_survived() {
    // CR-22
    let scene = Scene::new();
    drop(scene.create());
    let backend = SqliteBackend::open(&scene.path()).expect("a log");
    let pages: i64 = backend.connection.pragma_query_value(None, "page_count", |row| row.get(0)).expect("pages");
    backend.connection.pragma_update_and_check(None, "max_page_count", pages + 8, |_| Ok(())).expect("a bound");
    let ledger = fixture::open(backend);
    let mut made: Vec<crate::ledger::Recorded> = Vec::new();
    let error = (1..).find_map(|number| {
        let begun = match ledger.begin(intent(number, Reach::Nothing)) {
            Ok(Begin::Begun(begun)) => begun,
            other => panic!("{other:?}"),
        };
        let ending = fixture::ending(EffectState::Committed, &"x".repeat(3000));
        ledger.finish(begun, ending).map(|recorded| made.push(recorded)).err()
    });
    assert_eq!(error.expect("full").to_string(), "the disk that holds the log is full");
    assert!(!made.is_empty());
    // Reading goes on, and so does writing once there is room.
    assert_eq!(verified(&ledger).len(), 1 + 2 * made.len());
    drop(ledger);
    make(&scene.open(), intent(1_000_000, Reach::Writes));
    verified(&scene.open());
}

#[test]
fn crash_keeps_what_was_acknowledged() {
    // CR-05 to CR-14
    let scene = Scene::new();
    let ledger = scene.create();
    for number in 0..5 {
        make(&ledger, intent(number, Reach::Writes));
        let image = scene.crashed();
        assert_eq!(verified(&image.open()), verified(&ledger));
    }
}

#[test]
fn torn_write_leaves_whole_commits() {
    // AUD-12, CR-28
    let scene = Scene::new();
    let ledger = scene.create();
    for number in 0..4 {
        make(&ledger, intent(number, Reach::Writes));
    }
    let whole = verified(&ledger);
    let wal = fs::read(scene.beside("-wal")).expect("a file");
    let mut lengths = Vec::new();
    for length in (0..wal.len()).step_by(1021).chain([wal.len()]) {
        let image = scene.crashed();
        fs::write(image.beside("-wal"), &wal[..length]).expect("a file");
        // Before its schema is durable a file is no log; after that each prefix is a whole one.
        let Ok(backend) = SqliteBackend::open(&image.path()) else { continue };
        let Ok(ledger) = try_open(backend) else { continue };
        let entries = verified(&ledger);
        assert_eq!(entries, whole[..entries.len()]);
        lengths.push(entries.len());
        settle(&ledger).expect("a recovery");
        verified(&ledger);
    }
    assert!(lengths.is_sorted() && lengths.contains(&whole.len()), "{lengths:?}");
}

#[test]
fn flipped_bit_is_found_or_does_not_matter() {
    // AUD-13, AUD-14
    let scene = Scene::new();
    let ledger = scene.create();
    for number in 0..3 {
        make(&ledger, intent(number, Reach::Writes));
    }
    let whole = verified(&ledger);
    drop(ledger);
    let bytes = fs::read(scene.path()).expect("a file");
    let mut found = 0;
    for position in (0..bytes.len()).step_by(97) {
        let image = Scene::new();
        let mut damaged = bytes.clone();
        damaged[position] ^= 0x10;
        fs::write(image.path(), damaged).expect("a file");
        let opened = SqliteBackend::open(&image.path()).map_err(LedgerError::from).and_then(try_open);
        let entries = opened.and_then(|ledger| Ok((ledger.entries(0, usize::MAX)?, ledger)));
        match entries {
            Ok((entries, ledger)) if fixture::report(&ledger, &entries).is_intact() => assert_eq!(entries, whole),
            _ => found += 1,
        }
    }
    assert!(found > 10, "{found}");
}

#[test]
fn missing_folder_of_running_log_is_an_error() {
    // CR-32: what was acknowledged before is not what is asked here, only that nothing panics or hangs.
    let scene = Scene::new();
    let ledger = scene.create();
    let path = scene.path();
    drop(scene);
    assert!(!path.exists());
    let _ = ledger.begin(intent(1, Reach::Writes));
}

/// How many of the files of a log hold these bytes.
fn holders(scene: &Scene, needle: &[u8]) -> usize {
    let files = fs::read_dir(scene.folder.path()).expect("a folder");
    let holds = |path: PathBuf| fs::read(path).expect("a file").windows(needle.len()).any(|part| part == needle);
    files.filter(|file| holds(file.as_ref().expect("a file").path())).count()
}

#[test]
fn removed_bytes_are_in_no_file() {
    // AUD-18: contents of every size, small ones that share pages and large ones that fill many.
    let scene = Scene::new();
    let mut backend = SqliteBackend::create(&scene.path()).expect("a new log");
    let canary = |number: usize| format!("<canary {number}>").into_bytes();
    let stored = |number: usize| {
        let bytes = canary(number).repeat(1 + number * number % 700);
        let nonce = Nonce::from_random([u8::try_from(number).expect("small"); 16]);
        let key = ContentKey { entry: number as u64, name: ContentName::Output, commitment: nonce.commit(&bytes) };
        (key, StoredContent { commitment: key.commitment, nonce, bytes })
    };
    let contents: Vec<_> = (0..120).map(stored).collect();
    for content in &contents {
        backend.commit(Batch { contents: vec![content.clone()], ..Batch::default() }).expect("a commit");
    }
    let left = |scene: &Scene, odd: usize| (0..120).filter(|n| n % 2 == odd && holders(scene, &canary(*n)) > 0).count();
    assert_eq!((left(&scene, 0), left(&scene, 1)), (60, 60));
    let removals = contents.iter().step_by(2).map(|(key, _)| *key).collect();
    backend.commit(Batch { removals, ..Batch::default() }).expect("a commit");
    assert!(left(&scene, 0) > 0, "removing alone leaves copies, so scrubbing is tried");
    backend.scrub().expect("scrubbed");
    assert_eq!((left(&scene, 0), left(&scene, 1)), (0, 60), "while it is open");
    drop(backend);
    assert_eq!((left(&scene, 0), left(&scene, 1)), (0, 60), "after it was closed");
    let backend = SqliteBackend::open(&scene.path()).expect("a log");
    for (key, content) in contents.iter().skip(1).step_by(2) {
        assert_eq!(backend.content(key), Ok(Some(content.clone())));
    }
}

#[test]
fn older_schema_is_brought_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let mut backend = SqliteBackend::create(&path).expect("a log");
    backend.commit(crate::ledger::backend::contract::entries(0..3)).expect("a commit");
    let before = format!("{WITHOUT_SETTLEMENTS}; DROP TABLE facts; PRAGMA user_version = 1");
    backend.connection.execute_batch(&before).expect("the first schema");
    drop(backend);
    let read = SqliteBackend::open_read_only(&path).expect("the log as it was");
    assert_eq!((read.fact(FactKind::Session, "a"), read.next), (Ok(None), 3));
    drop(read);
    let mut backend = SqliteBackend::open(&path).expect("the log, brought up");
    let fact = Fact { kind: FactKind::Session, key: "a".into(), value: Some(b"1".to_vec()) };
    backend.commit(Batch { facts: vec![fact], ..Batch::default() }).expect("a commit");
    drop(backend);
    let again = SqliteBackend::open(&path).expect("the log again");
    assert_eq!((again.fact(FactKind::Session, "a"), again.next), (Ok(Some(b"1".to_vec())), 3));
}

/// From this schema to the one before the last.
const WITHOUT_SETTLEMENTS: &str = "DROP TABLE entry_contents; DROP INDEX calls_unknown; ALTER TABLE calls DROP COLUMN settled; \
    ALTER TABLE calls DROP COLUMN settlement; PRAGMA user_version = 2";

#[test]
fn unknown_calls_of_older_schema_are_settled() {
    let scene = Scene::new();
    let ledger = scene.create();
    let begun = begin(&ledger, keyed(1, Reach::Writes, "k"));
    ledger.finish(begun, ending(EffectState::Unknown, "x")).expect("an ending");
    drop(ledger);
    let backend = SqliteBackend::open(&scene.path()).expect("a log");
    backend.connection.execute_batch(WITHOUT_SETTLEMENTS).expect("the schema before");
    drop(backend);
    // Read as it is, and nothing is changed by that.
    let bytes = fs::read(scene.path()).expect("a file");
    let ledger = try_open(SqliteBackend::open_read_only(&scene.path()).expect("the log as it was")).expect("a log");
    assert_eq!(ledger.doubtful().expect("an answer").len(), 1);
    drop(ledger);
    assert_eq!(fs::read(scene.path()).expect("a file"), bytes);
    let operator = "operator:uid-0".parse().expect("a principal");
    let ledger = scene.open();
    ledger.settle(call(1), Settlement::NotExecuted, &operator, "no row in the bank").expect("a settlement");
    drop(ledger);
    let ledger = scene.open();
    assert!(matches!(ledger.find(&call(1)), Ok(Some(CallRow { state: CallState::Settled { settled: 3, .. }, .. }))));
    make(&ledger, keyed(2, Reach::Writes, "k"));
    verified(&ledger);
}

/// From this schema to the one before, with the contents of a log.
const WITHOUT_ENTRY_CONTENTS: &str = "DROP TABLE entry_contents; PRAGMA user_version = 3";

#[test]
fn contents_of_older_schema_stay_readable() {
    let scene = Scene::new();
    let ledger = scene.create();
    let first = make(&ledger, keyed(1, Reach::Writes, "k"));
    let outcome = |ledger: &Ledger| {
        let recalled = ledger.recall(&keyed(1, Reach::Writes, "k")).expect("an answer");
        recalled.expect("the call").outcome
    };
    let wanted = outcome(&ledger);
    drop(ledger);
    let backend = SqliteBackend::open(&scene.path()).expect("a log");
    let contents = backend.entries(0, 9).expect("entries").into_iter().flat_map(|entry| {
        let body = encoding::decode(&entry.bytes).expect("an entry").body;
        let keys = content::commitments(&body).into_iter();
        keys.map(move |(name, commitment)| ContentKey { entry: entry.index, name, commitment })
    });
    for StoredContent { commitment, nonce, bytes } in
        contents.filter_map(|key| backend.content(&key).expect("an answer"))
    {
        let old = "INSERT INTO contents (commitment, nonce, bytes) VALUES (?1, ?2, ?3)";
        let row = params![commitment.digest().as_bytes(), nonce.as_bytes(), bytes];
        backend.connection.execute(old, row).expect("a content where it was kept");
    }
    backend.connection.execute_batch(WITHOUT_ENTRY_CONTENTS).expect("the schema before");
    drop(backend);
    let read = try_open(SqliteBackend::open_read_only(&scene.path()).expect("the log as it was")).expect("a log");
    assert_eq!((outcome(&read), wanted.is_some()), (wanted.clone(), true));
    drop(read);
    let ledger = scene.open();
    assert_eq!(outcome(&ledger), wanted);
    make(&ledger, keyed(2, Reach::Writes, "l"));
    let contents = vec![RemovedContent { entry: first.index, name: ContentName::Output }];
    let principal = "operator:uid-0".parse().expect("a principal");
    let removal = Removal { by: "desk".into(), contents, principal, reason: "asked for".into() };
    assert_eq!(ledger.remove(removal).expect("a removal").len(), 1);
    assert_eq!(outcome(&ledger), None);
    verified(&ledger);
}

#[test]
fn lists_of_older_schema_are_filled() {
    let scene = Scene::new();
    let ledger = scene.create();
    let mine = principal("a");
    let open = ledger.open_session(session("open", &mine), &mine).expect("a session");
    let closed = ledger.open_session(session("closed", &mine), &mine).expect("a session");
    ledger.close_session(closed.session, &mine).expect("closed");
    let asked = |number| ledger.hold(question(number, 3_600_000)).expect("an answer").expect("a question").0;
    let (waits, answered) = (asked(1), asked(2));
    ledger.answer(answered.approval, &"operator:o".parse().expect("one"), true, None).expect("answered");
    drop(ledger);
    let listed = |ledger: &Ledger| {
        let sessions = ledger.open_sessions(Whose::All, None, 9).expect("sessions");
        let waiting = ledger.waiting(None, 9).expect("questions");
        let places: Vec<_> = waiting.iter().map(|it| it.place.clone()).collect();
        (sessions, waiting.into_iter().map(|it| it.approval).collect::<Vec<_>>(), places)
    };
    let wanted = listed(&scene.open());
    assert_eq!((&wanted.0, &wanted.1), (&vec![open], &vec![waits]));
    let backend = SqliteBackend::open(&scene.path()).expect("a log");
    // What can't be read is not listed, and keeps nobody from the rest.
    backend.connection.execute_batch(WITHOUT_LISTS).expect("the schema before");
    drop(backend);
    let bytes = fs::read(scene.path()).expect("a file");
    let read = try_open(SqliteBackend::open_read_only(&scene.path()).expect("the log as it was")).expect("a log");
    assert_eq!(listed(&read), wanted);
    drop(read);
    assert_eq!(fs::read(scene.path()).expect("a file"), bytes);
    assert_eq!(listed(&scene.open()), wanted);
    let ledger = scene.open();
    ledger.close_session(wanted.0[0].session, &mine).expect("closed");
    assert!(listed(&ledger).0.is_empty());
}

/// From this schema to the one before, with a session that can't be read.
const WITHOUT_LISTS: &str = "DELETE FROM facts WHERE kind IN ('open-session', 'waiting'); \
    INSERT INTO facts (kind, key, value) VALUES ('session', 'x', CAST('{' AS BLOB)); PRAGMA user_version = 4";

#[test]
fn half_a_settlement_is_damage() {
    let scene = Scene::new();
    let ledger = scene.create();
    let begun = begin(&ledger, keyed(1, Reach::Writes, "k"));
    ledger.finish(begun, ending(EffectState::Unknown, "x")).expect("an ending");
    drop(ledger);
    for damage in [
        "settled = 9, settlement = NULL",
        "settled = NULL, settlement = 'committed'",
        "settled = 9, settlement = 'done'",
        "settled = -1, settlement = 'committed'",
        "settled = 9, settlement = 'not-executed', effect = 'committed'",
    ] {
        let backend = SqliteBackend::open(&scene.path()).expect("a log");
        backend.connection.execute_batch(&format!("UPDATE calls SET {damage}")).expect("the damage");
        assert!(matches!(backend.call(&call(1)), Err(BackendError::Corrupt(_))), "{damage}");
        backend.connection.execute_batch("UPDATE calls SET effect = 'unknown'").expect("the effect");
    }
}

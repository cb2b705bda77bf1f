//! Tests of what only a server can do: refuse, be in use, be lost, be of another version.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use ringfence_model::decision::Cap;
use ringfence_model::decision::CountScope;
use ringfence_model::decision::Unit;
use ringfence_model::decision::Window;
use ringfence_model::entry::EffectState;
use ringfence_model::grant::Reach;

use super::server::Database;
use super::server::PASSWORD;
use super::server::Server;
use super::*;
use crate::ledger::Begin;
use crate::ledger::Intent;
use crate::ledger::Ledger;
use crate::ledger::LedgerError;
use crate::ledger::backend::contract::entries;
use crate::ledger::fixture;
use crate::ledger::fixture::begin;
use crate::ledger::fixture::create;
use crate::ledger::fixture::ending;
use crate::ledger::fixture::intent;
use crate::ledger::fixture::keyed;
use crate::ledger::fixture::make;
use crate::ledger::fixture::principal;
use crate::ledger::fixture::question;
use crate::ledger::fixture::session;
use crate::ledger::fixture::verified;
use crate::ledger::listed::Whose;
use crate::ledger::recovery::settle;

mod sharing;

/// How a database is reached.
pub(crate) fn access(database: &Database) -> Access {
    access_by(&database.url(), database.password())
}

fn access_by(url: &str, password: Option<&str>) -> Access {
    let address = url.parse().expect("an address");
    Access { address, password: password.map(|password| Zeroizing::new(password.to_owned())), roots: None }
}

struct Scene {
    database: Database,
}

impl Scene {
    fn new() -> Self {
        Self { database: Database::new() }
    }

    fn create(&self) -> Ledger {
        create(PostgresBackend::create(access(&self.database)).expect("a new log"))
    }

    fn open(&self) -> Ledger {
        fixture::open(PostgresBackend::open(access(&self.database)).expect("a log"))
    }
}

fn refused(result: Result<PostgresBackend, BackendError>) -> String {
    result.expect_err("a refusal").to_string()
}

#[test]
fn log_is_kept_across_connections() {
    let scene = Scene::new();
    let ledger = scene.create();
    let first = make(&ledger, keyed(1, Reach::Writes, "k"));
    drop(ledger);
    let ledger = scene.open();
    let Ok(Begin::Known(stored)) = ledger.begin(keyed(2, Reach::Writes, "k")) else { panic!("not known") };
    assert_eq!(stored.recorded, first);
    drop(begin(&ledger, intent(3, Reach::Writes)));
    drop(ledger);
    let ledger = scene.open();
    assert_eq!(settle(&ledger).expect("a recovery").len(), 1);
    assert_eq!(verified(&ledger).len(), 5);
}

/// A log that two hosts have open.
struct Shared {
    scene: Scene,
    hosts: [Ledger; 2],
}

impl Shared {
    fn new() -> Self {
        let scene = Scene::new();
        let hosts = [scene.create(), scene.open()];
        Self { scene, hosts }
    }

    /// Whatever the first host was last heard of, it was long ago. It renews its lease now and then, so be quick.
    fn forget_first(&self) {
        self.scene.database.sql("UPDATE ringfence.hosts SET expires = '-infinity' WHERE epoch = 1");
    }
}

#[test]
fn hosts_write_one_after_the_other() {
    // CR-31: eight threads on each of two hosts, and one chain.
    let Shared { scene, hosts } = Shared::new();
    thread::scope(|scope| {
        for (host, ledger) in (1..).zip(&hosts) {
            for caller in 0..8 {
                scope.spawn(move || {
                    for number in 0..5 {
                        make(ledger, intent(host * 1000 + caller * 100 + number, Reach::Writes));
                    }
                });
            }
        }
    });
    assert_eq!(scene.database.sql("SELECT length FROM ringfence.head"), "161");
    for (number, ledger) in (0..).zip(&hosts) {
        make(ledger, intent(number, Reach::Writes));
        assert_eq!(verified(ledger).len(), 163 + 2 * usize::try_from(number).expect("small"));
    }
}

#[test]
fn busy_host_lets_others_in() {
    let Shared { hosts: [busy, other], scene: _scene } = Shared::new();
    let (is_over, next) = (AtomicBool::new(false), AtomicU64::new(1000));
    let waited = thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    make(&busy, intent(next.fetch_add(1, Ordering::Relaxed), Reach::Writes));
                }
            });
        }
        let others = scope.spawn(|| {
            let waits = (0..10).map(|number| {
                let started = Instant::now();
                make(&other, intent(number, Reach::Writes));
                started.elapsed()
            });
            waits.max().expect("calls")
        });
        let waited = others.join();
        is_over.store(true, Ordering::Relaxed);
        waited.expect("calls that ended")
    });
    println!("waited {waited:?} at most, while {} calls ran", next.load(Ordering::Relaxed) - 1000);
    assert!(waited < Duration::from_secs(5), "{waited:?}");
    assert!(next.into_inner() > 1010, "the busy host was not busy");
    make(&busy, intent(10, Reach::Writes));
    verified(&busy);
}

#[test]
fn key_belongs_to_one_host_at_a_time() {
    // IDM-01, IDM-05
    let Shared { hosts: [first, second], scene: _scene } = Shared::new();
    let begun = begin(&first, keyed(1, Reach::Writes, "k"));
    let again = second.begin(keyed(2, Reach::Writes, "k")).expect("an answer");
    assert!(matches!(again, Begin::InProgress { call } if call == fixture::call(1)), "{again:?}");
    assert_eq!(settle(&second).expect("a recovery"), [], "the first host is alive");
    let recorded = first.finish(begun, ending(EffectState::Committed, "x")).expect("an ending");
    let Ok(Begin::Known(known)) = second.begin(keyed(3, Reach::Writes, "k")) else { panic!("not known") };
    assert_eq!(known.recorded, recorded);
}

#[test]
fn host_that_was_taken_over_commits_nothing() {
    // IDM-06
    let shared = Shared::new();
    let [first, second] = &shared.hosts;
    let begun = begin(first, keyed(1, Reach::Writes, "k"));
    shared.forget_first();
    let settled = settle(second).expect("a recovery");
    assert_eq!(settled.iter().map(|settled| settled.effect).collect::<Vec<_>>(), [EffectState::Unknown]);
    let error = first.finish(begun, ending(EffectState::Committed, "x")).expect_err("a refusal");
    assert!(matches!(error, LedgerError::Storage(BackendError::Fenced)), "{error}");
    assert!(first.begin(intent(2, Reach::Writes)).is_err(), "a host that was taken over does not come back");
    let again = second.begin(keyed(3, Reach::Writes, "k")).expect("an answer");
    assert!(matches!(again, Begin::EffectUnknown { .. }), "{again:?}");
    assert_eq!(verified(second).len(), 3);
    // The same process may open the log anew.
    make(&shared.scene.open(), intent(4, Reach::Writes));
}

#[test]
fn commit_of_a_fenced_host_is_undone() {
    // IDM-06: it had the pen before it was taken over, and the epoch is looked at in the transaction itself.
    let shared = Shared::new();
    let mut backend = PostgresBackend::open(access(&shared.scene.database)).expect("a log");
    backend.take_pen().expect("the pen");
    shared.scene.database.sql("UPDATE ringfence.hosts SET is_fenced = true");
    assert_eq!(backend.commit(entries(1..2)), Err(BackendError::Fenced));
    assert_eq!(shared.scene.database.sql("SELECT length FROM ringfence.head"), "1");
    assert_eq!(shared.scene.database.sql("SELECT count(*) FROM ringfence.entries"), "1");
}

#[test]
fn nothing_is_committed_without_the_pen() {
    let shared = Shared::new();
    let mut backend = PostgresBackend::open(access(&shared.scene.database)).expect("a log");
    for _ in 0..2 {
        assert!(matches!(backend.commit(entries(1..2)), Err(BackendError::Lost(_))));
        backend.take_pen().expect("the pen");
        backend.give_pen().expect("nobody minds");
    }
    assert_eq!(shared.scene.database.sql("SELECT length FROM ringfence.head"), "1");
}

#[test]
fn cap_counts_what_every_host_runs() {
    let Shared { hosts, scene: _scene } = Shared::new();
    let cap = Cap { at_most: 5, scope: CountScope::Principal, unit: Unit::Calls, window: Window::Hour };
    let mut begun = 0;
    for number in 0..10 {
        for (ledger, reach) in hosts.iter().zip([Reach::Writes, Reach::Nothing]) {
            let number = number * 2 + u64::from(reach == Reach::Nothing);
            let asked = Intent { caps: vec![cap], ..intent(number, reach) };
            match ledger.begin(asked).expect("an answer") {
                Begin::Begun(_) => begun += 1,
                Begin::Capped(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(begun, 5);
}

#[test]
fn reader_changes_nothing() {
    let scene = Scene::new();
    drop(scene.create());
    let mut reader = PostgresBackend::open_read_only(access(&scene.database)).expect("a log");
    assert_eq!(reader.take_pen(), Err(BackendError::ReadOnly));
    assert!(reader.commit(entries(1..2)).is_err());
    assert_eq!(scene.database.sql("SELECT length FROM ringfence.head"), "1");
}

#[test]
fn reader_sees_one_moment() {
    let scene = Scene::new();
    let ledger = scene.create();
    make(&ledger, intent(1, Reach::Writes));
    let reader = fixture::open(PostgresBackend::open_read_only(access(&scene.database)).expect("a log"));
    make(&ledger, intent(2, Reach::Writes));
    assert_eq!((verified(&reader).len(), verified(&ledger).len()), (3, 5));
    end_connections(&scene.database);
    let error = reader.entries(0, 10).expect_err("another moment");
    assert!(matches!(error, LedgerError::Storage(BackendError::Lost(_))), "{error}");
}

#[test]
fn database_without_a_log_is_refused() {
    let scene = Scene::new();
    for open in [PostgresBackend::open, PostgresBackend::open_read_only] {
        let message = refused(open(access(&scene.database)));
        assert!(message.ends_with("can't be opened as a log: it holds no log"), "{message}");
    }
    drop(scene.create());
    let message = refused(PostgresBackend::create(access(&scene.database)));
    assert!(message.ends_with("can't be opened as a log: it holds a log already"), "{message}");
}

#[test]
fn log_that_was_not_finished_is_made_anew() {
    let scene = Scene::new();
    drop(PostgresBackend::create(access(&scene.database)).expect("a log without an entry"));
    make(&scene.create(), intent(1, Reach::Writes));
    assert_eq!(verified(&scene.open()).len(), 3);
}

#[test]
fn newer_schema_is_refused() {
    let scene = Scene::new();
    drop(scene.create());
    for version in [0, sql::SCHEMA_VERSION + 1, i64::MAX] {
        scene.database.sql(&format!("UPDATE ringfence.head SET version = {version}"));
        for open in [PostgresBackend::open, PostgresBackend::open_read_only] {
            let message = refused(open(access(&scene.database)));
            let wanted = format!("its schema has version `{version}`, and this host knows version");
            assert!(message.contains(&wanted), "{message}");
        }
    }
    scene.database.sql(&format!("UPDATE ringfence.head SET version = {}", sql::SCHEMA_VERSION));
    assert_eq!(verified(&scene.open()).len(), 1);
}

#[test]
fn password_is_asked_for_and_never_told() {
    // SEC-04
    let scene = Scene::new();
    drop(scene.create());
    let url = scene.database.network_url();
    let right = access_by(&url, scene.database.password());
    assert!(!format!("{right:?}").contains(PASSWORD));
    drop(PostgresBackend::open(right).expect("a log"));
    for wrong in [Some("wrong-battery-91c"), Some(""), None] {
        let message = refused(PostgresBackend::open(access_by(&url, wrong)));
        assert!(!message.contains("wrong-battery"), "{message}");
        assert!(message.contains("does not let this user in") || message.contains("password missing"), "{message}");
    }
}

#[test]
fn server_that_does_not_answer_is_lost() {
    for url in ["postgres://a@127.0.0.1:1/log?sslmode=disable", "postgres://a@/log?host=/nowhere"] {
        let error = PostgresBackend::open(access_by(url, None)).expect_err("nobody there");
        assert!(matches!(error, BackendError::Lost(_)), "{error:?}");
    }
}

#[test]
fn server_that_was_told_not_to_sync_is_refused() {
    for setting in ["fsync", "full_page_writes"] {
        let server = Server::start(&[(setting, "off")]);
        let access = access_by(&server.network_url("postgres", "?sslmode=disable"), Some(PASSWORD));
        let message = refused(PostgresBackend::create(access));
        assert!(message.contains("its server was told not to sync"), "{message}");
    }
}

#[test]
fn plain_server_is_refused_under_tls() {
    // The server has no certificate; whoever asks for encryption does not go on without it.
    let scene = Scene::new();
    drop(scene.create());
    let url = scene.database.network_url().replace("sslmode=disable", "sslmode=verify-full");
    let message = refused(PostgresBackend::open(access_by(&url, scene.database.password())));
    assert!(message.contains("TLS"), "{message}");
}

fn end_connections(database: &Database) {
    database.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = 'ringfence' AND datname = current_database()",
    );
}

#[test]
fn connection_that_ends_is_made_again() {
    // CR-23: what became of the write is not known; the next call reads the log anew and goes on.
    let scene = Scene::new();
    let ledger = scene.create();
    let begun = begin(&ledger, keyed(1, Reach::Writes, "k"));
    let pen = ledger.pen().expect("the pen");
    end_connections(&scene.database);
    let error = ledger.finish_with_pen(begun, ending(EffectState::Committed, "x")).expect_err("a lost connection");
    assert!(matches!(error, LedgerError::Storage(BackendError::Lost(_))), "{error}");
    drop(pen);
    make(&ledger, intent(2, Reach::Writes));
    // The call that was cut off is this host's as long as it is there.
    let again = ledger.begin(keyed(3, Reach::Writes, "k")).expect("an answer");
    assert!(matches!(again, Begin::InProgress { .. }), "{again:?}");
    drop(ledger);
    let ledger = scene.open();
    assert_eq!(settle(&ledger).expect("a recovery").len(), 1);
    assert_eq!(verified(&ledger).len(), 5);
}

#[test]
fn connection_that_ends_between_calls_is_not_noticed() {
    let scene = Scene::new();
    let ledger = scene.create();
    let begun = begin(&ledger, intent(1, Reach::Writes));
    end_connections(&scene.database);
    ledger.finish(begun, ending(EffectState::Committed, "x")).expect("an ending");
    assert_eq!(verified(&ledger).len(), 3);
}

#[test]
fn history_that_was_exchanged_is_found_out() {
    // AUD-24: while this host was busy elsewhere somebody put another history in its place.
    let Shared { scene, hosts: [first, second] } = Shared::new();
    make(&second, intent(1, Reach::Writes));
    make(&first, intent(2, Reach::Writes));
    scene.database.sql(
        "DELETE FROM ringfence.entries WHERE idx > 1; UPDATE ringfence.head SET length = 2, batches = batches + 1",
    );
    let error = first.begin(intent(3, Reach::Writes)).expect_err("a refusal");
    assert!(error.to_string().contains("it is not the entry that this host has seen there"), "{error}");
}

#[test]
fn older_schema_is_brought_up() {
    let scene = Scene::new();
    let ledger = scene.create();
    make(&ledger, intent(1, Reach::Writes));
    let open = ledger.open_session(session("open", &principal("a")), &principal("a")).expect("a session");
    let (waits, _) = ledger.hold(question(1, 3_600_000)).expect("an answer").expect("a question");
    drop(ledger);
    scene.database.sql(
        "DELETE FROM ringfence.facts WHERE kind IN ('open-session', 'waiting'); ALTER TABLE ringfence.head DROP COLUMN batches; ALTER TABLE ringfence.calls DROP COLUMN epoch; \
         DROP TABLE ringfence.hosts; UPDATE ringfence.head SET version = 1",
    );
    let message = refused(PostgresBackend::open_read_only(access(&scene.database)));
    assert!(message.ends_with("its schema has version `1`; a command that writes to it brings it up"), "{message}");
    let ledgers =
        thread::scope(|scope| [(), ()].map(|()| scope.spawn(|| scene.open())).map(thread::ScopedJoinHandle::join));
    for (number, ledger) in (10..).zip(ledgers) {
        make(&ledger.expect("an end"), intent(number, Reach::Writes));
    }
    assert_eq!(scene.database.sql("SELECT version FROM ringfence.head"), sql::SCHEMA_VERSION.to_string());
    let ledger = scene.open();
    assert_eq!(verified(&ledger).len(), 9);
    // What is listed was looked up once, whoever came first.
    assert_eq!(ledger.open_sessions(Whose::All, None, 9).expect("sessions"), [open]);
    let waiting = ledger.waiting(None, 9).expect("questions");
    assert_eq!(waiting.into_iter().map(|it| it.approval).collect::<Vec<_>>(), [waits]);
}

#[test]
fn head_that_moved_stops_the_writer() {
    // AUD-08: whoever writes past the lock is found out, and nothing is forked.
    let scene = Scene::new();
    let ledger = scene.create();
    scene.database.sql("UPDATE ringfence.head SET length = 7");
    let error = ledger.begin(intent(1, Reach::Writes)).expect_err("a refusal");
    assert!(error.to_string().contains("somebody else has written to it"), "{error}");
    assert_eq!(scene.database.sql("SELECT count(*) FROM ringfence.entries"), "1");
}

#[test]
fn damage_is_reported_as_damage() {
    let scene = Scene::new();
    make(&scene.create(), intent(1, Reach::Writes));
    let told = |damage: &str| {
        scene.database.sql(damage);
        let backend = PostgresBackend::open_read_only(access(&scene.database)).expect("a log");
        (backend.call(&fixture::call(1)).map(|_| ()), backend.head().map(|_| ()))
    };
    assert_eq!(told("SELECT 1"), (Ok(()), Ok(())));
    for damage in ["effect = 'perhaps'", "ended = -1", "reach = ''", "key = '\\x00'"] {
        let (call, head) = told(&format!("UPDATE ringfence.calls SET {damage}"));
        assert!(matches!(call, Err(BackendError::Corrupt(_))), "{damage}: {call:?}");
        assert_eq!(head, Ok(()));
        let mended = "UPDATE ringfence.calls SET effect = 'committed', ended = 2, reach = 'writes', key = NULL";
        assert_eq!(told(mended), (Ok(()), Ok(())));
    }
    scene.database.sql("UPDATE ringfence.entries SET hash = '\\x00' WHERE idx = 2");
    let opened = PostgresBackend::open_read_only(access(&scene.database));
    assert!(matches!(opened, Err(BackendError::Corrupt(_))), "{opened:?}");
}

#[test]
fn every_question_is_answered_by_an_index() {
    // IDM-13
    let scene = Scene::new();
    drop(scene.create());
    for question in sql::QUESTIONS {
        let given = (1..=3).filter(|number| question.contains(&format!("${number}"))).map(|_| "NULL");
        let given = given.collect::<Vec<_>>().join(", ");
        let given = if given.is_empty() { given } else { format!("({given})") };
        let plan = scene.database.sql(&format!(
            "SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; \
             SET plan_cache_mode = force_generic_plan; PREPARE question AS {question}; EXPLAIN EXECUTE question{given}",
        ));
        assert!(plan.contains("Index") && !plan.contains("Seq Scan") && !plan.contains("Sort"), "{question}: {plan}");
    }
}

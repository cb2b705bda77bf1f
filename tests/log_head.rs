//! A home whose newest checkpoint is kept a second time in a database: what was put back, forked or can't be looked at
//! appends nothing.

use std::fs;
use std::path::Path;
use std::thread;

use ringfence_artifacts::TOOL_ECHO;

use crate::harness::Home;
use crate::harness::command;
use crate::harness::finish;
use crate::harness::postgres::Database;
use crate::harness::postgres::PASSWORD;
use crate::harness::postgres::Server;
use crate::harness::ringfence;

const CALL: [&str; 3] = ["run", TOOL_ECHO, "nothing"];

/// A home with a log in a file, and its head in a database.
fn home(database: &Database) -> Home {
    Home::made_with(&["--head", &database.url()])
}

/// What a home with its log in a file is, without what is made again.
fn copy(from: &Path, to: &Path) {
    for name in ["keys", ""] {
        fs::create_dir_all(to.join(name)).expect("a folder");
        for entry in fs::read_dir(from.join(name)).expect("a folder").map(|entry| entry.expect("a file")) {
            if entry.path().is_file() {
                fs::copy(entry.path(), to.join(name).join(entry.file_name())).expect("a copy");
            }
        }
    }
    for name in ["cache", "tools"] {
        fs::create_dir_all(to.join(name)).expect("a folder");
    }
}

/// How many entries the log in a folder has, by nothing but the file.
fn log_bytes(home: &Path) -> Vec<u8> {
    fs::read(home.join("log.sqlite")).expect("the log")
}

fn head(database: &Database) -> String {
    database.sql("SELECT note FROM ringfence_heads.heads WHERE origin = 'test.example/log'")
}

#[test]
fn head_in_a_database_is_a_head() {
    let database = Database::new();
    let home = home(&database);
    assert!(!home.path().join("log.head").exists());
    home.run(CALL).code(0);
    home.is_well();
    let note = home.run(["log", "checkpoint"]);
    note.code(0);
    assert_eq!(head(&database), note.text().trim_end());
    let doctor = home.run(["doctor"]);
    doctor.code(0);
    assert!(doctor.text().contains("ok      head      postgres://"), "{}", doctor.text());
    // Whoever removed it is asked about it, and it is written anew.
    database.sql("DROP SCHEMA ringfence_heads CASCADE");
    let verified = home.run(["log", "verify"]);
    assert!(verified.code(5).text().contains("the log's head is missing"), "{verified:?}");
    home.run(["doctor"]).code(1);
    home.run(CALL).code(0).says("warning: the log's head is missing");
    home.is_well();
}

#[test]
fn rolled_back_log_is_behind_its_head() {
    // AUD-07, CR-34: the whole home is put back, and the head is in a database.
    let database = Database::new();
    let home = home(&database);
    home.run(CALL).code(0);
    let (yesterday, today) = (home.folder("yesterday"), home.folder("today"));
    copy(&home.path(), &yesterday);
    home.run(CALL).code(0);
    copy(&home.path(), &today);
    let newest = head(&database);
    copy(&yesterday, &home.path());
    let before = log_bytes(&home.path());
    assert!(home.refuses(CALL, 5).contains("the log was rolled back"));
    home.run(["log", "checkpoint"]).code(5);
    home.run(["log", "verify"]).code(5);
    assert_eq!((log_bytes(&home.path()), head(&database)), (before, newest));
    copy(&today, &home.path());
    home.is_well();
}

#[test]
fn fork_is_refused_by_the_head() {
    // AUD-08, AUD-24: a copy goes on on its own, further than the head.
    let database = Database::new();
    let home = home(&database);
    let copied = home.folder("copied");
    copy(&home.path(), &copied);
    home.run(CALL).code(0);
    for _ in 0..2 {
        // The copy does not know of the database, and so appends.
        let alone = home.folder("alone");
        copy(&copied, &alone);
        fs::write(alone.join("ringfence.toml"), "[log]\nhead = 'log.head'\n").expect("a configuration");
        ringfence(&alone, CALL, b"").code(0);
        ringfence(&alone, CALL, b"").code(0);
        fs::copy(alone.join("log.sqlite"), copied.join("log.sqlite")).expect("a copy");
    }
    let refused = ringfence(&copied, CALL, b"");
    refused.code(5).says("the log was rewritten");
    home.is_well();
}

#[test]
fn checkpoint_that_is_not_in_the_head_is_shown_to_nobody() {
    // AUD-08, AUD-24: a copy has signed and stored one, and the head has another of that size.
    let database = Database::new();
    let home = home(&database);
    let copied = home.folder("copied");
    copy(&home.path(), &copied);
    home.run(CALL).code(0);
    let configuration = fs::read_to_string(copied.join("ringfence.toml")).expect("a configuration");
    fs::write(copied.join("ringfence.toml"), "[log]\nhead = 'log.head'\n").expect("a configuration");
    ringfence(&copied, CALL, b"").code(0);
    fs::write(copied.join("ringfence.toml"), configuration).expect("a configuration");
    for args in [&["log", "prove", "2"][..], &["log", "prove", "--from", "1"]] {
        ringfence(&copied, args, b"").code(5).says("the log was rewritten");
    }
    // Where it is the head's, it is shown, and nothing is written for it.
    let before = log_bytes(&home.path());
    home.run(["log", "prove", "2"]).code(0);
    assert_eq!(log_bytes(&home.path()), before);
}

#[test]
fn two_copies_with_one_head_in_a_database_never_both_sign() {
    // AUD-08, AUD-24
    for _ in 0..3 {
        let database = Database::new();
        let home = home(&database);
        let copied = home.folder("copied");
        copy(&home.path(), &copied);
        let run = |at: std::path::PathBuf| thread::spawn(move || ringfence(&at, CALL, b""));
        let both = [home.path(), copied.clone()].map(run).map(|thread| thread.join().expect("an end"));
        let signed = both.iter().filter(|ran| ran.stderr.contains("under a signed checkpoint of 3 entries")).count();
        assert_eq!(signed, 1, "{both:?}");
        let again = [home.path(), copied].map(|at| ringfence(&at, ["log", "checkpoint"], b""));
        let kept = again.iter().find(|ran| ran.code == 0).expect("one of them goes on");
        assert!(again.iter().any(|ran| ran.code == 5), "{again:?}");
        assert_eq!(head(&database), kept.text().trim_end());
    }
}

#[test]
fn head_out_of_reach_refuses_to_append() {
    // AUD-19: whether the log is behind can't be told, so nothing is written.
    let database = Database::new();
    let home = home(&database);
    home.run(CALL).code(0);
    let configuration = fs::read_to_string(home.path().join("ringfence.toml")).expect("a configuration");
    let before = log_bytes(&home.path());
    for (away, wanted) in [
        ("postgres://a@127.0.0.1:1/heads?sslmode=disable", "its server can't be reached"),
        ("postgres://a@/heads?host=/nowhere", "its server can't be reached"),
        (&*database.url().replacen("/t", "/no_t", 1), "the server has no such database"),
        (&*database.network_url(), "password missing"),
    ] {
        home.configure(&format!("[log]\nhead = '{away}'\n"));
        let message = home.refuses(CALL, 1);
        assert!(message.contains("the head in `postgres://") && message.contains(wanted), "{message}");
        home.refuses(["log", "checkpoint"], 1);
        home.refuses(["log", "verify"], 1);
        let doctor = home.run(["doctor"]);
        doctor.code(1);
        assert!(doctor.text().contains("FAILED  head"), "{}", doctor.text());
        assert_eq!(log_bytes(&home.path()), before);
    }
    home.configure(&configuration);
    home.is_well();
}

#[test]
fn password_of_a_head_is_in_no_file_and_no_message() {
    // SEC-04
    let database = Database::new();
    let home = home(&database);
    home.configure(&format!("[log]\nhead = '{}'\n", database.network_url()));
    let with = |password: &str| {
        let mut with = command(&home.path(), CALL);
        with.env("RINGFENCE_HEAD_PASSWORD", password);
        finish(with, b"")
    };
    with(database.password().expect("a password")).code(0);
    let wrong = with("wrong-battery-91c");
    wrong.code(1).fails_well();
    assert!(!wrong.stderr.contains("wrong-battery"), "{}", wrong.stderr);
    home.configure(&format!("[log]\nhead = '{}'\nhead-password-file = 'keys/head.password'\n", database.network_url()));
    let file = home.path().join("keys/head.password");
    fs::write(&file, format!("{PASSWORD}\n")).expect("a file");
    assert!(home.refuses(CALL, 1).contains("others than its owner can read"));
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    home.is_well();
    for text in ["postgres://a:hunter2@127.0.0.1/heads", "mysql://a@127.0.0.1/heads"] {
        let other = Home::none();
        let ran = other.run(["init", "--head", text]);
        ran.code(2).fails_well();
        assert!(!ran.stderr.contains("hunter2") && !other.path().exists(), "{}", ran.stderr);
    }
}

#[test]
fn log_and_head_stand_in_two_databases() {
    // AUD-24: whoever puts the log's database back does not put the head back, and every host finds out.
    let (store, heads) = (Database::new(), Database::new());
    let first = Home::made_with(&["--store", &store.url(), "--head", &heads.url()]);
    fs::write(first.path().join("log.head"), "").expect("what is copied of a home");
    let second = first.on_another_host();
    for home in [&first, &second, &first] {
        home.run(CALL).code(0);
        home.is_well();
    }
    store.sql(
        "DELETE FROM ringfence.entries WHERE idx > 2; DELETE FROM ringfence.checkpoints WHERE size > 3; \
         UPDATE ringfence.head SET length = 3, batches = batches + 1",
    );
    for home in [&first, &second] {
        assert!(home.refuses(CALL, 5).contains("the log was rolled back"));
    }
    assert_eq!(store.sql("SELECT length FROM ringfence.head"), "3");
}

#[test]
fn head_beside_its_log_is_refused() {
    let database = Database::new();
    let home = Home::none();
    let ran = home.run(["init", "--store", &database.url(), "--head", &database.url()]);
    ran.code(1).fails_well().says("which holds the log as well");
    assert!(!home.path().join("ringfence.toml").exists());
}

#[test]
fn head_of_another_log_is_left_alone() {
    let database = Database::new();
    let first = home(&database);
    let said = head(&database);
    let other = Home::none();
    let ran = other.run(["init", "--origin", "test.example/log", "--head", &database.url()]);
    ran.code(1).fails_well().says("holds the head of a log of this name already");
    assert_eq!(head(&database), said);
    // Under a name of its own it stands beside.
    Home::none().run(["init", "--origin", "test.example/other", "--head", &database.url()]).code(0);
    first.is_well();
}

#[test]
fn server_of_a_head_that_does_not_sync_is_refused() {
    let server = Server::start(&[("fsync", "off")]);
    let url = server.network_url("postgres", "?sslmode=disable");
    let home = Home::none();
    let mut init = command(&home.path(), ["init", "--head", &url]);
    init.env("RINGFENCE_HEAD_PASSWORD", PASSWORD);
    finish(init, b"").code(1).fails_well().says("its server was told not to sync");
}

//! Backups of a log in a database, and what is made of them: a home that verifies, or nothing.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::thread;

use ringfence_artifacts::TOOL_ECHO;

use crate::evidence::plant;
use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::fault::Fault;
use crate::harness::fault::Place;
use crate::harness::fault::Threads;
use crate::harness::fault::strike;
use crate::harness::postgres::Database;
use crate::harness::ringfence;
use crate::record::effect;
use crate::record::effects;
use crate::record::rw;

const CALL: [&str; 7] = ["run", TOOL_ECHO, "string", "--input", r#"{"value":"hi"}"#, "--idempotency-key", "k"];

/// Where a home keeps what is no home yet.
struct Places {
    backup: PathBuf,
    homes: PathBuf,
    restored: PathBuf,
}

fn places(home: &Home) -> Places {
    let homes = home.folder("homes");
    Places { backup: home.folder("backups").join("one"), restored: homes.join("restored"), homes }
}

fn restore(places: &Places, more: &[&str]) -> Ran {
    let backup = places.backup.to_str().expect("text");
    ringfence(&places.restored, ["restore", backup].iter().chain(more), b"")
}

fn key_of(home: &Home) -> String {
    home.entries()[0]["body"]["key"].as_str().expect("a key").to_owned()
}

fn entries(home: &Path) -> String {
    let export = ringfence(home, ["log", "export"], b"");
    export.code(0);
    export.text()
}

#[test]
fn backup_of_a_database_makes_a_home() {
    // AUD-13: what every host has written, its contents, keys and checkpoints; and from then on it is its own.
    let database = Database::new();
    let first = Home::made_with(&["--store", &database.url()]);
    let second = first.on_another_host();
    let (tool, work) = (effect(&first, ""), first.folder("work"));
    let dir = rw(&work);
    let write = ["run", &tool, "--ring", "2", "--idempotency-key", "w", "--dir", &dir];
    first.run(CALL).code(0);
    second.run(write).code(0);
    let places = places(&first);
    first.run(["backup".as_ref(), places.backup.as_os_str()]).code(0).says("it holds the keys");
    let names = fs::read_dir(&places.backup).expect("a folder").map(|file| file.expect("a file").file_name());
    assert!(names.into_iter().all(|name| !name.to_string_lossy().contains("sqlite-")), "{:?}", places.backup);
    let ran = restore(&places, &[]);
    ran.code(0).says("the log was in the database `postgres://");
    let run = |args: &[&str]| ringfence(&places.restored, args, b"");
    let verified = run(&["log", "verify"]);
    verified.code(0);
    assert!(verified.text().contains("intact: 5 entries, 5 under a signed checkpoint"), "{}", verified.text());
    assert_eq!(entries(&places.restored), entries(&first.path()));
    // What is on record under a key is answered, contents and all, and has its effect no second time.
    assert_eq!(run(&CALL).code(0).text(), "hi\n");
    run(&write).code(0);
    assert_eq!(effects(&work), 1);
    run(&["run", TOOL_ECHO, "string", "--input", r#"{"value":"more"}"#]).code(0);
    run(&["log", "verify"]).code(0);
    assert_eq!(database.sql("SELECT length FROM ringfence.head"), "5", "the copy writes to the database");
    second.is_well();
}

#[test]
fn backup_is_taken_while_others_write() {
    // AUD-13: as of one moment, whatever is committed meanwhile.
    let database = Database::new();
    let home = Home::made_with(&["--store", &database.url()]);
    let other = home.on_another_host();
    home.run(CALL).code(0);
    let sizes = thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for number in 0..12 {
                let input = format!(r#"{{"value":"{number}"}}"#);
                other.run(["run", TOOL_ECHO, "string", "--input", &input]).code(0);
            }
        });
        let mut sizes = Vec::new();
        while sizes.len() < 3 || !writing.is_finished() {
            let Places { homes, .. } = places(&home);
            let number = sizes.len();
            let backup = home.folder("backups").join(number.to_string());
            let places = Places { backup, restored: homes.join(number.to_string()), homes };
            home.run(["backup".as_ref(), places.backup.as_os_str()]).code(0);
            restore(&places, &[]).code(0);
            ringfence(&places.restored, ["log", "verify"], b"").code(0);
            sizes.push(entries(&places.restored).lines().count());
        }
        writing.join().expect("an end");
        sizes
    });
    println!("{sizes:?}");
    assert!(sizes.is_sorted() && sizes.first() < sizes.last(), "{sizes:?}");
}

#[test]
fn restore_that_is_cut_off_begins_anew() {
    // AUD-13, CR-26: wherever it ends, the database holds a log that a home uses, or none that anybody takes for one.
    let home = Home::new();
    home.run(CALL).code(0);
    let places = places(&home);
    home.run(["backup".as_ref(), places.backup.as_os_str()]).code(0);
    let backup = places.backup.to_str().expect("text");
    let talks = |home: &Home, url: &str| home.configure(&format!("[log]\nstore = \"{url}\"\n"));
    let (mut cut, mut refused) = (0, 0);
    for (calls, fault, step) in [
        ("sendto,sendmsg", Fault::Kill, 9),
        ("?rename,?renameat,?renameat2", Fault::Error("EIO"), 1),
        ("?rename,?renameat,?renameat2,?unlink,?unlinkat,fsync,syncfs", Fault::Kill, 2),
    ] {
        for nth in (1..).step_by(step) {
            let database = Database::new();
            let args = ["restore", backup, "--store", &database.url()];
            let place = Place { calls, file: None, nth, threads: Threads::All };
            let struck = strike(&places.restored, args, &place, fault);
            if struck.hit.is_none() {
                struck.ran.code(0);
                fs::remove_dir_all(&places.restored).expect("the home");
                break;
            }
            cut += 1;
            let begun = database.sql("SELECT to_regclass('ringfence.head') IS NOT NULL") == "t";
            let is_whole = begun && database.sql("SELECT version > 0 AND length > 0 FROM ringfence.head") == "t";
            if begun && !is_whole && database.sql("SELECT version < 0 FROM ringfence.head") == "t" {
                let stranger = Home::new();
                talks(&stranger, &database.url());
                for args in [&["log", "show"][..], &CALL] {
                    stranger.run(args).code(1).fails_well().says("restore it again");
                }
                refused += 1;
            }
            if !is_whole && places.restored.exists() {
                fs::remove_dir_all(&places.restored).expect("the home");
            }
            if !is_whole {
                restore(&places, &["--store", &database.url()]).code(0);
            }
            assert_eq!(entries(&places.restored), entries(&home.path()), "{:?}", struck.hit);
            assert_eq!(ringfence(&places.restored, CALL, b"").code(0).text(), "hi\n");
            ringfence(&places.restored, ["log", "verify"], b"").code(0);
            fs::remove_dir_all(&places.restored).expect("the home");
        }
    }
    assert!(cut > 10 && refused > 3, "{cut} were cut off, {refused} of them in the middle");
}

#[test]
fn restored_log_goes_where_it_is_told() {
    let (database, taken) = (Database::new(), Database::new());
    Home::made_with(&["--store", &taken.url()]);
    for home in [Home::new(), Home::made_with(&["--store", &database.url()])] {
        home.run(CALL).code(0);
        let places = places(&home);
        home.run(["backup".as_ref(), places.backup.as_os_str()]).code(0);
        let refused = restore(&places, &["--store", &taken.url()]);
        refused.code(1).fails_well().says("it holds a log already");
        assert_eq!(fs::read_dir(&places.homes).expect("a folder").count(), 0, "nothing is left");
        let target = Database::new();
        restore(&places, &["--store", &target.url()]).code(0);
        assert!(!places.restored.join("log.sqlite").exists());
        assert_eq!(entries(&places.restored), entries(&home.path()));
        assert_eq!(target.sql("SELECT length FROM ringfence.head"), "3");
        let again = ringfence(&places.restored, CALL, b"");
        assert_eq!(again.code(0).text(), "hi\n");
        ringfence(&places.restored, ["run", TOOL_ECHO, "nothing"], b"").code(0);
        ringfence(&places.restored, ["log", "verify"], b"").code(0);
        assert_eq!(target.sql("SELECT length FROM ringfence.head"), "5");
    }
}

#[test]
fn backup_is_verified_by_the_key_that_is_named() {
    // AUD-09: a whole home of somebody else's, under the same name and in the same form, is not the log that is meant.
    let database = Database::new();
    let home = Home::made_with(&["--store", &database.url()]);
    home.run(CALL).code(0);
    let stranger = Home::new();
    stranger.run(CALL).code(0);
    let (places, strangers) = (places(&home), places(&stranger));
    home.run(["backup".as_ref(), places.backup.as_os_str()]).code(0);
    stranger.run(["backup".as_ref(), strangers.backup.as_os_str()]).code(0);
    let key = key_of(&home);
    assert_ne!(key, key_of(&stranger));
    let refused = restore(&strangers, &["--key", &key]);
    refused.code(5).fails_well().says("does not verify");
    assert_eq!(fs::read_dir(&strangers.homes).expect("a folder").count(), 0, "nothing is left");
    // By itself it is whole, which is why the key is asked for.
    restore(&strangers, &[]).code(0);
    restore(&places, &["--key", &key]).code(0);
    restore(&places, &["--key", "nonsense"]).code(2).fails_well();
}

#[test]
fn damage_in_a_database_is_restored_nowhere() {
    // AUD-01, AUD-13: what is backed up is what there is, and what is restored has been verified.
    let database = Database::new();
    let home = Home::made_with(&["--store", &database.url()]);
    home.run(CALL).code(0);
    database.sql("UPDATE ringfence.entries SET bytes = bytes || '\\x20' WHERE idx = 1");
    let places = places(&home);
    home.run(["backup".as_ref(), places.backup.as_os_str()]).code(0);
    restore(&places, &[]).code(5).fails_well().says("entry `1`");
    assert_eq!(fs::read_dir(&places.homes).expect("a folder").count(), 0, "nothing is left");
}

#[test]
fn backup_without_keys_holds_no_password() {
    // SEC-04
    let database = Database::new();
    let home = Home::made_with(&["--store", &database.url()]);
    let file = home.path().join("store.password");
    fs::write(&file, database.password().expect("a password")).expect("a file");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    home.configure(&format!("[log]\nstore = '{}'\nstore-password-file = 'store.password'\n", database.network_url()));
    home.run(CALL).code(0);
    let places = places(&home);
    home.run(["backup".as_ref(), "--without-keys".as_ref(), places.backup.as_os_str()]).code(0);
    assert!(!places.backup.join("keys").exists() && !places.backup.join("store.password").exists());
    let ran = restore(&places, &["--key", &key_of(&home)]);
    ran.code(0).says("held no keys");
}

#[test]
fn restore_asks_nobody_whom_the_backup_names() {
    // SEC-04: the configuration of a backup names a server for the head, and a file whose line is its password. Neither is
    // used before somebody uses the home.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let database = Database::new();
    let home = Home::made_with(&["--head", &database.url()]);
    home.run(CALL).code(0);
    let places = places(&home);
    home.run(["backup".as_ref(), places.backup.as_os_str()]).code(0);
    let config = fs::read_to_string(places.backup.join("ringfence.toml")).expect("the configuration");
    let head = config.lines().find(|line| line.starts_with("head = ")).expect("a head");
    let named = format!("head = 'postgres://a@127.0.0.1:{port}/heads?sslmode=disable'");
    let theirs = config.replace(head, &format!("{named}\nhead-password-file = 'keys/cache.key'"));
    plant(&places.backup, "ringfence.toml", theirs.as_bytes());
    restore(&places, &["--key", &key_of(&home)]).code(0).says("which was not asked");
    assert!(listener.accept().is_err(), "somebody was called");
    assert_eq!(fs::read_to_string(places.restored.join("ringfence.toml")).expect("the configuration"), theirs);
    // Of one's own it is asked by whatever uses the home.
    fs::write(places.restored.join("ringfence.toml"), config).expect("the configuration");
    ringfence(&places.restored, ["log", "verify"], b"").code(0);
}

#[test]
fn password_by_another_path_is_in_no_backup_without_keys() {
    // SEC-04: the configuration says where the file really is, and the home is called by a link.
    let database = Database::new();
    let home = Home::made_with(&["--store", &database.url()]);
    let link = home.folder("links").join("home");
    std::os::unix::fs::symlink(home.path(), &link).expect("a link");
    let file = home.path().canonicalize().expect("a path").join("store.password");
    fs::write(&file, database.password().expect("a password")).expect("a file");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
    let store = format!("store = '{}'\nstore-password-file = '{}'\n", database.network_url(), file.display());
    home.configure(&format!("[log]\n{store}"));
    let places = places(&home);
    let backup = places.backup.to_str().expect("text");
    ringfence(&link, ["backup", "--without-keys", backup], b"").code(0);
    assert!(!places.backup.join("store.password").exists());
}

#[test]
fn head_of_a_backup_is_the_one_that_counts() {
    // AUD-07: the head was moved into a database, and its file was left where it was.
    let database = Database::new();
    let home = Home::new();
    home.run(CALL).code(0);
    home.configure(&format!("[log]\nhead = '{}'\n", database.url()));
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let places = places(&home);
    home.run(["backup".as_ref(), places.backup.as_os_str()]).code(0);
    let kept = fs::read_to_string(places.backup.join("log.head")).expect("a head");
    assert_eq!(kept.lines().nth(1), Some("5"), "{kept}");
}

//! The record: recovery, idempotency, and tampering found and named.
//!
//! Python stands for whoever is not us: it edits the store as an attacker with the disk would, and checks the chain as
//! an auditor without our code would.

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use ringfence_artifacts::HOSTILE_SPIN_FOREVER;
use ringfence_artifacts::TOOL_ECHO;
use ringfence_artifacts::TOOL_FILES;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::command;
use crate::harness::ringfence;

/// Adds a byte to `/work/effects`: an effect that can be counted from outside. `$then` comes after it.
const EFFECT: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "effects")
  (data (i32.const 32) "x")
  (data (i32.const 40) "\20\00\00\00\01\00\00\00")
  (func (export "_start")
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 7) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $write (i32.load (i32.const 8)) (i32.const 40) (i32.const 1) (i32.const 12)))
    $then))"#;

/// A home with a call of each kind: entries 0 opened, 1 and 2 returned, 3 refused, 4 and 5 failed, 6 and 7 returned.
fn busy_home() -> Home {
    let home = Home::new();
    home.run(["run", TOOL_ECHO, "string", "--input", r#"{"value":"one"}"#]).code(0);
    home.run(["run", TOOL_ECHO, "string", "--input", r#"{"value":2}"#]).code(2);
    home.run(["run", TOOL_ECHO, "fallible", "--input", r#"{"succeed":false}"#]).code(4);
    home.run(["run", TOOL_ECHO, "string", "--input", r#"{"value":"three"}"#]).code(0);
    assert_eq!(home.entries().len(), 8);
    home
}

/// An export with its checkpoint beside it, as lines.
fn exported(home: &Home) -> (PathBuf, Vec<String>) {
    let path = home.folder("export").join("log.jsonl");
    home.run(["log".as_ref(), "export".as_ref(), "--output".as_ref(), path.as_os_str()]).code(0);
    let text = std::fs::read_to_string(&path).expect("an export");
    (path, text.lines().map(str::to_owned).collect())
}

/// The verifier key that the log's first entry names.
fn key(home: &Home) -> String {
    home.entries()[0]["body"]["key"].as_str().expect("a key").to_owned()
}

/// What verification of something that is not as it was finds: kinds with their indexes, failures only.
fn failures(ran: &Ran) -> Vec<(String, u64)> {
    ran.code(5);
    let report = ran.json();
    assert_eq!(report["intact"], false);
    let failures = report["findings"].as_array().expect("findings").iter().filter(|f| f["severity"] == "failure");
    failures
        .map(|f| (f["kind"].as_str().expect("a kind").to_owned(), f["index"].as_u64().unwrap_or(u64::MAX)))
        .collect()
}

#[test]
fn tampering_with_an_export_is_named() {
    // AUD-01 to AUD-06
    let home = busy_home();
    let (path, lines) = exported(&home);
    let key = key(&home);
    let verify = |lines: &[String]| {
        std::fs::write(&path, lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>())
            .expect("an export");
        let path = path.to_str().expect("text");
        // People are told the same.
        let told = home.run(["log", "verify", path, "--key", &key]);
        (home.run(["--format", "json", "log", "verify", path, "--key", &key]), told)
    };
    verify(&lines).0.code(0);
    let cases = edits(&lines).into_iter().chain(moves(&lines));
    for (tampered, index, what) in cases {
        let (ran, told) = verify(&tampered);
        let found = failures(&ran);
        assert!(found.iter().any(|(_, at)| *at == index), "{what} at {index}: {found:?}");
        let names = ["missing", "duplicate", "inserted"].contains(&what);
        assert!(!names || found.iter().any(|(kind, _)| kind == what), "{what} at {index}: {found:?}");
        told.code(5);
        assert!(
            told.text().contains(&format!("entry {index}")) && told.text().contains("NOT INTACT"),
            "{}",
            told.text()
        );
    }
    for left in [7, 4, 1, 0] {
        let (ran, _) = verify(&lines[..left]);
        assert!(failures(&ran).iter().any(|(kind, _)| kind == "truncated"), "{left}: {}", ran.text());
    }
    // Without the checkpoint a log that was cut off has whole links, and the key vouches for nothing.
    let checkpoint = path.with_extension("jsonl.checkpoint");
    std::fs::remove_file(checkpoint).expect("a checkpoint");
    let (ran, _) = verify(&lines[..7]);
    assert_eq!(failures(&ran), [("unanchored".to_owned(), u64::MAX)]);
    // A bare export, without a key, is not said to be more than that.
    let bare = home.run(["log", "verify", path.to_str().expect("text")]);
    let told = bare.code(0).text();
    assert_eq!(told.lines().last(), Some("links intact, not vouched for: 7 entries, 0 under a signed checkpoint"));
    assert!(told.contains("[unanchored]"), "{told}");
    std::fs::write(&path, "").expect("an export");
    let empty = home.run(["--format", "json", "log", "verify", path.to_str().expect("text")]);
    assert_eq!(failures(&empty), [("missing".to_owned(), 0)]);
}

#[test]
fn home_without_its_head_is_not_intact() {
    // AUD-07, CR-34: nothing would tell of a rollback. The next checkpoint makes a head again, and every open says so.
    let home = busy_home();
    let head = home.path().join("log.head");
    let kept = std::fs::read(&head).expect("the head");
    std::fs::remove_file(&head).expect("the head");
    assert_eq!(failures(&home.run(["--format", "json", "log", "verify"])), [("unanchored".to_owned(), u64::MAX)]);
    let told = home.run(["log", "verify"]);
    assert!(told.code(5).text().contains("head is missing") && told.text().contains("NOT INTACT"), "{}", told.text());
    for damaged in [&b""[..], b"\xff\xfe", &kept[..kept.len() - 9]] {
        std::fs::write(&head, damaged).expect("the head");
        failures(&home.run(["--format", "json", "log", "verify"]));
    }
    std::fs::remove_file(&head).expect("the head");
    home.run(["log", "checkpoint"]).code(0).says("head is missing");
    home.is_well();
}

/// A log that was tampered with, the entry that has to be named, and what was done.
type Tampered = (Vec<String>, u64, &'static str);

/// AUD-01: a byte of each kind of field.
fn edits(lines: &[String]) -> Vec<Tampered> {
    let edit = |index: usize, from: &str, to: &str| {
        let mut edited = lines.to_vec();
        assert!(edited[index].contains(from), "{from} is not in {}", edited[index]);
        edited[index] = edited[index].replacen(from, to, 1);
        edited
    };
    let mut cases = Vec::new();
    for (index, from, to) in [
        (0, "test.example/log\"", "test.example/lag\""),
        (0, "ringfence 0", "ringfence 9"),
        (1, "\"ring\":3", "\"ring\":2"),
        (1, "\"allowed\":true", "\"allowed\":null"),
        (1, "operator:uid", "operator:uie"),
        (2, "\"committed\"", "\"aborted\""),
        (2, "\"code\":\"returned\"", "\"code\":\"retuened\""),
        (3, "caller.bad-input", "caller.bad-imput"),
        (3, "\"kind\":\"refused\"", "\"kind\":\"refusee\""),
        (4, "\"name\":\"echo\"", "\"name\":\"ecko\""),
        (5, "\"time\":\"2", "\"time\":\"1"),
        (5, "\"index\":5", "\"index\":6"),
        (6, "\"v\":1", "\"v\":2"),
        (6, "\"tool\":{\"digest\":\"sha256:", "\"tool\":{\"digest\":\"sha25:6"),
        (7, "\"output\":\"sha256:", "\"output\":\"sha256;"),
        (7, "}", "} "),
    ] {
        cases.push((edit(index, from, to), index as u64, "an edit"));
    }
    // One hexadecimal digit of every link.
    for index in 1..lines.len() {
        let mut edited = lines.to_vec();
        let at = edited[index].find("\"prev\":\"sha256:").expect("a link") + 20;
        let other = if &edited[index][at..=at] == "0" { "1" } else { "0" };
        edited[index].replace_range(at..=at, other);
        cases.push((edited, index as u64, "a link"));
    }
    cases
}

/// AUD-02 to AUD-05: entries that are gone, stand elsewhere, twice, or were made up.
fn moves(lines: &[String]) -> Vec<Tampered> {
    let mut cases = Vec::new();
    for index in [0, 1, 4, 6] {
        let mut deleted = lines.to_vec();
        deleted.remove(index);
        cases.push((deleted, index as u64, "missing"));
        let mut swapped = lines.to_vec();
        swapped.swap(index, index + 1);
        cases.push((swapped, index as u64, "reordered"));
        let mut twice = lines.to_vec();
        twice.insert(index, lines[index].clone());
        cases.push((twice, index as u64, "duplicate"));
        let mut inserted = lines.to_vec();
        let mut forged: Value = serde_json::from_str(&lines[index + 1]).expect("an entry");
        forged["time"] = json!("2026-01-01T00:00:00.000Z");
        inserted.insert(index + 1, forged.to_string());
        cases.push((inserted, index as u64 + 1, "inserted"));
    }
    cases
}

#[test]
fn torn_lines_and_flipped_bits_are_found() {
    // AUD-12, AUD-13: samples; host/audit goes through every byte and bit.
    let home = busy_home();
    let (path, lines) = exported(&home);
    let whole = std::fs::read(&path).expect("an export");
    let key = key(&home);
    let verify = || home.run(["--format", "json", "log", "verify", path.to_str().expect("text"), "--key", &key]);
    let last = lines[7].len();
    for cut in [2, 3, 40, last / 2, last - 1, last] {
        std::fs::write(&path, &whole[..whole.len() - cut]).expect("an export");
        let found = failures(&verify());
        assert!(found.iter().any(|(kind, index)| kind == "malformed" && *index == 7), "{cut}: {found:?}");
    }
    for at in (0..whole.len()).step_by(whole.len() / 60) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        std::fs::write(&path, &bytes).expect("an export");
        let line = whole[..at].split(|byte| *byte == b'\n').count() as u64 - 1;
        let found = failures(&verify());
        // An edit of the last entry that leaves it an entry is one against the signature, which is over all of them.
        let named = |(kind, index): &(String, u64)| *index == line || line == 7 && kind == "rewritten";
        assert!(found.iter().any(named), "byte {at} of entry {line}: {found:?}");
    }
}

#[test]
fn tampering_with_the_store_is_named() {
    // AUD-01 to AUD-05, on the log itself. The stored hash is left alone, or made to fit again.
    let home = busy_home();
    let log = home.path().join("log.sqlite");
    let kept = std::fs::read(&log).expect("the log");
    let cases = [
        ("edit(3, b'caller.bad-input', b'caller.bad-imput')", 3, ""),
        ("edit(3, b'caller.bad-input', b'caller.bad-imput'); rehash(3)", 3, ""),
        // Nothing but a signature speaks for the last entry, and it speaks for all of them at once.
        ("edit(7, b'returned', b'returnee'); rehash(7)", 0, "rewritten"),
        ("edit(0, b'wasmtime', b'wasmtine'); rehash(0)", 0, ""),
        ("edit(5, b'\"index\":5', b'\"index\":9')", 5, ""),
        ("db.execute('UPDATE entries SET hash = zeroblob(32) WHERE idx = 4')", 4, ""),
        ("db.execute(\"UPDATE entries SET bytes = x'00ff' WHERE idx = 4\")", 4, "malformed"),
        ("db.execute('DELETE FROM entries WHERE idx = 4')", 4, "missing"),
        ("db.execute('DELETE FROM entries WHERE idx = 0')", 0, "missing"),
        (
            "db.execute('UPDATE entries SET idx = -idx WHERE idx > 3'); \
          db.execute('UPDATE entries SET idx = 1 - idx WHERE idx < 0'); \
          db.execute('INSERT INTO entries SELECT 4, hash, bytes FROM entries WHERE idx = 3')",
            3,
            "duplicate",
        ),
        (
            "db.execute('UPDATE entries SET idx = 99 WHERE idx = 4'); \
          db.execute('UPDATE entries SET idx = 4 WHERE idx = 5'); \
          db.execute('UPDATE entries SET idx = 5 WHERE idx = 99')",
            4,
            "",
        ),
    ];
    for (script, index, kind) in cases {
        tamper(&log, script);
        let found = failures(&home.run(["--format", "json", "log", "verify"]));
        assert!(found.iter().any(|(_, at)| *at == index), "{script}: {found:?}");
        assert!(kind.is_empty() || found.iter().any(|(found, _)| found == kind), "{script}: {found:?}");
        let told = home.run(["log", "verify"]);
        assert!(told.code(5).text().contains(&format!("entry {index}: ")), "{script}: {}", told.text());
        restore(&log, &kept);
    }
    home.is_well();
}

#[test]
fn damaged_store_is_refused_as_evidence() {
    // AUD-14: pages that are lost, stale or garbage are found when the log is opened or verified, and never repaired.
    let home = busy_home();
    let log = home.path().join("log.sqlite");
    let kept = std::fs::read(&log).expect("the log");
    let mut zeroed = kept.clone();
    zeroed[4096..8192].fill(0);
    let mut cut = kept.clone();
    cut.truncate(kept.len() - 4096);
    for (bytes, codes) in [(&zeroed, [5, 5]), (&cut, [5, 5])] {
        restore(&log, bytes);
        home.run(["log", "verify"]).code(codes[0]);
        home.run(["run", TOOL_ECHO, "nothing"]).code(codes[1]);
    }
    for bytes in [&b""[..], b"SQLite format 3\0", b"not a log, but a text that is long enough to be looked at twice"] {
        restore(&log, bytes);
        for args in [&["log", "verify"][..], &["run", TOOL_ECHO, "nothing"], &["log", "show"]] {
            let ran = home.run(args);
            assert!(ran.code == 1 || ran.code == 5, "{}", ran.stderr);
            ran.fails_well();
        }
        assert_eq!(std::fs::read(&log).expect("the log"), bytes, "it was changed");
    }
    std::fs::remove_file(&log).expect("the log");
    assert!(home.refuses(["run", TOOL_ECHO, "nothing"], 1).contains("log.sqlite"));
    assert!(home.refuses(["log", "verify"], 1).contains("log.sqlite"));
    assert!(!log.exists(), "a new log was made in its place");
    restore(&log, &kept);
    home.is_well();
}

#[test]
fn rolled_back_homes_are_refused() {
    // AUD-06, AUD-07, CR-34: the head in its second place tells.
    let home = Home::new();
    let head = home.folder("elsewhere").join("log.head");
    std::fs::rename(home.path().join("log.head"), &head).expect("the head");
    home.configure(&format!("[log]\nhead = \"{}\"\n", head.display()));
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let yesterday = home.folder("yesterday");
    copy(&home.path(), &yesterday);
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let today = home.folder("today");
    copy(&home.path(), &today);

    std::fs::remove_dir_all(home.path()).expect("the home");
    copy(&yesterday, &home.path());
    refuses_its_past(&home, 5, "rolled-back");
    // The right log comes back, and all is well.
    std::fs::remove_dir_all(home.path()).expect("the home");
    copy(&today, &home.path());
    home.is_well();
}

#[test]
fn older_database_beside_its_head_is_refused() {
    // AUD-07, CR-34: only the database is put back, as a restore from last night would do.
    let home = Home::new();
    let log = home.path().join("log.sqlite");
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let yesterday = std::fs::read(&log).expect("the log");
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let today = std::fs::read(&log).expect("the log");
    restore(&log, &yesterday);
    refuses_its_past(&home, 5, "rolled-back");
    restore(&log, &today);
    home.is_well();
}

#[test]
fn two_copies_with_one_head_never_both_sign() {
    // AUD-08, AUD-24: a home and its copy run at the same time; the head is all that they share.
    for _ in 0..4 {
        let home = Home::new();
        let head = home.folder("elsewhere").join("log.head");
        std::fs::rename(home.path().join("log.head"), &head).expect("the head");
        home.configure(&format!("[log]\nhead = \"{}\"\n", head.display()));
        let copied = home.folder("copied");
        copy(&home.path(), &copied);
        let run = |at: PathBuf| std::thread::spawn(move || ringfence(&at, ["run", TOOL_ECHO, "nothing"], b""));
        let both = [home.path(), copied.clone()].map(run).map(|thread| thread.join().expect("an end"));
        let signed = both.iter().filter(|ran| ran.stderr.contains("under a signed checkpoint of 3 entries")).count();
        assert_eq!(signed, 1, "{both:?}");
        let again = [home.path(), copied].map(|at| ringfence(&at, ["log", "checkpoint"], b""));
        let kept = again.iter().find(|ran| ran.code == 0).expect("one of them goes on");
        assert!(again.iter().any(|ran| ran.code == 5), "{again:?}");
        assert_eq!(std::fs::read(&head).expect("the head"), kept.stdout);
    }
}

#[test]
fn truncated_logs_are_refused() {
    // AUD-06: the attacker has the store, and takes everything out of it that says there was more.
    for left in [1, 3, 5, 7] {
        let home = busy_home();
        let log = home.path().join("log.sqlite");
        tamper(&log, &format!("cut({left})"));
        refuses_its_past(&home, 8, "truncated");
    }
}

/// Verification says that the log ends early, and how; nothing runs or is written.
fn refuses_its_past(home: &Home, head: u64, how: &str) {
    let log = std::fs::read(home.path().join("log.sqlite")).expect("the log");
    let found = failures(&home.run(["--format", "json", "log", "verify"]));
    assert!(found.iter().any(|(kind, _)| kind == how), "{found:?}");
    let work = home.folder("work");
    let dir = format!("{}::/work:rw", work.display());
    let input = r#"{"path":"/work/a","content":"written"}"#;
    let message = home.refuses(["run", TOOL_FILES, "write", "--ring", "2", "--input", input, "--dir", &dir], 5);
    assert!(message.contains("rolled back") && message.contains(&format!("`{head}`")), "{message}");
    home.refuses(["log", "checkpoint"], 5);
    assert!(!work.join("a").exists());
    assert_eq!(std::fs::read(home.path().join("log.sqlite")).expect("the log"), log, "something was written");
}

/// A checkpoint that somebody kept, in a file of its own.
fn kept(home: &Home, name: &str) -> String {
    let note = home.run(["log", "checkpoint"]).code(0).stdout.clone();
    home.file(name, note).display().to_string()
}

/// A home that an old checkpoint was kept of, and a copy of it as it was then; both have gone on since.
fn fork() -> (Home, String, PathBuf) {
    let home = Home::new();
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let copied = home.folder("copied");
    copy(&home.path(), &copied);
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let old = kept(&home, "old");
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    (home, old, copied)
}

#[test]
fn old_checkpoint_tells_how_the_log_changed() {
    // AUD-06, AUD-07, AUD-08, AUD-24: truncation, rollback and fork, each by its name.
    let (home, old, copied) = fork();
    let verify = |at: &Path| ringfence(at, ["--format", "json", "log", "verify", "--against", &old], b"");
    assert_eq!(verify(&home.path()).code(0).json()["vouched"], 7);

    let against = |at: &Path| failures(&verify(at)).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    assert_eq!(against(&copied), ["rolled-back"]);
    for _ in 0..2 {
        ringfence(&copied, ["run", TOOL_ECHO, "nothing"], b"").code(0);
    }
    assert_eq!(against(&copied), ["forked"]);
    tamper(&home.path().join("log.sqlite"), "cut(4)");
    assert_eq!(against(&home.path()), ["truncated", "truncated"]);

    // The same on an export, whose own checkpoint still counts.
    let export = home.folder("export").join("log.jsonl").display().to_string();
    ringfence(&copied, ["log", "export", "--output", &export], b"").code(0);
    let key = key(&home);
    let args = ["--format", "json", "log", "verify", &export, "--key", &key];
    home.run(args).code(0);
    let ran = home.run(args.into_iter().chain(["--against", &old]));
    assert_eq!(failures(&ran), [("forked".to_owned(), 0)]);
    let stranger = Home::new();
    let foreign = kept(&stranger, "foreign");
    let ran = home.run(args.into_iter().chain(["--against", &foreign]));
    assert_eq!(failures(&ran), [("unknown-key".to_owned(), u64::MAX)]);
}

#[test]
fn log_is_proven_to_go_on() {
    // AUD-09: whoever kept a checkpoint needs no log to see that the newer one goes on from it.
    let (home, old, copied) = fork();
    let key = key(&home);
    let none = home.folder("none");
    let check = |proof: &[u8], old: &str| {
        let proof = home.file("proof.json", proof).display().to_string();
        ringfence(&none, ["--format", "json", "log", "verify", "--proof", &proof, "--against", old, "--key", &key], b"")
    };
    let proof = home.run(["log", "prove", "--from", &old]).code(0).stdout.clone();
    assert_eq!(check(&proof, &old).code(0).json()["vouched"], 7);
    let by_size = home.run(["log", "prove", "--from", "5"]).code(0).stdout.clone();
    assert_eq!(by_size, proof);
    let between = home.run(["log", "prove", "--from", "1", "--to", "5"]).code(0).json();
    assert_eq!((&between["from"], between["proof"].as_array().map(Vec::len)), (&json!(1), Some(3)));

    let edited = |edit: fn(&mut Value)| {
        let mut edited: Value = serde_json::from_slice(&proof).expect("JSON");
        edit(&mut edited);
        edited.to_string().into_bytes()
    };
    let cut = edited(|proof| drop(proof["proof"].as_array_mut().expect("hashes").pop()));
    let other_size = edited(|proof| proof["from"] = json!(4));
    for forged in [cut, other_size] {
        assert_eq!(failures(&check(&forged, &old)), [("wrong-proof".to_owned(), u64::MAX)]);
    }
    // Another history that the same key has signed, from before and from after.
    let ran = |args: &[&str]| ringfence(&copied, args, b"");
    ran(&["run", TOOL_ECHO, "nothing"]).code(0);
    let other = home.file("other", &ran(&["log", "checkpoint"]).code(0).stdout).display().to_string();
    assert_eq!(failures(&check(&proof, &other)), [("wrong-proof".to_owned(), u64::MAX)]);
    ran(&["run", TOOL_ECHO, "nothing"]).code(0);
    let other = home.file("other", &ran(&["log", "checkpoint"]).code(0).stdout).display().to_string();
    assert_eq!(failures(&check(&proof, &other)), [("forked".to_owned(), u64::MAX)]);
    let message = home.refuses(["log", "prove", "--from", &other], 5);
    assert!(message.contains("another history"), "{message}");
    ran(&["run", TOOL_ECHO, "nothing"]).code(0);
    let other = home.file("other", &ran(&["log", "checkpoint"]).code(0).stdout).display().to_string();
    assert_eq!(failures(&check(&proof, &other)), [("rolled-back".to_owned(), 7)]);
    let message = home.refuses(["log", "prove", "--from", &other], 5);
    assert!(message.contains("rolled back"), "{message}");

    home.refuses(["log", "prove", "--from", "5", "--to", "6"], 2);
    home.refuses(["log", "prove", "--from", "8"], 2);
    home.run(["log", "prove"]).code(2);
    home.run(["log", "prove", "1", "--from", "5"]).code(2);
}

#[test]
fn rewritten_history_does_not_fit_what_was_signed() {
    // AUD-10: the attacker has the disk but not the key, and makes every hash fit again.
    let home = busy_home();
    let log = home.path().join("log.sqlite");
    let key = key(&home);
    let (path, lines) = exported(&home);
    tamper(&log, "edit(3, b'caller.bad-input', b'caller.bad-imput'); rechain(3)");
    let found = failures(&home.run(["--format", "json", "log", "verify"]));
    assert!(found.iter().any(|(kind, _)| kind == "rewritten"), "{found:?}");
    // Nor does it help to take the checkpoints out as well: the head is kept twice.
    tamper(&log, "db.execute('DELETE FROM checkpoints'); db.execute('DELETE FROM nodes')");
    let found = failures(&home.run(["--format", "json", "log", "verify"]));
    assert!(found.iter().any(|(kind, _)| kind == "rewritten"), "{found:?}");
    let message = home.refuses(["run", TOOL_ECHO, "nothing"], 5);
    assert!(message.contains("rewritten"), "{message}");

    // The same on an export, where the checkpoint is a file beside it.
    let rewritten = home.run(["log", "export"]).text();
    assert!(rewritten.lines().count() == lines.len() && rewritten.contains("bad-imput"));
    std::fs::write(&path, &rewritten).expect("an export");
    let verify =
        |key: &str| home.run(["--format", "json", "log", "verify", path.to_str().expect("text"), "--key", key]);
    assert!(failures(&verify(&key)).iter().any(|(kind, _)| kind == "rewritten"));

    // A whole log of the same name, signed by another key, is not this log.
    let other = busy_home();
    let (forged, _) = exported(&other);
    other.run(["log", "verify", forged.to_str().expect("text")]).code(0);
    let ran = other.run(["--format", "json", "log", "verify", forged.to_str().expect("text"), "--key", &key]);
    let found = failures(&ran);
    assert!(found.iter().any(|(kind, _)| kind == "foreign-key" || kind == "unknown-key"), "{found:?}");
}

#[test]
fn receipts_vouch_for_one_call() {
    let home = Home::new();
    let run = ["run", TOOL_ECHO, "string", "--input", r#"{"value":"kept"}"#, "--format", "json", "--receipt"];
    let alone = home.folder("receipts").join("alone.json");
    let ran = home.run(run.iter().map(|arg| (*arg).to_owned()).chain([alone.display().to_string()]));
    let printed = home.file("printed.json", &ran.code(0).stdout);
    let proven = home.file("proven.json", &home.run(["log", "prove", "1"]).code(0).stdout);
    let key = key(&home);
    let none = home.folder("none");
    let verify = |path: &Path, key: Option<&str>, at: &Path| {
        let path = path.to_str().expect("text");
        let key = key.map(|key| ["--key", key]);
        ringfence(at, ["receipt", "verify", path].into_iter().chain(key.into_iter().flatten()), b"")
    };
    for path in [&printed, &alone, &proven] {
        verify(path, None, &home.path()).code(0);
        // Offline, by somebody without this home.
        verify(path, Some(&key), &none).code(0);
        let other = Home::new();
        verify(path, None, &other.path()).code(5);
        verify(path, Some(&self::key(&other)), &none).code(5);
        verify(path, Some("no-key"), &none).code(2).fails_well();
        verify(path, None, &none).code(1).fails_well().says("--key");
    }
    let whole: Value = serde_json::from_slice(&std::fs::read(&alone).expect("a receipt")).expect("JSON");
    let digest = format!("sha256:{}", "0".repeat(64));
    for (pointer, value) in [
        ("/entry/body/code", json!("failed")),
        ("/entry/body/effect", json!("unknown")),
        ("/entry/time", json!("2020-01-01T00:00:00.000Z")),
        ("/entry/prev", json!(digest)),
        ("/entry/index", json!(1)),
        ("/index", json!(1)),
        ("/size", json!(4)),
        ("/proof/0", json!(digest)),
        ("/proof", json!([])),
        ("/checkpoint", json!("test.example/log\n3\nAAAA\n\n")),
        ("/v", json!(2)),
    ] {
        let mut edited = whole.clone();
        *edited.pointer_mut(pointer).expect(pointer) = value;
        let edited = home.file("edited.json", edited.to_string());
        let ran = verify(&edited, None, &home.path());
        assert_eq!(ran.code, 5, "{pointer}: {} {}", ran.text(), ran.stderr);
    }
    // A pending receipt shows nothing yet.
    let mut pending = whole.clone();
    for name in ["checkpoint", "proof", "size"] {
        pending.as_object_mut().expect("a receipt").remove(name);
    }
    let pending = home.file("pending.json", pending.to_string());
    verify(&pending, None, &home.path()).code(5).says("ringfence receipt complete");
    for garbage in [&b""[..], b"{}", b"[]", b"no receipt", b"\xff\xfe", b"{\"receipt\":7}", b"{\"v\":1,\"v\":1}"] {
        let garbage = home.file("garbage.json", garbage);
        assert!(home.refuses(["receipt".as_ref(), "verify".as_ref(), garbage.as_os_str()], 5).contains("garbage.json"));
    }
    home.refuses(["receipt".as_ref(), "verify".as_ref(), home.folder("f").join("none").as_os_str()], 1);
    // What is printed beside the receipt is the outcome that it is for.
    let mut edited: Value = ran.json();
    let whole_outcome = edited["outcome"].clone();
    edited["outcome"]["value"] = json!("changed");
    let edited = home.file("edited.json", edited.to_string());
    let message = home.refuses(["receipt".as_ref(), "verify".as_ref(), edited.as_os_str()], 5);
    assert!(message.contains("outcome"), "{message}");
    // A refusal has a receipt as well.
    let refused = home.run(["run", TOOL_ECHO, "nope", "--format", "json"]);
    let refused = home.file("refused.json", &refused.code(2).stdout);
    verify(&refused, None, &home.path()).code(0);
    let mut forged: Value = serde_json::from_slice(&std::fs::read(&refused).expect("a refusal")).expect("JSON");
    forged["outcome"] = whole_outcome;
    let forged = home.file("forged.json", forged.to_string());
    home.refuses(["receipt".as_ref(), "verify".as_ref(), forged.as_os_str()], 5);
    home.is_well();
}

#[test]
fn fifteen_lines_of_python_check_the_chain() {
    let script = "
import hashlib, json, sys
prev = 'sha256:' + '0' * 64
for index, line in enumerate(sys.stdin.buffer):
    line = line.rstrip(b'\\n')
    entry = json.loads(line)
    assert entry['index'] == index, index
    assert entry['prev'] == prev, index
    canonical = json.dumps(entry, sort_keys=True, separators=(',', ':'), ensure_ascii=False)
    assert canonical.encode() == line, index
    prev = 'sha256:' + hashlib.sha256(b'\\0' + line).hexdigest()
print(prev)
";
    let home = busy_home();
    let export = home.run(["log", "export"]).code(0).stdout.clone();
    let head = python(script, &[], &export).expect("a chain");
    let report = home.run(["--format", "json", "log", "verify"]).code(0).json();
    assert_eq!(head.trim(), report["head"].as_str().expect("a head"));
    let broken = String::from_utf8(export).expect("text").replacen("\"ring\":3", "\"ring\":2", 1);
    assert!(python(script, &[], broken.as_bytes()).is_err(), "the script checks nothing");
}

#[test]
fn call_cut_off_in_a_writable_folder_is_unknown() {
    // CR-05 to CR-12, blind; IDM-01, IDM-07
    let home = Home::new();
    let tool = effect(&home, "(loop $l (br $l))");
    let work = home.folder("work");
    let args = owned(&["run", &tool, "--ring", "2", "--idempotency-key", "k", "--dir", &rw(&work)]);
    let child = start(&home, &args);
    // The effect is there, so the intent was durable before it.
    wait_for(|| effects(&work) == 1);
    kill(child);
    let begun = only(&home, "begun");
    assert!(only_none(&home, "finished"));
    home.run(["log", "verify"]).code(0);

    let ran = home.run(["log", "checkpoint"]);
    ran.code(0).says("was cut off; it is settled by entry 2");
    let finished = only(&home, "finished");
    assert_eq!(finished["body"]["begun"], begun["index"]);
    assert_eq!((&finished["body"]["outcome"], &finished["body"]["effect"]), (&json!("cancelled"), &json!("unknown")));
    // The same key never runs it again by itself; each attempt is on record.
    for _ in 0..2 {
        let message = home.refuses(&args, 3);
        assert!(message.contains("may have had its effect"), "{message}");
        assert!(message.contains(begun["body"]["call"].as_str().expect("a call")), "{message}");
    }
    assert_eq!(effects(&work), 1);
    only(&home, "begun");
    home.is_well();
}

#[test]
fn recovery_comes_before_the_key_is_looked_up() {
    // CR-20: the very next command is the repeat.
    let home = Home::new();
    let tool = effect(&home, "(loop $l (br $l))");
    let work = home.folder("work");
    let args = owned(&["run", &tool, "--ring", "2", "--idempotency-key", "k", "--dir", &rw(&work)]);
    let child = start(&home, &args);
    wait_for(|| effects(&work) == 1);
    kill(child);
    let ran = home.run(&args);
    ran.code(3).says("denied.effect-unknown").says("was cut off");
    let kinds: Vec<_> = home.entries().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["opened", "begun", "finished", "refused"]);
    assert_eq!(effects(&work), 1);
    home.is_well();
}

#[test]
fn call_cut_off_without_writing_runs_again() {
    // CR-05 to CR-12, reading only; IDM-07
    let home = Home::new();
    let docs = home.folder("docs");
    let dir = format!("{}::/docs:ro", docs.display());
    let args = owned(&["run", HOSTILE_SPIN_FOREVER, "--idempotency-key", "k", "--dir", &dir, "--timeout"]);
    let with = |seconds: &str| [&args[..], &[seconds.to_owned()]].concat();
    let child = start(&home, &with("25"));
    let wal = home.path().join("log.sqlite-wal");
    // Pages of a commit, not just the file's header.
    wait_for(|| wal.metadata().is_ok_and(|wal| wal.len() > 4096));
    std::thread::sleep(Duration::from_millis(300));
    kill(child);
    only(&home, "begun");
    home.run(with("0.1")).code(4).says("was cut off; it is settled by entry 2");
    let entries = home.entries();
    let kinds: Vec<_> = entries.iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["opened", "begun", "finished", "begun", "finished"]);
    assert_eq!(
        (&entries[2]["body"]["outcome"], &entries[2]["body"]["effect"]),
        (&json!("cancelled"), &json!("aborted"))
    );
    assert_eq!(entries[4]["body"]["outcome"], "limit");
    home.is_well();
}

#[test]
fn recovery_that_is_killed_goes_on_the_next_time() {
    // CR-26
    let home = Home::new();
    let tool = effect(&home, "(loop $l (br $l))");
    let work = home.folder("work");
    let child = start(&home, &owned(&["run", &tool, "--ring", "2", "--dir", &rw(&work)]));
    wait_for(|| effects(&work) == 1);
    kill(child);
    let killed = home.folder("killed");
    copy(&home.path(), &killed);
    for millis in 0..24 {
        std::fs::remove_dir_all(home.path()).expect("the home");
        copy(&killed, &home.path());
        for _ in 0..2 {
            let child = start(&home, &owned(&["log", "checkpoint"]));
            std::thread::sleep(Duration::from_millis(millis));
            kill(child);
            home.run(["log", "verify"]).code(0);
        }
        home.run(["log", "checkpoint"]).code(0);
        assert_eq!(only(&home, "finished")["body"]["effect"], "unknown", "after {millis} ms");
        home.run(["log", "verify"]).code(0);
    }
    assert_eq!(effects(&work), 1);
}

#[test]
fn killed_anywhere_has_its_effect_at_most_once() {
    // CR-01 to CR-20: whenever the kill comes, a repeat under the same key runs, or says why not; never twice.
    let home = Home::new();
    let tool = effect(&home, "");
    home.run(["run", &tool]).code(0);
    let mut outcomes = [0; 3];
    for turn in 0_u64..40 {
        let work = home.folder(&format!("work-{turn}"));
        let key = format!("key-{turn}");
        let args = owned(&["run", &tool, "--ring", "2", "--idempotency-key", &key, "--dir", &rw(&work)]);
        let before = home.entries().len();
        let child = start(&home, &args);
        std::thread::sleep(Duration::from_micros(turn * 1_500));
        kill(child);
        home.run(["log", "verify"]).code(0);
        let entries = home.entries().split_off(before);
        let count = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).count();
        assert!(effects(&work) == 0 || count("begun") == 1, "an effect without an intent");
        let ran = home.run(&args);
        match (ran.code, count("begun"), count("finished")) {
            (0, 0, 0) => outcomes[0] += 1,
            (3, 1, 0) => outcomes[1] += 1,
            (0, 1, 1) => outcomes[2] += 1,
            other => panic!("turn {turn}: {other:?}: {}", ran.stderr),
        }
        let wanted = if ran.code == 0 { 1..=1 } else { 0..=1 };
        assert!(wanted.contains(&effects(&work)), "turn {turn}: {} effects", effects(&work));
    }
    assert!(outcomes[0] > 0, "no kill came before the intent: {outcomes:?}");
    let entries = home.entries();
    let count = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).count();
    assert_eq!(count("begun"), count("finished"));
    home.is_well();
}

#[test]
fn same_key_gets_the_recorded_answer() {
    // IDM-01, IDM-02, IDM-11
    let home = Home::new();
    let work = home.folder("work");
    let dir = rw(&work);
    let call = |key: &str, input: &str| {
        home.call(TOOL_FILES, &["write", "--ring", "2", "--idempotency-key", key, "--input", input, "--dir", &dir])
    };
    let (ran, first) = call("k", r#"{"path":"/work/a","content":"one"}"#);
    ran.code(0);
    std::fs::remove_file(work.join("a")).expect("the effect");
    // The same input, written otherwise.
    for input in [r#"{"path":"/work/a","content":"one"}"#, r#"{ "content": "\u006fne", "path": "/work/a" }"#] {
        let (ran, again) = call("k", input);
        ran.code(0);
        assert_eq!((&again["call"], &again["outcome"]), (&first["call"], &first["outcome"]));
        assert_eq!(again["receipt"]["entry"], first["receipt"]["entry"]);
    }
    assert!(!work.join("a").exists(), "it ran again");
    assert_eq!(home.entries().len(), 3);
    // Another input, ring or tool under that key is another call.
    let (ran, conflict) = call("k", r#"{"path":"/work/a","content":"two"}"#);
    ran.code(3);
    assert_eq!(conflict["outcome"]["error"]["code"], "denied.idempotency-conflict");
    let key = ["--idempotency-key", "k"];
    let input = r#"{"path":"/work/a","content":"one"}"#;
    let other_ring = ["run", TOOL_FILES, "write", "--ring", "1", "--input", input, "--dir", &dir];
    assert!(home.refuses(other_ring.iter().chain(&key), 3).contains("another input, tool or ring"));
    assert!(home.refuses(["run", TOOL_ECHO, "nothing"].iter().chain(&key), 3).contains("stands for"));
    assert!(!work.join("a").exists());
    let kinds: Vec<_> = home.entries().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds[3..].iter().filter(|kind| **kind == "refused").count(), kinds.len() - 3);
    // The key itself is not on record, only its digest.
    let (ran, _) = call("a-key-that-is-a-secret", r#"{"path":"/work/b","content":"one"}"#);
    ran.code(0);
    assert!(!home.run(["log", "export"]).text().contains("a-key-that-is-a-secret"));
    // A failure is an answer too.
    let failing = ["fallible", "--idempotency-key", "f", "--input", r#"{"succeed":false}"#];
    let (ran, failed) = home.call(TOOL_ECHO, &failing);
    ran.code(4);
    let (ran, again) = home.call(TOOL_ECHO, &failing);
    ran.code(4);
    assert_eq!(again["call"], failed["call"]);
    home.is_well();
}

#[test]
fn concurrent_calls_under_one_key_run_once() {
    // IDM-01, IDM-05, between processes
    let home = Home::new();
    let tool = effect(&home, "");
    home.run(["run", &tool]).code(0);
    let work = home.folder("work");
    let dir = rw(&work);
    let run = || home.call(&tool, &["--ring", "2", "--idempotency-key", "k", "--dir", &dir]);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let runs = [(); 6].map(|()| scope.spawn(run));
        runs.into_iter().map(|run| run.join().expect("a run")).collect()
    });
    for (ran, value) in &answers {
        ran.code(0);
        assert_eq!(value["call"], answers[0].1["call"]);
    }
    assert_eq!(effects(&work), 1);
    assert_eq!(home.entries().iter().filter(|entry| entry["kind"] == "begun").count(), 2);
    home.is_well();
}

#[test]
fn refused_calls_are_one_entry_each() {
    // AUD-20
    let home = Home::new();
    let work = home.folder("work");
    let dir = rw(&work);
    let input = r#"{"path":"/work/a","content":"x"}"#;
    let write = ["run", TOOL_FILES, "write", "--input", input];
    let state = format!("{}::/state:ro", home.path().display());
    for (more, code, stage) in [
        (&["--dir", &dir][..], 3, "decide"),
        (&["--ring", "3"], 3, "decide"),
        (&["--ring", "2", "--dir", &state], 3, "narrow"),
        (&["--input", "{}"], 2, "admit"),
    ] {
        let args = if stage == "admit" { &write[..3] } else { &write[..] };
        let before = home.entries().len();
        let ran = home.run(args.iter().chain(more));
        ran.code(code);
        let entries = home.entries().split_off(before);
        assert_eq!(entries.len(), 1, "{more:?}: {entries:?}");
        assert_eq!((&entries[0]["kind"], &entries[0]["body"]["stage"]), (&json!("refused"), &json!(stage)), "{more:?}");
        ran.says(entries[0]["body"]["code"].as_str().expect("a code"));
    }
    assert_eq!(std::fs::read_dir(&work).expect("a folder").count(), 0);
    home.is_well();
}

/// A tool that adds to `/work/effects`, and then does something else.
pub fn effect(home: &Home, then: &str) -> String {
    let tool = wat::parse_str(EFFECT.replace("$then", then)).expect("a module");
    home.file("effect.wasm", tool).display().to_string()
}

/// How often that has happened.
pub fn effects(work: &Path) -> u64 {
    work.join("effects").metadata().map_or(0, |file| file.len())
}

pub fn rw(work: &Path) -> String {
    format!("{}::/work:rw", work.display())
}

pub fn owned(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

pub fn start(home: &Home, args: &[String]) -> Child {
    let mut command = command(&home.path(), args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the binary runs")
}

/// SIGKILL, as when power or memory runs out.
pub fn kill(mut child: Child) {
    child.kill().expect("a process");
    child.wait().expect("an end");
}

pub fn wait_for(condition: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not happen within a minute");
}

/// The one entry of a kind.
#[track_caller]
pub fn only(home: &Home, kind: &str) -> Value {
    let mut entries: Vec<_> = home.entries().into_iter().filter(|entry| entry["kind"] == kind).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.remove(0)
}

fn only_none(home: &Home, kind: &str) -> bool {
    home.entries().iter().all(|entry| entry["kind"] != kind)
}

/// Copies a folder and what is in it; a link stays one.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(entry.path().read_link().expect("a link"), target).expect("a link");
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Puts a log back as it was, without what `SQLite` keeps beside it.
fn restore(log: &Path, bytes: &[u8]) {
    for beside in ["-wal", "-shm"] {
        let mut name = log.as_os_str().to_owned();
        name.push(beside);
        let _ = std::fs::remove_file(name);
    }
    std::fs::write(log, bytes).expect("the log");
}

/// Changes the store with what an attacker has: `SQLite` and SHA-256.
pub fn tamper(log: &Path, script: &str) {
    let prelude = "
import hashlib, json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
def get(k):
    return db.execute('SELECT bytes FROM entries WHERE idx = ?', (k,)).fetchone()[0]
def put(k, b):
    db.execute('UPDATE entries SET bytes = ? WHERE idx = ?', (b, k))
def edit(k, a, b):
    assert a in get(k), get(k)
    put(k, get(k).replace(a, b, 1))
def rehash(k):
    db.execute('UPDATE entries SET hash = ? WHERE idx = ?', (hashlib.sha256(b'\\0' + get(k)).digest(), k))
def rechain(k):
    rehash(k)
    for n in range(k + 1, db.execute('SELECT count(*) FROM entries').fetchone()[0]):
        entry = json.loads(get(n))
        entry['prev'] = 'sha256:' + hashlib.sha256(b'\\0' + get(n - 1)).hexdigest()
        put(n, json.dumps(entry, sort_keys=True, separators=(',', ':'), ensure_ascii=False).encode())
        rehash(n)
def cut(n):
    db.execute('DELETE FROM entries WHERE idx >= ?', (n,))
    db.execute('DELETE FROM calls WHERE begun >= ? OR ended >= ?', (n, n))
    db.execute('DELETE FROM checkpoints WHERE size > ?', (n,))
    db.execute('DELETE FROM nodes')
    db.execute('DELETE FROM checkpoints')
";
    let script = format!("{prelude}{script}\ndb.commit()\ndb.close()\n");
    python(&script, &[log], b"").unwrap_or_else(|error| panic!("{script}: {error}"));
}

/// Runs a script with an input. Python is not ours: that is the point.
fn python(script: &str, args: &[&Path], stdin: &[u8]) -> Result<String, String> {
    let mut command = Command::new("python3");
    command.arg("-c").arg(script).args(args);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("these tests need `python3` with its sqlite3 module: {error}"));
    std::io::Write::write_all(&mut child.stdin.take().expect("standard input"), stdin).expect("standard input");
    let output = child.wait_with_output().expect("an end");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("ModuleNotFoundError"), "these tests need `python3` with its sqlite3 module: {stderr}");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(stderr.into_owned())
    }
}

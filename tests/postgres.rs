//! A home whose log is in a database: the same commands, the same record, and a password that is nowhere. Several homes
//! with one log: one history, whoever is killed or sleeps, and no effect twice.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Child;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use ringfence_artifacts::HOSTILE_FLOOD_REQUESTS;
use ringfence_artifacts::TOOL_ECHO;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;

use crate::harness::Home;
use crate::harness::command;
use crate::harness::finish;
use crate::harness::network::HERE;
use crate::harness::postgres::Database;
use crate::harness::postgres::PASSWORD;
use crate::harness::postgres::Server;
use crate::harness::tls::Authority;
use crate::harness::web::Step;
use crate::harness::web::Web;
use crate::harness::web::ok;
use crate::record::effect;
use crate::record::effects;
use crate::record::owned;
use crate::record::rw;
use crate::record::wait_for;

/// After this a host that has not been heard of may be taken over.
const LEASE: Duration = Duration::from_secs(11);

/// Every file of a folder, with what lies below.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![fs::read(&path).expect("a file")] }).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A file beside the home that only its owner can read.
fn secret(home: &Home, name: &str, text: &str) -> String {
    let path = home.file(name, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    path.display().to_string()
}

#[test]
fn log_in_a_database_is_a_log() {
    let database = Database::new();
    let home = Home::made_with(&["--store", &database.url()]);
    assert!(!home.path().join("log.sqlite").exists());
    let args = ["run", TOOL_ECHO, "string", "--input", r#"{"value":"hi"}"#, "--idempotency-key", "k"];
    let first = home.run(args);
    first.code(0);
    home.run(args).code(0);
    home.is_well();
    assert_eq!(home.entries().len().to_string(), database.sql("SELECT length FROM ringfence.head"));
    home.run(["log", "show"]).code(0);
    home.run(["log", "checkpoint"]).code(0);
    let doctor = home.run(["doctor"]);
    doctor.code(0);
    assert!(doctor.text().contains("ok      store     postgres://"), "{}", doctor.text());
}

#[test]
fn damage_in_a_database_is_located() {
    // AUD-01
    let database = Database::new();
    let home = Home::made_with(&["--store", &database.url()]);
    home.run(["run", TOOL_ECHO, "string", "--input", r#"{"value":"hi"}"#]).code(0);
    home.run(["log", "verify"]).code(0);
    database.sql("UPDATE ringfence.entries SET bytes = bytes || '\\x20' WHERE idx = 1");
    let ran = home.run(["log", "verify"]);
    ran.code(5);
    assert!(ran.text().contains("entry 1"), "{}", ran.text());
}

#[test]
fn truncated_database_is_behind_its_head() {
    // AUD-24: the head file of the home tells, whatever became of the database.
    let database = Database::new();
    let home = Home::made_with(&["--store", &database.url()]);
    home.run(["run", TOOL_ECHO, "string", "--input", r#"{"value":"hi"}"#]).code(0);
    database.sql(
        "DELETE FROM ringfence.entries WHERE idx > 0; DELETE FROM ringfence.checkpoints WHERE size > 1; \
         UPDATE ringfence.head SET length = 1",
    );
    let message = home.refuses(["run", TOOL_ECHO, "string", "--input", r#"{"value":"hi"}"#], 5);
    assert!(message.contains("the log was rolled back"), "{message}");
}

#[test]
fn password_is_in_no_file_and_no_message() {
    // SEC-04
    let database = Database::new();
    let home = Home::none();
    let password = secret(&home, "password", &format!("{}\n", database.password().expect("a password")));
    let url = database.network_url();
    home.run(["init", "--store", &url, "--store-password-file", &password]).code(0);
    home.run(["run", TOOL_ECHO, "string", "--input", r#"{"value":"hi"}"#]).code(0);
    let wrong = secret(&home, "wrong", "wrong-battery-91c");
    let configuration = fs::read_to_string(home.path().join("ringfence.toml")).expect("a configuration");
    home.configure(&configuration.replace(&password, &wrong));
    let message = home.refuses(["log", "show"], 1);
    assert!(message.contains("does not let this user in") && !message.contains("wrong-battery"), "{message}");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).expect("a mode");
    home.configure(&configuration);
    assert!(home.refuses(["log", "show"], 1).contains("others than its owner can read"));
    for file in files(&home.path()) {
        assert!(!holds(&file, PASSWORD));
    }
    let rows = database.sql("SELECT string_agg(convert_from(bytes, 'UTF8'), ' ') FROM ringfence.entries");
    assert!(!rows.contains(PASSWORD) && rows.contains("string"));
}

#[test]
fn password_may_stand_in_a_variable() {
    let database = Database::new();
    let home = Home::made_with(&["--store", &database.url()]);
    home.configure(&format!("[log]\nstore = '{}'\n", database.network_url()));
    home.refuses(["log", "show"], 1);
    let mut with = command(&home.path(), ["log", "show"]);
    with.env("RINGFENCE_STORE_PASSWORD", database.password().expect("a password"));
    finish(with, b"").code(0);
    let mut with = command(&home.path(), ["log", "show"]);
    with.env("RINGFENCE_STORE_PASSWORD", "wrong-battery-91c");
    let ran = finish(with, b"");
    ran.code(1).fails_well();
    assert!(!ran.stderr.contains("wrong-battery"), "{}", ran.stderr);
}

#[test]
fn password_in_the_address_is_refused() {
    let home = Home::none();
    for (url, wanted) in [
        ("postgres://a:hunter2@127.0.0.1/log", "it holds a password"),
        ("postgres://a@127.0.0.1/log?sslmode=prefer", "`sslmode=prefer` is refused"),
        ("mysql://a@127.0.0.1/log", "it is not written as"),
    ] {
        let ran = home.run(["init", "--store", url]);
        ran.code(2);
        ran.fails_well().says(wanted);
        assert!(!ran.stderr.contains("hunter2") && !home.path().exists(), "{}", ran.stderr);
    }
}

#[test]
fn server_that_is_away_makes_no_home() {
    let home = Home::none();
    let url = "postgres://a@127.0.0.1:1/log?sslmode=disable";
    let ran = home.run(["init", "--store", url]);
    ran.code(1).fails_well();
    assert!(ran.stderr.contains("can't be reached"), "{}", ran.stderr);
    let database = Database::new();
    home.run(["init", "--store", &database.url()]).code(0);
    let other = Home::none();
    let ran = other.run(["init", "--store", &database.url()]);
    ran.code(1).fails_well();
    assert!(ran.stderr.contains("it holds a log already"), "{}", ran.stderr);
    home.is_well();
}

#[test]
fn two_homes_made_at_once_make_one_log() {
    // AUD-08
    for _ in 0..4 {
        let database = Database::new();
        let homes = [Home::none(), Home::none()];
        let made = thread::scope(|scope| {
            let init = |home: &Home| home.run(["init", "--store", &database.url()]);
            let made = homes.each_ref().map(|home| scope.spawn(move || init(home)));
            made.map(|made| made.join().expect("an end"))
        });
        let well: Vec<_> = made.iter().zip(&homes).filter(|(ran, _)| ran.code == 0).collect();
        let [(_, home)] = well[..] else { panic!("not one of them: {made:?}") };
        let refused = made.iter().find(|ran| ran.code != 0).expect("the other");
        refused.code(1).fails_well().says("holds a log already");
        assert_eq!(database.sql("SELECT length FROM ringfence.head"), "1");
        home.is_well();
    }
}

#[test]
fn server_without_its_certificate_is_refused() {
    // NET-21
    let (server, authority, stranger) = (Server::start(&[]), Authority::new(), Authority::new());
    let (certificate, key) = authority.pem_of("localhost");
    server.show(&certificate, &key);
    let home = Home::none();
    let password = secret(&home, "secrets/password", PASSWORD);
    let roots = home.file("secrets/roots.pem", authority.pem()).display().to_string();
    let strangers = home.file("secrets/strangers.pem", stranger.pem()).display().to_string();
    let url = |host: &str| server.network_url("postgres", "").replace("127.0.0.1", host);
    let init = |host: &str, roots: Option<&String>| {
        let mut args = owned(&["init", "--store-password-file", &password, "--store", &url(host)]);
        args.extend(roots.into_iter().flat_map(|roots| ["--store-roots".to_owned(), roots.clone()]));
        home.run(args)
    };
    for (host, roots) in [("localhost", None), ("localhost", Some(&strangers)), ("127.0.0.1", Some(&roots))] {
        let ran = init(host, roots);
        ran.code(1).fails_well();
        assert!(ran.stderr.contains("invalid peer certificate"), "{host} {roots:?}: {}", ran.stderr);
    }
    init("localhost", Some(&roots)).code(0);
    home.is_well();
    assert!(home.run(["doctor"]).text().contains("TLS, and the server has to prove who it is"));
    let all =
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'ringfence'";
    assert_ne!(server.try_sql("postgres", all).as_deref(), Ok("f"));
}

/// Homes of one log, each on a host of its own: the first, and copies of it.
fn hosts(database: &Database, count: usize) -> Vec<Home> {
    let first = Home::made_with(&["--store", &database.url()]);
    let others: Vec<_> = (1..count).map(|_| first.on_another_host()).collect();
    std::iter::once(first).chain(others).collect()
}

fn spawned(home: &Home, args: &[String]) -> Child {
    let mut command = command(&home.path(), args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
}

/// Numbers that follow from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A host that calls under one key after the other, in an order of its own, and is killed every other time. What it was
/// told of calls that ended: key and receipt.
fn killed_host(home: &Home, seed: u64, args: impl Fn(u64) -> Vec<String>) -> Vec<(u64, Value)> {
    let mut chance = Chance(seed);
    let mut told = Vec::new();
    for _ in 0..14 {
        let key = chance.below(8);
        let mut child = spawned(home, &args(key));
        if chance.below(2) == 0 {
            thread::sleep(Duration::from_millis(chance.below(400)));
            child.kill().expect("a process");
        }
        let output = child.wait_with_output().expect("an end");
        if output.status.success() {
            let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            told.push((key, value["receipt"]["entry"].clone()));
        }
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    }
    told
}

#[test]
fn killed_hosts_share_one_history() {
    // CR-31, IDM-01, IDM-06: what was answered is on record, nothing happens twice, and there is one chain.
    let database = Database::new();
    let homes = hosts(&database, 4);
    let tool = effect(&homes[0], "");
    let work = |key: u64| homes[0].folder(&format!("work-{key}"));
    let args = |key: u64| {
        let (key, work) = (format!("key-{key}"), rw(&work(key)));
        owned(&["--format", "json", "run", &tool, "--ring", "2", "--idempotency-key", &key, "--dir", &work])
    };
    let seed = 0x5eed;
    println!("seed {seed:#x}");
    let told: Vec<_> = thread::scope(|scope| {
        let hosts = (0..).zip(&homes).map(|(number, home)| scope.spawn(move || killed_host(home, seed + number, args)));
        let hosts: Vec<_> = hosts.collect();
        hosts.into_iter().flat_map(|host| host.join().expect("an end")).collect()
    });
    thread::sleep(LEASE);
    homes[0].run(["log", "checkpoint"]).code(0);
    let entries = homes[0].entries();
    let kinds = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).count();
    assert_eq!(kinds("begun"), kinds("finished"), "somebody has settled what was cut off");
    let cut_off = entries.iter().filter(|entry| entry["body"]["effect"] == "unknown").count();
    println!("{} calls were answered, {} recorded, {cut_off} of them cut off", told.len(), kinds("begun"));
    assert!(!told.is_empty(), "nobody was told of anything");
    for (key, entry) in &told {
        let index = entry["index"].as_u64().expect("an index");
        assert_eq!(&entries[usize::try_from(index).expect("small")], entry, "an answer was lost");
        assert_eq!(effects(&work(*key)), 1);
    }
    for key in 0..8 {
        assert!(effects(&work(key)) <= 1, "key {key} had its effect more than once");
    }
    for home in &homes {
        home.run(["log", "verify"]).code(0);
        home.is_well();
    }
}

#[test]
fn host_that_slept_is_shut_out() {
    // IDM-06, and IDM-05 while it is awake
    let database = Database::new();
    let homes = hosts(&database, 2);
    let tool = effect(&homes[0], "(loop $l (br $l))");
    let work = homes[0].folder("work");
    let args = |seconds: &str| {
        let work = rw(&work);
        owned(&["run", &tool, "--ring", "2", "--idempotency-key", "k", "--dir", &work, "--timeout", seconds])
    };
    let sleeper = spawned(&homes[0], &args("20"));
    wait_for(|| effects(&work) == 1);
    let awake = homes[1].run(args("20"));
    assert!(awake.code == 3 && awake.stderr.contains("which is running now"), "{}", awake.stderr);
    let pid = Pid::from_child(&sleeper);
    kill_process(pid, Signal::STOP).expect("a signal");
    thread::sleep(LEASE);
    homes[1].run(["log", "checkpoint"]).code(0).says("was cut off; it is settled by entry");
    kill_process(pid, Signal::CONT).expect("a signal");
    let woken = sleeper.wait_with_output().expect("an end");
    let told = String::from_utf8_lossy(&woken.stderr).into_owned();
    assert!(!woken.status.success() && told.contains("another host has taken them over"), "{told}");
    homes[1].run(args("1")).code(3).says("was cut off and may have had its effect");
    assert_eq!(effects(&work), 1);
    for home in &homes {
        home.run(["log", "verify"]).code(0);
        home.is_well();
    }
}

/// A server that answers slowly, and a call that asks it time and again.
fn asking(home: &Home) -> (Web, Child) {
    let web = Web::new(|_| [vec![Step::Wait(Duration::from_millis(40))], ok("asked")].concat());
    let url = format!("http://127.0.0.1:{}/", web.port());
    let rule = format!("--http=GET {url}");
    let args = ["run", HOSTILE_FLOOD_REQUESTS, "--ring", "2", &rule, HERE, "--timeout", "60"];
    let child = spawned(home, &owned(&[&args[..], &["--idempotency-key", "k", "--", "one-by-one", &url]].concat()));
    wait_for(|| web.requests().len() > 5);
    (web, child)
}

#[test]
fn host_that_slept_asks_for_nothing_more() {
    // IDM-06: what its tool does to the world ends with the lease. Who sleeps for less goes on.
    let database = Database::new();
    let homes = hosts(&database, 2);
    let (web, sleeper) = asking(&homes[0]);
    let pid = Pid::from_child(&sleeper);
    let sleep = |time: Duration| {
        kill_process(pid, Signal::STOP).expect("a signal");
        thread::sleep(time);
        web.requests().len()
    };
    // The control: so short a sleep ends nothing, however often the lease would have been renewed meanwhile.
    let before = sleep(Duration::from_secs(1));
    kill_process(pid, Signal::CONT).expect("a signal");
    wait_for(|| web.requests().len() > before + 5);
    let before = sleep(LEASE);
    homes[1].run(["log", "checkpoint"]).code(0).says("was cut off; it is settled by entry");
    kill_process(pid, Signal::CONT).expect("a signal");
    let woken = sleeper.wait_with_output().expect("an end");
    let told = String::from_utf8_lossy(&woken.stderr).into_owned();
    assert!(!woken.status.success() && told.contains("another host has taken them over"), "{told}");
    let after = web.requests().len();
    println!("{} requests after it woke up", after - before);
    assert!(after <= before + 1, "{} requests after it woke up", after - before);
    homes[1].is_well();
}

#[test]
fn host_that_can_not_renew_stops_its_calls() {
    // IDM-06: awake, and cut off from the log's server. It stops before anybody may take over.
    let database = Database::new();
    let homes = hosts(&database, 2);
    let (web, mut caller) = asking(&homes[0]);
    let cut = Instant::now();
    database.close();
    // Past the first renewal that fails, and well before the end of the lease: it goes on until then.
    thread::sleep(Duration::from_secs(4));
    let early = web.requests().len();
    wait_for(|| web.requests().len() > early);
    thread::sleep(LEASE.saturating_sub(cut.elapsed()).saturating_sub(Duration::from_millis(500)));
    let late = web.requests().len();
    // That nothing more comes can only be waited for; it asks many times a second while it runs.
    thread::sleep(Duration::from_secs(2));
    assert_eq!(web.requests().len(), late, "it goes on when others may have taken over");
    database.reopen();
    assert!(!caller.wait().expect("an end").success());
    homes[1].run(["log", "checkpoint"]).code(0);
    homes[1].is_well();
}

#[test]
fn one_home_is_one_process() {
    // CR-31: its scratch folders and its head belong to one process at a time, however many hosts share the log.
    let database = Database::new();
    let home = Home::made_with(&["--store", &database.url()]);
    let lock = fs::File::create(home.path().join("log.lock")).expect("a file");
    lock.lock().expect("a lock");
    let message = home.refuses(["log", "checkpoint"], 1);
    assert!(message.contains("the log is in use by another process"), "{message}");
    drop(lock);
    home.run(["log", "checkpoint"]).code(0);
}

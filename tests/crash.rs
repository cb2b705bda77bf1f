//! The crash sweep: the real binary is killed, or its disk fails it, at each write, sync, rename and open in turn; then
//! everything must verify, and what happens next must be what the effect class of the call says.
//!
//! What a call did is counted outside, by a web server that keeps every request. A sample is taken by default;
//! `RINGFENCE_CRASH_SWEEP=1` tries every place there is, and says how many those were.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Mutex;

use ringfence_artifacts::TOOL_ECHO;
use ringfence_artifacts::TOOL_FETCH;
use ringfence_artifacts::TOOL_FILES;
use ringfence_artifacts::TOOL_ORDERS;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::fault::Fault;
use crate::harness::fault::Operation;
use crate::harness::fault::Place;
use crate::harness::fault::Struck;
use crate::harness::fault::operations;
use crate::harness::fault::strike;
use crate::harness::ringfence;
use crate::harness::web::Seen;
use crate::harness::web::Web;
use crate::harness::web::answer;
use crate::harness::web::ok;
use crate::record::copy;
use crate::record::effect;
use crate::record::effects;
use crate::record::kill;
use crate::record::only;
use crate::record::owned;
use crate::record::rw;
use crate::record::start;
use crate::record::wait_for;

/// What changes a disk, or opens something on it.
const CALLS: [&str; 7] = [
    "openat",
    "write",
    "pwrite64",
    "fsync,fdatasync",
    "?rename,?renameat,?renameat2",
    "?unlink,?unlinkat",
    "ftruncate",
];
/// All of them at once.
const ALL: &str = "openat,write,pwrite64,fsync,fdatasync,?rename,?renameat,?renameat2,?unlink,?unlinkat,ftruncate";
/// The files of the log, whose calls are counted alone: several threads work on them.
const FILES: [&str; 3] = ["log.sqlite-wal", "log.sqlite", ""];

/// What a crash in the middle of a call means, by what the call can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// It reaches nothing: intent and outcome are one commit.
    Pure,
    /// It reads at most.
    Reads,
    /// It may have done anything.
    Blind,
    /// Its tool passes a key on, by which whoever it asks knows it again.
    Idempotent,
    /// Its tool can tell what became of it.
    Queryable,
}

const CLASSES: [Class; 5] = [Class::Pure, Class::Reads, Class::Blind, Class::Idempotent, Class::Queryable];

/// Whether every place is tried, and not a sample.
fn is_whole() -> bool {
    std::env::var_os("RINGFENCE_CRASH_SWEEP").is_some()
}

/// All of something, or what a sample takes of it.
fn sampled<T: Copy>(all: &[T], sample: &[T]) -> Vec<T> {
    if is_whole() { all.to_vec() } else { sample.to_vec() }
}

/// A home as it is before each crash, and the server that counts.
struct Lab {
    before: Home,
    web: Web,
}

/// A copy of it, in which something happens once.
struct Trial {
    folder: TempDir,
    args: Vec<String>,
}

impl Lab {
    fn new() -> Self {
        let before = Home::new();
        before.file("docs/a.txt", "read");
        let orders = Mutex::new(HashSet::new());
        let shop = move |seen: &Seen| {
            let mut orders = orders.lock().expect("the orders");
            match seen.first_line().split(' ').next() {
                Some("GET") if orders.contains(&seen.path()) => ok("done"),
                Some("GET") => answer("404 Not Found", "", ""),
                _ => {
                    orders.insert(seen.path());
                    ok("done")
                }
            }
        };
        let lab = Self { before, web: Web::new(shop) };
        // What is compiled once is compiled before, so that each trial does the same.
        for class in CLASSES {
            lab.before.run(lab.call(class, &format!("warm-{class:?}"))).code(0);
        }
        lab
    }

    /// A call of a class; the name stands for it.
    fn call(&self, class: Class, name: &str) -> Vec<String> {
        let key = format!("--idempotency-key=key {name}");
        let rest = match class {
            Class::Pure => owned(&[TOOL_ECHO, "string", "--input", r#"{"value":"done"}"#]),
            Class::Reads => {
                let dir = format!("--dir={}::/docs:ro", self.before.folder("docs").display());
                owned(&[TOOL_FILES, "read", "--input", r#"{"path":"/docs/a.txt"}"#, &dir])
            }
            Class::Blind => {
                let url = format!("http://127.0.0.1:{}/{name}", self.web.port());
                let input = json!({ "url": url, "body": { "text": "x" }, "content-type": "text/plain" });
                let rule = format!("--http=POST http://127.0.0.1:{}/", self.web.port());
                owned(&[TOOL_FETCH, "post", "--ring", "1", "--input", &input.to_string(), &rule])
            }
            Class::Idempotent | Class::Queryable => {
                let function = if class == Class::Queryable { "place" } else { "reserve" };
                let shop = format!("http://127.0.0.1:{}", self.web.port());
                let input = json!({ "shop": shop, "order": name, "item": "x" });
                let rule = format!("--http=GET,PUT,POST {shop}/");
                owned(&[TOOL_ORDERS, function, "--ring", "1", "--input", &input.to_string(), &rule])
            }
        };
        [owned(&["run"]), rest, vec![key]].concat()
    }

    fn trial(&self, args: Vec<String>) -> Trial {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&self.before.path(), folder.path());
        Trial { folder, args }
    }

    /// How often the effect of a call happened: requests that change something, but for those that a shop knows by their
    /// key.
    fn effects(&self, name: &str) -> usize {
        let path = format!("/{name}");
        let requests = self.web.requests().into_iter().filter(|seen| seen.path().ends_with(&path));
        let changes = requests.filter(|seen| !seen.first_line().starts_with("GET "));
        let of_shop = |seen: &Seen| seen.first_line().starts_with("PUT ").then(|| seen.header("idempotency-key"));
        let kept: Vec<_> = changes.map(|seen| of_shop(&seen)).collect();
        let keys: HashSet<_> = kept.iter().flatten().collect();
        assert!(keys.iter().all(|key| key.len() == 1), "{keys:?}");
        keys.len() + kept.iter().filter(|key| key.is_none()).count()
    }
}

impl Trial {
    fn run(&self, args: &[&str]) -> Ran {
        ringfence(self.folder.path(), args, b"")
    }

    fn again(&self) -> Ran {
        ringfence(self.folder.path(), &self.args, b"")
    }

    fn strike(&self, place: &Place, fault: Fault) -> Struck {
        strike(self.folder.path(), &self.args, place, fault)
    }

    /// The entries, of a log that verifies.
    #[track_caller]
    fn verified(&self) -> Vec<Value> {
        self.run(&["log", "verify"]).code(0);
        let export = self.run(&["log", "export"]);
        export.code(0).text().lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
    }

    fn file(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.folder.path().to_owned() } else { self.folder.path().join(name) }
    }
}

/// Every place of a scenario, one after the other: of each name of call, at each of these files and at any, the first, the
/// second, the third… until there are no more. `attempt` says whether there was one. A sample takes one in `step`.
fn sweep(
    calls: &[&'static str],
    files: &[&str],
    step: usize,
    mut attempt: impl FnMut(&'static str, Option<&str>, usize) -> bool,
) {
    for calls in calls {
        for file in files.iter().map(|file| Some(*file)).chain([None]) {
            let mut nth = 1;
            while attempt(calls, file, nth) {
                nth += if is_whole() { 1 } else { step };
            }
        }
    }
}

/// What was hit, of what there was.
#[derive(Default)]
struct Coverage {
    hit: BTreeSet<Operation>,
    runs: usize,
}

impl Coverage {
    fn add(&mut self, struck: &Struck) {
        self.runs += 1;
        self.hit.extend(struck.hit.clone());
    }

    fn print(&self, name: &str, made: &BTreeSet<Operation>) {
        if !is_whole() {
            return;
        }
        let missed: Vec<_> =
            made.difference(&self.hit).map(|(call, file, nth)| format!("{call} {file} {nth}")).collect();
        println!(
            "{name}: {} runs, {} of {} operations hit; not: {}",
            self.runs,
            made.len() - missed.len(),
            made.len(),
            missed.join(", ")
        );
    }
}

/// How far a call had come by what is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Come {
    Nowhere,
    Begun,
    Finished,
}

fn come(entries: &[Value], warm: usize) -> Come {
    let count = |kind: &str| entries[warm..].iter().filter(|entry| entry["kind"] == kind).count();
    match (count("begun"), count("finished")) {
        (0, 0) => Come::Nowhere,
        (1, 0) => Come::Begun,
        (1, 1) => Come::Finished,
        other => panic!("{other:?}: {entries:?}"),
    }
}

/// What must hold of a call that was struck, whatever struck it, and of the same call made again.
fn holds(lab: &Lab, class: Class, name: &str, trial: &Trial, struck: &Ran) -> Come {
    let warm = lab.before.entries().len();
    let entries = trial.verified();
    let (come, before) = (come(&entries, warm), lab.effects(name));
    let context = format!("{class:?} {name}: {come:?}, {before} effects, {struck:?}");
    assert!(before <= 1, "{context}");
    assert!(before == 0 || come != Come::Nowhere, "an effect without an intent: {context}");
    assert!(!struck.text().contains("done") || come == Come::Finished, "answered and not on record: {context}");
    let again = trial.again();
    let runs_once = usize::from(!matches!(class, Class::Pure | Class::Reads));
    match (class, come) {
        (Class::Pure, Come::Begun) => panic!("an intent that waits for nothing: {context}"),
        (Class::Blind, Come::Begun) => {
            again.code(3).says("denied.effect-unknown");
            assert_eq!(lab.effects(name), before, "{context}");
        }
        // Whatever it came to is what it comes to, the tool's own failure as well.
        (_, Come::Finished) if struck.code == 4 => {
            again.code(4);
            assert_eq!(lab.effects(name), before, "{context}");
        }
        // It runs, runs again, is found to have run, or is on record.
        _ => {
            again.code(0);
            assert_eq!(lab.effects(name), runs_once, "{context}");
        }
    }
    // And once more: whatever it came to, that stays.
    let (after, third) = (lab.effects(name), trial.again());
    assert_eq!((third.code, lab.effects(name)), (again.code, after), "{context}");
    let ended = trial.verified();
    let count = |kind: &str| ended.iter().filter(|entry| entry["kind"] == kind).count();
    assert_eq!(count("begun"), count("finished"), "{context}");
    come
}

#[test]
fn killed_at_any_operation_the_table_holds() {
    // CR-01, CR-02, CR-03, CR-04, CR-05, CR-06, CR-07, CR-08, CR-09, CR-10, CR-11, CR-12, CR-13, CR-14, CR-15, CR-16, CR-17,
    // CR-18, CR-20, CR-21
    let lab = Lab::new();
    let calls = sampled(&CALLS, &["pwrite64", "fsync,fdatasync", "?rename,?renameat,?renameat2"]);
    for class in sampled(&CLASSES, &[Class::Blind, Class::Queryable]) {
        let trial = lab.trial(lab.call(class, "traced"));
        let made = operations(trial.folder.path(), &trial.args, ALL);
        let (mut coverage, mut seen) = (Coverage::default(), BTreeSet::new());
        sweep(&calls, &sampled(&FILES, &FILES[..1]), 9, |calls, file, nth| {
            let name = format!("{class:?}-{}", coverage.runs);
            let trial = lab.trial(lab.call(class, &name));
            let place = Place { calls, file: file.map(|file| trial.file(file)), nth };
            let struck = trial.strike(&place, Fault::Kill);
            coverage.add(&struck);
            if struck.hit.is_some() {
                seen.insert(format!("{:?}", holds(&lab, class, &name, &trial, &struck.ran)));
            }
            struck.hit.is_some()
        });
        coverage.print(&format!("killed, {class:?}"), &made);
        let wanted: &[_] =
            if class == Class::Pure { &["Finished", "Nowhere"] } else { &["Begun", "Finished", "Nowhere"] };
        assert!(!is_whole() || seen.iter().eq(wanted), "{class:?}: {seen:?}");
    }
}

#[test]
fn failed_sync_is_never_taken_for_done() {
    // CR-23
    let lab = Lab::new();
    for class in sampled(&CLASSES, &[Class::Blind]) {
        let mut coverage = Coverage::default();
        sweep(&["fsync,fdatasync"], &sampled(&FILES, &FILES[..1]), 1, |calls, file, nth| {
            let name = format!("{class:?}-{}", coverage.runs);
            let trial = lab.trial(lab.call(class, &name));
            let place = Place { calls, file: file.map(|file| trial.file(file)), nth };
            let struck = trial.strike(&place, Fault::Error("EIO"));
            coverage.add(&struck);
            if struck.hit.is_some() {
                holds(&lab, class, &name, &trial, &struck.ran);
            }
            struck.hit.is_some()
        });
        coverage.print(&format!("EIO, {class:?}"), &coverage.hit);
    }
}

#[test]
fn full_disk_acknowledges_nothing_it_lost() {
    // CR-22, AUD-19: from some write on there is no room, and later there is.
    let lab = Lab::new();
    for class in sampled(&CLASSES, &[Class::Blind]) {
        let mut coverage = Coverage::default();
        sweep(&["pwrite64"], &[], 5, |calls, _, nth| {
            let name = format!("{class:?}-{}", coverage.runs);
            let trial = lab.trial(lab.call(class, &name));
            let struck = trial.strike(&Place { calls, file: None, nth }, Fault::ErrorFromThen("ENOSPC"));
            coverage.add(&struck);
            if struck.hit.is_some() {
                let come = holds(&lab, class, &name, &trial, &struck.ran);
                if come != Come::Finished {
                    struck.ran.code(1).fails_well().says("the disk that holds the log is full");
                }
            }
            struck.hit.is_some()
        });
        coverage.print(&format!("ENOSPC, {class:?}"), &coverage.hit);
    }
}

/// A home in which something was cut off, and a command that sees to it.
struct Upkeep {
    name: &'static str,
    home: Home,
    args: Vec<String>,
    /// The exit code of the command if it had been done already.
    done: i32,
}

fn cut_off(home: &Home) -> String {
    let tool = effect(home, "(loop $l (br $l))");
    let work = home.folder("work");
    let child = start(home, &owned(&["run", &tool, "--ring", "2", "--idempotency-key", "k", "--dir", &rw(&work)]));
    wait_for(|| effects(&work) == 1);
    kill(child);
    only(home, "begun")["body"]["call"].as_str().expect("a call").to_owned()
}

fn upkeeps() -> Vec<Upkeep> {
    let upkeep = |name, args: &[&str], done| Upkeep { name, home: Home::new(), args: owned(args), done };
    let recovery = upkeep("recovery", &["log", "checkpoint"], 0);
    cut_off(&recovery.home);
    let mut settlement = upkeep("settlement", &["ledger", "settle", "--committed", "--reason", "x"], 3);
    settlement.args.push(cut_off(&settlement.home));
    let rotation = upkeep("rotation", &["key", "rotate"], 0);
    let session = upkeep("session", &["session", "open", "a"], 0);
    vec![recovery, settlement, rotation, session]
}

#[test]
fn upkeep_that_is_struck_goes_on_the_next_time() {
    // CR-15, CR-16, CR-17, CR-22, CR-23, CR-26, CR-27
    let calls = sampled(&CALLS, &CALLS[2..]);
    for Upkeep { name, home, args, done } in upkeeps() {
        let trial = || {
            let folder = tempfile::tempdir().expect("a folder");
            copy(&home.path(), folder.path());
            Trial { folder, args: args.clone() }
        };
        let made = operations(trial().folder.path(), &args, ALL);
        let full = Fault::ErrorFromThen("ENOSPC");
        for (fault, calls) in [(Fault::Kill, &calls[..]), (Fault::Error("EIO"), &CALLS[3..4]), (full, &CALLS[1..3])] {
            let mut coverage = Coverage::default();
            sweep(calls, &[], 16, |calls, _, nth| {
                let trial = trial();
                let struck = trial.strike(&Place { calls, file: None, nth }, fault);
                coverage.add(&struck);
                if struck.hit.is_some() {
                    let before = trial.verified().len();
                    let again = trial.again();
                    let context = format!("{name}, {fault:?}, {:?}: {:?}, then {again:?}", struck.hit, struck.ran);
                    assert!(again.code == 0 || again.code == done, "{context}");
                    let entries = trial.verified();
                    assert!(struck.ran.code != 0 || before <= entries.len(), "{context}");
                    let count = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).count();
                    assert_eq!(count("begun"), count("finished"), "{context}");
                    assert_eq!(count("settled"), usize::from(name == "settlement"), "{context}");
                    trial.run(&["run", TOOL_ECHO, "nothing"]).code(0);
                    trial.verified();
                }
                struck.hit.is_some()
            });
            coverage.print(&format!("{name}, {fault:?}"), if fault == Fault::Kill { &made } else { &coverage.hit });
        }
    }
}

#[test]
fn interrupted_operations_are_made_again() {
    // CR-25
    let lab = Lab::new();
    for calls in ["openat", "pwrite64"] {
        for nth in [1, 3, 7, 12] {
            let name = format!("eintr-{calls}-{nth}");
            let trial = lab.trial(lab.call(Class::Blind, &name));
            let struck = trial.strike(&Place { calls, file: None, nth }, Fault::Error("EINTR"));
            assert!(struck.hit.is_some(), "{calls} {nth}");
            // What the system's own loader does with it is not ours to say.
            if struck.ran.code == 0 {
                assert_eq!(holds(&lab, Class::Blind, &name, &trial, &struck.ran), Come::Finished);
            } else {
                assert_eq!(calls, "openat", "{struck:?}");
                holds(&lab, Class::Blind, &name, &trial, &struck.ran);
            }
        }
    }
}

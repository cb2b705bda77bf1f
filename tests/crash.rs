//! The crash sweep: the real binary is killed, or its disk fails it, at each write, sync, rename and open in turn; then
//! everything must verify, and what happens next must be what the effect class of the call says.
//!
//! What a call did is counted outside, by a web server that keeps every request. A sample is taken by default;
//! `RINGFENCE_CRASH_SWEEP=1` tries every place there is, two at a time, and says on standard error how far it is and how many
//! those were.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

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
use crate::harness::fault::Threads;
use crate::harness::fault::operations;
use crate::harness::fault::strike;
use crate::harness::ringfence;
use crate::harness::web::Answer;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// Calls of one class, a home as it is before each crash, and the server that counts.
struct Lab {
    class: Class,
    before: Home,
    /// Entries of its log.
    entries: usize,
    web: Web,
}

/// A copy of a home, in which something happens once.
struct Trial {
    folder: TempDir,
    args: Vec<String>,
}

/// A shop, which knows an order again.
fn shop() -> impl Fn(&Seen) -> Answer + Send + Sync {
    let orders = Mutex::new(HashSet::new());
    move |seen: &Seen| {
        let mut orders = orders.lock().expect("the orders");
        match seen.first_line().split(' ').next() {
            Some("GET") if orders.contains(&seen.path()) => ok("done"),
            Some("GET") => answer("404 Not Found", "", ""),
            _ => {
                orders.insert(seen.path());
                ok("done")
            }
        }
    }
}

impl Lab {
    fn new(class: Class) -> Self {
        let before = Home::new();
        before.file("docs/a.txt", "read");
        let mut lab = Self { class, before, entries: 0, web: Web::new(shop()) };
        // What is compiled once is compiled before, so that each trial does the same.
        lab.before.run(lab.call("warm")).code(0);
        lab.entries = lab.before.entries().len();
        lab
    }

    /// One for each class, or for those that a sample takes.
    fn of(sample: &[Class]) -> Vec<Self> {
        sampled(&CLASSES, sample).into_iter().map(Self::new).collect()
    }

    /// A call; the name stands for it.
    fn call(&self, name: &str) -> Vec<String> {
        let key = format!("--idempotency-key=key {name}");
        let rest = match self.class {
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
                let function = if self.class == Class::Queryable { "place" } else { "reserve" };
                let shop = format!("http://127.0.0.1:{}", self.web.port());
                let input = json!({ "shop": shop, "order": name, "item": "x" });
                let rule = format!("--http=GET,PUT,POST {shop}/");
                owned(&[TOOL_ORDERS, function, "--ring", "1", "--input", &input.to_string(), &rule])
            }
        };
        [owned(&["run"]), rest, vec![key]].concat()
    }

    fn trial(&self, name: &str) -> Trial {
        Trial::new(&self.before, self.call(name))
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
    fn new(home: &Home, args: Vec<String>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        copy(&home.path(), folder.path());
        Self { folder, args }
    }

    fn run(&self, args: &[&str]) -> Ran {
        ringfence(self.folder.path(), args, b"")
    }

    fn again(&self) -> Ran {
        ringfence(self.folder.path(), &self.args, b"")
    }

    fn strike(&self, row: Row, nth: usize, fault: Fault) -> Struck {
        let file = row.file.map(|name| self.file(name));
        strike(self.folder.path(), &self.args, &Place { calls: row.calls, file, nth, threads: row.threads }, fault)
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

/// Places of a scenario: of these calls, on this file or on any, the first, the second, the third… until there are no more.
#[derive(Clone, Copy, Debug)]
struct Row {
    calls: &'static str,
    file: Option<&'static str>,
    threads: Threads,
}

impl Row {
    fn new(calls: &'static str, file: Option<&'static str>) -> Self {
        Self { calls, file, threads: Threads::All }
    }
}

/// A row for each name of call at each of these files, one at any, and one of the first thread at any.
fn rows(calls: &[&'static str], files: &[&'static str]) -> Vec<Row> {
    let of = |calls| {
        let any = Row::new(calls, None);
        let first = is_whole().then_some(Row { threads: Threads::First, ..any });
        files.iter().map(move |file| Row::new(calls, Some(file))).chain([any]).chain(first)
    };
    calls.iter().flat_map(|calls| of(*calls)).collect()
}

/// What was hit, of what there was.
#[derive(Clone, Default)]
struct Coverage {
    hit: BTreeSet<Operation>,
    runs: usize,
}

impl Coverage {
    fn print(&self, name: &str, made: &BTreeSet<Operation>) {
        let missed: Vec<_> =
            made.difference(&self.hit).map(|(call, file, nth)| format!("{call} {file} {nth}")).collect();
        let hit = made.len() - missed.len();
        tell(&format!(
            "{name}: {} runs, {hit} of {} operations hit; not: {}",
            self.runs,
            made.len(),
            missed.join(", ")
        ));
    }
}

/// Says how far a whole sweep is, past what keeps the output of tests back.
fn tell(line: &str) {
    if is_whole() {
        writeln!(std::io::stderr(), "{line}").expect("standard error");
    }
}

/// Every row of every subject, two at a time. `attempt` strikes at a place, under a name that is used once, and checks what
/// came of it; the row ends where there was nothing to hit. A sample takes one place in `step`.
fn sweep<S: Sync>(
    name: &str,
    subjects: &[S],
    rows: &[Row],
    step: usize,
    attempt: impl Fn(&S, Row, usize, &str) -> Struck + Sync,
) -> Vec<Coverage> {
    let coverage = Mutex::new(vec![Coverage::default(); subjects.len()]);
    let (next, started) = (AtomicUsize::new(0), Instant::now());
    let row = |subject: usize, row: usize, place: Row| {
        let mut nth = 1;
        loop {
            let struck = attempt(&subjects[subject], place, nth, &format!("{name}-{row}-{nth}"));
            let mut coverage = coverage.lock().expect("the coverage");
            coverage[subject].runs += 1;
            coverage[subject].hit.extend(struck.hit.clone());
            if struck.hit.is_none() {
                return coverage.iter().map(|coverage| coverage.runs).sum::<usize>();
            }
            nth += if is_whole() { 1 } else { step };
        }
    };
    let work = || loop {
        let at = next.fetch_add(1, SeqCst);
        let (index, subject) = (at / subjects.len(), at % subjects.len());
        let Some(place) = rows.get(index) else { break };
        let runs = row(subject, index, *place);
        tell(&format!("{name}: subject {subject}, {place:?} done; {runs} runs in {} s", started.elapsed().as_secs()));
    };
    std::thread::scope(|scope| {
        (0..if is_whole() { 2 } else { 1 }).for_each(|_| drop(scope.spawn(work)));
    });
    coverage.into_inner().expect("the coverage")
}

/// How far a call had come by what is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
fn holds(lab: &Lab, name: &str, trial: &Trial, struck: &Ran) -> Come {
    let class = lab.class;
    let entries = trial.verified();
    let (come, before) = (come(&entries, lab.entries), lab.effects(name));
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
    let calls = sampled(&CALLS, &["pwrite64", "fsync,fdatasync", "?rename,?renameat,?renameat2"]);
    let labs = Lab::of(&[Class::Blind, Class::Queryable]);
    let seen = Mutex::new(BTreeSet::new());
    let rows = rows(&calls, &sampled(&FILES, &FILES[..1]));
    let coverage = sweep("killed", &labs, &rows, 9, |lab, row, nth, name| {
        let trial = lab.trial(name);
        let struck = trial.strike(row, nth, Fault::Kill);
        if struck.hit.is_some() {
            let come = holds(lab, name, &trial, &struck.ran);
            seen.lock().expect("what was seen").insert((lab.class, come));
        }
        struck
    });
    for (lab, coverage) in labs.iter().zip(coverage).filter(|_| is_whole()) {
        let (class, trial) = (&lab.class, lab.trial("traced"));
        coverage.print(&format!("killed, {class:?}"), &operations(trial.folder.path(), &trial.args, ALL));
        // Every row of the table was met, but for what a pure call can't come to.
        for come in [Come::Nowhere, Come::Begun, Come::Finished] {
            let is_met = seen.lock().expect("what was seen").contains(&(*class, come));
            assert_eq!(is_met, (*class, come) != (Class::Pure, Come::Begun), "{class:?} {come:?}");
        }
    }
}

#[test]
fn failed_sync_is_never_taken_for_done() {
    // CR-23
    let labs = Lab::of(&[Class::Blind]);
    let rows = rows(&["fsync,fdatasync"], &sampled(&FILES, &FILES[..1]));
    let coverage = sweep("EIO", &labs, &rows, 1, |lab, row, nth, name| {
        let trial = lab.trial(name);
        let struck = trial.strike(row, nth, Fault::Error("EIO"));
        if struck.hit.is_some() {
            holds(lab, name, &trial, &struck.ran);
        }
        struck
    });
    labs.iter()
        .zip(coverage)
        .for_each(|(lab, coverage)| coverage.print(&format!("EIO, {:?}", lab.class), &coverage.hit));
}

#[test]
fn full_disk_acknowledges_nothing_it_lost() {
    // CR-22, AUD-19: from some write on there is no room, and later there is.
    let labs = Lab::of(&[Class::Blind]);
    let rows = rows(&sampled(&["pwrite64", "pwrite64,ftruncate"], &["pwrite64"]), &[]);
    let coverage = sweep("ENOSPC", &labs, &rows, 5, |lab, row, nth, name| {
        let trial = lab.trial(name);
        let struck = trial.strike(row, nth, Fault::ErrorFromThen("ENOSPC"));
        if struck.hit.is_some() {
            let come = holds(lab, name, &trial, &struck.ran);
            if come != Come::Finished {
                struck.ran.code(1).fails_well().says("the disk that holds the log is full");
            }
        }
        struck
    });
    labs.iter()
        .zip(coverage)
        .for_each(|(lab, coverage)| coverage.print(&format!("ENOSPC, {:?}", lab.class), &coverage.hit));
}

#[test]
fn no_memory_ends_a_call_without_blame() {
    // CR-29: the system refuses a mapping: for the code, a pool, a thread, an instance.
    let labs = Lab::of(&[Class::Blind]);
    let rows = rows(&["mmap"], &[]);
    let coverage = sweep("ENOMEM", &labs, &rows, 3, |lab, row, nth, name| {
        let trial = lab.trial(name);
        let struck = trial.strike(row, nth, Fault::Error("ENOMEM"));
        if struck.hit.is_some() {
            holds(lab, name, &trial, &struck.ran);
            let blamed =
                trial.verified().into_iter().skip(lab.entries).find(|entry| entry["body"]["outcome"] == "trapped");
            assert_eq!(blamed, None, "{struck:?}");
        }
        struck
    });
    labs.iter()
        .zip(coverage)
        .for_each(|(lab, coverage)| coverage.print(&format!("ENOMEM, {:?}", lab.class), &coverage.hit));
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
    let upkeeps = upkeeps();
    let full = Fault::ErrorFromThen("ENOSPC");
    for (fault, calls) in [
        (Fault::Kill, sampled(&CALLS, &CALLS[2..])),
        (Fault::Error("EIO"), CALLS[3..4].to_vec()),
        (full, CALLS[1..3].to_vec()),
    ] {
        let name = format!("{fault:?}");
        let coverage = sweep(&name, &upkeeps, &rows(&calls, &[]), 16, |upkeep, row, nth, _| {
            let trial = Trial::new(&upkeep.home, upkeep.args.clone());
            let struck = trial.strike(row, nth, fault);
            if struck.hit.is_some() {
                goes_on(upkeep, &trial, &struck);
            }
            struck
        });
        for (upkeep, coverage) in upkeeps.iter().zip(coverage).filter(|_| is_whole()) {
            let trial = Trial::new(&upkeep.home, upkeep.args.clone());
            let made = operations(trial.folder.path(), &trial.args, ALL);
            coverage
                .print(&format!("{}, {name}", upkeep.name), if fault == Fault::Kill { &made } else { &coverage.hit });
        }
    }
}

/// What was struck is done the next time, once, and the log is one that verifies and is written to.
fn goes_on(upkeep: &Upkeep, trial: &Trial, struck: &Struck) {
    let before = trial.verified().len();
    let again = trial.again();
    let context = format!("{}, {:?}: {:?}, then {again:?}", upkeep.name, struck.hit, struck.ran);
    assert!(again.code == 0 || again.code == upkeep.done, "{context}");
    let entries = trial.verified();
    assert!(struck.ran.code != 0 || before <= entries.len(), "{context}");
    let count = |kind: &str| entries.iter().filter(|entry| entry["kind"] == kind).count();
    assert_eq!(count("begun"), count("finished"), "{context}");
    assert_eq!(count("settled"), usize::from(upkeep.name == "settlement"), "{context}");
    trial.run(&["run", TOOL_ECHO, "nothing"]).code(0);
    trial.verified();
}

#[test]
fn interrupted_operations_are_made_again() {
    // CR-25
    let lab = Lab::new(Class::Blind);
    for calls in ["openat", "pwrite64"] {
        for nth in [1, 3, 7, 12] {
            let name = format!("eintr-{calls}-{nth}");
            let trial = lab.trial(&name);
            let struck = trial.strike(Row::new(calls, None), nth, Fault::Error("EINTR"));
            assert!(struck.hit.is_some(), "{calls} {nth}");
            // What the system's own loader does with it is not ours to say.
            if struck.ran.code == 0 {
                assert_eq!(holds(&lab, &name, &trial, &struck.ran), Come::Finished);
            } else {
                assert_eq!(calls, "openat", "{struck:?}");
                holds(&lab, &name, &trial, &struck.ran);
            }
        }
    }
}

//! Faults of the system below the real binary: it is killed at a system call, or the call fails, by `strace`.
//!
//! `strace` counts the calls of each thread by itself. So a fault is at the n-th call of whichever thread gets that far
//! first; one file's calls can be counted alone, and those of the first thread, which another may be ahead of. What was hit
//! is read from the trace and not guessed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::Ran;
use crate::harness::command;
use crate::harness::finish;

/// What happens at a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with this error, once.
    Error(&'static str),
    /// It fails so from then on.
    ErrorFromThen(&'static str),
    /// The process is killed before the call does anything.
    Kill,
}

/// Whose calls count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    All,
    First,
}

/// Where a fault is put.
#[derive(Clone, Debug)]
pub struct Place {
    /// Names of system calls, as `strace` takes them; one that this machine doesn't have is passed over.
    pub calls: &'static str,
    /// Only calls on this file count.
    pub file: Option<PathBuf>,
    /// Which of them, from 1.
    pub nth: usize,
    pub threads: Threads,
}

/// A system call, by its name, the kind of file it was on and by which thread, and how many of those it made until then.
pub type Operation = (String, String, usize);

/// What came of a run with a fault in it.
#[derive(Debug)]
pub struct Struck {
    pub ran: Ran,
    /// The call that was hit; none if there were fewer, and so the command was left alone.
    pub hit: Option<Operation>,
}

/// Runs the binary with a fault at a place.
pub fn strike<S: AsRef<OsStr>>(home: &Path, args: impl IntoIterator<Item = S>, place: &Place, fault: Fault) -> Struck {
    let what = match fault {
        Fault::Error(error) => format!("error={error}:when={}", place.nth),
        Fault::ErrorFromThen(error) => format!("error={error}:when={}+", place.nth),
        Fault::Kill => format!("signal=KILL:when={}", place.nth),
    };
    let inject = format!("inject={}:{what}", place.calls);
    let mut more = vec![OsStr::new("-e"), OsStr::new(&inject)];
    more.extend(place.file.iter().flat_map(|file| [OsStr::new("-P"), file.as_os_str()]));
    more.extend((place.threads == Threads::All).then_some(OsStr::new("-f")));
    let (ran, trace) = trace(home, args, place.calls, &more);
    let (_, hit) = read(&trace, home, Some(fault));
    // Whoever is killed by a signal has no code; `strace` ends as the command did.
    let hit = hit.filter(|_| fault != Fault::Kill || ran.code == -1);
    Struck { ran, hit }
}

/// Every call of these names that a run makes which nothing happens to.
pub fn operations<S: AsRef<OsStr>>(home: &Path, args: impl IntoIterator<Item = S>, calls: &str) -> BTreeSet<Operation> {
    let (ran, trace) = trace(home, args, calls, &[OsStr::new("-f")]);
    ran.code(0);
    read(&trace, home, None).0
}

fn trace<S: AsRef<OsStr>>(
    home: &Path,
    args: impl IntoIterator<Item = S>,
    calls: &str,
    more: &[&OsStr],
) -> (Ran, String) {
    assert!(can_trace(), "these tests need `strace`, and to be allowed to trace: `strace true` does not run here");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let binary = command(home, args);
    let mut traced = Command::new("strace");
    traced
        .args(["-qq", "-y", "-s", "0", "--decode-pids=comm", "-e"])
        .arg(format!("trace={calls}"))
        .arg("-o")
        .arg(file.path());
    traced.args(more).arg("--").arg(binary.get_program()).args(binary.get_args()).env_clear();
    traced.envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = finish(traced, b"");
    (ran, std::fs::read_to_string(file.path()).expect("a trace"))
}

fn can_trace() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    })
}

/// The calls in a trace, and the one that was hit by a fault.
fn read(trace: &str, home: &Path, fault: Option<Fault>) -> (BTreeSet<Operation>, Option<Operation>) {
    let (mut counts, mut last) = (BTreeMap::new(), BTreeMap::new());
    let (mut made, mut hit) = (BTreeSet::new(), None);
    for line in trace.lines() {
        let (thread, said) = thread(line);
        if let Some((name, arguments)) = said.split_once('(').filter(|(name, _)| is_name(name)) {
            let key = (name.to_owned(), format!("{} by {thread}", kind(arguments, home)));
            let count = counts.entry(key.clone()).or_insert(0);
            *count += 1;
            last.insert(thread.to_owned(), (key.0.clone(), key.1.clone(), *count));
            made.insert((key.0, key.1, *count));
        }
        let is_hit = match fault {
            // A call that its process did not survive comes to no result; one that was interrupted in the trace may.
            Some(Fault::Kill) => said.ends_with("= ?") || said.ends_with("...>"),
            Some(Fault::Error(_) | Fault::ErrorFromThen(_)) => said.ends_with("(INJECTED)") && hit.is_none(),
            None => false,
        };
        if is_hit {
            hit = last.get(thread).cloned();
        }
    }
    (made, hit)
}

/// The name of the thread that a line is about, and the rest. Where only the first thread is traced, lines don't say.
fn thread(line: &str) -> (&str, &str) {
    let named = line.split_once("> ").and_then(|(thread, said)| {
        let (pid, name) = thread.split_once('<')?;
        pid.bytes().all(|byte| byte.is_ascii_digit()).then_some((name, said.trim_start()))
    });
    named.filter(|_| line.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(("ringfence", line))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What kind of file a call is on: its path in the home without what differs each time, or `elsewhere`.
fn kind(arguments: &str, home: &Path) -> String {
    let home = home.to_string_lossy();
    let Some((_, rest)) = arguments.split_once(&*home) else { return "elsewhere".to_owned() };
    let name: String = rest.chars().take_while(|c| !matches!(c, '"' | '>' | '<' | ',')).collect();
    let name = name.trim_start_matches('/');
    match name.split_once(".head-") {
        Some((folder, _)) => format!("{folder}.head-*"),
        None => name.split_once('/').map_or(name, |(folder, _)| folder).to_owned(),
    }
}

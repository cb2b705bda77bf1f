//! What the tests share: a fresh home, the real binary, and what must hold after every run of it.

pub mod agent;
mod attack;
mod compiled;
pub mod dns;
pub mod fault;
pub mod flow;
pub mod network;
pub mod policies;
pub mod postgres;
mod registry;
pub mod server;
pub mod sigstore;
mod stamp;
pub mod tls;
pub mod tools;
pub mod web;

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

pub use crate::harness::attack::SECRET;
pub use crate::harness::compiled::ENGINE;
pub use crate::harness::registry::Lie;
pub use crate::harness::registry::Registry;

/// A component that answers with the sum of two numbers; at the root, without any interface.
pub const ADD: &str = r#"(component
    (core module $m
        (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
    (core instance $i (instantiate $m))
    (func (export "add") (param "a" s32) (param "b" s32) (result s32) (canon lift (core func $i "add"))))"#;

/// A fresh, initialised home in a folder of its own. Everything a test needs beside it goes into [`Home::folder`].
pub struct Home {
    root: TempDir,
}

/// What a run of the binary left.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub elapsed: Duration,
    /// The most memory it had, as far as looking now and then can tell; zero where the system doesn't say.
    pub peak_kib: u64,
}

impl Home {
    /// A folder with an initialised home in it.
    pub fn new() -> Self {
        Self::made_with(&[])
    }

    /// The same, made with more arguments.
    pub fn made_with(args: &[&str]) -> Self {
        let home = Self::none();
        home.init(args);
        compiled::share(&home.path());
        home
    }

    /// One that has nothing compiled, for tests that are about that.
    pub fn cold() -> Self {
        let home = Self::none();
        home.init(&[]);
        home
    }

    fn init(&self, args: &[&str]) {
        self.run(["init", "--origin", "test.example/log"].iter().chain(args)).code(0);
    }

    /// The same home on another host: what an operator copies of it.
    pub fn on_another_host(&self) -> Self {
        let home = Self::none();
        for folder in ["keys", "cache", "tools"] {
            std::fs::create_dir_all(home.path().join(folder)).expect("a folder");
        }
        for file in ["keys/log.key", "keys/cache.key", "ringfence.toml", "log.head"] {
            std::fs::copy(self.path().join(file), home.path().join(file)).expect("a copy");
        }
        compiled::share(&home.path());
        home
    }

    /// A folder without a home in it.
    pub fn none() -> Self {
        Self { root: tempfile::tempdir().expect("a folder") }
    }

    /// The home itself.
    pub fn path(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// A folder beside the home, created if it is not there.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.root.path().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    /// A file beside the home.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// Replaces the configuration.
    pub fn configure(&self, toml: &str) {
        std::fs::write(self.path().join("ringfence.toml"), toml).expect("the configuration");
    }

    /// Runs the binary with this home.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        ringfence(&self.path(), args, b"")
    }

    /// Runs the binary with this home and a standard input.
    pub fn run_with_stdin<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, stdin: &[u8]) -> Ran {
        ringfence(&self.path(), args, stdin)
    }

    /// `run FILE args… --format json`, parsed. What comes after `--` in `args` stays the tool's.
    pub fn call(&self, tool: &str, args: &[&str]) -> (Ran, Value) {
        let all = ["run", tool, "--format", "json"].into_iter().chain(args.iter().copied());
        let ran = self.run(all);
        let value = ran.json();
        (ran, value)
    }

    /// The entries of the log, oldest first.
    pub fn entries(&self) -> Vec<Value> {
        let export = self.run(["log", "export"]);
        export.code(0);
        export.text().lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
    }

    /// Runs what must not work, for people and for programs: the exit code, one message in the style of an error and a
    /// hint, the same both times. Returns the message. A refusal by policy or ring says `denied:` instead of `error:`.
    #[track_caller]
    pub fn refuses<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, code: i32) -> String {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let ran = self.run(&args);
        ran.code(code);
        let prefix = if code == 3 { "denied: " } else { "error: " };
        let said: Vec<_> = ran.stderr.lines().filter_map(|line| line.strip_prefix(prefix)).collect();
        let [said] = said[..] else { panic!("not one `{prefix}`: {}", ran.stderr) };
        assert!(!said.starts_with(char::is_uppercase) && !said.ends_with('.'), "{said}");
        assert!(!said.contains("0x7f") && !said.contains("rusqlite") && !said.contains("wasmtime::"), "{said}");
        assert!(ran.stderr.contains("\nhint: ") || code == 3, "no hint: {}", ran.stderr);
        let for_programs = self.run(
            [OsStr::new("--format"), OsStr::new("json")]
                .into_iter()
                .chain(args.iter().map(std::ffi::OsString::as_os_str)),
        );
        for_programs.code(code);
        let value = for_programs.json();
        let error = if value["outcome"].is_null() { &value["error"] } else { &value["outcome"]["error"] };
        let message = error["message"].as_str().expect("a message");
        // A call's id and an entry's index differ each time.
        let alike = said.starts_with(message) || message.contains("call_");
        assert!(alike, "for people: {said}\nfor programs: {message}");
        assert!(error["code"].is_string(), "{error}");
        assert!(code == 3 || error["hints"].as_array().is_some_and(|hints| !hints.is_empty()), "no hints: {error}");
        message.to_owned()
    }

    /// U4: the log verifies. U7: the next honest call works.
    pub fn is_well(&self) {
        self.run(["log", "verify"]).code(0);
        let docs = self.file("well/a.txt", "still here");
        let dir = format!("{}::/well", docs.parent().expect("a parent").display());
        let (ran, value) = self
            .call(ringfence_artifacts::TOOL_FILES, &["read", "--input", r#"{"path":"/well/a.txt"}"#, "--dir", &dir]);
        ran.code(0);
        assert_eq!(value["outcome"]["value"], "still here");
    }
}

/// Runs the binary. U1: it never panics, and never shows a backtrace.
pub fn ringfence<S: AsRef<OsStr>>(home: &Path, args: impl IntoIterator<Item = S>, stdin: &[u8]) -> Ran {
    finish(command(home, args), stdin)
}

/// The binary as a command, for tests that need more of it: another environment, a limit, a signal.
pub fn command<S: AsRef<OsStr>>(home: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.env_clear().env("RINGFENCE_HOME", home).env("PATH", "/usr/bin:/bin").args(args);
    command
}

/// The verifier, which is a package of its own, built beside the binary once.
pub fn verifier() -> &'static Path {
    static VERIFIER: OnceLock<PathBuf> = OnceLock::new();
    VERIFIER.get_or_init(|| {
        let profile = Path::new(env!("CARGO_BIN_EXE_ringfence")).parent().expect("a folder");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "--offline", "-p", "ringfence-verify", "--target-dir"]);
        cargo.arg(profile.parent().expect("the target folder")).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs").success(), "the verifier does not build");
        profile.join("ringfence-verify")
    })
}

/// Runs the verifier, which gets nothing but its arguments.
pub fn verify<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    let mut command = Command::new(verifier());
    command.env_clear().args(args);
    finish(command, b"")
}

/// What a panic leaves on the terminal.
const PANICS: [&str; 4] = ["panicked", "RUST_BACKTRACE", "a bug in ringfence", "stack backtrace"];

/// Runs a command to its end.
pub fn finish(mut command: Command, stdin: &[u8]) -> Ran {
    let started = Instant::now();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut pipe = child.stdin.take().expect("standard input");
    let stdin = stdin.to_vec();
    // Whoever does not read its input closes it; that is no concern of the test.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&stdin)));
    let pid = child.id();
    let watcher = std::thread::spawn(move || peak_kib(pid));
    let output = child.wait_with_output().expect("the binary ends");
    writer.join().expect("the writer ends");
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        elapsed: started.elapsed(),
        peak_kib: watcher.join().expect("the watcher ends"),
    };
    // What the standard library says before the command's first line is not the command's.
    let signs = if ran.stderr.contains("failed to allocate an alternative stack") { &PANICS[..0] } else { &PANICS[..] };
    for sign in signs {
        assert!(!ran.stderr.contains(sign) && !ran.text().contains(sign), "{ran:?}");
    }
    ran
}

/// Watches a process until it has ended.
fn peak_kib(pid: u32) -> u64 {
    let mut peak = 0;
    while let Some(kib) = std::fs::read_to_string(format!("/proc/{pid}/status")).ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    }) {
        peak = kib;
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}

impl Ran {
    /// Asserts the exit code.
    #[track_caller]
    pub fn code(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.text(), self.stderr);
        self
    }

    /// Asserts that standard error says something.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "`{text}` is not in: {}", self.stderr);
        self
    }

    /// Asserts the style of an error: one `error:` line, lower-case, without a final period, and a hint.
    #[track_caller]
    pub fn fails_well(&self) -> &Self {
        let errors: Vec<_> = self.stderr.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
        assert_eq!(errors.len(), 1, "{}", self.stderr);
        let first = errors[0].chars().next().expect("a message");
        assert!(!first.is_uppercase() && !errors[0].ends_with('.'), "{}", self.stderr);
        assert!(self.stderr.contains("hint: "), "{}", self.stderr);
        self
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", self.text(), self.stderr))
    }
}

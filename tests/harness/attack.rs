//! An attack: a call that means harm, and what must hold after it whatever it did.

use ringfence_model::content;
use ringfence_model::content::ContentName;
use ringfence_model::encoding;
use ringfence_runtime::ledger::backend::ContentKey;
use ringfence_runtime::ledger::backend::StoredContent;
use std::path::PathBuf;
use std::time::Duration;

use ringfence_runtime::ledger::backend::Backend as _;
use ringfence_runtime::ledger::backend::sqlite::SqliteBackend;
use serde_json::Value;

use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::command;
use crate::harness::finish;

/// In the environment of the host during every attack; no guest, output or record may hold it.
pub const SECRET: &str = "canary-3f1d8a27-of-the-environment";

/// Memory the host and its guest may have together (U2).
const PEAK_KIB_MAX: u64 = 640 * 1024;

/// How much later than its deadline a call may end on a machine that has other things to do (U3).
const LATE_MAX: Duration = Duration::from_secs(20);

impl Home {
    /// A component beside the home, from its text.
    pub fn component(&self, name: &str, wat: &str) -> String {
        let bytes = wat::parse_str(wat).unwrap_or_else(|error| panic!("{name}: {error}\n{wat}"));
        self.file(&format!("{name}.wasm"), bytes).display().to_string()
    }

    /// `--dir` for a folder beside the home, created if it is not there.
    pub fn dir(&self, name: &str, guest: &str, access: &str) -> String {
        format!("{}::{guest}:{access}", self.folder(name).display())
    }

    /// `run FILE args…` with a secret in the host's environment. Checks that the secret does not come out (U6), and that
    /// the host's memory is bounded (U2).
    pub fn attack_plainly(&self, tool: &str, args: &[&str]) -> Ran {
        let mut command = command(&self.path(), ["run", tool].iter().chain(args));
        command.env("CANARY", SECRET);
        let ran = finish(command, b"");
        assert!(!ran.text().contains(SECRET) && !ran.stderr.contains(SECRET), "the secret is out: {ran:?}");
        assert!(ran.peak_kib < PEAK_KIB_MAX, "{} KiB", ran.peak_kib);
        ran
    }

    /// The same with `--format json`. Checks that the call left exactly one ending (U4), and no secret in the record
    /// (U6), no address and no path of the host in its message (U8).
    pub fn attack(&self, tool: &str, args: &[&str]) -> (Ran, Value) {
        let all: Vec<_> = ["--format", "json"].into_iter().chain(args.iter().copied()).collect();
        let ran = self.attack_plainly(tool, &all);
        let value = ran.json();
        self.ending(&value);
        self.keeps_no_secret();
        if value["outcome"]["kind"] != "denied" {
            let message = value["outcome"]["error"]["message"].as_str().unwrap_or_default();
            let host = self.path().parent().expect("a parent").display().to_string();
            assert!(!message.contains("0x") && !message.contains(&host) && message.len() < 2_000, "{message}");
        }
        (ran, value)
    }

    /// The one entry that says how a call ended.
    pub fn ending(&self, value: &Value) -> Value {
        assert!(value["call"].is_string(), "no call was made: {value}");
        let of_call = |entry: &Value| entry["body"]["call"] == value["call"] && entry["kind"] != "begun";
        let mut endings: Vec<_> = self.entries().into_iter().filter(of_call).collect();
        assert_eq!(endings.len(), 1, "{endings:?}");
        endings.remove(0)
    }

    /// What the entry that ended a call commits to under a name, from behind the commitment.
    pub fn content(&self, value: &Value, name: &str) -> Value {
        let content = self.behind(&self.ending(value)["body"], name.parse().expect("the name of a content"));
        serde_json::from_slice(&content.bytes).expect("JSON")
    }

    /// What the entry with this body commits to under a name, from behind the commitment.
    pub fn behind(&self, body: &Value, name: ContentName) -> StoredContent {
        let entry = self.entries().into_iter().find(|entry| entry["body"] == *body).expect("an entry with this body");
        let log = SqliteBackend::open_read_only(&self.path().join("log.sqlite")).expect("the log");
        let stored = log.entry(entry["index"].as_u64().expect("an index")).expect("an answer").expect("the entry");
        let body = encoding::decode(&stored.bytes).expect("an entry").body;
        let commitment = content::commitment(&body, name).unwrap_or_else(|| panic!("no commitment to the {name}"));
        let key = ContentKey { entry: stored.index, name, commitment };
        log.content(&key).expect("the content").expect("it is stored")
    }

    /// Whether a text stands anywhere in the log, contents included.
    pub fn log_holds(&self, text: &str) -> bool {
        self.log_files().iter().any(|file| {
            let bytes = std::fs::read(file).unwrap_or_default();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }

    fn keeps_no_secret(&self) {
        assert!(!self.log_holds(SECRET), "the secret is in the log");
    }

    fn log_files(&self) -> Vec<PathBuf> {
        let names = ["log.sqlite", "log.sqlite-wal", "log.head"];
        names.iter().map(|name| self.path().join(name)).filter(|path| path.exists()).collect()
    }
}

impl Ran {
    /// U3: it ended in time.
    #[track_caller]
    pub fn within(&self, deadline: Duration) -> &Self {
        assert!(self.elapsed < deadline + LATE_MAX, "{:?} is more than {deadline:?}: {}", self.elapsed, self.stderr);
        self
    }
}

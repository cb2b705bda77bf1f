//! What people and programs see: data on standard output, everything else on standard error.

mod remarks;

use std::io;
use std::io::IsTerminal as _;
use std::io::Write as _;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

use ringfence_model::json;
use ringfence_model::outcome::is_unprintable;
use ringfence_model::time::Clock as _;
use ringfence_model::time::Timestamp;
use serde::Serialize;

use crate::args::Format;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::home::SystemClock;

/// Whether standard output still takes what is written to it.
static STDOUT: AtomicU8 = AtomicU8::new(STDOUT_OPEN);
const STDOUT_OPEN: u8 = 0;
const STDOUT_GONE: u8 = 1;
const STDOUT_FAILED: u8 = 2;

/// Where a command writes.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
    notes: Format,
}

impl Output {
    pub fn new(format: Format) -> Self {
        Self { format, notes: Format::Human }
    }

    /// The same, with remarks in another form: for people, or a line of JSON each.
    pub fn with_notes(self, notes: Format) -> Self {
        Self { notes, ..self }
    }

    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Data for people, a line.
    pub fn line(self, text: &str) {
        self.bytes(format!("{}\n", for_terminal(text.as_bytes(), io::stdout().is_terminal())).as_bytes());
    }

    /// Data as it is. A reader that has gone away is no error, and no answer either: the command goes on to its own end.
    #[expect(clippy::unused_self, reason = "the twin of `line`")]
    pub fn bytes(self, bytes: &[u8]) {
        if STDOUT.load(Ordering::Relaxed) != STDOUT_OPEN {
            return;
        }
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            let gone = error.kind() == io::ErrorKind::BrokenPipe;
            STDOUT.store(if gone { STDOUT_GONE } else { STDOUT_FAILED }, Ordering::Relaxed);
        }
    }

    /// The exit code, once everything has been printed: what could not be printed was not done.
    pub fn finish(self, exit: Exit) -> Exit {
        let exit = self.printed(exit);
        remarks::flush();
        exit
    }

    fn printed(self, exit: Exit) -> Exit {
        if STDOUT.load(Ordering::Relaxed) == STDOUT_FAILED {
            self.note("error: standard output can't be written");
            if exit == Exit::Done {
                return Exit::Environment;
            }
        }
        exit
    }

    /// What a guest wrote: as it is for a pipe or a file, made harmless for a terminal (OUT-02).
    pub fn guest_bytes(self, bytes: &[u8]) {
        if io::stdout().is_terminal() {
            self.bytes(for_terminal(bytes, true).as_bytes());
        } else {
            self.bytes(bytes);
        }
    }

    /// What a guest wrote to its standard error.
    #[expect(clippy::unused_self, reason = "the twin of `guest_bytes`")]
    pub fn guest_errors(self, bytes: &[u8]) {
        let _ = io::stderr().write_all(for_terminal(bytes, true).as_bytes());
    }

    /// One object for programs.
    pub fn json(self, value: &impl Serialize) {
        let text = serde_json::to_string_pretty(value)
            .unwrap_or_else(|error| serde_json::json!(error.to_string()).to_string());
        self.bytes(format!("{}\n", json::escaped(&text)).as_bytes());
    }

    /// Progress and remarks.
    pub fn note(self, text: &str) {
        remarks::write(self.remark(text));
    }

    /// The same from now on without waiting for whoever reads it: for what runs for long.
    pub fn notes_never_wait(self) {
        let lost = |count| format!("warning: {count} remarks are lost: nobody read standard error in time");
        remarks::start(move |count| self.remark(&lost(count)));
    }

    fn remark(self, text: &str) -> String {
        match self.notes {
            Format::Human => for_terminal(text.as_bytes(), true),
            Format::Json => logged(text, SystemClock.now()),
        }
    }

    /// What went wrong, and the exit code that says so.
    pub fn error(self, error: &CommandError) -> Exit {
        if self.is_json() {
            let CommandError { code, message, hints, .. } = error;
            self.json(&serde_json::json!({ "error": { "code": code, "message": message, "hints": hints } }));
        } else {
            self.note(&format!("error: {}", error.message));
            self.hints(&error.hints);
        }
        error.exit
    }

    /// The way out.
    pub fn hints(self, hints: &[String]) {
        for hint in hints {
            // A hint that is indented goes on from the one before: lines to copy.
            let prefix = if hint.starts_with(' ') { "" } else { "hint: " };
            self.note(&format!("{prefix}{hint}"));
        }
    }
}

/// A remark as a line of a log: when, how much it matters, and what. Nothing in it can be taken for another line (OUT-02).
fn logged(text: &str, time: Timestamp) -> String {
    let (level, message) = match text.split_once(": ") {
        Some((level @ ("error" | "hint" | "note" | "warning"), message)) => (level, message),
        _ => ("note", text),
    };
    let line = serde_json::json!({ "level": level, "message": message, "time": time.to_string() });
    json::escaped(&line.to_string())
}

/// Text for a terminal: control characters other than line ends and tabs are shown, not obeyed.
fn for_terminal(bytes: &[u8], is_terminal: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !is_terminal {
        return text.into_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) && !matches!(c, '\n' | '\t') {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remark_is_one_line_of_a_log() {
        // OUT-02
        for (text, level, message) in [
            ("warning: `a` is not offered", "warning", "`a` is not offered"),
            ("listening: 1", "note", "listening: 1"),
            ("error: a\n{\"level\":\"note\"}\x1b[2J\u{202e}", "error", "a\n{\"level\":\"note\"}\x1b[2J\u{202e}"),
        ] {
            let line = logged(text, Timestamp::from_millis(0));
            assert!(!line.contains(['\n', '\x1b', '\u{202e}']), "{line}");
            let read: serde_json::Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!((&read["level"], &read["message"]), (&level.into(), &message.into()));
            assert_eq!(read["time"], "1970-01-01T00:00:00.000Z");
        }
    }

    #[test]
    fn terminal_escapes_are_shown() {
        // OUT-02
        assert_eq!(for_terminal(b"a\x1b[2J\rb\n\tc", true), "a\\u{1b}[2J\\u{d}b\n\tc");
        assert_eq!(for_terminal("x\u{202e}y".as_bytes(), true), "x\\u{202e}y");
        assert_eq!(for_terminal(b"\x1b[2J", false), "\u{1b}[2J");
    }
}

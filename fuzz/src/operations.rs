//! Bytes to operations of the probe, and to what a policy answers, as JSON: every sequence of bytes means some.

use serde_json::Value;
use serde_json::json;

/// Operations of one run.
const OPERATIONS_MAX: usize = 24;

/// Texts that have meant something to somebody: random bytes alone would take long to find them.
const TEXTS: [&str; 32] = [
    "",
    ".",
    "..",
    "/",
    "a",
    "a/",
    "a/b",
    "../x",
    "a/../../x",
    "/etc/passwd",
    "b/.",
    "\u{0}",
    "COM1",
    "a\\b",
    "link/",
    "é",
    "http",
    "https",
    "ftp",
    "localhost",
    "127.0.0.1",
    "[::1]:80",
    "a@b",
    "a.test:443",
    "*",
    "/a?b",
    "/%2e%2e/",
    "http://x/",
    "host",
    "Transfer-Encoding",
    "content-length",
    "GET",
];

/// The operations that bytes stand for.
pub(crate) fn operations(bytes: &[u8]) -> Value {
    let mut bytes = Bytes(bytes);
    let mut operations = Vec::new();
    while !bytes.0.is_empty() && operations.len() < OPERATIONS_MAX {
        operations.push(bytes.operation());
    }
    Value::Array(operations)
}

/// What a policy that is told to do so answers at each point.
pub(crate) fn answers(bytes: &[u8]) -> Value {
    let mut bytes = Bytes(bytes);
    let points = ["admit", "call", "egress", "elevate", "result", "transcript"];
    points.into_iter().map(|point| (point.to_owned(), bytes.answer())).collect()
}

struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn operation(&mut self) -> Value {
        match self.byte() % 28 {
            0 => json!({ "open": {
                "path": self.text(),
                "path-flags": self.byte(),
                "open-flags": self.byte(),
                "descriptor-flags": self.byte(),
            } }),
            1 => json!({ "stat": self.text() }),
            2 => json!({ "read-link": self.text() }),
            3 => json!({ "make-folder": self.text() }),
            4 => json!({ "remove-folder": self.text() }),
            5 => json!({ "remove-file": self.text() }),
            6 => json!({ "rename": self.paths() }),
            7 => json!({ "link": self.paths() }),
            8 => json!({ "symlink": self.paths() }),
            9 => json!({ "list": self.text() }),
            10 => json!({ "read": self.place() }),
            11 => json!({ "write": self.place() }),
            12 => json!({ "write-stream": self.place() }),
            13 => json!({ "set-size": self.place() }),
            14 => json!({ "set-times": self.place() }),
            15 => json!({ "advise": self.place() }),
            16 => json!({ "send": self.request() }),
            17 => json!({ "look-up": self.text() }),
            18 => json!({ "connect-tcp": self.end() }),
            19 => json!({ "send-udp": self.end() }),
            20 => json!({ "read-stream": self.place() }),
            21 => json!({ "append": self.place() }),
            22 => json!({ "write-zeroes": self.place() }),
            23 => json!({ "splice": self.place() }),
            24 => json!({ "hash": self.place() }),
            25 => json!({ "wait": self.number() }),
            26 => json!({ "tune": self.number() }),
            _ => json!({ "random": self.number() }),
        }
    }

    fn answer(&mut self) -> Value {
        match self.byte() % 8 {
            0 => json!("permit"),
            1 => json!("forbid"),
            2 => json!("abstain"),
            _ => (0..self.byte() % 40).map(|_| self.obligation()).collect(),
        }
    }

    fn obligation(&mut self) -> Value {
        match self.byte() % 6 {
            0 => json!({ "is": "narrow", "fuel": self.number() }),
            1 => json!({ "is": "redact", "pointer": self.text(), "part": self.part() }),
            2 => {
                let by: Vec<_> = (0..self.byte() % 6).map(|_| self.text()).collect();
                json!({ "is": "approve", "by": by, "valid-ms": self.number(), "reason": self.text() })
            }
            3 => {
                let scope = ["host", "session", "tool", "principal-tool", "principal"][usize::from(self.byte() % 5)];
                let unit = ["fuel", "wall-ms", "calls"][usize::from(self.byte() % 3)];
                let window = ["minute", "hour", "day"][usize::from(self.byte() % 3)];
                json!({ "is": "cap", "scope": scope, "unit": unit, "window": window, "at-most": self.number() })
            }
            4 => json!({ "is": "cache", "valid-ms": self.number(), "shared": self.byte().is_multiple_of(2) }),
            _ => json!({ "is": self.text() }),
        }
    }

    fn part(&mut self) -> Value {
        match self.byte() % 3 {
            0 => json!("value"),
            1 => json!("member"),
            _ => (0..self.byte() % 12).map(|_| json!([self.number(), self.number()])).collect(),
        }
    }

    fn paths(&mut self) -> Value {
        json!({ "old": self.text(), "new": self.text() })
    }

    fn place(&mut self) -> Value {
        json!({ "path": self.text(), "offset": self.number(), "length": self.number() })
    }

    fn end(&mut self) -> Value {
        // Addresses of documentation: nothing answers there, and no rule names them.
        json!({ "address": 0xc000_0200_u32 | u32::from(self.byte()), "port": u16::from(self.byte()) })
    }

    fn request(&mut self) -> Value {
        let headers: Vec<_> = (0..self.byte() % 4).map(|_| json!([self.text(), base64(&self.text())])).collect();
        json!({
            "method": self.text(),
            "scheme": self.text(),
            "authority": self.text(),
            "path": self.text(),
            "headers": headers,
            "timeout-ns": self.number(),
            "body": base64(&self.text()),
        })
    }

    /// A text of the list, or the next few bytes read as one.
    fn text(&mut self) -> String {
        let chosen = self.byte();
        if let Some(text) = TEXTS.get(usize::from(chosen)) {
            return (*text).to_owned();
        }
        let length = usize::from(chosen % 24).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    /// A number near the edges, more often than not.
    fn number(&mut self) -> u64 {
        match self.byte() {
            0 => 0,
            1 => u64::MAX,
            2 => u64::MAX / 2,
            3 => 1 << 60,
            4 => u64::from(u32::MAX) + 1,
            byte => u64::from(byte) << (self.byte() % 56),
        }
    }

    fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }
}

/// How `list<u8>` stands in JSON.
fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

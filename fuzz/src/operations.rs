//! Bytes to operations of the probe, as JSON: every sequence of bytes means some.

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

struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn operation(&mut self) -> Value {
        match self.byte() % 21 {
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
            _ => json!({ "random": self.number() }),
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

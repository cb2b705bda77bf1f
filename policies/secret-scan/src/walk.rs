//! The body, string by string: no tree of it is built, so that its size is all it takes.

use std::borrow::Cow;

use ringfence_policy_support::canonical;

use crate::redactions::Redactions;
use crate::scan::scan;
use crate::settings::Settings;
use crate::{assignments, base64};

/// A step down into a body.
#[derive(Debug)]
pub enum Step<'b> {
    Index(usize),
    Key(Cow<'b, str>),
}

/// Where in a body one is.
pub type Place<'p, 'b> = &'p [Step<'b>];

/// Levels of a body; the host's own limit is lower.
const DEPTH_MAX: usize = 128;

/// Scans every string and every key of a body. Nothing comes of one that is not canonical JSON.
pub fn walk<'s>(settings: &'s Settings, body: &str) -> Option<Redactions<'s>> {
    let mut walk = Walk { settings, body, at: 0, steps: Vec::new(), redactions: Redactions::default() };
    walk.value()?;
    (walk.at == body.len()).then_some(walk.redactions)
}

struct Walk<'s, 'b> {
    settings: &'s Settings,
    body: &'b str,
    at: usize,
    steps: Vec<Step<'b>>,
    redactions: Redactions<'s>,
}

impl<'b> Walk<'_, 'b> {
    fn value(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => {
                let text = self.string()?;
                self.text(&text);
                Some(())
            }
            b'{' => self.object(),
            b'[' => self.array(),
            _ => self.scalar(),
        }
    }

    fn object(&mut self) -> Option<()> {
        self.at += 1;
        if self.takes(b'}') {
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.key(&key);
            self.expect(b':')?;
            self.descend(Step::Key(key))?;
            self.value()?;
            self.steps.pop();
            if self.takes(b'}') {
                return Some(());
            }
            self.expect(b',')?;
        }
    }

    fn array(&mut self) -> Option<()> {
        self.at += 1;
        if self.takes(b']') {
            return Some(());
        }
        self.descend(Step::Index(0))?;
        loop {
            self.value()?;
            if self.takes(b']') {
                self.steps.pop();
                return Some(());
            }
            self.expect(b',')?;
            if let Some(Step::Index(index)) = self.steps.last_mut() {
                *index += 1;
            }
        }
    }

    fn string(&mut self) -> Option<Cow<'b, str>> {
        self.expect(b'"')?;
        let end = canonical::string_end(self.body, self.at)?;
        let raw = self.body.get(self.at..end)?;
        self.at = end + 1;
        canonical::unescaped(raw)
    }

    fn scalar(&mut self) -> Option<()> {
        let rest = self.body.as_bytes().get(self.at..)?;
        let end = rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}')).unwrap_or(rest.len());
        self.at += end;
        (end > 0).then_some(())
    }

    fn descend(&mut self, step: Step<'b>) -> Option<()> {
        self.steps.push(step);
        (self.steps.len() <= DEPTH_MAX).then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.body.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.takes(byte).then_some(())
    }

    fn text(&mut self, text: &str) {
        let key = match self.steps.last() {
            Some(Step::Key(key)) => key.as_ref(),
            _ => "",
        };
        let is_named = assignments::names_secret(key) && assignments::is_value(text);
        if is_named && !self.settings.excuses("password", text.as_bytes()) {
            self.redactions.value("password", &self.steps);
            return;
        }
        let found = scan(self.settings, text.as_bytes());
        if !found.is_empty() {
            self.redactions.spans(&found, &self.steps);
            return;
        }
        if let Some(finding) = base64::decode(text).and_then(|bytes| scan(self.settings, &bytes).into_iter().next()) {
            // The host writes bytes that are no text as `{"base64": …}`: without its base64 that object is nothing.
            let outside = self.steps.len() - usize::from(key == "base64");
            self.redactions.value(finding.rule, &self.steps[..outside]);
        }
    }

    /// A key can't be redacted, and a pointer to it would repeat it: all of the object goes.
    fn key(&mut self, key: &str) {
        if let Some(finding) = scan(self.settings, key.as_bytes()).first() {
            self.redactions.value(finding.rule, &self.steps);
        }
    }
}

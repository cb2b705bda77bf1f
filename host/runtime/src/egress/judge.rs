//! Somebody who is asked before anything leaves that the grant allows already.
//!
//! Who that is, and by what it decides, is not known here: it gets what would leave and says yes or no. It is asked on a
//! thread of its own, for it may take a while and a guest's call must not carry its stack.

use std::fmt;
use std::sync::Arc;

use ringfence_model::decision::OutgoingKind;
use ringfence_model::outcome::HostCall;

use crate::egress::CallEgress;
use crate::egress::Refusal;

/// Somebody who is told of each attempt as it is made, and has no say in it.
pub(crate) trait Onlooker: fmt::Debug + Send + Sync {
    /// Is told of an attempt. Must not wait.
    fn sees(&self, call: HostCall);
}

/// What would leave.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// How many requests and connections the call has made before.
    pub before: u32,
    /// Names of the headers the guest set, in lower case, sorted.
    pub headers: Vec<String>,
    /// The host in its decided spelling.
    pub host: String,
    /// What it is.
    pub kind: OutgoingKind,
    /// The method of an HTTP request.
    pub method: String,
    /// The path of an HTTP request, with its escapes undone.
    pub path: String,
    /// The port; 0 for a lookup.
    pub port: u16,
    /// The query of an HTTP request.
    pub query: String,
    /// The scheme of an HTTP request.
    pub scheme: String,
    /// Names of the secrets that would be put in.
    pub secrets: Vec<String>,
}

impl Outgoing {
    /// Something that is no HTTP request.
    pub(crate) fn plain(kind: OutgoingKind, host: String, port: u16) -> Self {
        Self {
            before: 0,
            headers: Vec::new(),
            host,
            kind,
            method: String::new(),
            path: String::new(),
            port,
            query: String::new(),
            scheme: String::new(),
            secrets: Vec::new(),
        }
    }
}

/// Says whether something may leave.
pub trait Judge: fmt::Debug + Send + Sync {
    /// Yes, or one line that says why not.
    fn judge(&self, outgoing: Outgoing) -> Result<(), String>;
}

impl CallEgress {
    /// Asks whoever is to be asked; yes if nobody is.
    pub(crate) async fn ask(&self, mut outgoing: Outgoing) -> Result<(), Refusal> {
        let Some(judge) = self.judge() else { return Ok(()) };
        outgoing.before = u32::try_from(self.account().made_before()).unwrap_or(u32::MAX);
        let judge = Arc::clone(judge);
        let judged = tokio::task::spawn_blocking(move || judge.judge(outgoing)).await;
        judged.unwrap_or_else(|_| Err("it could not be decided on".to_owned())).map_err(Refusal::Denied)
    }
}

//! The server: who gets in, where it listens, what it shows for itself, and who is told of calls.

use std::io;
use std::path::Path;

use ringfence_model::outcome::one_line;

use crate::error::CommandError;
use crate::home::HomeError;

impl CommandError {
    /// The file of the server's tokens.
    pub fn tokens(path: &Path, why: &str) -> Self {
        Self::environment(format!("`{}` can't be used: {}", path.display(), one_line(why)))
            .code("host.tokens")
            .hint("`ringfence token` writes it; remove it to take every token back, and make new ones")
    }

    /// A server that nobody could use.
    pub fn no_tokens() -> Self {
        Self::environment("there is no token, so nobody could use the server")
            .code("host.tokens")
            .hint("`ringfence token new NAME --as PRINCIPAL --scope call` makes one")
            .hint("whoever is known by a certificate gets in where `[server.tls] client-roots` has its authority")
    }

    /// A token that is not there.
    pub fn no_token(name: &str) -> Self {
        Self::command_line(format!("there is no token `{name}`")).hint("`ringfence token list` shows what there is")
    }

    /// A token by a name that is taken.
    pub fn token_taken(name: &str) -> Self {
        Self::environment(format!("there is a token `{name}` already"))
            .code("host.tokens")
            .hint("choose another name, or take that one back with `ringfence token revoke` first")
    }

    /// A name in a certificate that stands for somebody already.
    pub fn certificate_taken(name: &str) -> Self {
        Self::environment(format!("`{}` stands for somebody already", one_line(name)))
            .code("host.tokens")
            .hint("`ringfence token list` shows for whom; a certificate is one principal's")
    }

    /// A listener that others reach, of a server that does not say what it is called.
    pub fn open_listener(address: &str) -> Self {
        Self::environment(format!("`{address}` can be reached from elsewhere, and `[server] hosts` names nobody"))
            .code("host.listener")
            .hint("listen on 127.0.0.1; or name in `[server] hosts` what it is called, with [server.tls] or a proxy that does TLS")
    }

    /// An address that can't be listened on.
    pub fn listener(address: &str, error: &io::Error) -> Self {
        Self::environment(format!("`{address}` can't be listened on: {error}"))
            .code("host.listener")
            .hint("another process may have the port; `--listen` names another one")
    }

    /// What the server would show for itself, or whom it would believe.
    pub fn tls(path: &Path, why: &str) -> Self {
        Self::environment(format!("`{}` can't be used for TLS: {}", path.display(), one_line(why)))
            .code("host.tls")
            .hint("[server.tls] names PEM files: the certificate first in its file, and the key that is its own")
    }

    /// A revocation list that says nothing any more.
    pub fn revocations_expired(path: &Path, days: u64) -> Self {
        Self::environment(format!("a revocation list in `{}` ran out {days} days ago", path.display()))
            .code("host.tls")
            .hint("put a newer one of that authority in its place; a server that runs reads it at SIGHUP")
    }

    /// A file for TLS that can't be read, or that others can.
    pub fn tls_file(error: HomeError) -> Self {
        match &error {
            HomeError::Key { path, why } | HomeError::File { path, why } => Self::tls(Path::new(path), why),
            _ => error.into(),
        }
    }

    /// TLS that was configured, or taken out of the configuration, while the server runs.
    pub fn tls_at_start(is_spoken: bool) -> Self {
        let what = if is_spoken { "was taken out, and TLS is spoken still" } else { "is there, and no TLS is spoken" };
        Self::environment(format!("`[server.tls]` {what}"))
            .code("host.tls")
            .hint("whether TLS is spoken is settled when the server starts: start it anew")
    }

    /// A certificate of the server's that nobody believes any more.
    pub fn tls_expired(path: &Path, days: u64) -> Self {
        Self::environment(format!("the certificate `{}` ran out {days} days ago", path.display()))
            .code("host.tls")
            .hint("put another one in its place, with its key; a server that runs reads both at SIGHUP")
    }

    /// A collector of telemetry that nobody can be told of.
    pub fn collector(what: &str, why: &impl std::fmt::Display) -> Self {
        Self::environment(format!("`{}` can't be used for telemetry: {}", one_line(what), one_line(&why.to_string())))
            .code("host.telemetry")
            .hint("[telemetry] names a collector's address, a file of headers and one of certificates")
    }

    /// A file of headers that can't be read, or that others can.
    pub fn headers_file(error: HomeError) -> Self {
        match &error {
            HomeError::Key { path, why } | HomeError::File { path, why } => Self::collector(path, why),
            _ => error.into(),
        }
    }
}

/// How a server gets something to offer.
pub fn nothing_offered_hints() -> Vec<String> {
    vec![
        "`ringfence tool add` registers tools; a function is offered where its tool's `ring` is privileged enough for it"
            .to_owned(),
    ]
}

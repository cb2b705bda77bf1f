//! Where a log in `PostgreSQL` is: a URL that names a server, a user and a database, and never a password.
//!
//! Owns the form of that URL. It is strict: what is not known is refused, and so is every way of asking for encryption
//! that would go on without it, or without knowing who answers.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// The port of a server that names none.
const PORT: u16 = 5432;
/// The longest part of an address.
const PART_BYTES_MAX: usize = 255;

/// Why a text is no address.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// It has another form.
    #[error("it is not written as `postgres://USER@HOST[:PORT]/DATABASE`: {0}")]
    Form(&'static str),
    /// It holds a password.
    #[error("it holds a password, and a configuration is no place for one")]
    Password,
    /// It asks for what there is not.
    #[error("`{0}` is no parameter of it: there are `host`, a folder, and `sslmode`")]
    Parameter(String),
    /// It asks for encryption that proves nothing.
    #[error(
        "`sslmode={0}` is refused: `verify-full` knows who answers, `disable` is for a network that nobody else reads"
    )]
    Mode(String),
}

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// By a socket in a folder of this machine.
    Local {
        /// The folder.
        folder: PathBuf,
        /// The port is part of the socket's name.
        port: u16,
    },
    /// Over a network.
    Network {
        /// Its name or its address.
        host: String,
        /// Its port.
        port: u16,
        /// Whether it has to prove who it is, and nobody else may read along.
        is_verified: bool,
    },
}

impl Server {
    /// Who could read along, in words.
    pub fn privacy(&self) -> &'static str {
        match self {
            Self::Local { .. } => "a socket of this machine",
            Self::Network { is_verified: true, .. } => "TLS, and the server has to prove who it is",
            Self::Network { is_verified: false, .. } => "not encrypted",
        }
    }
}

/// Where a log in `PostgreSQL` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The server.
    pub server: Server,
    /// The user that the server knows.
    pub user: String,
    /// The database that holds the log.
    pub database: String,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let rest = rest.ok_or(AddressError::Form("it begins otherwise"))?;
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').ok_or(AddressError::Form("it names no database"))?;
        let (user, host) = authority.rsplit_once('@').ok_or(AddressError::Form("it names no user"))?;
        if user.contains(':') {
            return Err(AddressError::Password);
        }
        let (user, database) = (part(user, "it names no user")?, part(database, "it names no database")?);
        let (host, port) = host_and_port(host)?;
        let (folder, mode) = parameters_of(parameters)?;
        let server = match folder {
            Some(_) if !host.is_empty() || mode.is_some() => {
                return Err(AddressError::Form("a folder goes with neither a host nor `sslmode`"));
            }
            Some(folder) => Server::Local { folder, port },
            None => Server::Network {
                host: part(host, "it names no host")?,
                port,
                is_verified: is_verified(mode.as_deref().unwrap_or("verify-full"))?,
            },
        };
        Ok(Self { server, user, database })
    }
}

fn host_and_port(text: &str) -> Result<(&str, u16), AddressError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or(AddressError::Form("its port is none"))?)),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(PORT), str::parse).map_err(|_| AddressError::Form("its port is none"))?;
    if port == 0 { Err(AddressError::Form("its port is none")) } else { Ok((host, port)) }
}

fn parameters_of(text: &str) -> Result<(Option<PathBuf>, Option<String>), AddressError> {
    let (mut folder, mut mode) = (None, None);
    for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "host" if folder.is_none() => {
                let path = PathBuf::from(part(value, "its folder is none")?);
                if !path.is_absolute() {
                    return Err(AddressError::Form("its folder is not an absolute path"));
                }
                folder = Some(path);
            }
            "password" => return Err(AddressError::Password),
            "sslmode" if mode.is_none() => mode = Some(value.to_owned()),
            _ => return Err(AddressError::Parameter(name.escape_debug().to_string())),
        }
    }
    Ok((folder, mode))
}

fn is_verified(mode: &str) -> Result<bool, AddressError> {
    match mode {
        "disable" => Ok(false),
        "require" | "verify-full" => Ok(true),
        _ => Err(AddressError::Mode(mode.escape_debug().to_string())),
    }
}

/// A part of the URL, unescaped: text without a control character.
fn part(text: &str, missing: &'static str) -> Result<String, AddressError> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let byte = match byte {
            b'%' => match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or_default(),
                _ => return Err(AddressError::Form("a `%` in it is not followed by two digits")),
            },
            byte => byte,
        };
        bytes.push(byte);
    }
    let text = String::from_utf8(bytes).map_err(|_| AddressError::Form("it is not Unicode text"))?;
    match text.len() {
        0 => Err(AddressError::Form(missing)),
        1..=PART_BYTES_MAX if !text.contains(char::is_control) => Ok(text),
        _ => Err(AddressError::Form("a part of it is too long, or holds a control character")),
    }
}

/// The URL again: it is read as the same address.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, database) = (Escaped(&self.user), Escaped(&self.database));
        match &self.server {
            Server::Local { folder, port } => {
                let folder = Escaped(&folder.to_string_lossy()).to_string().replace("%2f", "/");
                write!(f, "postgres://{user}@:{port}/{database}?host={folder}")
            }
            Server::Network { host, port, is_verified } => {
                let host = if host.contains(':') { format!("[{host}]") } else { Escaped(host).to_string() };
                let mode = if *is_verified { "" } else { "?sslmode=disable" };
                write!(f, "postgres://{user}@{host}:{port}/{database}{mode}")
            }
        }
    }
}

/// A part of the URL, with every byte escaped that could end it.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            b'.' | b'-' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                write!(f, "{}", char::from(byte))
            }
            _ => write!(f, "%{byte:02x}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(host: &str, port: u16, is_verified: bool) -> Server {
        Server::Network { host: host.into(), port, is_verified }
    }

    #[test]
    fn address_names_server_user_database() {
        for (text, server, user, database) in [
            ("postgres://a@db.example.com/log", network("db.example.com", 5432, true), "a", "log"),
            ("postgresql://a@db:6000/log?sslmode=disable", network("db", 6000, false), "a", "log"),
            ("postgres://a@[::1]:7/log?sslmode=require", network("::1", 7, true), "a", "log"),
            ("postgres://a@[::1]/log?sslmode=verify-full", network("::1", 5432, true), "a", "log"),
            (
                "postgres://a%40b@/l%20g?host=%2Frun%2Fpostgresql",
                Server::Local { folder: "/run/postgresql".into(), port: 5432 },
                "a@b",
                "l g",
            ),
            ("postgres://a@:99/log?host=/run/x", Server::Local { folder: "/run/x".into(), port: 99 }, "a", "log"),
        ] {
            let wanted = Address { server, user: user.into(), database: database.into() };
            assert_eq!(wanted.to_string().parse(), Ok(wanted.clone()), "{wanted}");
            assert_eq!(text.parse(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_proves_nothing_is_refused() {
        for mode in ["allow", "prefer", "verify-ca", "", "DISABLE"] {
            let refused = format!("postgres://a@b/c?sslmode={mode}").parse::<Address>();
            assert_eq!(refused, Err(AddressError::Mode(mode.to_owned())));
        }
        for text in ["postgres://a:secret@b/c", "postgres://a:@b/c", "postgres://a@b/c?password=secret"] {
            let refused = text.parse::<Address>().expect_err(text);
            assert_eq!(refused, AddressError::Password);
            assert!(!refused.to_string().contains("secret"));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "mysql://a@b/c",
            "postgres://",
            "postgres://b/c",
            "postgres://@b/c",
            "postgres://a@b",
            "postgres://a@b/",
            "postgres://a@/c",
            "postgres://a@b:0/c",
            "postgres://a@b:65536/c",
            "postgres://a@[::1/c",
            "postgres://a@[::1]7/c",
            "postgres://a%0@b/c",
            "postgres://a%ff@b/c",
            "postgres://a%00@b/c",
            "postgres://a@b/c?host=/x",
            "postgres://a@/c?host=x",
            "postgres://a@/c?host=/x&sslmode=disable",
            "postgres://a@b/c?sslmode=disable&sslmode=disable",
            "postgres://a@b/c?options=-c%20fsync",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        assert!(format!("postgres://{}@b/c", "a".repeat(256)).parse::<Address>().is_err());
    }
}

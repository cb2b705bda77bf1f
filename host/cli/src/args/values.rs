//! Values as they are written on the command line, each parsed strictly into a type of its own.

use std::path::PathBuf;
use std::str::FromStr;

use ringfence_model::capability::Access;
use ringfence_model::capability::GuestPath;
use ringfence_model::digest::Digest;
use ringfence_model::glob::Glob;
use ringfence_model::id::CallId;
use ringfence_model::id::SessionId;
use ringfence_model::limits;
use ringfence_model::outcome::is_unprintable;
use ringfence_runtime::bench::Part;

/// `HOST::GUEST[:ro|rw][,deny=GLOB][,bytes=N][,files=N]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirArg {
    pub host: PathBuf,
    pub guest: GuestPath,
    pub access: Access,
    pub deny: Vec<Glob>,
    pub bytes: Option<u64>,
    pub files: Option<u64>,
}

impl FromStr for DirArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, rest) = text.split_once("::").ok_or("write HOST::GUEST, as in `./docs::/docs`")?;
        let mut words = rest.split(',');
        let opened = words.next().unwrap_or_default();
        let (guest, access) = match opened.rsplit_once(':') {
            Some((guest, "ro")) => (guest, Access::Read),
            Some((guest, "rw")) => (guest, Access::ReadWrite),
            Some((_, other)) => return Err(format!("`{other}` is neither `ro` nor `rw`")),
            None => (opened, Access::Read),
        };
        if host.is_empty() {
            return Err("the folder of this machine is missing before `::`".to_owned());
        }
        let guest = guest_path(guest)?;
        let mut dir = Self { host: host.into(), guest, access, deny: Vec::new(), bytes: None, files: None };
        words.try_for_each(|word| dir.narrow(word))?;
        Ok(dir)
    }
}

impl DirArg {
    /// One of the words behind the first: each of them takes something away.
    fn narrow(&mut self, word: &str) -> Result<(), String> {
        let slot = match word.split_once('=') {
            Some(("deny", glob)) => {
                self.deny.push(Glob::new(glob).map_err(|error| error.to_string())?);
                return Ok(());
            }
            Some(("bytes", _)) => &mut self.bytes,
            Some(("files", _)) => &mut self.files,
            _ => return Err(format!("`{word}` is none of `deny=GLOB`, `bytes=N` and `files=N`")),
        };
        if self.access == Access::Read {
            return Err(format!("`{word}` bounds what is written, but the folder is opened to read: write `:rw`"));
        }
        let (name, number) = word.split_once('=').unwrap_or_default();
        let number = number.parse().map_err(|_| format!("`{number}` is not a number of {name}"))?;
        if slot.replace(number).is_some() { Err(format!("`{name}` is given twice")) } else { Ok(()) }
    }
}

pub(super) fn guest_path(text: &str) -> Result<GuestPath, String> {
    GuestPath::new(text).map_err(|error| error.to_string())
}

/// `K=V`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvArg {
    pub name: String,
    pub value: String,
}

impl FromStr for EnvArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            _ => Err("write NAME=VALUE".to_owned()),
        }
    }
}

/// What is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redacted {
    Call(CallId),
    Commitment(Digest),
}

impl FromStr for Redacted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(CallId::PREFIX) {
            return text.parse().map(Self::Call).map_err(|error: ringfence_model::id::IdError| error.to_string());
        }
        text.parse().map(Self::Commitment).map_err(|_| "it is neither a call id nor a commitment".to_owned())
    }
}

/// A line that is written into an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark(pub String);

impl FromStr for Remark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            _ if text.trim().is_empty() => Err("it is empty".to_owned()),
            _ if text.len() > limits::REMARK_BYTES_MAX => {
                Err(format!("it is longer than {} bytes", limits::REMARK_BYTES_MAX))
            }
            _ if text.chars().any(is_unprintable) => Err("it holds characters that can't be printed".to_owned()),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

/// Seconds, with decimals, as milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds {
    pub millis: u64,
}

impl FromStr for Seconds {
    type Err = String;

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a number of seconds from 0.001 to 86400".to_owned();
        let seconds: f64 = text.parse().map_err(|_| wrong())?;
        if !(0.001..=86_400.0).contains(&seconds) {
            return Err(wrong());
        }
        Ok(Self { millis: (seconds * 1000.0).round() as u64 })
    }
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Side {
    Call(CallId),
    File(PathBuf),
    Session(SessionId),
}

impl FromStr for Side {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let call = || text.parse().map(Self::Call).ok();
        let session = || text.parse().map(Self::Session).ok();
        Ok(call().or_else(session).unwrap_or_else(|| Self::File(text.into())))
    }
}

pub(super) fn part(text: &str) -> Result<Part, String> {
    Part::named(text).ok_or_else(|| {
        format!("it is none of {}", Part::ALL.iter().map(|part| part.name()).collect::<Vec<_>>().join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_strictly() {
        let dir: DirArg = "./docs::/docs:rw".parse().expect("a folder");
        assert_eq!((dir.guest.as_str(), dir.access), ("/docs", Access::ReadWrite));
        assert_eq!("a::/b".parse::<DirArg>().expect("a folder").access, Access::Read);
        let dir: DirArg = "a::/b:rw,deny=*.key,bytes=10,deny=a/**,files=2".parse().expect("a folder");
        assert_eq!(dir.deny.iter().map(Glob::as_str).collect::<Vec<_>>(), ["*.key", "a/**"]);
        assert_eq!((dir.bytes, dir.files), (Some(10), Some(2)));
        assert_eq!("a::/b,deny=x".parse::<DirArg>().expect("a folder").access, Access::Read);
        for text in ["a::/b,", "a::/b,deny=", "a::/b,deny=/x", "a::/b,bytes=1", "a::/b:ro,files=1", "a::/b:rw,bytes=-1"]
        {
            assert!(text.parse::<DirArg>().is_err(), "{text}");
        }
        for text in ["a::/b:rw,bytes=1,bytes=1", "a::/b:rw,bytes=", "a::/b:rw,quota=1", "a::/b,rw", "a::/b,deny=x:rw"] {
            assert_eq!(text.parse::<DirArg>().is_err(), text != "a::/b,deny=x:rw", "{text}");
        }
        for text in ["", "a", "a::b", "::/b", "a::/b:rx", "a::/../b", "a::/b:", "a:/b"] {
            assert!(text.parse::<DirArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_are_bounded() {
        assert_eq!("0.25".parse::<Seconds>().expect("seconds").millis, 250);
        for text in ["", "-1", "0", "inf", "NaN", "1e9", "one"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }
}

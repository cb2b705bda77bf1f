//! The command line, read by hand: a handful of flags is not worth a library in what an auditor has to trust.

use std::ffi::OsString;
use std::path::PathBuf;

use ringfence_audit::note::Verifier;

/// What `--help` prints.
const HELP: &str = "\
Verify what Ringfence hands out: a bundle, a receipt or an exported log. Offline, against keys you trust.

Usage: ringfence-verify --key KEY [OPTIONS] FILE

Arguments:
  FILE                 A bundle, a receipt, what `ringfence run --format json` printed, or an export; `-`: standard input

Options:
  --key KEY            A key that may have signed, as `ringfence init` printed it; may be given more than once
  --checkpoint FILE    A checkpoint that an exported log must extend [default: FILE.checkpoint, if it is there]
  --format FORMAT      `human` or `json` [default: human]
  --html FILE          Show a bundle as a page too: writes FILE, which must not be there yet
  --help, --version    Say what this is

Exit code: 0 intact, 5 does not verify, 1 unreadable, 2 the command line is wrong
";

/// How the answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Human,
    Json,
}

/// What to verify, and by what.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) file: PathBuf,
    pub(crate) keys: Vec<Verifier>,
    pub(crate) checkpoints: Vec<PathBuf>,
    pub(crate) format: Format,
    /// Where to write a page.
    pub(crate) html: Option<PathBuf>,
}

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Asked {
    Text(String),
    Verify(Args),
}

impl Args {
    /// Reads the words behind the program's name.
    pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Asked, String> {
        let mut words = words.into_iter();
        let (mut file, mut keys, mut checkpoints, mut format, mut html) = (None, Vec::new(), Vec::new(), None, None);
        while let Some(word) = words.next() {
            let text = word.to_str().unwrap_or_default();
            let (flag, value) = match text.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some(OsString::from(value))),
                _ => (text, None),
            };
            let mut value = || value.clone().or_else(|| words.next()).ok_or_else(|| format!("`{flag}` needs a value"));
            match flag {
                "--help" | "-h" => return Ok(Asked::Text(HELP.to_owned())),
                "--version" | "-V" => {
                    return Ok(Asked::Text(format!("ringfence-verify {}\n", env!("CARGO_PKG_VERSION"))));
                }
                "--key" => keys.push(key(&value()?)?),
                "--checkpoint" => checkpoints.push(PathBuf::from(value()?)),
                "--html" => once(&mut html, PathBuf::from(value()?), flag)?,
                "--format" => once(&mut format, parse_format(&value()?)?, flag)?,
                _ if flag.starts_with("--") => return Err(format!("`{flag}` is not a flag")),
                _ => once(&mut file, PathBuf::from(word), "FILE")?,
            }
        }
        let file = file.ok_or("there is no file to verify")?;
        if keys.is_empty() {
            return Err("there is no key to verify by: give the one you trust with `--key`".to_owned());
        }
        Ok(Asked::Verify(Self { file, keys, checkpoints, format: format.unwrap_or(Format::Human), html }))
    }
}

fn once<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), String> {
    if slot.replace(value).is_some() { Err(format!("`{name}` is given twice")) } else { Ok(()) }
}

fn key(word: &OsString) -> Result<Verifier, String> {
    let text = word.to_string_lossy();
    text.trim().parse().map_err(|error| format!("`{}` is not a verifier key: {error}", text.escape_debug()))
}

fn parse_format(word: &OsString) -> Result<Format, String> {
    match word.to_str() {
        Some("human") => Ok(Format::Human),
        Some("json") => Ok(Format::Json),
        _ => Err(format!("`{}` is neither `human` nor `json`", word.to_string_lossy().escape_debug())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "--key=PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    fn read(words: &[&str]) -> Result<Asked, String> {
        Args::read(words.iter().map(OsString::from))
    }

    #[test]
    fn flags_are_read_in_any_order() {
        for words in
            [&["a", KEY, "--format", "json", "--checkpoint", "c"][..], &["--checkpoint=c", "--format=json", KEY, "a"]]
        {
            let Ok(Asked::Verify(args)) = read(words) else { panic!("{words:?}") };
            assert_eq!((args.file, args.checkpoints), (PathBuf::from("a"), vec![PathBuf::from("c")]));
            assert_eq!((args.keys.len(), args.format), (1, Format::Json));
        }
        assert!(matches!(read(&["--help"]), Ok(Asked::Text(text)) if text.contains("Usage")));
    }

    #[test]
    fn wrong_command_lines_are_refused() {
        for words in [
            &[][..],
            &["a"],
            &[KEY],
            &[KEY, "a", "b"],
            &[KEY, "a", "--format"],
            &[KEY, "a", "--format=xml"],
            &[KEY, "a", "--format=json", "--format=json"],
            &[KEY, "a", "--quiet"],
            &["--key=x", "a"],
            &["a", "--key"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}

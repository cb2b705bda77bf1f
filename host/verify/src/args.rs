//! The command line, read by hand: a handful of flags is not worth a library in what an auditor has to trust.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use ringfence_audit::note::KeyError;
use ringfence_audit::note::Verifier;
use ringfence_audit::witness::Witness;

/// What `--help` prints.
const HELP: &str = "\
Verify what Ringfence hands out: a bundle, a receipt, an exported or published log, a proof that a log goes on, or a
checkpoint. Offline, against keys you trust.

Usage: ringfence-verify --key KEY [OPTIONS] FILE

Arguments:
  FILE                 A bundle, a receipt, what `ringfence run --format json` printed, an export, what `log prove --from`
                       printed, a checkpoint, or a folder that a published log was fetched to; `-`: standard input

Options:
  --key KEY            A key that may have signed, as `ringfence init` printed it; may be given more than once
  --witness KEY        A witness that must have cosigned the checkpoint; may be given more than once
  --checkpoint FILE    A checkpoint that a log must extend [default: FILE.checkpoint, if it is there]
  --against FILE       An older checkpoint that a log, or a proof, must go on from; may be given more than once
  --tiles              Of a checkpoint that verifies, print the paths to fetch for the log that it covers, one a line
  --format FORMAT      `human` or `json` [default: human]
  --html FILE          Show a bundle as a page too: writes FILE, which must not be there yet
  --help, --version    Say what this is

Exit code: 0 intact, 5 does not verify, 1 unreadable, 2 the command line is wrong
";

/// How the answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Human,
    Json,
    /// What is to be fetched next.
    Tiles,
}

/// What to verify, and by what.
#[derive(Debug, Default)]
pub(crate) struct Args {
    pub(crate) file: PathBuf,
    pub(crate) keys: Vec<Verifier>,
    pub(crate) witnesses: Vec<Witness>,
    pub(crate) checkpoints: Vec<PathBuf>,
    /// Older checkpoints.
    pub(crate) against: Vec<PathBuf>,
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
        let (mut args, mut file, mut format) = (Self::default(), None, None);
        while let Some(word) = words.next() {
            let text = word.to_str().unwrap_or_default();
            let (flag, value) = match text.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag, Some(OsString::from(value))),
                _ => (text, None),
            };
            let has_value = value.is_some();
            let mut value = || value.clone().or_else(|| words.next()).ok_or_else(|| format!("`{flag}` needs a value"));
            match flag {
                "--help" | "-h" => return Ok(Asked::Text(HELP.to_owned())),
                "--version" | "-V" => {
                    return Ok(Asked::Text(format!("ringfence-verify {}\n", env!("CARGO_PKG_VERSION"))));
                }
                "--key" => args.keys.push(key(&value()?, "verifier")?),
                "--witness" => args.witnesses.push(key(&value()?, "witness")?),
                "--checkpoint" => args.checkpoints.push(PathBuf::from(value()?)),
                "--against" => args.against.push(PathBuf::from(value()?)),
                "--html" => once(&mut args.html, PathBuf::from(value()?), flag)?,
                "--format" => once(&mut format, parse_format(&value()?)?, flag)?,
                "--tiles" if !has_value => once(&mut format, Format::Tiles, flag)?,
                _ if flag.starts_with("--") => return Err(format!("`{flag}` is not a flag")),
                _ => once(&mut file, PathBuf::from(word), "FILE")?,
            }
        }
        if args.keys.is_empty() && file.is_some() {
            return Err("there is no key to verify by: give the one you trust with `--key`".to_owned());
        }
        let file = file.ok_or("there is no file to verify")?;
        Ok(Asked::Verify(Self { file, format: format.unwrap_or_default(), ..args }))
    }
}

fn once<T>(slot: &mut Option<T>, value: T, name: &str) -> Result<(), String> {
    if slot.replace(value).is_some() { Err(format!("`{name}` is given twice")) } else { Ok(()) }
}

fn key<T: FromStr<Err = KeyError>>(word: &OsString, kind: &str) -> Result<T, String> {
    let text = word.to_string_lossy();
    text.trim().parse().map_err(|error| format!("`{}` is not a {kind} key: {error}", text.escape_debug()))
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
        let witness = "--witness=witness.example.org/w1+33f915cc+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";
        let Ok(Asked::Verify(args)) = read(&[KEY, "a", "--tiles", "--against", "o", witness]) else { panic!() };
        assert_eq!((args.format, args.against, args.witnesses.len()), (Format::Tiles, vec![PathBuf::from("o")], 1));
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
            &[KEY, "a", "--format=json", "--tiles"],
            &[KEY, "a", "--tiles=yes"],
            &[KEY, "a", KEY.replace("--key", "--witness").as_str()],
            &[KEY, "a", "--quiet"],
            &["--key=x", "a"],
            &["a", "--key"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}

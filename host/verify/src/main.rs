//! `ringfence-verify`: is this the evidence it claims to be?
//!
//! Reads a bundle, a receipt, an exported or a published log, a proof or a checkpoint, and checks it against keys that its
//! user trusts. Works offline and from the files alone: it links the vocabulary and the audit crate, and neither the runtime
//! nor a network. It writes nothing but its answer, and a page if it is asked for one.

#![forbid(unsafe_code)]

mod args;
mod evidence;
mod folder;
mod page;
mod print;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::args::Args;
use crate::args::Asked;
use crate::args::Format;
use crate::evidence::Evidence;
use crate::evidence::Form;
use crate::evidence::Unanswered;

/// The question was answered: it is intact.
const INTACT: u8 = 0;
/// A file can't be read, or the answer can't be written.
const UNREADABLE: u8 = 1;
/// The command line can't be read.
const COMMAND_LINE: u8 = 2;
/// It does not verify.
const NOT_INTACT: u8 = 5;
/// Our bug.
const INTERNAL: u8 = 255;

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        print::error(&format!("a bug stopped the verifier: {info}"), "please report it");
    }));
    std::panic::catch_unwind(run).unwrap_or(INTERNAL).into()
}

fn run() -> u8 {
    match Args::read(std::env::args_os().skip(1)) {
        Ok(Asked::Verify(args)) => verify(&args),
        Ok(Asked::Text(text)) => print::answer(&text, INTACT),
        Err(why) => {
            print::error(&why, "`ringfence-verify --help` shows what can be written");
            COMMAND_LINE
        }
    }
}

fn verify(args: &Args) -> u8 {
    let evidence = match evidence::check(args) {
        Ok(evidence) => evidence,
        Err(Unanswered::CommandLine(why)) => {
            print::error(&why, "`ringfence-verify --help` shows what can be written");
            return COMMAND_LINE;
        }
        Err(Unanswered::Unreadable(why)) => {
            print::error(&why, "check what the path leads to, and who may read it");
            return UNREADABLE;
        }
    };
    let mut exit = if evidence.report.is_intact() { INTACT } else { NOT_INTACT };
    if let Some(path) = &args.html
        && let Err((failed, why)) = write_page(&evidence, path)
    {
        print::error(&why, "`--html` shows bundles, and writes a file that is not there yet");
        // What was found matters more.
        exit = if exit == INTACT { failed } else { exit };
    }
    match args.format {
        Format::Human => print::answer(&print::human(&evidence), exit),
        Format::Json => print::answer(&print::json(&evidence), exit),
        Format::Tiles => print_tiles(&evidence, exit),
    }
}

/// Prints what to fetch next, and nothing of what does not verify: its size would be whatever somebody wrote.
fn print_tiles(evidence: &Evidence, exit: u8) -> u8 {
    if evidence.form != Form::Checkpoint {
        print::error(
            "`--tiles` is of a checkpoint: this is none",
            "the checkpoint lies beside `tile/` where a log is published",
        );
        return COMMAND_LINE;
    }
    if exit == INTACT { print::tiles(evidence.report.vouched) } else { print::refusal(evidence, exit) }
}

/// Writes the page for its owner alone: it shows inputs and outputs.
fn write_page(evidence: &Evidence, path: &Path) -> Result<(), (u8, String)> {
    let Some(bundle) = &evidence.bundle else {
        return Err((COMMAND_LINE, "there is no page of what is no bundle".to_owned()));
    };
    let page = page::page(bundle, &evidence.report);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(page.as_bytes()));
    written.map_err(|error| (UNREADABLE, format!("`{}` can't be written: {error}", path.display())))
}

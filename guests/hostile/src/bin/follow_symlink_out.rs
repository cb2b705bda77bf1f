//! Tries to get out of the granted folder `/work` through symbolic links: links of its own with every kind of content,
//! a link `link-out` that the host may have put there, chains and loops, trailing slashes, and renames with a trailing
//! slash on either side (FS-03, FS-04, FS-05, FS-06, FS-07).
//!
//! The argument is the path of a canary, a file outside, as seen from the folder; `../canary` without one.

use std::env;
use std::fs;
use std::process::ExitCode;

use hostile::raw::{Handle, Open, Outcome, granted};
use hostile::{Attempts, control, is_control};

/// One more than any system follows.
const CHAIN_LINKS: u32 = 50;

fn main() -> ExitCode {
    if is_control() {
        return control(follow_inside());
    }
    let mut attempts = Attempts::default();
    match granted("/work") {
        Ok(work) => follow(&mut attempts, work),
        Err(error) => println!("failed: `/work`: {error}"),
    }
    attempts.finish()
}

fn follow_inside() -> Outcome<()> {
    let work = granted("/work")?;
    make_file(work, "control-file")?;
    let _ = work.remove_file("control-link");
    work.symbolic_link("control-file", "control-link")?;
    work.open("control-link", Open::default()).map(Handle::close)
}

fn follow(attempts: &mut Attempts, work: Handle) {
    let canary = env::args().nth(1).unwrap_or_else(|| "../canary".to_owned());
    let contents = [
        canary.clone(),
        format!("{canary}/"),
        format!("./{canary}"),
        format!("sub/../{canary}"),
        "..".to_owned(),
        "../".to_owned(),
        "../..".to_owned(),
        "/".to_owned(),
        "/etc/passwd".to_owned(),
        "/proc/self/root".to_owned(),
        "../../../../../../../../etc/passwd".to_owned(),
    ];
    let _ = work.make_folder("sub");
    through_existing_link(attempts, work);
    for (index, content) in contents.iter().enumerate() {
        through_own_link(attempts, work, content, &format!("link-{index}"));
    }
    through_chain(attempts, work);
    through_loop(attempts, work);
    slash_after_file(attempts, work);
}

fn through_existing_link(attempts: &mut Attempts, work: Handle) {
    match work.stat_link("link-out") {
        Ok(_) => through(attempts, work, "link-out", "made by the host"),
        Err(error) => println!("skipped: link-out: {error}"),
    }
}

fn through_own_link(attempts: &mut Attempts, work: Handle, content: &str, link: &str) {
    let _ = work.remove_file(link);
    match work.symbolic_link(content, link) {
        Err(error) => attempts.contained(&format!("link to {content}"), &error.to_string()),
        Ok(()) => {
            through(attempts, work, link, content);
            rename_with_slashes(attempts, work, link, content);
        }
    }
}

/// Every way to look or write through a link that leads out.
fn through(attempts: &mut Attempts, work: Handle, link: &str, content: &str) {
    let write = Open { write: true, create: true, ..Open::default() };
    for path in [link.to_owned(), format!("{link}/"), format!("{link}/."), format!("{link}/..")] {
        let what = format!("{path} to {content}");
        attempts.refused(&format!("open {what}"), work.open(&path, Open::default()));
        attempts.refused(&format!("stat {what}"), work.stat(&path));
        attempts.refused(&format!("set times {what}"), work.set_times(&path));
    }
    for name in ["canary", "etc/passwd", "escaped"] {
        let path = format!("{link}/{name}");
        attempts.refused(&format!("open {path} to {content}"), work.open(&path, Open::default()));
        attempts.refused(&format!("create {path} to {content}"), work.open(&path, write));
        attempts.refused(&format!("hard link {path} to {content}"), work.hard_link(&path, work, "stolen"));
    }
    attempts.refused(&format!("library: read {link} to {content}"), fs::read(format!("/work/{link}")));
    attempts.refused(&format!("library: list {link} to {content}"), fs::read_dir(format!("/work/{link}")));
}

/// A rename may move the link; it must never move what the link leads to.
fn rename_with_slashes(attempts: &mut Attempts, work: Handle, link: &str, content: &str) {
    let _ = work.make_folder("folder");
    for (from, to) in [
        ("LINK/", "moved"),
        ("LINK", "moved/"),
        ("LINK/", "moved/"),
        ("LINK/.", "moved"),
        ("folder", "LINK/"),
        ("folder/", "LINK/"),
    ] {
        let (from, to) = (from.replace("LINK", link), to.replace("LINK", link));
        let what = format!("rename {from} to {to} with link to {content}");
        match work.rename(&from, work, &to) {
            Err(error) => attempts.contained(&what, &error.to_string()),
            Ok(()) => judge_rename(attempts, work, to.trim_end_matches('/'), &what),
        }
        restore(work, link, content);
    }
}

fn judge_rename(attempts: &mut Attempts, work: Handle, to: &str, what: &str) {
    let replaced_link = to != "moved";
    match work.stat_link(to) {
        Ok(found) if found.filetype == wasi::FILETYPE_SYMBOLIC_LINK && !replaced_link => {
            attempts.contained(what, "moved the link itself");
        }
        Ok(found) if found.filetype == wasi::FILETYPE_DIRECTORY && replaced_link => {
            attempts.contained(what, "replaced the link itself");
        }
        _ => attempts.escaped(what),
    }
}

fn restore(work: Handle, link: &str, content: &str) {
    for path in ["moved", link] {
        let _ = work.remove_file(path);
        let _ = work.remove_folder(path);
    }
    let _ = work.make_folder("folder");
    let _ = work.symbolic_link(content, link);
}

fn through_chain(attempts: &mut Attempts, work: Handle) {
    let made = make_file(work, "chain-0").and_then(|()| {
        (1..=CHAIN_LINKS).try_for_each(|index| {
            let link = format!("chain-{index}");
            let _ = work.remove_file(&link);
            work.symbolic_link(&format!("chain-{}", index - 1), &link)
        })
    });
    let opened = made.and_then(|()| work.open(&format!("chain-{CHAIN_LINKS}"), Open::default()));
    attempts.refused(&format!("open a chain of {CHAIN_LINKS} links"), opened);
}

fn through_loop(attempts: &mut Attempts, work: Handle) {
    for (content, link) in [("loop-b", "loop-a"), ("loop-a", "loop-b"), ("loop-self", "loop-self")] {
        let _ = work.remove_file(link);
        let _ = work.symbolic_link(content, link);
    }
    for path in ["loop-a", "loop-a/x", "loop-self", "loop-self/"] {
        attempts.refused(&format!("open {path}"), work.open(path, Open::default()));
    }
}

fn slash_after_file(attempts: &mut Attempts, work: Handle) {
    let made = make_file(work, "plain");
    let opened = made.and_then(|()| work.open("plain/", Open::default()));
    attempts.refused("open a file with a slash after it", opened);
    attempts.refused("stat a file with a slash and a dot after it", work.stat("plain/."));
}

fn make_file(work: Handle, path: &str) -> Outcome<()> {
    work.open(path, Open { write: true, create: true, ..Open::default() }).map(Handle::close)
}

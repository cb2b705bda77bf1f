//! Tries to reach what is outside the granted folder `/work` by writing paths that lead out of it: `..` in many
//! spellings, absolute paths, trailing slashes, with every call that takes a path (FS-01, FS-02, FS-06).
//!
//! The argument is the path of a canary, a file outside, as seen from the folder; `../canary` without one.

use std::env;
use std::fs;
use std::process::ExitCode;

use hostile::raw::{Handle, Open, Outcome, granted};
use hostile::{Attempts, control, is_control};

const ABSOLUTE: [&str; 9] = [
    "/etc/passwd",
    "//etc/passwd",
    "/./etc/passwd",
    "/proc/self/environ",
    "/proc/self/root/etc/passwd",
    "/dev/fd/0",
    "/dev/stdin",
    "/work/../etc/passwd",
    "/",
];

fn main() -> ExitCode {
    if is_control() {
        return control(write_and_read());
    }
    let mut attempts = Attempts::default();
    match granted("/work") {
        Ok(work) => climb(&mut attempts, work),
        Err(error) => println!("failed: `/work`: {error}"),
    }
    attempts.finish()
}

fn write_and_read() -> std::io::Result<()> {
    fs::write("/work/control", "inside")?;
    fs::read_to_string("/work/control").map(drop)
}

fn climb(attempts: &mut Attempts, work: Handle) {
    let canary = env::args().nth(1).unwrap_or_else(|| "../canary".to_owned());
    // `..` only has something to climb out of where there is a folder; without one the attempts are the weaker ones.
    let _ = work.make_folder("sub");
    for path in spellings(&canary).iter().map(String::as_str).chain(ABSOLUTE) {
        look(attempts, work, path);
    }
    for path in spellings(&canary).iter().map(String::as_str).chain(ABSOLUTE) {
        change(attempts, work, path);
    }
    through_the_library(attempts, &canary);
}

fn spellings(canary: &str) -> Vec<String> {
    let mut paths = vec![
        canary.to_owned(),
        format!("./{canary}"),
        format!("{canary}/"),
        format!("{canary}/."),
        format!("sub/../{canary}"),
        format!("sub/./../{canary}"),
        format!("sub//..//{canary}"),
        format!("sub/../sub/../{canary}"),
        format!("missing/../{canary}"),
        format!("../../../../../../../../../../{canary}"),
        canary.replace("../", "..//"),
        canary.replace("../", ".././"),
    ];
    paths.extend(
        ["..", "../", "../.", "sub/../..", "sub/../../", "../../../../../../../../etc/passwd"].map(String::from),
    );
    paths
}

fn look(attempts: &mut Attempts, work: Handle, path: &str) {
    let folder = Open { folder: true, ..Open::default() };
    attempts.refused(&format!("open {path}"), work.open(path, Open::default()));
    attempts.refused(&format!("open folder {path}"), work.open(path, folder));
    attempts.refused(&format!("stat {path}"), work.stat(path));
    attempts.refused(&format!("stat link {path}"), work.stat_link(path));
    attempts.refused(&format!("read link {path}"), work.read_link(path));
}

fn change(attempts: &mut Attempts, work: Handle, path: &str) {
    let write = Open { write: true, ..Open::default() };
    let truncate = Open { write: true, truncate: true, ..Open::default() };
    let beside = beside(path);
    attempts.refused(&format!("open to write {path}"), work.open(path, write));
    attempts.refused(&format!("truncate {path}"), work.open(path, truncate));
    attempts.refused(&format!("create {beside}"), create(work, &beside));
    attempts.refused(&format!("make folder {beside}"), work.make_folder(&beside));
    attempts.refused(&format!("set times {path}"), work.set_times(path));
    attempts.refused(&format!("hard link {path} in"), work.hard_link(path, work, "stolen"));
    attempts.refused(&format!("rename {path} in"), work.rename(path, work, "stolen"));
    attempts.refused(&format!("rename out {beside}"), move_out(work, &beside));
    attempts.refused(&format!("symbolic link at {beside}"), work.symbolic_link("x", &beside));
    attempts.refused(&format!("remove folder {path}"), work.remove_folder(path));
    attempts.refused(&format!("remove file {path}"), work.remove_file(path));
}

/// A new path that is outside if this one is.
fn beside(path: &str) -> String {
    if path.ends_with("..") { format!("{path}/new") } else { format!("{path}-new") }
}

fn create(work: Handle, path: &str) -> Outcome<Handle> {
    work.open(path, Open { write: true, create: true, ..Open::default() })
}

fn move_out(work: Handle, path: &str) -> Outcome<()> {
    create(work, "loot")?.close();
    work.rename("loot", work, path)
}

fn through_the_library(attempts: &mut Attempts, canary: &str) {
    let inside = format!("/work/{canary}");
    for path in ABSOLUTE.iter().copied().chain([inside.as_str(), canary]) {
        attempts.refused(&format!("library: read {path}"), fs::read(path));
        attempts.refused(&format!("library: list {path}"), fs::read_dir(path));
        attempts.refused(&format!("library: write {path}"), fs::write(path, "escaped"));
    }
}

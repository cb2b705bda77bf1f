//! Tries to reach what patterns close in the folder `/work`, with every call that takes a path and by every other name it
//! can think of: links, `..`, other letters, folders that move (FS-17).
//!
//! Closed are `private`, `*.key` and `deep/inner`; `link-in` leads to `private`.

use std::fs;
use std::process::ExitCode;

use hostile::raw::{Handle, Open, Outcome, granted};
use hostile::{Attempts, control, is_control};

/// Names of what is there and closed, and of what is not there and would be.
const CLOSED: [&str; 19] = [
    "private",
    "private/file",
    "private/",
    "./private/file",
    "open/../private/file",
    "private/../private/file",
    "PRIVATE/file",
    "Private",
    "link-in/file",
    "link-in/",
    "link-in/.",
    "a.key",
    "open/b.key",
    "A.KEY",
    "open/\u{212a}.key",
    "deep/inner/file",
    "deep/../deep/inner",
    "missing.key",
    "private/missing",
];

fn main() -> ExitCode {
    if is_control() {
        return control(use_what_is_open());
    }
    let mut attempts = Attempts::default();
    match granted("/work") {
        Ok(work) => reach(&mut attempts, work),
        Err(error) => println!("failed: `/work`: {error}"),
    }
    attempts.finish()
}

fn use_what_is_open() -> std::io::Result<()> {
    fs::write("/work/open/new", "written")?;
    fs::rename("/work/open/new", "/work/open/newer")?;
    fs::remove_file("/work/open/newer")?;
    fs::read_to_string("/work/open/file").map(drop)
}

fn reach(attempts: &mut Attempts, work: Handle) {
    for path in CLOSED {
        look(attempts, work, path);
        change(attempts, work, path);
    }
    // The link itself is open; it leads to something that is not.
    attempts.refused("open link-to-file", work.open("link-to-file", Open::default()));
    attempts.refused("stat link-to-file", work.stat("link-to-file"));
    through_own_links(attempts, work);
    through_moved_folders(attempts, work);
    for folder in ["/work", "/work/open", "/work/deep"] {
        list(attempts, folder);
    }
}

fn look(attempts: &mut Attempts, work: Handle, path: &str) {
    attempts.refused(&format!("open {path}"), work.open(path, Open::default()));
    attempts.refused(&format!("open folder {path}"), work.open(path, Open { folder: true, ..Open::default() }));
    attempts.refused(&format!("stat {path}"), work.stat(path));
    attempts.refused(&format!("read link {path}"), work.read_link(path));
}

fn change(attempts: &mut Attempts, work: Handle, path: &str) {
    attempts.refused(&format!("create {path}"), create(work, path));
    attempts.refused(&format!("truncate {path}"), work.open(path, Open { truncate: true, ..Open::default() }));
    attempts.refused(&format!("make folder {path}"), work.make_folder(path));
    attempts.refused(&format!("symbolic link at {path}"), work.symbolic_link("open", path));
    attempts.refused(&format!("set times {path}"), work.set_times(path));
    attempts.refused(&format!("rename {path}"), work.rename(path, work, "open/stolen"));
    attempts.refused(&format!("move to {path}"), loot(work).and_then(|()| work.rename("loot", work, path)));
    attempts.refused(&format!("hard link {path}"), hard_link(work, path));
    attempts.refused(&format!("remove folder {path}"), work.remove_folder(path));
    attempts.refused(&format!("remove file {path}"), work.remove_file(path));
}

/// A link to what is closed may be taken; what is closed must not.
fn hard_link(work: Handle, path: &str) -> Outcome<()> {
    work.hard_link(path, work, "open/stolen")?;
    let stolen = work.open("open/stolen", Open::default()).map(Handle::close);
    let _ = work.remove_file("open/stolen");
    stolen
}

fn create(work: Handle, path: &str) -> Outcome<Handle> {
    work.open(path, Open { write: true, create: true, ..Open::default() })
}

fn loot(work: Handle) -> Outcome<()> {
    create(work, "loot").map(Handle::close)
}

fn through_own_links(attempts: &mut Attempts, work: Handle) {
    for (number, target) in ["private/file", "./private/../private/file", "link-in/file", "a.key", "../work/private"]
        .into_iter()
        .enumerate()
    {
        let link = format!("open/link-{number}");
        let target = format!("../{target}");
        let _ = work.symbolic_link(&target, &link);
        attempts.refused(&format!("open a link to {target}"), work.open(&link, Open::default()));
        attempts.refused(&format!("stat a link to {target}"), work.stat(&link));
        attempts
            .refused(&format!("open through a link to {target}"), work.open(&format!("{link}/file"), Open::default()));
    }
}

/// `deep/inner` is closed by its path; under another path it would not be.
fn through_moved_folders(attempts: &mut Attempts, work: Handle) {
    attempts.refused("move the folder of what is closed", work.rename("deep", work, "moved"));
    attempts.refused("move it with a slash", work.rename("deep/", work, "moved/"));
    attempts.refused("open it there", work.open("moved/inner/file", Open::default()));
}

fn list(attempts: &mut Attempts, folder: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return println!("failed: `{folder}` can't be listed") };
    let mut shown = 0;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if name == "private" || name.ends_with(".key") || name == "inner" {
            attempts.escaped(&format!("see {name} in {folder}"));
        }
        shown += 1;
    }
    attempts.contained(&format!("list {folder}"), &format!("{shown} names, none of them closed"));
}

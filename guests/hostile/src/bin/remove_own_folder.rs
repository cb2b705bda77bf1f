//! Removes and renames the folder `/work` it was granted, and folders under its own feet, and goes on using them (FS-24).
//!
//! With the argument `write`, it writes into the folder for a while instead, whatever the host does with it meanwhile.

use std::env;
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hostile::raw::{Handle, Open, Outcome, granted};
use hostile::{Attempts, control, is_control};

fn main() -> ExitCode {
    if is_control() {
        return control(make_and_remove());
    }
    let mut attempts = Attempts::default();
    if env::args().nth(1).is_some_and(|word| word == "write") {
        return write_for_a_while(attempts);
    }
    match granted("/work") {
        Ok(work) => remove(&mut attempts, work),
        Err(error) => println!("failed: `/work`: {error}"),
    }
    attempts.finish()
}

fn make_and_remove() -> std::io::Result<()> {
    fs::create_dir("/work/made")?;
    fs::rename("/work/made", "/work/renamed")?;
    fs::remove_dir("/work/renamed")
}

fn remove(attempts: &mut Attempts, work: Handle) {
    for path in [".", "./", "..", "../work", "../work/", "sub/..", "sub/../", "/work", "/", ""] {
        attempts.refused(&format!("remove folder {path:?}"), work.remove_folder(path));
        attempts.refused(&format!("remove file {path:?}"), work.remove_file(path));
        attempts.refused(&format!("rename {path:?}"), work.rename(path, work, "moved"));
        attempts.refused(&format!("rename something to {path:?}"), work.rename("sub", work, path));
    }
    attempts.refused("rename a folder into itself", work.rename("sub", work, "sub/sub"));
    match removed_but_open(work) {
        Ok(gone) => use_what_is_gone(attempts, gone),
        Err(error) => println!("failed: open a folder and remove it: {error}"),
    }
}

fn removed_but_open(work: Handle) -> Outcome<Handle> {
    work.make_folder("gone")?;
    let gone = work.open("gone", Open { folder: true, ..Open::default() })?;
    work.remove_folder("gone")?;
    Ok(gone)
}

fn use_what_is_gone(attempts: &mut Attempts, gone: Handle) {
    let create = Open { write: true, create: true, ..Open::default() };
    attempts.refused("create in a removed folder", gone.open("new", create));
    attempts.refused("make a folder in a removed folder", gone.make_folder("new"));
    attempts.refused("link in a removed folder", gone.symbolic_link("x", "new"));
    attempts.refused("look around in a removed folder", gone.stat("."));
    attempts.refused("climb from a removed folder", gone.stat(".."));
}

fn write_for_a_while(mut attempts: Attempts) -> ExitCode {
    let (started, mut written, mut failed) = (Instant::now(), 0, 0);
    while started.elapsed() < Duration::from_secs(2) {
        match fs::write(format!("/work/file-{}", written % 10), "by the guest") {
            Ok(()) => written += 1,
            Err(_) => failed += 1,
        }
    }
    attempts.contained(&format!("write {written} times"), &format!("{failed} failed"));
    attempts.finish()
}

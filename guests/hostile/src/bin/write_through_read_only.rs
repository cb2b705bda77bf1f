//! Tries to change what is in `/ro`, a folder granted read-only, with every call that changes something, and by getting
//! a file of it into `/rw`, a folder granted for writing (FS-09, FS-10, FS-11).
//!
//! The argument is the name of a file in `/ro`; `file` without one.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::process::ExitCode;
use std::time::SystemTime;

use hostile::raw::{Handle, Open, Outcome, granted};
use hostile::{Attempts, control, is_control};

fn main() -> ExitCode {
    if is_control() {
        return control(read_there_write_here());
    }
    let mut attempts = Attempts::default();
    match (granted("/ro"), granted("/rw")) {
        (Ok(ro), Ok(rw)) => Folders { ro, rw, file: file_name() }.attack(&mut attempts),
        (ro, rw) => println!("failed: `/ro` {}, `/rw` {}", ro.is_ok(), rw.is_ok()),
    }
    attempts.finish()
}

fn file_name() -> String {
    env::args().skip(1).find(|argument| argument != "control").unwrap_or_else(|| "file".to_owned())
}

fn read_there_write_here() -> std::io::Result<()> {
    let found = fs::read(format!("/ro/{}", file_name()))?;
    fs::write("/rw/control", found)
}

struct Folders {
    ro: Handle,
    rw: Handle,
    file: String,
}

impl Folders {
    fn attack(&self, attempts: &mut Attempts) {
        let before = self.size();
        self.open_to_write(attempts);
        self.write_through_handle(attempts);
        self.change_names(attempts);
        self.cross_folders(attempts);
        through_the_library(attempts, &format!("/ro/{}", self.file));
        match (before, self.size()) {
            (Ok(before), Ok(after)) if before == after => attempts.contained("change the size", "it is the same"),
            (before, after) => attempts.escaped(&format!("change the size from {before:?} to {after:?}")),
        }
    }

    fn size(&self) -> Outcome<u64> {
        self.ro.stat(&self.file).map(|found| found.size)
    }

    fn open_to_write(&self, attempts: &mut Attempts) {
        for bits in 1..16_u8 {
            let how = Open {
                write: bits & 1 != 0,
                truncate: bits & 2 != 0,
                create: bits & 4 != 0,
                exclusive: bits & 8 != 0,
                folder: false,
            };
            if how.write || how.truncate {
                attempts.refused(&format!("open the file to {}", name(how)), self.ro.open(&self.file, how));
            }
            if how.create {
                attempts.refused(&format!("open a new file to {}", name(how)), self.ro.open("new", how));
            }
        }
    }

    fn write_through_handle(&self, attempts: &mut Attempts) {
        let Ok(file) = self.ro.open(&self.file, Open::default()) else {
            return attempts.escaped("nothing: the file can't even be read, so the attempts prove nothing");
        };
        attempts.refused("write to a handle for reading", file.write(b"changed"));
        attempts.refused("empty a handle for reading", file.set_size(0));
        attempts.refused("grow a handle for reading", file.set_size(1 << 20));
        attempts.refused("set the times of a handle for reading", file.set_own_times());
        file.close();
        attempts.refused("set the times of the folder", self.ro.set_own_times());
    }

    fn change_names(&self, attempts: &mut Attempts) {
        let (ro, file) = (self.ro, self.file.as_str());
        attempts.refused("set times", ro.set_times(file));
        attempts.refused("set times of the folder by name", ro.set_times("."));
        attempts.refused("make a folder", ro.make_folder("made"));
        attempts.refused("make a symbolic link", ro.symbolic_link(file, "link"));
        attempts.refused("make a hard link", ro.hard_link(file, ro, "link"));
        attempts.refused("rename", ro.rename(file, ro, "renamed"));
        attempts.refused("rename onto itself", ro.rename(file, ro, file));
        attempts.refused("remove the file", ro.remove_file(file));
        attempts.refused("remove the folder", ro.remove_folder("."));
    }

    fn cross_folders(&self, attempts: &mut Attempts) {
        let (ro, rw, file) = (self.ro, self.rw, self.file.as_str());
        let loot = || rw.open("loot", Open { write: true, create: true, ..Open::default() }).map(Handle::close);
        attempts.refused("hard link into the writable folder", ro.hard_link(file, rw, "linked"));
        attempts.refused("write through that hard link", rw.open("linked", Open { write: true, ..Open::default() }));
        attempts.refused("rename into the writable folder", ro.rename(file, rw, "renamed"));
        attempts.refused("hard link from the writable folder", loot().and_then(|()| rw.hard_link("loot", ro, "loot")));
        attempts.refused("rename from the writable folder", loot().and_then(|()| rw.rename("loot", ro, "loot")));
        attempts.refused("rename over the file", loot().and_then(|()| rw.rename("loot", ro, file)));
        attempts
            .refused("reach it by `..`", rw.open(&format!("../ro/{file}"), Open { write: true, ..Open::default() }));
    }
}

/// Names the flags.
fn name(how: Open) -> String {
    let flags =
        [(how.write, "write"), (how.truncate, "truncate"), (how.create, "create"), (how.exclusive, "be the only one")];
    let chosen: Vec<_> = flags.iter().filter(|(chosen, _)| *chosen).map(|(_, name)| *name).collect();
    chosen.join(", ")
}

fn through_the_library(attempts: &mut Attempts, path: &str) {
    attempts.refused("library: write", fs::write(path, "changed"));
    attempts.refused("library: create", File::create(format!("{path}-new")));
    attempts.refused("library: append", OpenOptions::new().append(true).open(path));
    attempts.refused("library: truncate", OpenOptions::new().write(true).truncate(true).open(path));
    attempts.refused("library: set length", File::open(path).and_then(|file| file.set_len(0)));
    attempts.refused("library: set time", File::open(path).and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH)));
    attempts.refused("library: rename", fs::rename(path, "/rw/renamed"));
    attempts.refused("library: hard link", fs::hard_link(path, "/rw/linked"));
    attempts.refused("library: copy over", fs::copy("/rw/loot", path));
    attempts.refused("library: remove", fs::remove_file(path));
    attempts.refused("library: remove all", fs::remove_dir_all("/ro"));
}

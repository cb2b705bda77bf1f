//! Opens what is in the folders `/work` and `/dev` and is no file: pipes, sockets, devices. To open some of them is to
//! wait for ever, to open others is to do something (FS-14).

use std::env;
use std::fs::{self, OpenOptions};
use std::process::ExitCode;

use hostile::raw::{Handle, Open, granted};
use hostile::{Attempts, control, is_control};

fn main() -> ExitCode {
    if is_control() {
        return control(fs::read_to_string("/work/file"));
    }
    let mut attempts = Attempts::default();
    for path in env::args().skip(1) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("/work", &path));
        match granted(folder) {
            Ok(folder) => open_each_way(&mut attempts, folder, name),
            Err(error) => println!("failed: `{folder}`: {error}"),
        }
        through_the_library(&mut attempts, &path);
    }
    attempts.finish()
}

fn open_each_way(attempts: &mut Attempts, folder: Handle, name: &str) {
    for bits in 0..16_u8 {
        let how = Open {
            write: bits & 1 != 0,
            truncate: bits & 2 != 0,
            create: bits & 4 != 0,
            exclusive: bits & 8 != 0,
            folder: false,
        };
        attempts.refused(&format!("open {name}: {how:?}"), folder.open(name, how));
    }
}

fn through_the_library(attempts: &mut Attempts, path: &str) {
    attempts.refused(&format!("library: read {path}"), fs::read(path));
    attempts.refused(&format!("library: write {path}"), fs::write(path, "x"));
    attempts.refused(&format!("library: append {path}"), OpenOptions::new().append(true).open(path));
    attempts.refused(&format!("library: list {path}"), fs::read_dir(path));
}

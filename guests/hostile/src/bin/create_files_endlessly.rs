//! Creates files, folders and links in a folder, as many and as deep as it can, until it is refused (FS-19).
//!
//! The arguments: the folder, and what to create: `file`, `folder`, `symbolic-link`, `hard-link` or `deep`.

use std::env;
use std::process::ExitCode;

use hostile::raw::{Handle, Open, Outcome, granted};
use hostile::{Attempts, control, is_control};

/// More than anybody needs.
const UNLIMITED: u32 = 50_000;

fn main() -> ExitCode {
    let word = |index| env::args().nth(index).unwrap_or_default();
    if is_control() {
        return control(granted(&word(2)).and_then(|folder| create(folder, "control")));
    }
    let mut attempts = Attempts::default();
    match granted(&word(1)) {
        Ok(folder) => create_all(&mut attempts, folder, &word(2)),
        Err(error) => println!("failed: `{}`: {error}", word(1)),
    }
    attempts.finish()
}

fn create_all(attempts: &mut Attempts, folder: Handle, what: &str) {
    if what == "hard-link" {
        let _ = create(folder, "first");
    }
    let mut here = folder;
    for number in 0..UNLIMITED {
        let name = format!("{what}-{number}");
        let created = match what {
            "folder" => folder.make_folder(&name),
            "symbolic-link" => folder.symbolic_link("nowhere", &name),
            "hard-link" => folder.hard_link("first", folder, &name),
            "deep" => deeper(&mut here),
            _ => create(folder, &name),
        };
        if let Err(error) = created {
            println!("reached: {number}");
            return attempts.contained(&format!("create more than {number}"), &error.to_string());
        }
    }
    attempts.escaped(&format!("create {UNLIMITED}"));
}

fn create(folder: Handle, name: &str) -> Outcome<()> {
    folder.open(name, Open { write: true, create: true, ..Open::default() }).map(Handle::close)
}

/// A folder in the last one, and into it.
fn deeper(here: &mut Handle) -> Outcome<()> {
    here.make_folder("d")?;
    let there = here.open("d", Open { folder: true, ..Open::default() })?;
    std::mem::replace(here, there).close();
    Ok(())
}

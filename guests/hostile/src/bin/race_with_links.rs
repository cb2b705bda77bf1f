//! Tries to be let through a link in the moment between a check and what follows it (FS-08). Two of it run at once on one
//! folder `/work`: one turns `/work/door` into something else all the time, the other goes through it to a file.
//!
//! The arguments: `turn` or `enter`, and how `turn` does it. `folder`: `door` is a folder with a file that is open to
//! all, or a link out of the folder. `link`: `door` is a link to such a folder, or to one that is closed.

use std::env;
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hostile::raw::granted;
use hostile::{Attempts, control, is_control};

/// How long it goes on.
const FOR: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    if is_control() {
        return control(fs::read_to_string("/work/open/file"));
    }
    let word = |index| env::args().nth(index).unwrap_or_default();
    match (word(1).as_str(), word(2).as_str()) {
        ("turn", "folder") => turn(turn_folder),
        ("turn", _) => turn(turn_link),
        _ => enter(),
    }
}

fn turn(once: fn() -> std::io::Result<()>) -> ExitCode {
    let (started, mut turns) = (Instant::now(), 0);
    while started.elapsed() < FOR {
        if let Err(error) = once() {
            println!("failed: turn {turns}: {error}");
            return ExitCode::FAILURE;
        }
        turns += 1;
    }
    println!("turned: {turns}");
    ExitCode::SUCCESS
}

fn turn_folder() -> std::io::Result<()> {
    fs::rename("/work/open", "/work/door")?;
    fs::rename("/work/door", "/work/open")?;
    granted("/work")?.symbolic_link("../outside", "door")?;
    fs::remove_file("/work/door")
}

fn turn_link() -> std::io::Result<()> {
    for target in ["open", "closed"] {
        granted("/work")?.symbolic_link(target, "next")?;
        fs::rename("/work/next", "/work/door")?;
    }
    Ok(())
}

fn enter() -> ExitCode {
    let mut attempts = Attempts::default();
    let (started, mut tried, mut entered) = (Instant::now(), 0_u64, 0_u64);
    while started.elapsed() < FOR {
        tried += 1;
        match fs::read_to_string("/work/door/file") {
            Ok(text) if text != "open to all" => attempts.escaped(&format!("read {text}")),
            Ok(_) => entered += 1,
            Err(_) => {}
        }
        // Whatever is taken out by a link or a new name is found by the host.
        let _ = fs::hard_link("/work/door/file", "/work/stolen");
        let _ = fs::rename("/work/door/secret", "/work/stolen");
        let _ = fs::write("/work/door/written", "by the guest");
    }
    attempts.contained(&format!("enter {tried} times"), &format!("it came to the open file {entered} times"));
    attempts.finish()
}

//! Looks in its scratch folder `/scratch` for what others have left there (FS-25). With the argument `leave` it leaves
//! something itself; with `hang` as well, it never ends.

use std::env;
use std::fs;
use std::process::ExitCode;

use hostile::raw::granted;
use hostile::{Attempts, control, is_control};

fn main() -> ExitCode {
    if is_control() {
        return control(leave().and_then(|()| fs::read_to_string("/scratch/sub/marker")));
    }
    if env::args().nth(1).is_some_and(|word| word == "leave") {
        let left = control(leave());
        while env::args().nth(2).is_some_and(|word| word == "hang") {}
        return left;
    }
    let mut attempts = Attempts::default();
    match fs::read_dir("/scratch") {
        Ok(found) => {
            for entry in found.flatten() {
                attempts.escaped(&format!("see {}", entry.file_name().to_string_lossy()));
            }
            attempts.contained("look around", "nothing is there");
        }
        Err(error) => println!("failed: `/scratch`: {error}"),
    }
    attempts.refused("read the marker", fs::read("/scratch/sub/marker"));
    attempts.refused("look beside it", fs::read_dir("/scratch/.."));
    attempts.finish()
}

fn leave() -> std::io::Result<()> {
    fs::create_dir_all("/scratch/sub/deeper")?;
    fs::write("/scratch/sub/marker", "left behind")?;
    Ok(granted("/scratch")?.symbolic_link("nowhere", "sub/link")?)
}

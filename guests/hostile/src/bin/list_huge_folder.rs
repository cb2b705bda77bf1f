//! Lists the folder `/work`, which holds a great many files, again and again at the same time (FS-20). Each listing must
//! go on where it was, and none may cost the host more than a little. It calls WASI 0.2 itself, whose listings live as
//! long as they are kept.
//!
//! The argument is how many files there are.

use std::collections::HashSet;
use std::env;
use std::process::ExitCode;

use hostile::{Attempts, control, is_control};

mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/deps/io.wit", "../../wit/deps/clocks.wit", "../../wit/deps/filesystem.wit"],
        inline: "
            package ringfence:hostile;
            world listings {
                import wasi:filesystem/types@0.2.12;
                import wasi:filesystem/preopens@0.2.12;
            }
        ",
        world: "ringfence:hostile/listings",
        generate_all,
    });
}

use bindings::wasi::filesystem::preopens::get_directories;
use bindings::wasi::filesystem::types::{DirectoryEntryStream, ErrorCode};

/// Listings that are open at the same time.
const LISTINGS: usize = 300;

fn main() -> ExitCode {
    let Some((work, _)) = get_directories().into_iter().find(|(_, path)| path == "/work") else {
        println!("failed: `/work` was not granted");
        return ExitCode::FAILURE;
    };
    let open = || work.read_directory();
    if is_control() {
        return control(open().and_then(|listing| next(&listing)));
    }
    let wanted: usize = env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or_default();
    let mut attempts = Attempts::default();
    let mut listings = Vec::new();
    for _ in 0..LISTINGS {
        match open().and_then(|listing| next(&listing).map(|_| listing)) {
            Ok(listing) => listings.push(listing),
            Err(error) => println!("failed: after {} listings: {}", listings.len(), error.name()),
        }
    }
    match listings.last().map(rest) {
        Some(Ok(names)) if names.len() + 1 == wanted => attempts.contained("list them all", "each name came once"),
        Some(Ok(names)) => attempts.escaped(&format!("see {} other names instead of {wanted}", names.len())),
        Some(Err(error)) => attempts.escaped(&format!("break a listing: {}", error.name())),
        None => println!("failed: no listing could be opened"),
    }
    attempts.contained(&format!("keep {} listings", listings.len()), "the host goes on");
    attempts.finish()
}

fn next(listing: &DirectoryEntryStream) -> Result<Option<String>, ErrorCode> {
    Ok(listing.read_directory_entry()?.map(|entry| entry.name))
}

fn rest(listing: &DirectoryEntryStream) -> Result<HashSet<String>, ErrorCode> {
    let mut names = HashSet::new();
    let mut twice = 0;
    while let Some(name) = next(listing)? {
        twice += usize::from(!names.insert(name));
    }
    println!("twice: {twice}");
    Ok(names)
}

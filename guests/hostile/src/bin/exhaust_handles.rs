//! Opens the granted folder `/work` again and again without closing it, until that is refused, and says as it goes how
//! many handles it has (FS-23, HOST-04). A host may refuse with an error or end the program: both contain it. It calls
//! WASI 0.2 itself, as the adapter for older programs has a small limit of its own.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control};

mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/deps/io.wit", "../../wit/deps/clocks.wit", "../../wit/deps/filesystem.wit"],
        inline: "
            package ringfence:hostile;
            world handles {
                import wasi:filesystem/types@0.2.12;
                import wasi:filesystem/preopens@0.2.12;
            }
        ",
        world: "ringfence:hostile/handles",
        generate_all,
    });
}

use bindings::wasi::filesystem::preopens::get_directories;
use bindings::wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

/// More than anybody needs.
const UNLIMITED: usize = 100_000;
/// How often it says how many it has.
const REPORT_HANDLES: usize = 100;

fn main() -> ExitCode {
    let Some((work, _)) = get_directories().into_iter().find(|(_, path)| path == "/work") else {
        println!("failed: `/work` was not granted");
        return ExitCode::FAILURE;
    };
    if is_control() {
        return control(open(&work));
    }
    println!("reached: 0 handles");
    let mut attempts = Attempts::default();
    let mut handles = Vec::with_capacity(UNLIMITED);
    while handles.len() < UNLIMITED {
        match open(&work) {
            Ok(handle) => handles.push(handle),
            Err(error) => {
                attempts.contained(&format!("open more than {} handles", handles.len()), error.name());
                return attempts.finish();
            }
        }
        if handles.len() % REPORT_HANDLES == 0 {
            println!("reached: {} handles", handles.len());
        }
    }
    attempts.escaped(&format!("open {} handles", handles.len()));
    attempts.finish()
}

fn open(work: &Descriptor) -> Result<Descriptor, ErrorCode> {
    work.open_at(PathFlags::empty(), ".", OpenFlags::DIRECTORY, DescriptorFlags::READ)
}

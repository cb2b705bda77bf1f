//! Sets times of a file in `/work` that no calendar has (FS-21). Each is refused, or taken for one that the file system can
//! keep; either way the file can be looked at afterwards. It calls WASI 0.2 itself, whose times reach furthest.

use std::process::ExitCode;

use hostile::{Attempts, control, is_control};

mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit/deps/io.wit", "../../wit/deps/clocks.wit", "../../wit/deps/filesystem.wit"],
        inline: "
            package ringfence:hostile;
            world times {
                import wasi:filesystem/types@0.2.12;
                import wasi:filesystem/preopens@0.2.12;
            }
        ",
        world: "ringfence:hostile/times",
        generate_all,
    });
}

use bindings::wasi::clocks::wall_clock::Datetime;
use bindings::wasi::filesystem::preopens::get_directories;
use bindings::wasi::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags};

fn main() -> ExitCode {
    let Some((work, _)) = get_directories().into_iter().find(|(_, path)| path == "/work") else {
        println!("failed: `/work` was not granted");
        return ExitCode::FAILURE;
    };
    if is_control() {
        return control(set(&work, Datetime { seconds: 1_000_000_000, nanoseconds: 5 }));
    }
    let mut attempts = Attempts::default();
    for seconds in
        [0, 1, 1 << 31, 1 << 35, 1 << 40, 31_556_952_000_000_000, i64::MAX as u64, 1 << 63, u64::MAX - 4, u64::MAX]
    {
        for nanoseconds in [0, 999_999_999, 1_000_000_000, u32::MAX] {
            let result = set(&work, Datetime { seconds, nanoseconds });
            let what = format!("set {seconds} s and {nanoseconds} ns");
            match work.stat_at(PathFlags::empty(), "file") {
                Ok(_) => attempts.contained(&what, &format!("{result:?}")),
                Err(error) => attempts.escaped(&format!("{what}: it can't be looked at: {}", error.name())),
            }
        }
    }
    attempts.finish()
}

/// By name and by handle, and back to now.
fn set(work: &Descriptor, time: Datetime) -> Result<(), ErrorCode> {
    let at = || NewTimestamp::Timestamp(time);
    let by_name = work.set_times_at(PathFlags::empty(), "file", at(), at());
    let file = work.open_at(PathFlags::empty(), "file", OpenFlags::empty(), DescriptorFlags::WRITE)?;
    let by_handle = file.set_times(at(), at());
    let folder = work.set_times(at(), at());
    by_name.and(by_handle).and(folder)
}

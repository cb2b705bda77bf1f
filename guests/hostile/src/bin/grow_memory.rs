//! Takes memory and touches it until it is refused, and says how far it got (RES-03, RES-05). All that an address can
//! reach is an escape: then nobody set a limit.

use std::process::ExitCode;

use hostile::{control, is_control};

const PAGE_BYTES: usize = 64 * 1024;
const MIB_PAGES: usize = 1024 * 1024 / PAGE_BYTES;
/// How often it says how far it got, in mebibytes.
const REPORT_MIB: usize = 16;
/// Within a little of what 32-bit addresses can reach.
const UNLIMITED_MIB: usize = 4_000;

fn main() -> ExitCode {
    if is_control() {
        return control(grow_by_a_mebibyte().ok_or("no memory"));
    }
    println!("reached: 0 MiB");
    let mut mib = 0;
    while grow_by_a_mebibyte().is_some() {
        mib += 1;
        if mib % REPORT_MIB == 0 {
            println!("reached: {mib} MiB");
        }
    }
    if mib >= UNLIMITED_MIB {
        println!("escaped: take all the memory there is");
        return ExitCode::FAILURE;
    }
    // Not by way of `Attempts`: there may be no memory left to put a text together in.
    println!("contained: grow beyond {mib} MiB: refused");
    ExitCode::SUCCESS
}

fn grow_by_a_mebibyte() -> Option<()> {
    let before = core::arch::wasm32::memory_grow::<0>(MIB_PAGES);
    if before == usize::MAX {
        return None;
    }
    for page in before..before + MIB_PAGES {
        // The page was just added to this memory, and nothing else knows of it.
        unsafe { ((page * PAGE_BYTES) as *mut u8).write_volatile(1) };
    }
    Some(())
}

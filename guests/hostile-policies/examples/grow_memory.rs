//! Takes memory, a mebibyte at a time, and touches it, until it is refused; then it permits, as a policy that ignores
//! its limits would. A host that lets it have four gibibytes has no limit at all (POL-02).

use hostile_policies::hostile_policy;
use hostile_policies::support::{permit, reason};

const PAGES_STEP: usize = 16;
const PAGE_BYTES: usize = 64 * 1024;

hostile_policy!("grow-memory", |_| {
    let pages = grow_until_refused();
    permit(reason("memory-taken", format!("took {pages} pages")), Vec::new())
});

fn grow_until_refused() -> usize {
    let mut taken = 0;
    loop {
        let before = core::arch::wasm32::memory_grow::<0>(PAGES_STEP);
        if before == usize::MAX {
            return taken;
        }
        for page in before..before + PAGES_STEP {
            // The page was just added to this memory, and nothing else knows of it.
            unsafe { ((page * PAGE_BYTES) as *mut u8).write_volatile(1) };
        }
        taken += PAGES_STEP;
    }
}

#![no_main]

use std::sync::LazyLock;

use ringfence_fuzz::Host;

/// `scripts/fuzz.sh` says where the probe is.
static HOST: LazyLock<Host> = LazyLock::new(|| {
    let path = std::env::var_os("RINGFENCE_PROBE").expect("the path of the probe");
    Host::new(&std::fs::read(path).expect("the probe"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    HOST.run(bytes);
});

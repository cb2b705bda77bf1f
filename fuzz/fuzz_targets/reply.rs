#![no_main]

use std::sync::LazyLock;

use ringfence_fuzz::Scripted;

/// `scripts/fuzz.sh` says where the policy is.
static POLICY: LazyLock<Scripted> = LazyLock::new(|| {
    let path = std::env::var_os("RINGFENCE_SCRIPTED").expect("the path of the policy");
    Scripted::new(&std::fs::read(path).expect("the policy"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    POLICY.ask(bytes);
});

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ringfence_fuzz::vouched(bytes);
    ringfence_fuzz::roots(bytes);
});

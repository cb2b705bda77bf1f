#!/usr/bin/env bash
# Fuzzes each target for some seconds (60, or the first argument). With a nightly compiler and cargo-fuzz, coverage guides it,
# and what made a target fail is left in fuzz/artifacts; without them, the same targets get changed seeds from a plain loop.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
scripts/guest-toolchain.sh

if ! cargo +nightly --version >/dev/null 2>&1 || ! cargo fuzz --version >/dev/null 2>&1; then
    echo 'note: no nightly compiler with cargo-fuzz, so nothing guides the fuzzing'
    echo 'hint: rustup toolchain install nightly, cargo install --locked cargo-fuzz'
    RINGFENCE_FUZZ_SECONDS=$seconds exec cargo test --locked --workspace --test all -- fuzz:: --nocapture
fi

cargo build --locked -p ringfence-artifacts
guest() { find "$PWD/target/guests" -path "*$1.wasm" -print -quit; }
RINGFENCE_PROBE=$(guest tools/probe)
RINGFENCE_SCRIPTED=$(guest scripted)
export RINGFENCE_PROBE RINGFENCE_SCRIPTED

for target in component evidence host manifest reply rules vouched; do
    echo "== $target, for $seconds s"
    mkdir -p "fuzz/corpus/$target"
    cargo +nightly fuzz run "$target" --sanitizer none "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=30 -print_final_stats=1
done

#!/usr/bin/env bash
# Fuzzes each target for some seconds (60, or the first argument), with a nightly compiler and coverage to guide it.
# What made one fail is left in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo 'error: fuzzing needs a nightly compiler' >&2
    echo 'hint: rustup toolchain install nightly' >&2
    exit 1
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    cargo install --locked cargo-fuzz
fi
scripts/guest-toolchain.sh
cargo build --locked -p ringfence-artifacts
RINGFENCE_PROBE=$(find "$PWD/target/guests" -path '*tools/probe.wasm' | head -n 1)
export RINGFENCE_PROBE

for target in component host manifest rules; do
    echo "== $target, for $seconds s"
    cargo +nightly fuzz run "$target" --sanitizer none -- -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=30
done

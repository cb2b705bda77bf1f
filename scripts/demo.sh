#!/usr/bin/env bash
# One governed call, a refusal, a contained attack, a verified log, and a forged one found out. Everything is real: the
# tool reads this repository's documents, the attacks are programs in guests/hostile, the log is in a temporary home.
set -euo pipefail
cd "$(dirname "$0")/.."

started=$(date +%s)
step_count=0
step() {
    step_count=$((step_count + 1))
    printf '\n\033[1m[%d/7] %s\033[0m\n' "$step_count" "$1"
}
# Shows a command as a user would type it, and runs it. Its exit code is shown, and must be the one expected.
show() {
    local expected=$1 code=0 argument
    shift
    printf '$ ringfence'
    for argument in "$@"; do
        case $argument in
            *[!A-Za-z0-9_./:=@-]*) printf " '%s'" "$argument" ;;
            *) printf ' %s' "$argument" ;;
        esac
    done
    printf '\n'
    "$ringfence" "$@" || code=$?
    printf '(exit %d)\n' "$code"
    if [ "$code" != "$expected" ]; then
        echo "demo: expected exit $expected" >&2
        exit 1
    fi
}

step 'build the host, the guests and the policies (minutes the first time, then nothing)'
target=${CARGO_TARGET_DIR:-target}
ringfence=$target/debug/ringfence
guests=$target/guests
if [ -n "${RINGFENCE_DEMO_BINARY:-}" ]; then
    # The tests have built everything already.
    ringfence=$RINGFENCE_DEMO_BINARY
    guests=$RINGFENCE_DEMO_GUESTS
else
    scripts/guest-toolchain.sh
    ${CARGO:-cargo} build --locked -p ringfence -p ringfence-artifacts
fi
hostile=$guests/wasm32-wasip1/release

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export RINGFENCE_HOME=$work/home

step 'a home: keys, an empty log, a configuration'
show 0 init --origin demo.example/log

step 'a call: the files tool searches these documents, in ring 3, with one folder to read'
show 0 run "$guests/tools/files.wasm" grep --input '{"path":"/docs","pattern":"fail closed"}' --dir docs::/docs \
    --receipt "$work/receipt.json"
printf '\nfirst answer after %d s, the build included\n\n' "$(($(date +%s) - started))"
show 0 receipt verify "$work/receipt.json"

step 'a refusal: writing is not for ring 3'
mkdir "$work/notes"
show 3 run "$guests/tools/files.wasm" write --input '{"path":"/notes/a.txt","content":"hello"}' \
    --dir "$work/notes::/notes"
printf '\nthe same call, after the review that the hint asks for:\n'
show 0 run "$guests/tools/files.wasm" write --input '{"path":"/notes/a.txt","content":"hello"}' \
    --dir "$work/notes::/notes:rw" --ring 2

step 'an attack: a program that tries to climb out of its folder, and one that never ends'
echo 'nobody may read this' > "$work/canary"
show 0 run "$hostile/climb_out_of_preopen.wasm" --dir "$work/notes::/work" -- ../canary | sed -n '1,6p;$p'
show 4 run "$hostile/spin_forever.wasm" --timeout 1

step 'the log of all this verifies'
show 0 log show
show 0 log verify

step 'one byte of a copy is edited, and the verifier names the entry'
"$ringfence" log export --output "$work/copy.jsonl"
sed -i '3s/"output":"sha256:[0-7]/"output":"sha256:8/; t; 3s/"output":"sha256:./"output":"sha256:0/' "$work/copy.jsonl"
show 5 log verify "$work/copy.jsonl"

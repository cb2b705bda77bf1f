#!/usr/bin/env bash
# Prepares, once, what is needed to build guests: WebAssembly targets for Rust, and a C compiler for WASI.
#
#   guest-toolchain.sh              prepare; instant when there is nothing to do
#   guest-toolchain.sh --print-env  print the path of the settings file; fails when nothing is prepared
#
# The first of these that works is used, for Rust:
#   1. the pinned tool-chain already has wasm32-wasip2 (or wasm32-wasip1) and wasm32-unknown-unknown
#   2. Debian's rustc-web, with a standard library built from rust-web-src for wasm32-wasip1 and wasm32-unknown-unknown
#   3. `rustup target add`
# and for C: the WASI SDK at $WASI_SDK_PATH, else Debian's clang with wasi-libc.
#
# The result is a folder that is renamed into place when it is complete, never changed afterwards, and named after
# everything it depends on. Its file `env` is what the crate `ringfence-guest-build` reads: KEY=VALUE lines, taken as
# they are without any quoting; a key that is repeated is a list, one argument to a line.
set -euo pipefail

readonly RUSTC_WEB_MINOR_MIN=87
readonly POLICY_TARGET=wasm32-unknown-unknown
readonly DEBIAN_RUSTC=/usr/bin/rustc
readonly DEBIAN_WASI_LIB=/usr/lib/wasm32-wasi

script=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/$(basename "${BASH_SOURCE[0]}")
repo=$(dirname "$(dirname "$script")")
cache=${RINGFENCE_GUEST_TOOLCHAIN:-${XDG_CACHE_HOME:-$HOME/.cache}/ringfence-guest-toolchain}

say() { printf 'guest tool-chain: %s\n' "$*" >&2; }

fail() { # message, hint
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

main() {
    cd "$repo"
    # The pinned tool-chain builds guests, whichever one happens to call this script.
    unset RUSTUP_TOOLCHAIN RUSTC RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_TARGET
    rustc_sysroot=$(rustc --print sysroot 2>/dev/null) ||
        fail 'no Rust compiler found' 'install rustup from https://rustup.rs, then run this again'
    local key
    key=$(toolchain_key)
    prepared=$cache/$key
    case ${1-} in
    --print-env) print_env ;;
    '') prepare ;;
    *) fail "unknown argument \`$1\`" 'the only one is `--print-env`' ;;
    esac
}

print_env() {
    is_prepared || fail 'the guest tool-chain is not prepared' 'run `make setup`'
    printf '%s\n' "$prepared/env"
}

prepare() {
    if is_prepared; then
        say "ready ($(setting WAY))"
        return
    fi
    mkdir -p "$cache"
    rm -rf "$prepared"
    work=$(mktemp -d "$cache/.new.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    say '[1/3] looking for a Rust compiler that can build WebAssembly'
    ensure_host_linker
    fetch_crates
    choose_rust
    say '[3/3] looking for a C compiler that can build WebAssembly'
    choose_c
    mv "$work" "$prepared"
    trap - EXIT
    say "ready ($(setting WAY))"
}

# Everything that a prepared folder depends on, apart from Debian's compiler, which `is_prepared` compares.
toolchain_key() {
    { rustc -vV && cat "$script" && printf '%s\n' "${WASI_SDK_PATH-}"; } | digest | cut -c1-16
}

digest() {
    if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi
}

is_prepared() {
    [ -f "$prepared/env" ] || return 1
    [ "$(setting WAY)" != debian ] || [ "$("$DEBIAN_RUSTC" -V 2>/dev/null)" = "$(setting RUSTC_VERSION)" ]
}

setting() { sed -n "s/^$1=//p" "$prepared/env"; }

put() { # key, values
    local key=$1
    shift
    [ $# -eq 0 ] || printf "$key=%s\n" "$@" >>"$work/env"
}

# --- Rust ---

choose_rust() {
    if rust_by_installed_target; then
        say '[2/3] the targets are installed already'
    elif debian_has_rustc_web && install_packages rustc-web rust-web-src wasi-libc; then
        rust_by_debian
    elif add_rustup_targets && rust_by_installed_target; then
        say '[2/3] the targets were added by rustup'
    else
        fail "no standard library for $POLICY_TARGET and wasm32-wasip2" \
            "run \`rustup target add wasm32-wasip2 $POLICY_TARGET\`, or on Debian, as root, \`apt-get install rustc-web rust-web-src wasi-libc\`"
    fi
}

rust_by_installed_target() {
    local target
    has_target "$POLICY_TARGET" || return 1
    for target in wasm32-wasip2 wasm32-wasip1; do
        if has_target "$target"; then
            put WAY rustup
            put_rust "$rustc_sysroot/bin/rustc" "$target"
            put PATH_PREFIX "$(host_tools)/gcc-ld"
            return
        fi
    done
    return 1
}

has_target() { compgen -G "$rustc_sysroot/lib/rustlib/$1/lib/libstd-*.rlib" >/dev/null; }

host_triple() { rustc -vV | sed -n 's/^host: //p'; }

host_tools() { printf '%s\n' "$rustc_sysroot/lib/rustlib/$(host_triple)/bin"; }

put_rust() { # compiler, target of tools
    local linker
    linker=$(host_tools)/wasm-component-ld
    [ -x "$linker" ] || fail 'the Rust tool-chain has no `wasm-component-ld`' 'install the pinned tool-chain with rustup'
    put CARGO "$rustc_sysroot/bin/cargo"
    put RUSTC "$1"
    put RUSTC_VERSION "$("$1" -V)"
    put TOOL_TARGET "$2"
    put POLICY_TARGET "$POLICY_TARGET"
    put LINKER "$linker"
}

add_rustup_targets() {
    command -v rustup >/dev/null || return 1
    say "[2/3] rustup target add wasm32-wasip2 $POLICY_TARGET"
    rustup target add wasm32-wasip2 "$POLICY_TARGET" >&2
}

# --- Rust from Debian ---

debian_has_rustc_web() {
    command -v apt-get >/dev/null || return 1
    rustc_web_is_new_enough && return
    as_root true || return 1
    say '[1/3] apt-get update'
    as_root apt-get -qq update >&2 || return 1
    rustc_web_is_new_enough
}

rustc_web_is_new_enough() {
    local minor
    minor=$(apt-cache policy rustc-web 2>/dev/null | sed -n 's/^  Candidate: 1\.\([0-9]*\)\..*/\1/p')
    [ "${minor:-0}" -ge "$RUSTC_WEB_MINOR_MIN" ]
}

rust_by_debian() {
    local llvm sysroot=$work/sysroot
    llvm=$("$DEBIAN_RUSTC" -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    # The linker has to read what this compiler's LLVM writes, so it is the one of the same LLVM.
    install_packages "lld-$llvm" ||
        fail "the linker for LLVM $llvm is missing" "run, as root, \`apt-get install lld-$llvm\`"
    mkdir "$work/bin"
    ln -s "/usr/bin/wasm-ld-$llvm" "$work/bin/wasm-ld"
    build_std
    collect_std wasm32-wasip1 "$sysroot"
    collect_std "$POLICY_TARGET" "$sysroot"
    rm -rf "$work/std"
    ln -s "$DEBIAN_WASI_LIB"/{crt1-command.o,crt1-reactor.o,libc.a} "$sysroot/lib/rustlib/wasm32-wasip1/lib/self-contained/"
    ln -s "$("$DEBIAN_RUSTC" --print sysroot)/lib/rustlib/$(host_triple)" "$sysroot/lib/rustlib/"
    put WAY debian
    put_rust "$DEBIAN_RUSTC" wasm32-wasip1
    put RUSTFLAGS "--sysroot=$prepared/sysroot"
    put PATH_PREFIX "$prepared/bin"
}

build_std() {
    local empty=$work/std cargo=$rustc_sysroot/bin/cargo home=${CARGO_HOME:-$HOME/.cargo} flags folder
    say '[2/3] building the standard library for WebAssembly, about a minute'
    mkdir -p "$empty/src"
    : >"$empty/src/lib.rs"
    printf '%s\n' '[package]' 'name = "empty"' 'edition = "2021"' '[workspace]' >"$empty/Cargo.toml"
    # Names of source files end up in guests; they are not to depend on where this machine keeps them.
    flags="--remap-path-prefix=$("$DEBIAN_RUSTC" --print sysroot)/lib/rustlib/src/rust=rust"
    for folder in "$home"/registry/src/*; do
        flags="$flags --remap-path-prefix=$folder=crates"
    done
    # No backtrace code: a guest has no symbols to print, and building it takes as long as all the rest.
    (cd "$empty" && RUSTC=$DEBIAN_RUSTC RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$empty/target RUSTFLAGS=$flags \
        CARGO_PROFILE_RELEASE_PANIC=abort CARGO_PROFILE_RELEASE_OPT_LEVEL=s \
        "$cargo" build --quiet --release -Zbuild-std=std,panic_abort -Zbuild-std-features= \
        --target wasm32-wasip1 --target "$POLICY_TARGET" >&2) ||
        fail 'the standard library for WebAssembly did not build' \
            'look at the messages above; the sources of its dependencies are fetched over the network'
}

collect_std() { # target, sysroot
    local lib=$2/lib/rustlib/$1/lib
    mkdir -p "$lib/self-contained"
    cp "$work/std/target/$1/release/deps/"*.rlib "$lib/"
    rm "$lib"/libempty-*.rlib
}

# --- C ---

choose_c() {
    if [ -n "${WASI_SDK_PATH-}" ]; then
        c_by_wasi_sdk
    elif debian_clang=$(newest_debian_clang); then
        c_by_debian "$debian_clang"
    else
        fail 'no C compiler for WASI' \
            'set WASI_SDK_PATH to an unpacked https://github.com/WebAssembly/wasi-sdk, or install clang, libclang-rt-dev-wasm32 and wasi-libc'
    fi
}

c_by_wasi_sdk() {
    local clang=$WASI_SDK_PATH/bin/clang
    [ -x "$clang" ] || fail "no \`bin/clang\` in $WASI_SDK_PATH" 'point WASI_SDK_PATH at an unpacked WASI SDK'
    put CC "$clang"
    put CFLAGS --target=wasm32-wasip2
    put C_LINKER "$clang"
    put C_LINK_FIRST --target=wasm32-wasip2
}

c_by_debian() { # LLVM's major version
    install_packages "clang-$1" "libclang-rt-$1-dev-wasm32" wasi-libc ||
        fail 'the C compiler for WASI is missing' \
            "run, as root, \`apt-get install clang-$1 libclang-rt-$1-dev-wasm32 wasi-libc\`, or set WASI_SDK_PATH"
    put CC "clang-$1"
    # The spelling wasm32-wasip1 looks for its files in a folder that Debian's wasi-libc does not have.
    put CFLAGS --target=wasm32-wasi --sysroot=/usr -Wno-deprecated
    put C_LINKER "$(host_tools)/wasm-component-ld"
    put C_LINK_FIRST "-L$DEBIAN_WASI_LIB" "$DEBIAN_WASI_LIB/crt1-command.o"
    put C_LINK_LAST -lc "$("clang-$1" --target=wasm32-wasi -Wno-deprecated -print-libgcc-file-name)"
}

newest_debian_clang() {
    command -v apt-cache >/dev/null || return 1
    apt-cache pkgnames libclang-rt- | sed -n 's/^libclang-rt-\([0-9]*\)-dev-wasm32$/\1/p' | sort -n | tail -n 1 | grep .
}

# --- the host ---

# What guests are made of; from then on they build without a network, and cargo's folder of sources is there.
fetch_crates() {
    "$rustc_sysroot/bin/cargo" fetch --quiet --locked --manifest-path "$repo/guests/Cargo.toml" >&2 ||
        fail 'the crates that guests need could not be fetched' 'look at the message above'
}

ensure_host_linker() {
    command -v cc >/dev/null || install_packages gcc libc6-dev ||
        fail 'no C compiler `cc` for the host' 'install one; on Debian, as root, `apt-get install gcc libc6-dev`'
}

install_packages() {
    local package missing=()
    command -v apt-get >/dev/null || return 1
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    as_root true || return 1
    say "installing ${missing[*]}"
    # An installation must not take another compiler away.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends --no-remove \
        "${missing[@]}" >&2
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -n "$@" 2>/dev/null
    else
        return 1
    fi
}

main "$@"

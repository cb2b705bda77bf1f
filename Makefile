# Two commands: `make demo` shows what this is, `make test` proves it. Both do all the set-up they need, once.

CARGO ?= cargo

.PHONY: help setup build demo test bench lint fuzz

help:
	@echo 'make demo    build everything and show one governed call, a refusal, a contained attack and a verified log'
	@echo 'make test    build everything and run every test'
	@echo 'make bench   measure each part against its floor'
	@echo 'make lint    formatting, clippy and rustdoc, warnings denied'
	@echo 'make fuzz    throw changed bytes at whatever reads what strangers wrote, 60 s each (SECONDS=N)'
	@echo 'make build   the binary, its policies and the example guests'

# The host needs a C compiler, guests a wasm tool-chain: found or installed, once for this machine.
setup:
	@scripts/guest-toolchain.sh

build: setup
	$(CARGO) build --locked -p ringfence -p ringfence-artifacts

demo:
	@scripts/demo.sh

# The independent verifiers in the tests are Python; a log in a database is tested against a real server; strace is what kills
# the binary at a system call.
test: setup
	@scripts/need.sh python3 postgres strace
	$(CARGO) test --locked --workspace

bench: build
	target/debug/ringfence bench

# Documented with their private items, modules may link to them.
lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path guests/Cargo.toml --all --check
	$(CARGO) fmt --manifest-path policies/native/Cargo.toml --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' $(CARGO) doc --locked --workspace --no-deps --document-private-items

# Guided by coverage where there is a nightly compiler and cargo-fuzz, a plain loop elsewhere.
fuzz:
	scripts/fuzz.sh $(or $(SECONDS),60)

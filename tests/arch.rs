//! The module graph points one way: `cli → server → runtime → audit → model`, and inside the runtime as ARCHITECTURE.md draws it.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

/// Which modules of the runtime each one may use. What is not listed, it may not.
#[rustfmt::skip]
const RUNTIME: &[(&str, &[&str])] = &[
    ("descriptors", &[]),
    ("egress", &[]),
    ("engine", &[]),
    ("gate", &[]),
    ("halt", &[]),
    ("lease", &[]),
    ("ledger", &["descriptors", "lease"]),
    ("sequencer", &["ledger"]),
    ("sandbox", &["egress", "engine", "halt", "lease", "toolbox"]),
    ("toolbox", &["engine", "sandbox"]),
    ("policy", &["engine", "sandbox", "toolbox"]),
    ("session", &["host", "ledger", "pipeline", "sandbox", "toolbox"]),
    ("pipeline", &["egress", "engine", "gate", "host", "ledger", "policy", "sandbox", "session", "toolbox"]),
    ("host", &["egress", "engine", "gate", "halt", "lease", "ledger", "pipeline", "policy", "sandbox", "sequencer", "toolbox"]),
    ("bench", &["egress", "engine", "gate", "host", "ledger", "policy", "sandbox", "sequencer", "toolbox"]),
];

/// Which of our crates each one may use.
const CRATES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("audit", &["ringfence_model"]),
    ("runtime", &["ringfence_audit", "ringfence_model"]),
    ("server", &["ringfence_audit", "ringfence_model", "ringfence_runtime"]),
    ("cli", &["ringfence_audit", "ringfence_model", "ringfence_policies", "ringfence_runtime", "ringfence_server"]),
    ("verify", &["ringfence_audit", "ringfence_model"]),
];

fn host() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The paths that a file uses, without its tests.
fn used(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("a source file");
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code_lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    code_lines.map(str::to_owned).collect()
}

#[test]
fn crates_depend_one_way_only() {
    for (name, allowed) in CRATES {
        for path in sources(&host().join(name).join("src")) {
            for line in used(&path) {
                for other in [
                    "ringfence_model",
                    "ringfence_audit",
                    "ringfence_runtime",
                    "ringfence_policies",
                    "ringfence_server",
                ] {
                    assert!(
                        !line.contains(&format!("{other}::")) || allowed.contains(&other),
                        "{}: {line}",
                        path.display()
                    );
                }
            }
        }
    }
}

#[test]
fn runtime_modules_depend_as_drawn() {
    let root = host().join("runtime/src");
    let mut seen = BTreeSet::new();
    for path in sources(&root) {
        let relative = path.strip_prefix(&root).expect("below the root");
        let module = relative.components().next().expect("a part").as_os_str().to_string_lossy().replace(".rs", "");
        if module == "lib" {
            continue;
        }
        let allowed = RUNTIME.iter().find(|(name, _)| *name == module);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("`{module}` is not in the table"));
        for line in used(&path) {
            for part in line.split("crate::").skip(1) {
                let other: String = part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                let known = RUNTIME.iter().any(|(name, _)| *name == other);
                assert!(!known || other == module || allowed.contains(&other.as_str()), "{}: {line}", path.display());
            }
        }
        seen.insert(module);
    }
    assert_eq!(seen.len(), RUNTIME.len(), "a module of the table is gone: {seen:?}");
}

#[test]
fn pure_crates_do_no_input_or_output() {
    for name in ["model", "audit"] {
        for path in sources(&host().join(name).join("src")) {
            for line in used(&path) {
                for forbidden in
                    ["std::fs", "std::net", "std::process", "std::env", "SystemTime", "Instant", "tokio", "wasmtime"]
                {
                    assert!(!line.contains(forbidden), "{}: {line}", path.display());
                }
            }
        }
    }
}

/// What a package of this workspace depends on when it is built, from its own manifest.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = std::fs::read_to_string(host().join(folder).join("Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    manifest["dependencies"].as_table().expect("dependencies").keys().cloned().collect()
}

#[test]
fn verifier_links_little() {
    // AUD-22: who verifies has to trust what the verifier is made of.
    let lock = std::fs::read_to_string(host().join("../Cargo.lock")).expect("the lock file");
    let lock: toml::Table = lock.parse().expect("TOML");
    let packages = lock["package"].as_array().expect("packages");
    let mut found = BTreeSet::new();
    let mut next = ["verify", "audit", "model"].map(dependencies).concat();
    while let Some(name) = next.pop() {
        let name = name.split(' ').next().unwrap_or_default().to_owned();
        if name.starts_with("ringfence") || !found.insert(name.clone()) {
            continue;
        }
        for package in packages.iter().filter(|package| package["name"].as_str() == Some(name.as_str())) {
            let needs = package.get("dependencies").and_then(toml::Value::as_array).into_iter().flatten();
            next.extend(needs.filter_map(toml::Value::as_str).map(str::to_owned));
        }
    }
    assert!(found.contains("sha2") && found.contains("serde_json"), "{found:?}");
    for forbidden in ["wasmtime", "tokio", "clap", "rusqlite", "libsqlite3-sys", "hyper", "rustls", "reqwest"] {
        assert!(!found.contains(forbidden), "`{forbidden}` in {found:?}");
    }
}

#[test]
fn sandbox_never_sees_who_calls() {
    for path in sources(&host().join("runtime/src/sandbox")) {
        for line in used(&path) {
            for forbidden in [
                "principal",
                "Principal",
                "crate::policy",
                "crate::ledger",
                "ringfence_model::ring",
                "telemetry",
                "Stopwatch",
            ] {
                assert!(!line.contains(forbidden), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn main_stays_short() {
    let main = std::fs::read_to_string(host().join("cli/src/main.rs")).expect("main.rs");
    assert!(main.lines().count() <= 40);
}

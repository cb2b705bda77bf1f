//! The settings of a tool-chain, as `scripts/guest-toolchain.sh` writes them down: which compiler, which target, which
//! flags.
//!
//! A line is `KEY=VALUE`; a key that is repeated is a list. Nothing is quoted or expanded.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::GuestBuildError;

/// The prepared tool-chain.
#[derive(Clone, Debug)]
pub struct Toolchain {
    settings: BTreeMap<String, Vec<String>>,
}

impl Toolchain {
    pub(crate) fn read(repo: &Path) -> Result<Self, GuestBuildError> {
        println!("cargo::rerun-if-env-changed=RINGFENCE_GUEST_TOOLCHAIN");
        println!("cargo::rerun-if-env-changed=WASI_SDK_PATH");
        let path = settings_path(repo)?;
        println!("cargo::rerun-if-changed={}", path.display());
        let text = crate::read(&path)?;
        Ok(Self::parse(&String::from_utf8_lossy(&text)))
    }

    /// The settings in a text.
    pub fn parse(text: &str) -> Self {
        let mut settings = BTreeMap::<_, Vec<_>>::new();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            settings.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        Self { settings }
    }

    /// The only value of a key.
    pub fn one(&self, key: &'static str) -> Result<&str, GuestBuildError> {
        self.all(key).first().map(String::as_str).ok_or(GuestBuildError::SettingMissing { key })
    }

    /// All values of a key; there may be none.
    pub fn all(&self, key: &str) -> &[String] {
        self.settings.get(key).map_or(&[], Vec::as_slice)
    }

    /// A program of the tool-chain, in an environment that nothing of the build under way leaks into.
    pub fn command(&self, program: &str) -> Result<Command, GuestBuildError> {
        let mut command = Command::new(program);
        env::vars_os().filter(|(name, _)| disturbs(&name.to_string_lossy())).for_each(|(name, _)| {
            command.env_remove(name);
        });
        command.env("PATH", self.path()?);
        Ok(command)
    }

    fn path(&self) -> Result<OsString, GuestBuildError> {
        let ours = self.all("PATH_PREFIX").iter().map(PathBuf::from);
        let theirs = env::var_os("PATH").unwrap_or_default();
        env::join_paths(ours.chain(env::split_paths(&theirs)))
            .map_err(|_| GuestBuildError::SettingMissing { key: "PATH_PREFIX" })
    }
}

/// Runs a program whose failure is the guest's or the tool-chain's, and which has said so itself.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<(), GuestBuildError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(GuestBuildError::Failed { what: what.to_owned() }),
        Err(source) => Err(GuestBuildError::NotStarted { program, source }),
    }
}

fn settings_path(repo: &Path) -> Result<PathBuf, GuestBuildError> {
    let output = Command::new("bash")
        .arg(repo.join("scripts/guest-toolchain.sh"))
        .arg("--print-env")
        .output()
        .map_err(|source| GuestBuildError::NotStarted { program: "bash".to_owned(), source })?;
    if !output.status.success() {
        return Err(GuestBuildError::NotPrepared);
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end()))
}

/// Whether a variable would carry settings of the outer build into the inner one.
///
/// The jobserver is shared on purpose, and how to reach registries is the user's business.
fn disturbs(name: &str) -> bool {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_MAKEFLAGS", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_"];
    const REMOVED: [&str; 13] = [
        "CARGO",
        "CLIPPY_",
        "CFLAGS",
        "DEP_",
        "DOCS_RS",
        "LLVM_PROFILE_FILE",
        "MIRIFLAGS",
        "OUT_DIR",
        "RUSTC",
        "RUSTDOC",
        "RUSTFLAGS",
        "RUSTUP_TOOLCHAIN",
        "__CARGO",
    ];
    let starts_with = |prefix: &&str| name.starts_with(*prefix);
    REMOVED.iter().any(starts_with) && !KEPT.iter().any(starts_with)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_keys_are_lists() {
        let toolchain = Toolchain::parse("A=1\nB=x=y\nA=2 3\n");
        assert_eq!(toolchain.all("A"), ["1", "2 3"]);
        assert_eq!(toolchain.one("B").ok(), Some("x=y"));
        assert!(toolchain.one("C").is_err());
    }

    #[test]
    fn outer_build_does_not_leak_in() {
        for name in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR", "RUSTC_WORKSPACE_WRAPPER", "CLIPPY_ARGS"] {
            assert!(disturbs(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_MAKEFLAGS", "CARGO_NET_OFFLINE", "PATH", "HOME"] {
            assert!(!disturbs(name), "{name}");
        }
    }
}

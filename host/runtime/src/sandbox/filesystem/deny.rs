//! The patterns of one folder, compiled.

use globset::GlobBuilder;
use globset::GlobSet;
use globset::GlobSetBuilder;
use ringfence_model::glob::Glob;

/// What the system appends to the path of an object whose name is gone.
const GONE: &str = " (deleted)";

/// A letter that no pattern can name, so only `*` and `?` stand for it.
const OTHER_LETTER: char = '\u{1}';

/// Which paths below a folder are closed. A path that can't be told from a closed one is closed.
#[derive(Debug)]
pub(super) struct Deny(GlobSet);

/// Whether a pattern closes a path that is relative to its folder: for whoever explains a refusal.
pub fn closes(pattern: &Glob, path: &str) -> bool {
    Deny::new(std::slice::from_ref(pattern)).is_ok_and(|deny| deny.closes(path))
}

impl Deny {
    /// Compiles patterns.
    pub(super) fn new(patterns: &[Glob]) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let folded = pattern.as_str().to_lowercase();
            // A name without a folder holds in every folder.
            let anywhere = if folded.contains('/') { folded } else { format!("**/{folded}") };
            set.add(GlobBuilder::new(&anywhere).literal_separator(true).backslash_escape(false).build()?);
        }
        Ok(Self(set.build()?))
    }

    /// Whether nothing is closed.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a path, relative to the folder and without links and `..`, is closed, or lies under what is.
    pub(super) fn closes(&self, path: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let folded = folded(path);
        self.closes_folded(&folded) || folded.strip_suffix(GONE).is_some_and(|path| self.closes_folded(path))
    }

    fn closes_folded(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        ends.filter_map(|end| path.get(..end)).any(|prefix| self.0.is_match(prefix))
    }
}

/// A path in the letters that patterns have: small ones, and one sign for each that is not ASCII.
fn folded(path: &str) -> String {
    path.to_lowercase().chars().map(|c| if c.is_ascii() { c } else { OTHER_LETTER }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closes(pattern: &str, path: &str) -> bool {
        Deny::new(&[Glob::new(pattern).expect("a pattern")]).expect("compiled").closes(path)
    }

    #[test]
    fn pattern_closes_what_lies_under_it() {
        // FS-17
        for (pattern, path, wanted) in [
            (".env", ".env", true),
            (".env", "a/b/.env", true),
            (".env", "a/.env/b", true),
            (".env", ".env2", false),
            ("*.key", "a/b.KEY", true),
            ("*.key", "key", false),
            ("private", "Private/a/b", true),
            ("private", "a/pri\u{212a}vate", false),
            ("key", "\u{212a}ey", true),
            ("a/*", "a/b/c", true),
            ("a/*", "a", false),
            ("a/*", "b/a/c", false),
            ("a/?", "a/é", true),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b/z", true),
            ("**", "anything", true),
            (".env", ".env (deleted)", true),
            ("a/b", "", false),
        ] {
            assert_eq!(closes(pattern, path), wanted, "{pattern} {path}");
        }
    }

    #[test]
    fn nothing_is_closed_without_patterns() {
        assert!(!Deny::new(&[]).expect("compiled").closes("a"));
    }
}

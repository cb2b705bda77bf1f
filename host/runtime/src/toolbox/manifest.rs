//! Manifests: found in the component or beside it, and read strictly.
//!
//! An embedded manifest is part of what the tool's digest pins, so it wins over one beside the file. Both are data
//! about the tool from its author: they narrow, and grant nothing.

use ringfence_model::limits;
use ringfence_model::tool::Manifest;
use thiserror::Error;

use crate::engine::sections;

/// The custom section a manifest is embedded as.
pub const SECTION: &str = "ringfence:manifest";

/// Why a manifest can't be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// It is not the TOML of a manifest.
    #[error("at line {line}: {why}")]
    Malformed {
        /// Where it is not.
        line: usize,
        /// Why not.
        why: String,
    },
    /// It is larger than a manifest may be.
    #[error("a manifest of {0} bytes is larger than {max}", max = limits::MANIFEST_BYTES_MAX)]
    TooLarge(usize),
    /// There are several in one component.
    #[error("the component embeds more than one manifest")]
    Several,
}

/// Reads a manifest.
pub fn parse(text: &[u8]) -> Result<Manifest, ManifestError> {
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > limits::MANIFEST_BYTES_MAX {
        return Err(ManifestError::TooLarge(text.len()));
    }
    let malformed = |bytes: usize, why: String| {
        let before = text.get(..bytes).unwrap_or_default();
        ManifestError::Malformed { line: before.split(|byte| *byte == b'\n').count(), why }
    };
    let toml = str::from_utf8(text).map_err(|error| malformed(error.valid_up_to(), error.to_string()))?;
    toml::from_str(toml).map_err(|error| malformed(error.span().map_or(0, |span| span.start), one_line_of(&error)))
}

/// What TOML's own message says on several lines, on one.
fn one_line_of(error: &toml::de::Error) -> String {
    error.message().replace('\n', "; ")
}

/// The manifest embedded in a component, if there is one.
pub(super) fn embedded(component: &[u8]) -> Result<Option<Manifest>, ManifestError> {
    let mut found = sections::custom(component, SECTION);
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(ManifestError::Several),
        (found, None) => found.map(parse).transpose(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(manifests: &[&str]) -> Vec<u8> {
        sections::tests::component(SECTION, manifests)
    }

    #[test]
    fn embedded_manifest_is_found() {
        let manifest = embedded(&component(&["name='a'\nversion='1.0.0'"])).expect("read").expect("a manifest");
        assert_eq!(manifest.name, "a");
        assert!(embedded(&component(&[])).expect("read").is_none());
    }

    #[test]
    fn wrong_manifests_are_refused() {
        // MAL-04
        for text in [
            "name='a'",
            "name='a'\nversion='1'\nfree='lunch'",
            "name='a'\nname='b'\nversion='1'",
            "name=1\nversion='1'",
            "name='a'\nversion='1'\n[capabilities]\nfilesystem='all'",
            "name='a'\nversion='1'\n[functions.f]\neffect='sings'",
        ] {
            assert!(matches!(embedded(&component(&[text])), Err(ManifestError::Malformed { .. })), "{text}");
        }
        let one = "name='a'\nversion='1'";
        assert!(matches!(embedded(&component(&[one, one])), Err(ManifestError::Several)));
        assert!(matches!(parse(&vec![b'#'; 300_000]), Err(ManifestError::TooLarge(_))));
        assert!(parse(b"\xff").is_err());
    }
}

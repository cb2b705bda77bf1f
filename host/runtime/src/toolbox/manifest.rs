//! Manifests: found in the component or beside it, and read strictly.
//!
//! An embedded manifest is part of what the tool's digest pins, so it wins over one beside the file. Both are data
//! about the tool from its author: they narrow, and grant nothing.

use ringfence_model::limits;
use ringfence_model::tool::Manifest;
use thiserror::Error;

/// The custom section a manifest is embedded as.
pub const SECTION: &str = "ringfence:manifest";

/// Why a manifest can't be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// It is not the TOML of a manifest.
    #[error("the manifest is wrong: {0}")]
    Malformed(String),
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
    let text = str::from_utf8(text).map_err(|error| ManifestError::Malformed(error.to_string()))?;
    toml::from_str(text).map_err(|error| ManifestError::Malformed(one_line_of(&error)))
}

/// What TOML's own message says on several lines, on one.
fn one_line_of(error: &toml::de::Error) -> String {
    error.message().replace('\n', "; ")
}

/// The manifest embedded in a component, if there is one.
pub(super) fn embedded(component: &[u8]) -> Result<Option<Manifest>, ManifestError> {
    let mut found = None;
    for section in TopLevelSections(component.get(8..).unwrap_or_default()) {
        if section.id == 0
            && let Some((name, content)) = read_name(section.content)
            && name == SECTION.as_bytes()
            && found.replace(content).is_some()
        {
            return Err(ManifestError::Several);
        }
    }
    found.map(parse).transpose()
}

struct Section<'a> {
    id: u8,
    content: &'a [u8],
}

/// The sections of a component one after the other: an id, a length, that many bytes. Ends at the first that does not
/// fit; whether the component is well formed is for the engine to say.
struct TopLevelSections<'a>(&'a [u8]);

impl<'a> Iterator for TopLevelSections<'a> {
    type Item = Section<'a>;

    fn next(&mut self) -> Option<Section<'a>> {
        let (id, rest) = self.0.split_first()?;
        let (length, rest) = read_u32(rest)?;
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Section { id: *id, content })
    }
}

fn read_name(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = read_u32(content)?;
    rest.split_at_checked(length)
}

/// An unsigned LEB128 number of at most 32 bits.
fn read_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok().and_then(|value| usize::try_from(value).ok())?;
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(manifests: &[&str]) -> Vec<u8> {
        let mut bytes = wat::parse_str("(component)").expect("wat");
        for manifest in manifests {
            let mut content = vec![u8::try_from(SECTION.len()).expect("short")];
            content.extend_from_slice(SECTION.as_bytes());
            content.extend_from_slice(manifest.as_bytes());
            bytes.push(0);
            bytes.push(u8::try_from(content.len()).expect("short"));
            bytes.extend(content);
        }
        bytes
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
            assert!(matches!(embedded(&component(&[text])), Err(ManifestError::Malformed(_))), "{text}");
        }
        let one = "name='a'\nversion='1'";
        assert!(matches!(embedded(&component(&[one, one])), Err(ManifestError::Several)));
        assert!(matches!(parse(&vec![b'#'; 300_000]), Err(ManifestError::TooLarge(_))));
        assert!(parse(b"\xff").is_err());
    }

    #[test]
    fn cut_sections_end_the_search() {
        let whole = component(&["name='a'\nversion='1.0.0'"]);
        for length in 0..whole.len() {
            let _ = embedded(&whole[..length]);
        }
    }
}

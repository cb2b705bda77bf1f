//! Sections: the framing of components and core modules, and nothing of what it frames.
//!
//! [`custom`] finds what an author put beside the code, and engines ignore. Whether a component is well formed is for
//! the engine to say, and what a section holds is for those who know its name or number.

/// The contents of the custom sections by this name of the outermost component, in their order.
pub(crate) fn custom<'a>(component: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    Sections::of(component).filter_map(move |section| {
        let (found, content) = if section.id == 0 { read_name(section.content)? } else { return None };
        (found == name.as_bytes()).then_some(content)
    })
}

/// What a component or a core module imports, by name; up to the first thing that is not understood. The engine, which
/// reads all of it, has the last word on what can be loaded.
pub(crate) fn imports(file: &[u8]) -> Vec<String> {
    let is_component = file.get(4..8) == Some(&[0x0d, 0, 1, 0]);
    let wanted = if is_component { COMPONENT_IMPORTS } else { MODULE_IMPORTS };
    let mut names = Vec::new();
    for section in Sections::of(file).filter(|section| section.id == wanted) {
        let read = if is_component { component_imports } else { module_imports };
        // What was read before stays.
        let _ = read(section.content, &mut names);
    }
    names.dedup();
    names
}

/// Ids of the sections that hold imports.
const COMPONENT_IMPORTS: u8 = 10;
const MODULE_IMPORTS: u8 = 2;

fn component_imports(content: &[u8], names: &mut Vec<String>) -> Option<()> {
    let (count, mut rest) = read_u32(content)?;
    for _ in 0..count {
        // A byte says how the name is spelt: as it is, or with a part of its version after it.
        let (spelling, after) = rest.split_first()?;
        let (name, after) = read_name(after)?;
        names.push(String::from_utf8_lossy(name).into_owned());
        let after = if *spelling == 2 { read_name(after)?.1 } else { after };
        rest = skip_description(after)?;
    }
    Some(())
}

/// What is imported: a kind, and for most an index.
fn skip_description(content: &[u8]) -> Option<&[u8]> {
    let (kind, rest) = content.split_first()?;
    match kind {
        3 if rest.first() == Some(&1) => rest.get(1..),
        0 | 2 | 3 => Some(read_u32(rest.get(1..)?)?.1),
        1 | 4 | 5 => Some(read_u32(rest)?.1),
        _ => None,
    }
}

/// Of a core module the name of the module it imports from first: one that imports from others can't be lifted.
fn module_imports(content: &[u8], names: &mut Vec<String>) -> Option<()> {
    let (_, rest) = read_u32(content)?;
    let (module, _) = read_name(rest)?;
    names.push(String::from_utf8_lossy(module).into_owned());
    Some(())
}

/// One section.
pub(super) struct Section<'a> {
    pub(super) id: u8,
    pub(super) content: &'a [u8],
}

/// One section after the other: an id, a length, that many bytes. Ends at the first that does not fit.
pub(super) struct Sections<'a>(&'a [u8]);

impl<'a> Sections<'a> {
    /// The sections of a component or a core module, after the four bytes of its magic number and four of its version.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes.get(8..).unwrap_or_default())
    }
}

impl<'a> Iterator for Sections<'a> {
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
pub(super) fn read_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
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
pub(crate) mod tests {
    use std::array;

    use super::*;

    /// An empty component with custom sections of one name.
    pub(crate) fn component<C: AsRef<[u8]>>(name: &str, contents: &[C]) -> Vec<u8> {
        let mut bytes = wat::parse_str("(component)").expect("wat");
        for content in contents {
            let content = [&leb128(name.len()), name.as_bytes(), content.as_ref()].concat();
            bytes.push(0);
            bytes.extend(leb128(content.len()));
            bytes.extend(content);
        }
        bytes
    }

    /// As long as such a number may be.
    pub(crate) fn leb128(value: usize) -> [u8; 5] {
        array::from_fn(|index| {
            let low = u8::try_from(value >> (7 * index) & 0x7f).expect("seven bits");
            if index < 4 { low | 0x80 } else { low }
        })
    }

    #[test]
    fn sections_are_found_by_name() {
        let component = component("a", &["one", "", "two"]);
        assert_eq!(custom(&component, "a").collect::<Vec<_>>(), [b"one".as_slice(), b"", b"two"]);
        assert_eq!(custom(&component, "b").count(), 0);
    }

    #[test]
    fn cut_sections_end_the_search() {
        let whole = component("a", &["content"]);
        for length in 0..whole.len() {
            assert_eq!(custom(&whole[..length], "a").count(), 0);
        }
    }
}

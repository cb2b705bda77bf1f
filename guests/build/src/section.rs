//! Puts data into a component as a custom section, which engines ignore and hosts can read.
//!
//! A section is its id (0 for a custom one), its size, and then its content, here a name and the data as it is;
//! sizes are unsigned LEB128 (WebAssembly core specification 5.2.2 and 5.5.3; components use the same framing).

/// The custom section that holds a tool's manifest.
pub(crate) const MANIFEST: &str = "ringfence:manifest";
/// The custom section that holds the doc comments of a tool's WIT; the name is wasm-tools'.
pub(crate) const DOCS: &str = "package-docs";

/// Answers with the component and, at its end, the section.
pub(crate) fn append(component: &[u8], name: &str, data: &[u8]) -> Vec<u8> {
    let mut content = leb128(name.len());
    content.extend_from_slice(name.as_bytes());
    content.extend_from_slice(data);
    [component, &[0], &leb128(content.len()), &content].concat()
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_little_endian_base_128() {
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(127), [127]);
        assert_eq!(leb128(128), [0x80, 1]);
        assert_eq!(leb128(624_485), [0xe5, 0x8e, 0x26]);
    }

    #[test]
    fn section_follows_the_component() {
        let bytes = append(b"\0asm", MANIFEST, b"name = \"x\"\n");
        assert_eq!(bytes, b"\0asm\0\x1e\x12ringfence:manifestname = \"x\"\n");
    }
}

//! The two hashes of the log, and nothing else hashes it.
//!
//! RFC 6962, 2.1: a leaf and a node are told apart by their first byte, so that no leaf can pass for a node. The leaf
//! hash of an entry is also what the next entry carries as `prev`: one hash, two structures.

use ringfence_model::digest::Digest;

/// Domain of a leaf.
const LEAF: &[u8] = &[0x00];
/// Domain of a node.
const NODE: &[u8] = &[0x01];

/// The hash of an entry: `SHA-256(0x00 ‖ bytes)`.
pub fn leaf(entry_bytes: &[u8]) -> Digest {
    Digest::of_parts(&[LEAF, entry_bytes])
}

/// The hash above two hashes: `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node(left: &Digest, right: &Digest) -> Digest {
    Digest::of_parts(&[NODE, left.as_bytes(), right.as_bytes()])
}

/// The root of a tree without leaves: `SHA-256()`.
pub fn empty_root() -> Digest {
    Digest::of(b"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer_of_empty_leaf() {
        // AUD-15
        let wanted = "sha256:6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(leaf(b"").to_string(), wanted);
    }

    #[test]
    fn leaf_never_passes_for_node() {
        // AUD-15: second preimage, and a border between two hashes that moves.
        let (left, right) = (leaf(b"a"), leaf(b"b"));
        let both = [left.as_bytes().as_slice(), right.as_bytes()].concat();
        assert_ne!(node(&left, &right), leaf(&both));
        assert_ne!(node(&left, &right), Digest::of(&both));
        assert_ne!(node(&left, &right), node(&right, &left));
    }

    #[test]
    fn empty_tree_is_no_leaf() {
        assert_eq!(empty_root(), Digest::of(b""));
        assert_ne!(empty_root(), leaf(b""));
    }
}

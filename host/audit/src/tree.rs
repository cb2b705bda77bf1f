//! The Merkle tree, kept as its peaks.
//!
//! A tree of any size is a row of complete subtrees, one for each bit of the size. Their roots, the peaks, are all an
//! appender or a verifier has to hold. A complete subtree never changes again, so a store can keep the hashes that
//! [`Tree::push_with`] reports and serve proofs from them as [`Nodes`].
//!
//! Positions: level 0 holds the leaves; the node at level `l` and index `i` covers the leaves `i·2^l` to
//! `(i+1)·2^l - 1`.

use ringfence_model::digest::Digest;
use thiserror::Error;

use crate::hash;

/// A complete subtree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its height; leaves have 0.
    pub level: u32,
    /// Its position among the complete subtrees of its level.
    pub index: u64,
    /// Its hash.
    pub hash: Digest,
}

/// Where the hashes of complete subtrees come from. An implementor returns the very hashes that
/// [`Tree::push_with`] reported, leaves at level 0 included; a wrong one makes a wrong proof, never a wrong answer.
pub trait Nodes {
    /// Why a hash could not be had.
    type Error;

    /// The hash of the complete subtree at `level` and `index`.
    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error>;
}

impl<N: Nodes + ?Sized> Nodes for &N {
    type Error = N::Error;

    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error> {
        (**self).node(level, index)
    }
}

/// Peaks that are not those of a tree of the given size.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("a tree of {size} leaves has {wanted} peaks, not {found}")]
pub struct PeaksError {
    size: u64,
    wanted: usize,
    found: usize,
}

/// A tree that only grows.
///
/// ```
/// use ringfence_audit::hash;
/// use ringfence_audit::tree::Tree;
///
/// let mut tree = Tree::new();
/// let mut kept = Vec::new();
/// tree.push_with(hash::leaf(b"one"), |node| kept.push(node));
/// tree.push_with(hash::leaf(b"two"), |node| kept.push(node));
/// assert_eq!(kept.len(), 3);
/// assert_eq!(tree.root(), hash::node(&hash::leaf(b"one"), &hash::leaf(b"two")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// The widest first; one for each bit of `size`.
    peaks: Vec<Digest>,
}

impl Tree {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// A tree by its size and its peaks, the widest first.
    pub fn from_peaks(size: u64, peaks: Vec<Digest>) -> Result<Self, PeaksError> {
        let wanted = peak_count(size);
        if peaks.len() != wanted {
            return Err(PeaksError { size, wanted, found: peaks.len() });
        }
        Ok(Self { size, peaks })
    }

    /// The tree of the first `size` leaves of a store: as many look-ups as it has peaks.
    pub fn from_nodes<N: Nodes + ?Sized>(nodes: &N, size: u64) -> Result<Self, N::Error> {
        let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
        // Everything left of a peak is a multiple of its width, so its index is the size with the bits below cut off.
        let peaks = levels.map(|level| nodes.node(level, (size >> level) - 1)).collect::<Result<_, _>>()?;
        Ok(Self { size, peaks })
    }

    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The peaks, the widest first.
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Digest) {
        self.push_with(leaf, |_| {});
    }

    /// Adds a leaf and reports every subtree this completes, from the leaf itself upwards.
    pub fn push_with(&mut self, leaf: Digest, mut completed: impl FnMut(Node)) {
        let mut node = Node { level: 0, index: self.size, hash: leaf };
        completed(node);
        while node.index & 1 == 1
            && let Some(left) = self.peaks.pop()
        {
            node = Node { level: node.level + 1, index: node.index >> 1, hash: hash::node(&left, &node.hash) };
            completed(node);
        }
        self.peaks.push(node.hash);
        self.size = self.size.saturating_add(1);
        debug_assert_eq!(self.peaks.len(), peak_count(self.size));
    }

    /// The root (RFC 6962, 2.1).
    pub fn root(&self) -> Digest {
        let joined = self.peaks.iter().rev().copied().reduce(|right, left| hash::node(&left, &right));
        joined.unwrap_or_else(hash::empty_root)
    }
}

fn peak_count(size: u64) -> usize {
    // A count of bits, at most 64, fits every `usize`.
    size.count_ones() as usize
}

#[cfg(test)]
pub(crate) mod naive {
    //! The tree as RFC 6962 defines it, by recursion over all leaves: slow, and easy to compare with the text.

    use super::*;

    pub(crate) fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|index| hash::leaf(&index.to_be_bytes())).collect()
    }

    /// The largest power of two below `count`.
    pub(crate) fn split(count: usize) -> usize {
        let mut width = 1;
        while width * 2 < count {
            width *= 2;
        }
        width
    }

    pub(crate) fn root(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                hash::node(&root(left), &root(right))
            }
        }
    }

    /// Nodes computed from leaves, each time anew.
    pub(crate) struct Leaves(pub(crate) Vec<Digest>);

    impl Nodes for Leaves {
        type Error = String;

        fn node(&self, level: u32, index: u64) -> Result<Digest, String> {
            let width = 1usize << level;
            let start = usize::try_from(index).expect("small") * width;
            let covered = self.0.get(start..start + width).ok_or(format!("no node at {level}, {index}"))?;
            Ok(root(covered))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::naive::Leaves;
    use super::naive::leaves;
    use super::*;

    #[test]
    fn published_roots_are_reproduced() {
        // AUD-15: the roots of the Certificate Transparency project's reference leaves.
        let mut tree = Tree::new();
        for (leaf, root) in [
            ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
            ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
            ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
            ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
            ("606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            tree.push(hash::leaf(&hex::decode(leaf).expect("digits")));
            assert_eq!(tree.root().to_string(), format!("sha256:{root}"));
        }
    }

    #[test]
    fn root_agrees_with_naive_tree() {
        // AUD-16
        let leaves = leaves(258);
        let mut tree = Tree::new();
        for size in 0..leaves.len() {
            assert_eq!(tree.root(), naive::root(&leaves[..size]), "{size}");
            tree.push(leaves[size]);
        }
    }

    #[test]
    fn completed_nodes_are_reported_once() {
        let leaves = leaves(65);
        let (mut tree, mut kept) = (Tree::new(), BTreeMap::new());
        for leaf in &leaves {
            tree.push_with(*leaf, |node| assert!(kept.insert((node.level, node.index), node.hash).is_none()));
        }
        assert_eq!(kept.len(), 65 + 32 + 16 + 8 + 4 + 2 + 1);
        let naive = Leaves(leaves);
        for ((level, index), hash) in kept {
            assert_eq!(naive.node(level, index), Ok(hash));
        }
    }

    #[test]
    fn restored_tree_goes_on_growing() {
        let nodes = Leaves(leaves(70));
        let mut whole = Tree::new();
        for (size, leaf) in (0..).zip(&nodes.0) {
            let restored = Tree::from_nodes(&nodes, size).expect("peaks");
            assert_eq!(restored, whole);
            assert_eq!(Tree::from_peaks(size, whole.peaks().to_vec()).as_ref(), Ok(&whole));
            whole.push(*leaf);
        }
    }

    #[test]
    fn wrong_number_of_peaks_is_refused() {
        let error = Tree::from_peaks(5, vec![Digest::ZERO]).expect_err("too few");
        assert_eq!(error.to_string(), "a tree of 5 leaves has 2 peaks, not 1");
    }
}

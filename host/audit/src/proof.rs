//! Proofs: that a leaf is in a tree, and that a tree is a continuation of another.
//!
//! Made from the complete subtrees a store keeps, checked against roots alone (RFC 9162, 2.1.3 and 2.1.4). The shape of
//! a proof follows from index and size, so a proof of any other length is wrong, whatever it hashes to.

use ringfence_model::digest::Digest;
use thiserror::Error;

use crate::hash;
use crate::tree::Nodes;

/// Why a proof could not be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProveError<E> {
    /// A hash was not to be had.
    #[error("a hash of the tree could not be read: {0}")]
    Nodes(E),
    /// There is nothing to prove.
    #[error("a tree of {size} leaves does not hold {wanted}")]
    OutOfRange {
        /// The index of a leaf, or the size of the smaller tree.
        wanted: u64,
        /// The leaves there are.
        size: u64,
    },
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ProofError {
    /// Another number of hashes than index and size ask for.
    #[error("the proof has {found} hashes where {wanted} are needed")]
    Length {
        /// As many as needed.
        wanted: usize,
        /// As many as there are.
        found: usize,
    },
    /// An index or size beyond the tree.
    #[error("a tree of {size} leaves does not hold {wanted}")]
    OutOfRange {
        /// The index of a leaf, or the size of the smaller tree.
        wanted: u64,
        /// The leaves there are.
        size: u64,
    },
    /// It leads to another root.
    #[error("the proof leads to root `{found}`, not `{wanted}`")]
    Root {
        /// The root to be proven.
        wanted: Digest,
        /// Where it leads.
        found: Digest,
    },
}

/// Proof that a tree holds a leaf: the hashes beside its path, from the leaf upwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion(Vec<Digest>);

/// Proof that a tree begins with all of a smaller one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistency(Vec<Digest>);

/// Proves that the leaf at `index` is in the tree of the first `size` leaves.
///
/// ```
/// use ringfence_audit::hash;
/// use ringfence_audit::proof;
/// use ringfence_audit::tree::Nodes;
/// use ringfence_model::digest::Digest;
///
/// struct TwoLeaves;
///
/// impl Nodes for TwoLeaves {
///     type Error = &'static str;
///
///     fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error> {
///         if level == 0 { Ok(hash::leaf(&[index as u8])) } else { Err("not kept") }
///     }
/// }
///
/// let proof = proof::inclusion(&TwoLeaves, 0, 2).unwrap();
/// let root = hash::node(&hash::leaf(&[0]), &hash::leaf(&[1]));
/// assert_eq!(proof.verify(&hash::leaf(&[0]), 0, 2, &root), Ok(()));
/// assert!(proof.verify(&hash::leaf(&[9]), 0, 2, &root).is_err());
/// ```
pub fn inclusion<N: Nodes + ?Sized>(nodes: &N, index: u64, size: u64) -> Result<Inclusion, ProveError<N::Error>> {
    if index >= size {
        return Err(ProveError::OutOfRange { wanted: index, size });
    }
    let mut hashes = Vec::new();
    let mut range = Range { start: 0, width: size };
    while range.width > 1 {
        let (left, right) = range.halves();
        let (within, beside) = if index < right.start { (left, right) } else { (right, left) };
        hashes.push(beside.root(nodes).map_err(ProveError::Nodes)?);
        range = within;
    }
    hashes.reverse();
    Ok(Inclusion(hashes))
}

/// Proves that the tree of the first `new` leaves begins with the tree of the first `old`.
pub fn consistency<N: Nodes + ?Sized>(nodes: &N, old: u64, new: u64) -> Result<Consistency, ProveError<N::Error>> {
    if old > new {
        return Err(ProveError::OutOfRange { wanted: old, size: new });
    }
    let mut hashes = Vec::new();
    let mut range = Range { start: 0, width: new };
    while old > 0 && old < range.start + range.width {
        let (left, right) = range.halves();
        let (within, beside) = if old <= right.start { (left, right) } else { (right, left) };
        hashes.push(beside.root(nodes).map_err(ProveError::Nodes)?);
        range = within;
    }
    // What is left is a subtree of the old tree; when it is all of it, the verifier has its root.
    if range.start > 0 {
        hashes.push(range.root(nodes).map_err(ProveError::Nodes)?);
    }
    hashes.reverse();
    Ok(Consistency(hashes))
}

impl Inclusion {
    /// A proof that came from elsewhere.
    pub const fn from_hashes(hashes: Vec<Digest>) -> Self {
        Self(hashes)
    }

    /// Its hashes, from the leaf upwards.
    pub fn hashes(&self) -> &[Digest] {
        &self.0
    }

    /// Checks that the tree of `size` leaves under `root` has `leaf` at `index`.
    pub fn verify(&self, leaf: &Digest, index: u64, size: u64, root: &Digest) -> Result<(), ProofError> {
        if index >= size {
            return Err(ProofError::OutOfRange { wanted: index, size });
        }
        let path = Path::new(index, size);
        path.check_length(self.0.len())?;
        let found = path.climb(*leaf, &self.0);
        check_root(root, found)
    }
}

impl Consistency {
    /// A proof that came from elsewhere.
    pub const fn from_hashes(hashes: Vec<Digest>) -> Self {
        Self(hashes)
    }

    /// Its hashes.
    pub fn hashes(&self) -> &[Digest] {
        &self.0
    }

    /// Checks that the tree of `new.0` leaves under root `new.1` begins with that of `old.0` leaves under root `old.1`.
    pub fn verify(&self, old: (u64, &Digest), new: (u64, &Digest)) -> Result<(), ProofError> {
        let ((old_size, old_root), (new_size, new_root)) = (old, new);
        if old_size > new_size {
            return Err(ProofError::OutOfRange { wanted: old_size, size: new_size });
        }
        if old_size == 0 || old_size == new_size {
            check_length(0, self.0.len())?;
            return check_root(old_root, if old_size == 0 { hash::empty_root() } else { *new_root });
        }
        // Both roots are climbed to from the last complete subtree of the old tree.
        let width = old_size.trailing_zeros();
        let path = Path::above(width, old_size - 1, new_size);
        let (seed, rest) = match self.0.split_first() {
            // RFC 9162, 2.1.4.2: the old tree is that one subtree, so its root is not part of the proof.
            _ if old_size.is_power_of_two() => (*old_root, self.0.as_slice()),
            Some((seed, rest)) => (*seed, rest),
            None => return Err(ProofError::Length { wanted: path.length() + 1, found: 0 }),
        };
        path.check_length(rest.len())?;
        let left_only = path.sides().zip(rest).filter(|(side, _)| *side == Side::Left);
        let found = left_only.fold(seed, |right, (_, left)| hash::node(left, &right));
        check_root(old_root, found)?;
        check_root(new_root, path.climb(seed, rest))
    }
}

fn check_length(wanted: usize, found: usize) -> Result<(), ProofError> {
    if wanted == found { Ok(()) } else { Err(ProofError::Length { wanted, found }) }
}

fn check_root(wanted: &Digest, found: Digest) -> Result<(), ProofError> {
    if *wanted == found { Ok(()) } else { Err(ProofError::Root { wanted: *wanted, found }) }
}

/// On which side of the path a hash stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// The way from a subtree to the root of a tree: which side the hashes beside it stand on.
struct Path {
    level: u32,
    index: u64,
    last: u64,
}

impl Path {
    fn new(index: u64, size: u64) -> Self {
        Self::above(0, index, size)
    }

    /// The way from the subtree at `level` that ends with the leaf `index`.
    fn above(level: u32, index: u64, size: u64) -> Self {
        Self { level, index, last: size.saturating_sub(1) }
    }

    /// A level gives no hash where the path is the last node and has nothing to its right: it moves up as it is.
    fn sides(&self) -> impl Iterator<Item = Side> + use<> {
        let (index, last) = (self.index, self.last);
        let levels = (self.level..u64::BITS).take_while(move |level| last >> level > 0);
        levels.filter_map(move |level| match (index >> level, last >> level) {
            (index, _) if index & 1 == 1 => Some(Side::Left),
            (index, last) if index < last => Some(Side::Right),
            _ => None,
        })
    }

    fn length(&self) -> usize {
        self.sides().count()
    }

    fn check_length(&self, found: usize) -> Result<(), ProofError> {
        check_length(self.length(), found)
    }

    fn climb(&self, from: Digest, beside: &[Digest]) -> Digest {
        self.sides().zip(beside).fold(from, |hash, (side, beside)| match side {
            Side::Left => hash::node(beside, &hash),
            Side::Right => hash::node(&hash, beside),
        })
    }
}

/// A run of leaves that RFC 6962 gives a root of its own; `start` is a multiple of the widest subtree in it.
#[derive(Clone, Copy)]
struct Range {
    start: u64,
    width: u64,
}

impl Range {
    /// The largest complete subtree, and the rest. Needs two leaves.
    fn halves(self) -> (Self, Self) {
        let left = 1 << (self.width - 1).ilog2();
        (Self { start: self.start, width: left }, Self { start: self.start + left, width: self.width - left })
    }

    fn root<N: Nodes + ?Sized>(self, nodes: &N) -> Result<Digest, N::Error> {
        if self.width.is_power_of_two() {
            let level = self.width.trailing_zeros();
            return nodes.node(level, self.start >> level);
        }
        let (left, right) = self.halves();
        Ok(hash::node(&left.root(nodes)?, &right.root(nodes)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::naive;
    use crate::tree::naive::Leaves;

    /// RFC 6962, 2.1.1, word by word.
    fn naive_inclusion(index: usize, leaves: &[Digest]) -> Vec<Digest> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(naive::split(leaves.len()));
        let (mut path, beside) = if index < left.len() {
            (naive_inclusion(index, left), right)
        } else {
            (naive_inclusion(index - left.len(), right), left)
        };
        path.push(naive::root(beside));
        path
    }

    /// RFC 6962, 2.1.2, word by word.
    fn naive_consistency(old: usize, leaves: &[Digest], whole: bool) -> Vec<Digest> {
        if old == leaves.len() {
            return if whole { Vec::new() } else { vec![naive::root(leaves)] };
        }
        let (left, right) = leaves.split_at(naive::split(leaves.len()));
        let (mut path, beside) = if old <= left.len() {
            (naive_consistency(old, left, whole), right)
        } else {
            (naive_consistency(old - left.len(), right, false), left)
        };
        path.push(naive::root(beside));
        path
    }

    fn flipped(hashes: &[Digest]) -> impl Iterator<Item = Vec<Digest>> {
        (0..hashes.len() * 256).map(|bit| {
            let mut hashes = hashes.to_vec();
            let mut bytes = *hashes[bit / 256].as_bytes();
            bytes[bit % 256 / 8] ^= 1 << (bit % 8);
            hashes[bit / 256] = Digest::from_bytes(bytes);
            hashes
        })
    }

    fn wrong_lengths(hashes: &[Digest]) -> Vec<Vec<Digest>> {
        let longer = [hashes, &[Digest::ZERO]].concat();
        let mut wrong = vec![longer, [&[Digest::ZERO], hashes].concat()];
        if !hashes.is_empty() {
            wrong.extend([Vec::new(), hashes[1..].to_vec(), hashes[..hashes.len() - 1].to_vec()]);
        }
        wrong.retain(|other| other != hashes);
        wrong
    }

    fn check_inclusion(nodes: &Leaves, index: u64, size: u64) {
        let leaves = &nodes.0[..usize::try_from(size).expect("small")];
        let at = usize::try_from(index).expect("small");
        let root = naive::root(leaves);
        let proof = inclusion(nodes, index, size).expect("a proof");
        assert_eq!(proof.0, naive_inclusion(at, leaves), "{index} of {size}");
        proof.verify(&leaves[at], index, size, &root).expect("a valid proof");
        assert!(proof.verify(&Digest::ZERO, index, size, &root).is_err());
        assert!(proof.verify(&leaves[at], index, size, &Digest::ZERO).is_err());
        for other in (0..size + 2).filter(|other| *other != index) {
            assert!(proof.verify(&leaves[at], other, size, &root).is_err(), "{index} of {size} as {other}");
        }
        for wrong in wrong_lengths(&proof.0) {
            assert!(Inclusion(wrong).verify(&leaves[at], index, size, &root).is_err());
        }
    }

    fn check_consistency(nodes: &Leaves, old: u64, new: u64) {
        let leaves = |size: u64| &nodes.0[..usize::try_from(size).expect("small")];
        let (old_root, new_root) = (naive::root(leaves(old)), naive::root(leaves(new)));
        let proof = consistency(nodes, old, new).expect("a proof");
        if old > 0 {
            assert_eq!(proof.0, naive_consistency(leaves(old).len(), leaves(new), true), "{old} to {new}");
        }
        proof.verify((old, &old_root), (new, &new_root)).expect("a valid proof");
        assert!(proof.verify((old, &Digest::ZERO), (new, &new_root)).is_err());
        assert!(old == 0 || proof.verify((old, &old_root), (new, &Digest::ZERO)).is_err());
        for wrong in wrong_lengths(&proof.0) {
            assert!(Consistency(wrong).verify((old, &old_root), (new, &new_root)).is_err(), "{old} to {new}");
        }
        for other in (0..=new).filter(|other| *other != old) {
            assert!(proof.verify((other, &old_root), (new, &new_root)).is_err(), "{old} to {new} as {other}");
        }
    }

    #[test]
    fn inclusion_agrees_with_naive_tree() {
        // AUD-16
        let nodes = Leaves(naive::leaves(65));
        for size in 1..=65 {
            (0..size).for_each(|index| check_inclusion(&nodes, index, size));
        }
    }

    #[test]
    fn consistency_agrees_with_naive_tree() {
        // AUD-16
        let nodes = Leaves(naive::leaves(65));
        for new in 0..=65 {
            (0..=new).for_each(|old| check_consistency(&nodes, old, new));
        }
    }

    #[test]
    fn single_bit_of_inclusion_counts() {
        // AUD-16
        let nodes = Leaves(naive::leaves(13));
        let root = naive::root(&nodes.0);
        for (index, leaf) in (0..).zip(&nodes.0) {
            let proof = inclusion(&nodes, index, 13).expect("a proof");
            for edited in flipped(&proof.0) {
                assert!(Inclusion(edited).verify(leaf, index, 13, &root).is_err());
            }
        }
    }

    #[test]
    fn single_bit_of_consistency_counts() {
        // AUD-16
        let nodes = Leaves(naive::leaves(13));
        let root = naive::root(&nodes.0);
        for old in 1..13 {
            let old_root = naive::root(&nodes.0[..usize::try_from(old).expect("small")]);
            let proof = consistency(&nodes, old, 13).expect("a proof");
            for edited in flipped(&proof.0) {
                assert!(Consistency(edited).verify((old, &old_root), (13, &root)).is_err());
            }
        }
    }

    #[test]
    fn empty_proof_proves_only_itself() {
        // AUD-16
        let nodes = Leaves(naive::leaves(2));
        let (leaf, root) = (nodes.0[0], naive::root(&nodes.0));
        let empty = Inclusion(Vec::new());
        assert_eq!(empty.verify(&leaf, 0, 1, &leaf), Ok(()));
        assert_eq!(empty.verify(&root, 0, 2, &root), Err(ProofError::Length { wanted: 1, found: 0 }));
        assert_eq!(empty.verify(&leaf, 0, 0, &leaf), Err(ProofError::OutOfRange { wanted: 0, size: 0 }));
        let empty = Consistency(Vec::new());
        assert_eq!(empty.verify((0, &hash::empty_root()), (2, &root)), Ok(()));
        assert!(empty.verify((0, &Digest::ZERO), (2, &root)).is_err());
        assert!(empty.verify((1, &leaf), (2, &root)).is_err());
        assert!(empty.verify((2, &leaf), (2, &root)).is_err());
        assert!(empty.verify((3, &root), (2, &root)).is_err());
    }

    #[test]
    fn node_never_passes_for_leaf() {
        // AUD-15: an inner node, offered as a leaf of a smaller tree, does not lead to a root of that size.
        let nodes = Leaves(naive::leaves(4));
        let root = naive::root(&nodes.0);
        let inner = hash::node(&nodes.0[0], &nodes.0[1]);
        let beside = hash::node(&nodes.0[2], &nodes.0[3]);
        let forged = Inclusion(vec![beside]);
        assert!(forged.verify(&inner, 0, 4, &root).is_err());
        // Under size 2 it would pass, which is why the size is signed with the root.
        assert!(forged.verify(&inner, 0, 2, &root).is_ok());
    }

    #[test]
    fn missing_hash_is_an_error() {
        let nodes = Leaves(naive::leaves(3));
        assert!(matches!(inclusion(&nodes, 0, 8), Err(ProveError::Nodes(_))));
        assert!(matches!(inclusion(&nodes, 3, 3), Err(ProveError::OutOfRange { wanted: 3, size: 3 })));
        assert!(matches!(consistency(&nodes, 4, 3), Err(ProveError::OutOfRange { wanted: 4, size: 3 })));
    }

    #[test]
    fn largest_sizes_do_not_overflow() {
        let proof = Inclusion(vec![Digest::ZERO; 64]);
        assert!(matches!(proof.verify(&Digest::ZERO, 0, u64::MAX, &Digest::ZERO), Err(ProofError::Root { .. })));
        assert!(proof.verify(&Digest::ZERO, u64::MAX - 1, u64::MAX, &Digest::ZERO).is_err());
        let proof = Consistency(vec![Digest::ZERO; 64]);
        assert!(proof.verify((u64::MAX - 1, &Digest::ZERO), (u64::MAX, &Digest::ZERO)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn larger_trees_agree_with_naive(size in 66u64..=257, at in any::<prop::sample::Index>()) {
            // AUD-16
            let nodes = Leaves(naive::leaves(size));
            let at = at.index(usize::try_from(size).expect("small")) as u64;
            check_inclusion(&nodes, at, size);
            check_consistency(&nodes, at, size);
        }
    }
}

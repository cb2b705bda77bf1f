//! Tiles (C2SP tlog-tiles): tree and entries as files that never change, so that any web server can hold them.
//!
//! A tile is a run of up to 256 hashes of one level, or of the entries themselves. A full one is final; the last of a
//! level is partial and named by its width. This module owns paths and bytes, and reads proofs out of tiles through
//! [`TileNodes`]. It fetches nothing, and believes nothing: a wrong tile makes a proof that does not verify.

use std::fmt;
use std::str::FromStr;

use ringfence_model::digest::Digest;
use ringfence_model::limits::ENTRY_BYTES_MAX;
use thiserror::Error;

use crate::tree::Nodes;
use crate::tree::Tree;

/// Hashes, or entries, of a full tile.
const WIDTH: u64 = 1 << WIDTH_BITS;
/// Levels of the tree from one level of tiles to the next.
const WIDTH_BITS: u32 = 8;
/// Levels of tiles that a tree of 2^64 leaves has.
const LEVELS: u32 = u64::BITS / WIDTH_BITS;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;
/// Bytes of the length before an entry.
const LENGTH_BYTES: usize = 2;

/// Bytes of the largest tile of hashes.
const HASHES_BYTES_MAX: usize = (1 << WIDTH_BITS) * HASH_BYTES;
/// Bytes of the largest bundle of entries.
const ENTRIES_BYTES_MAX: usize = (1 << WIDTH_BITS) * (LENGTH_BYTES + ENTRY_BYTES_MAX);

const _: () = assert!(ENTRY_BYTES_MAX <= u16::MAX as usize, "the length before an entry has two bytes");

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// The entries themselves.
    Entries,
    /// Hashes of a level of tiles; those of level 0 are the leaves.
    Hashes(u32),
}

/// Which tile. Printed and parsed as its path, relative to where the log is published.
///
/// ```
/// use ringfence_audit::tiles::Content;
/// use ringfence_audit::tiles::Tile;
///
/// let tile: Tile = "tile/0/x001/234.p/5".parse().unwrap();
/// assert_eq!((tile.content(), tile.index(), tile.width()), (Content::Hashes(0), 1234, 5));
/// assert_eq!(tile.to_string(), "tile/0/x001/234.p/5");
/// assert_eq!(tile.full().to_string(), "tile/0/x001/234");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    content: Content,
    index: u64,
    width: u64,
}

/// Text that is not the path of a tile.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not the path of a tile")]
pub struct PathError(String);

/// Bytes that are not those of a tile.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{tile}` is damaged: {why}")]
pub struct ContentError {
    tile: Tile,
    why: &'static str,
}

impl Tile {
    /// Where a tile of `level` holds the node of the tree at that level and `index`, in a tree of `size` leaves.
    fn holding(level: u32, index: u64, size: u64) -> Self {
        let index = index / WIDTH;
        Self { content: Content::Hashes(level), index, width: width_at(level, index, size) }
    }

    /// The bundle with the entry at `index`, in a log of `size` entries.
    pub fn of_entry(index: u64, size: u64) -> Self {
        let index = index / WIDTH;
        Self { content: Content::Entries, index, width: width_at(0, index, size) }
    }

    /// The tile of level 0 with the hashes of a bundle's entries.
    #[must_use]
    pub const fn leaves(self) -> Self {
        Self { content: Content::Hashes(0), ..self }
    }

    /// What it holds.
    pub const fn content(&self) -> Content {
        self.content
    }

    /// Its position among the tiles of its level.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes, or entries, it holds.
    pub const fn width(&self) -> u64 {
        self.width
    }

    /// The position of its first hash, or entry, among those of its level.
    pub const fn start(&self) -> u64 {
        self.index.saturating_mul(WIDTH)
    }

    /// The most bytes that it can have. Whoever reads one that somebody else has written reads no more.
    pub const fn bytes_max(&self) -> usize {
        match self.content {
            Content::Entries => ENTRIES_BYTES_MAX,
            Content::Hashes(_) => HASHES_BYTES_MAX,
        }
    }

    /// Whether it is final.
    pub const fn is_full(&self) -> bool {
        self.width == WIDTH
    }

    /// Whether a tree of `size` leaves has all that it holds.
    pub fn is_within(&self, size: u64) -> bool {
        let level = match self.content {
            Content::Entries => 0,
            Content::Hashes(level) => level,
        };
        width_at(level, self.index, size) >= self.width
    }

    /// The same tile, once it is full.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width: WIDTH, ..self }
    }

    /// The path of the folder that its partial forms lie in.
    pub fn partial_folder(&self) -> String {
        format!("{}.p", self.full())
    }

    /// The hashes that a tile of `level` has, from where they are kept.
    pub fn collect<N: Nodes + ?Sized>(&self, level: u32, nodes: &N) -> Result<Vec<Digest>, N::Error> {
        let indexes = self.start()..self.start().saturating_add(self.width);
        indexes.map(|index| nodes.node(level * WIDTH_BITS, index)).collect()
    }

    /// The node of the tree that a full tile of `level` is the tree below of: its level and its index.
    pub const fn above(&self, level: u32) -> (u32, u64) {
        ((level + 1) * WIDTH_BITS, self.index)
    }

    /// The hashes in a tile's bytes.
    fn parse_hashes(&self, bytes: &[u8]) -> Result<Vec<Digest>, ContentError> {
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() || !usize::try_from(self.width).is_ok_and(|width| width == hashes.len()) {
            return Err(self.damaged("it has another size than its width asks for"));
        }
        Ok(hashes.iter().map(|hash| Digest::from_bytes(*hash)).collect())
    }

    /// The entries in a bundle's bytes.
    pub fn parse_entries<'a>(&self, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, ContentError> {
        let mut entries = Vec::new();
        let mut rest = bytes;
        while let Some((length, behind)) = rest.split_first_chunk::<LENGTH_BYTES>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, behind) = behind.split_at_checked(length).ok_or_else(|| self.damaged("an entry is cut off"))?;
            entries.push(entry);
            rest = behind;
        }
        if !rest.is_empty() || !usize::try_from(self.width).is_ok_and(|width| width == entries.len()) {
            return Err(self.damaged("it has another number of entries than its width says"));
        }
        Ok(entries)
    }

    /// The part of the full tile's bytes that a partial one consists of.
    fn cut(&self, mut full: Vec<u8>) -> Result<Vec<u8>, ContentError> {
        let end = match self.content {
            Content::Hashes(_) => usize::try_from(self.width).unwrap_or(usize::MAX).saturating_mul(HASH_BYTES),
            Content::Entries => {
                let entries = self.full().parse_entries(&full)?;
                entries.into_iter().zip(0..self.width).map(|(entry, _)| LENGTH_BYTES + entry.len()).sum()
            }
        };
        full.truncate(end);
        Ok(full)
    }

    fn damaged(&self, why: &'static str) -> ContentError {
        ContentError { tile: *self, why }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content {
            Content::Entries => f.write_str("tile/entries")?,
            Content::Hashes(level) => write!(f, "tile/{level}")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            write!(f, "/{}{group:03}", if groups.is_empty() { "" } else { "x" })?;
        }
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for Tile {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        let parsed = parse(path).filter(|tile| tile.to_string() == path);
        parsed.ok_or_else(|| PathError(path.chars().take(256).collect()))
    }
}

/// Reads a path loosely: what it stands for is spelled again, and must come out the same.
fn parse(path: &str) -> Option<Tile> {
    let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let content = match level {
        "entries" => Content::Entries,
        level => Content::Hashes(level.parse().ok().filter(|level| *level < LEVELS)?),
    };
    let (groups, width) = match rest.split_once(".p/") {
        Some((groups, width)) => (groups, width.parse().ok().filter(|width| (1..WIDTH).contains(width))?),
        None => (rest, WIDTH),
    };
    let index = groups.split('/').try_fold(0_u64, |index, group| {
        let group: u64 = group.trim_start_matches('x').parse().ok().filter(|group| *group < 1000)?;
        index.checked_mul(1000)?.checked_add(group)
    })?;
    Some(Tile { content, index, width })
}

/// How wide the tile at `index` of a level is in a tree of `size` leaves; 0 if it is not there.
fn width_at(level: u32, index: u64, size: u64) -> u64 {
    count_at(level, size).saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH)
}

/// How many hashes the tiles of a level hold in a tree of `size` leaves.
fn count_at(level: u32, size: u64) -> u64 {
    size.checked_shr(level * WIDTH_BITS).unwrap_or(0)
}

/// The tiles of a tree of `new` leaves that the tree of `old` leaves does not have, entries first, then from the leaves
/// upwards.
///
/// ```
/// use ringfence_audit::tiles;
///
/// let paths: Vec<_> = tiles::between(255, 257).map(|tile| tile.to_string()).collect();
/// let wanted = ["tile/entries/000", "tile/entries/001.p/1", "tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"];
/// assert_eq!(paths, wanted);
/// ```
pub fn between(old: u64, new: u64) -> impl Iterator<Item = Tile> {
    let entries = between_at(0, old, new).map(|tile| Tile { content: Content::Entries, ..tile });
    entries.chain((0..LEVELS).flat_map(move |level| between_at(level, old, new)))
}

fn between_at(level: u32, old: u64, new: u64) -> impl Iterator<Item = Tile> {
    let (old, new) = (count_at(level, old), count_at(level, new));
    let indexes = if old < new { old / WIDTH..new.div_ceil(WIDTH) } else { 0..0 };
    indexes.map(move |index| {
        let width = new.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH);
        Tile { content: Content::Hashes(level), index, width }
    })
}

/// The bytes of a tile of hashes.
pub fn bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The bytes of a bundle of entries.
pub fn bundle<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        // Within the limit of an entry, which is checked when this is compiled and when an entry is made.
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

/// Where the bytes of tiles come from: files, a web server.
pub trait Tiles {
    /// Why a tile could not be had.
    type Error;

    /// A tile's bytes; none if it is not there.
    fn read(&self, tile: &Tile) -> Result<Option<Vec<u8>>, Self::Error>;
}

/// Why nothing could be read out of tiles.
#[derive(Debug, Error)]
pub enum TileError<E> {
    /// Its bytes are not those of a tile.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// It is not there.
    #[error("`{0}` is missing")]
    Missing(Tile),
    /// It could not be had.
    #[error("`{tile}` can't be read: {error}")]
    Read {
        /// The tile.
        tile: Tile,
        /// Why not.
        error: E,
    },
}

/// A tile's bytes. Of a partial one that is not kept any more, the part of the full one.
fn read<T: Tiles>(tiles: &T, tile: &Tile) -> Result<Vec<u8>, TileError<T::Error>> {
    let bytes = |tile: Tile| tiles.read(&tile).map_err(|error| TileError::Read { tile, error });
    if let Some(found) = bytes(*tile)? {
        return Ok(found);
    }
    match bytes(tile.full())? {
        Some(full) if !tile.is_full() => Ok(tile.cut(full)?),
        _ => Err(TileError::Missing(*tile)),
    }
}

/// The entries of a bundle, as they are published: whether they are those of the log, their hashes tell.
pub fn entries<T: Tiles>(tiles: &T, bundle: &Tile) -> Result<Vec<Vec<u8>>, TileError<T::Error>> {
    let bytes = read(tiles, bundle)?;
    Ok(bundle.parse_entries(&bytes)?.into_iter().map(<[u8]>::to_vec).collect())
}

/// The hashes of a tile, as they are published.
pub fn hashes<T: Tiles>(tiles: &T, tile: &Tile) -> Result<Vec<Digest>, TileError<T::Error>> {
    Ok(tile.parse_hashes(&read(tiles, tile)?)?)
}

/// Checks that each hash above the leaves is that of the tile below it, in the tree of `size` leaves. What is left to
/// check is that the leaves are the entries.
pub fn check<T: Tiles>(tiles: &T, size: u64) -> Result<(), TileError<T::Error>> {
    for tile in between(0, size) {
        let Content::Hashes(level) = tile.content() else { continue };
        let Some(below) = level.checked_sub(1) else { continue };
        for (index, hash) in (tile.start()..).zip(hashes(tiles, &tile)?) {
            let covered = Tile { content: Content::Hashes(below), index, width: WIDTH };
            if root(&hashes(tiles, &covered)?) != hash {
                return Err(tile.damaged("a hash in it is not that of the tile below").into());
            }
        }
    }
    Ok(())
}

/// The root over some hashes.
pub fn root(hashes: &[Digest]) -> Digest {
    let mut tree = Tree::new();
    for hash in hashes {
        tree.push(*hash);
    }
    tree.root()
}

/// The tree of a published log: what [`crate::proof`] makes proofs from.
#[derive(Clone, Copy, Debug)]
pub struct TileNodes<'a, T> {
    tiles: &'a T,
    size: u64,
}

impl<'a, T: Tiles> TileNodes<'a, T> {
    /// The tree of `size` leaves, which a checkpoint has been published for.
    pub const fn new(tiles: &'a T, size: u64) -> Self {
        Self { tiles, size }
    }
}

impl<T: Tiles> Nodes for TileNodes<'_, T> {
    type Error = TileError<T::Error>;

    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error> {
        // A node between two levels of tiles is the root over some hashes of one tile.
        let (tile_level, height) = (level / WIDTH_BITS, level % WIDTH_BITS);
        let first = index.checked_shl(height).unwrap_or(u64::MAX);
        let tile = Tile::holding(tile_level, first, self.size);
        let hashes = hashes(self.tiles, &tile)?;
        let start = usize::try_from(first % WIDTH).unwrap_or(usize::MAX);
        let covered = hashes.get(start..start.saturating_add(1 << height)).ok_or(TileError::Missing(tile))?;
        Ok(root(covered))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::hash;
    use crate::proof;
    use crate::tree::Node;

    /// A tree that remembers its nodes, and what is published of it.
    #[derive(Default)]
    struct Log {
        tree: Tree,
        nodes: BTreeMap<(u32, u64), Digest>,
        published: BTreeMap<String, Vec<u8>>,
        asked: RefCell<Vec<Tile>>,
    }

    impl Nodes for Log {
        type Error = String;

        fn node(&self, level: u32, index: u64) -> Result<Digest, String> {
            self.nodes.get(&(level, index)).copied().ok_or_else(|| format!("no node at {level}, {index}"))
        }
    }

    impl Tiles for Log {
        type Error = Infallible;

        fn read(&self, tile: &Tile) -> Result<Option<Vec<u8>>, Infallible> {
            self.asked.borrow_mut().push(*tile);
            Ok(self.published.get(&tile.to_string()).cloned())
        }
    }

    fn entry(index: u64) -> Vec<u8> {
        index.to_string().into_bytes()
    }

    impl Log {
        fn of(size: u64) -> Self {
            let mut log = Self::default();
            log.grow(size);
            log.publish(0);
            log
        }

        fn grow(&mut self, size: u64) {
            for index in self.tree.size()..size {
                let mut completed = Vec::new();
                self.tree.push_with(hash::leaf(&entry(index)), |node| completed.push(node));
                self.nodes.extend(completed.into_iter().map(|Node { level, index, hash }| ((level, index), hash)));
            }
        }

        fn publish(&mut self, old: u64) {
            for tile in between(old, self.tree.size()) {
                let bytes = match tile.content() {
                    Content::Hashes(level) => super::bytes(&tile.collect(level, self).expect("hashes")),
                    Content::Entries => {
                        let entries: Vec<_> = (tile.start()..tile.start() + tile.width()).map(entry).collect();
                        bundle(entries.iter().map(Vec::as_slice))
                    }
                };
                assert!(self.published.insert(tile.to_string(), bytes).is_none(), "{tile} is written twice");
            }
        }
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        for (path, content, index, width) in [
            ("tile/0/000", Content::Hashes(0), 0, 256),
            ("tile/0/x001/x234/067", Content::Hashes(0), 1_234_067, 256),
            ("tile/0/x001/234.p/5", Content::Hashes(0), 1_234, 5),
            ("tile/entries/999.p/255", Content::Entries, 999, 255),
            ("tile/entries/x001/000", Content::Entries, 1_000, 256),
            ("tile/7/000.p/1", Content::Hashes(7), 0, 1),
            ("tile/3/x018/x446/x744/x073/x709/x551/615", Content::Hashes(3), u64::MAX, 256),
        ] {
            let tile = Tile { content, index, width };
            assert_eq!((tile.to_string().as_str(), path.parse()), (path, Ok(tile)));
        }
    }

    #[test]
    fn other_spellings_of_paths_are_refused() {
        for path in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/1",
            "tile/0/0001",
            "tile/00/001",
            "tile/+0/001",
            "tile/8/000",
            "tile/0/x001",
            "tile/0/001/002",
            "tile/0/x000/001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/05",
            "tile/0/001.p",
            "tile/0/001.p/5/",
            "/tile/0/001",
            "tile/0/../001",
            "tile/data/001",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/0/001.p/5.p/5",
            "tile/0/xx01/001",
            "tile/0/-01",
        ] {
            assert!(path.parse::<Tile>().is_err(), "{path}");
        }
    }

    #[test]
    fn seventy_thousand_leaves_have_these_tiles() {
        // The example of the specification.
        let count = |content: Content, width: u64| {
            between(0, 70_000).filter(|tile| tile.content() == content && tile.width() == width).count()
        };
        for content in [Content::Entries, Content::Hashes(0)] {
            assert_eq!((count(content, 256), count(content, 112)), (273, 1));
        }
        assert_eq!((count(Content::Hashes(1), 256), count(Content::Hashes(1), 17)), (1, 1));
        assert_eq!(count(Content::Hashes(2), 1), 1);
        assert_eq!(between(0, 70_000).count(), 2 * 274 + 2 + 1);
        let paths: Vec<_> = between(0, 256).map(|tile| tile.to_string()).collect();
        assert_eq!(paths, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(between(0, 0).count() + between(70_000, 70_000).count() + between(3, 2).count(), 0);
        assert!(between(u64::MAX - 1, u64::MAX).count() < 20);
    }

    #[test]
    fn tiles_are_within_trees_that_have_them() {
        for size in [1, 255, 256, 257, 300, 70_000] {
            for tile in between(0, size) {
                assert!(tile.is_within(size) && tile.is_within(size + 1), "{tile} {size}");
                let wider = Tile { width: tile.width + 1, ..tile };
                assert!(tile.is_full() || !wider.is_within(size), "{wider} {size}");
                assert!(!Tile { index: size, ..tile }.is_within(size), "{tile} {size}");
            }
        }
    }

    #[test]
    fn entries_come_out_of_bundles() {
        let log = Log::of(300);
        let of = |index: u64, size: u64| entries(&log, &Tile::of_entry(index, size)).expect("entries");
        assert_eq!(of(3, 300), (0..256).map(entry).collect::<Vec<_>>());
        assert_eq!(of(299, 300), (256..300).map(entry).collect::<Vec<_>>());
        // A partial bundle that is not kept any more is a part of the full one.
        assert_eq!(of(3, 17), (0..17).map(entry).collect::<Vec<_>>());
        assert!(matches!(entries(&log, &Tile::of_entry(512, 600)), Err(TileError::Missing(_))));
    }

    #[test]
    fn bundles_are_length_and_bytes() {
        let largest = vec![b'x'; ENTRY_BYTES_MAX];
        assert_eq!(bundle([b"ab".as_slice(), b""]), b"\x00\x02ab\x00\x00");
        let bytes = bundle([largest.as_slice()]);
        assert_eq!((bytes.len(), &bytes[..2]), (2 + 65_535, b"\xff\xff".as_slice()));
        let tile = |width| Tile { content: Content::Entries, index: 0, width };
        assert_eq!(tile(1).parse_entries(&bytes), Ok(vec![largest.as_slice()]));
        for (width, bytes) in [(1, &b"\x00"[..]), (1, b"\x00\x02a"), (1, b"\x00\x01aa"), (2, b"\x00\x01a"), (1, b"")] {
            assert!(tile(width).parse_entries(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn damaged_tiles_never_prove() {
        // AUD-13, AUD-16: whatever stands in a tile, what is read out of it verifies or does not.
        let log = Log::of(300);
        let root = log.tree.root();
        for index in [0, 255, 256, 299] {
            let mut damaged = Log::of(300);
            for (path, bytes) in &log.published {
                for edited in [[&bytes[..], &[0; 32]].concat(), bytes[..bytes.len() - 32.min(bytes.len())].to_vec(), {
                    let mut edited = bytes.clone();
                    edited[7] ^= 1;
                    edited
                }] {
                    damaged.published.insert(path.clone(), edited);
                    let proof = proof::inclusion(&TileNodes::new(&damaged, 300), index, 300);
                    let used = damaged.asked.take().iter().any(|tile| tile.to_string() == *path);
                    let holds =
                        proof.is_ok_and(|proof| proof.verify(&hash::leaf(&entry(index)), index, 300, &root).is_ok());
                    // The leaf itself is not part of its proof, so damage to it alone goes unnoticed there.
                    let own = path.starts_with("tile/0/") && index % 256 == 0;
                    assert!(holds != used || own, "{path} {index}");
                }
                damaged.published.insert(path.clone(), bytes.clone());
            }
        }
    }

    #[test]
    fn every_hash_fits_the_tile_below() {
        let mut log = Log::of(513);
        check(&log, 513).expect("whole");
        let above = log.published["tile/1/000.p/2"].clone();
        for byte in [0, 63] {
            let mut edited = above.clone();
            edited[byte] ^= 1;
            log.published.insert("tile/1/000.p/2".to_owned(), edited);
            let message = check(&log, 513).expect_err("damage").to_string();
            assert_eq!(message, "`tile/1/000.p/2` is damaged: a hash in it is not that of the tile below");
        }
        log.published.insert("tile/1/000.p/2".to_owned(), above);
        log.published.remove("tile/0/001");
        assert_eq!(check(&log, 513).expect_err("a gap").to_string(), "`tile/0/001` is missing");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn proofs_from_tiles_are_those_of_the_tree(
            size in 1u64..=1_500, grown in 0u64..=900, at in any::<prop::sample::Index>(),
        ) {
            // AUD-16
            let mut log = Log::of(size);
            log.grow(size + grown);
            log.publish(size);
            let new = size + grown;
            let index = at.index(usize::try_from(new).expect("small")) as u64;
            let nodes = TileNodes::new(&log, new);
            let root = Tree::from_nodes(&nodes, new).expect("tiles").root();
            prop_assert_eq!(root, log.tree.root());
            let inclusion = proof::inclusion(&nodes, index, new).expect("a proof");
            prop_assert_eq!(&inclusion, &proof::inclusion(&log, index, new).expect("a proof"));
            prop_assert!(inclusion.verify(&hash::leaf(&entry(index)), index, new, &root).is_ok());
            let consistency = proof::consistency(&nodes, size, new).expect("a proof");
            prop_assert_eq!(&consistency, &proof::consistency(&log, size, new).expect("a proof"));
            // What was published first still proves, whether its partial tiles are kept or not.
            let older = TileNodes::new(&log, size);
            let before = Tree::from_nodes(&older, size).expect("tiles").root();
            prop_assert!(consistency.verify((size, &before), (new, &root)).is_ok());
            let full: Vec<_> = between(0, new).filter(Tile::is_full).map(|tile| tile.partial_folder()).collect();
            log.published.retain(|path, _| !full.iter().any(|folder| path.starts_with(folder)));
            let later = Tree::from_nodes(&TileNodes::new(&log, size), size);
            prop_assert_eq!(later.expect("tiles").root(), before);
        }

        #[test]
        fn paths_come_back(index in any::<u64>(), width in 1u64..=256, level in 0u32..8) {
            for content in [Content::Hashes(level), Content::Entries] {
                let tile = Tile { content, index, width };
                prop_assert_eq!(tile.to_string().parse(), Ok(tile));
            }
        }
    }
}

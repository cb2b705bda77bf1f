//! Compiled components, kept between processes.
//!
//! A compiled component is native code: whoever writes it, runs it. So a file counts only if its MAC is right, under a
//! key that lives in the host's home and never leaves it. The MAC covers the digest of the component, the engine's
//! compatibility hash and every byte, so a file can't be swapped for another, come from another version, or be edited
//! (ART-02). The file is read into memory once and checked there (ART-03). A file that fails its check is as good as
//! absent: the component is compiled again, and the file replaced.
//!
//! The folder can never be granted: it lies in the host's home, which `model::grant` refuses.

use std::fmt;
use std::fs;
use std::hash::Hash;
use std::hash::Hasher;
use std::io;
use std::io::Read as _;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use ringfence_model::digest::Digest;
use ringfence_model::limits;
use sha2::Sha256;
use wasmtime::component::Component;

/// Bytes of a MAC.
const MAC_BYTES: usize = 32;

/// The cache: a folder and the key that its files are authenticated with.
pub struct Cache {
    folder: PathBuf,
    key: [u8; 64],
}

impl Cache {
    /// A cache in `folder`, which is created for its owner alone if it is not there.
    pub fn open(folder: &Path, key: [u8; 64]) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self { folder: folder.to_owned(), key })
    }

    /// The compiled component, if a file for it is there and its MAC is right.
    pub(super) fn load(&self, engine: &wasmtime::Engine, digest: &Digest) -> Option<Component> {
        let file = read(&self.path(engine, digest)).ok()?;
        let (mac, code) = file.split_at_checked(MAC_BYTES)?;
        self.mac(engine, digest, code).verify_slice(mac).ok()?;
        super::deserialize(engine, code)
    }

    /// Keeps a compiled component. A cache that can't be written costs time, not correctness, so failures are ignored.
    pub(super) fn store(&self, engine: &wasmtime::Engine, digest: &Digest, code: &[u8]) {
        let mac = self.mac(engine, digest, code).finalize().into_bytes();
        let _ = self.write(&self.path(engine, digest), &[&mac, code]);
    }

    /// Whether there is a file for this component; [`Self::load`] may still find it wanting.
    pub(super) fn holds(&self, engine: &wasmtime::Engine, digest: &Digest) -> bool {
        self.path(engine, digest).exists()
    }

    /// Readers see the whole file or none: it is written under another name first.
    fn write(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.persist(path)?;
        Ok(())
    }

    fn path(&self, engine: &wasmtime::Engine, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}-{:016x}.cwasm", hex::encode(digest.as_bytes()), compatibility(engine)))
    }

    fn mac(&self, engine: &wasmtime::Engine, digest: &Digest, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(digest.as_bytes());
        mac.update(&compatibility(engine).to_be_bytes());
        mac.update(code);
        mac
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Version, target and settings of the engine, in one number.
fn compatibility(engine: &wasmtime::Engine) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// Of a file that is larger than any that is kept no more is read than its MAC can't fit.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    let bytes_max = limits::COMPILED_BYTES_MAX.saturating_add(MAC_BYTES as u64);
    fs::File::open(path)?.take(bytes_max).read_to_end(&mut file)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;

    const WAT: &str = "(component (core module))";

    fn setup(folder: &Path) -> (Engine, Digest, Vec<u8>) {
        let cache = Cache::open(folder, [7; 64]).expect("a cache");
        let bytes = wat::parse_str(WAT).expect("wat");
        (Engine::new().expect("an engine").with_cache(cache), Digest::of(&bytes), bytes)
    }

    fn only_file(folder: &Path) -> PathBuf {
        let mut files: Vec<_> = fs::read_dir(folder).expect("a folder").map(|f| f.expect("a file").path()).collect();
        assert_eq!(files.len(), 1);
        files.remove(0)
    }

    #[test]
    fn compiled_component_is_found_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (engine, digest, bytes) = setup(folder.path());
        assert!(!engine.is_compiled(&digest));
        engine.compile(&digest, &bytes).expect("a component");
        let cache = Cache::open(folder.path(), [7; 64]).expect("a cache");
        assert!(cache.load(engine.wasmtime(), &digest).is_some());
    }

    #[test]
    fn edited_file_is_compiled_again() {
        // ART-02
        let folder = tempfile::tempdir().expect("a folder");
        let (engine, digest, bytes) = setup(folder.path());
        engine.compile(&digest, &bytes).expect("a component");
        let path = only_file(folder.path());
        let good = fs::read(&path).expect("the file");
        let cache = Cache::open(folder.path(), [7; 64]).expect("a cache");
        for position in (0..good.len()).step_by(97).chain([0, 31, 32, good.len() - 1]) {
            let mut bad = good.clone();
            bad[position] ^= 1;
            fs::write(&path, &bad).expect("written");
            assert!(cache.load(engine.wasmtime(), &digest).is_none(), "{position}");
        }
        for length in [0, 31, 32, good.len() / 2] {
            fs::write(&path, &good[..length]).expect("written");
            assert!(cache.load(engine.wasmtime(), &digest).is_none(), "{length}");
        }
        engine.compile(&digest, &bytes).expect("a component");
        assert_eq!(fs::read(&path).expect("the file").len(), good.len());
        assert!(cache.load(engine.wasmtime(), &digest).is_some());
    }

    #[test]
    fn file_of_another_key_or_component_is_refused() {
        // ART-02
        let folder = tempfile::tempdir().expect("a folder");
        let (engine, digest, bytes) = setup(folder.path());
        engine.compile(&digest, &bytes).expect("a component");
        let other_key = Cache::open(folder.path(), [8; 64]).expect("a cache");
        assert!(other_key.load(engine.wasmtime(), &digest).is_none());

        let cache = Cache::open(folder.path(), [7; 64]).expect("a cache");
        let other = Digest::of(b"another component");
        fs::copy(only_file(folder.path()), cache.path(engine.wasmtime(), &other)).expect("copied");
        assert!(cache.load(engine.wasmtime(), &other).is_none());
    }

    #[test]
    fn folder_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        Cache::open(&folder.path().join("cache"), [0; 64]).expect("a cache");
        let mode = fs::metadata(folder.path().join("cache")).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

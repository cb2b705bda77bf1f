//! Compiled components that all homes of one run share, so that a test doesn't wait for what it is not about.

use std::path::Path;
use std::path::PathBuf;
use std::sync::LazyLock;

use ringfence_runtime::engine::Engine;
use ringfence_runtime::engine::cache::Cache;

const PREFIX: &str = "compiled-";
const KEY: [u8; 64] = [0x5a; 64];

/// An engine for tests that need no home.
pub static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let cache = Cache::open(folder(), KEY).expect("a cache");
    Engine::new().expect("an engine").with_cache(cache)
});

/// Has a home use what others have compiled, and they what it compiles.
pub fn share(home: &Path) {
    std::fs::write(home.join("keys/cache.key"), hex::encode(KEY)).expect("the key");
    std::fs::remove_dir(home.join("cache")).expect("an empty folder");
    std::os::unix::fs::symlink(folder(), home.join("cache")).expect("a link");
}

fn folder() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let tests = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_those_of_processes_that_ended(tests);
        let folder = tests.join(format!("{PREFIX}{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    });
    &FOLDER
}

/// Nothing runs at the end of a process of tests, so the next one cleans up.
fn remove_those_of_processes_that_ended(tests: &Path) {
    let entries = std::fs::read_dir(tests).expect("a folder of the tests").flatten();
    for entry in entries {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        if !Path::new("/proc").join(pid).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

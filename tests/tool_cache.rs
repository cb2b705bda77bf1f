//! The cache of compiled components: what is in it changes no answer, and nobody else's is of use.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::harness::ADD;
use crate::harness::Home;
use crate::harness::tools::wasm;

fn cached(home: &Home) -> Vec<PathBuf> {
    let files = std::fs::read_dir(home.path().join("cache")).expect("the cache");
    let mut files: Vec<_> = files.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

fn adds(home: &Home, tool: &str) {
    let (ran, value) = home.call(tool, &["add", "--input", r#"{"a":20,"b":22}"#]);
    ran.code(0);
    assert_eq!(value["outcome"]["value"], 42);
}

#[test]
fn second_run_compiles_nothing() {
    let home = Home::cold();
    assert_eq!(cached(&home).len(), 0);
    let add = wasm(&home, "add", ADD);
    adds(&home, &add);
    let files = cached(&home);
    // The tool and the one policy in force.
    assert_eq!(files.len(), 2, "{files:?}");
    // A file that is compiled anew is a new file under the old name.
    let inodes = || files.iter().map(|path| std::fs::metadata(path).expect("a file").ino()).collect::<Vec<_>>();
    let before = inodes();
    adds(&home, &add);
    home.run(["inspect", &add]).code(0);
    assert_eq!((cached(&home), inodes()), (files.clone(), before));
    // Under another name the same bytes are the same component.
    adds(&home, &wasm(&home, "sum", ADD));
    assert_eq!(cached(&home), files);
}

#[test]
fn poisoned_cache_changes_no_answer() {
    // ART-02: every file of the cache, tool and policy, in several ways.
    let home = Home::cold();
    let add = wasm(&home, "add", ADD);
    adds(&home, &add);
    let files = cached(&home);
    let good: Vec<_> = files.iter().map(|path| std::fs::read(path).expect("a file")).collect();
    let other = good.iter().rev().cloned().collect::<Vec<_>>();
    let poisons: [&dyn Fn(usize) -> Vec<u8>; 7] = [
        &|index| flipped(&good[index], 0),
        &|index| flipped(&good[index], 40),
        &|index| flipped(&good[index], good[index].len() / 2),
        &|index| flipped(&good[index], good[index].len() - 1),
        &|index| good[index][..good[index].len() / 2].to_vec(),
        &|_| Vec::new(),
        // Well made, under this very key, for another component.
        &|index| other[index].clone(),
    ];
    for (number, poison) in poisons.iter().enumerate() {
        for (index, path) in files.iter().enumerate() {
            std::fs::write(path, poison(index)).expect("written");
        }
        adds(&home, &add);
        for (index, path) in files.iter().enumerate() {
            let now = std::fs::read(path).expect("a file");
            assert!(now != poison(index), "poison {number} is still there");
            assert_eq!(now.len(), good[index].len());
        }
    }
    assert_eq!(cached(&home), files);
    home.is_well();
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

#[test]
fn cache_of_another_home_is_of_no_use() {
    // ART-02: whole files, well made, under a key that is not this home's.
    let (one, other) = (Home::cold(), Home::cold());
    let add = wasm(&one, "add", ADD);
    adds(&one, &add);
    for path in cached(&one) {
        let name = path.file_name().expect("a name");
        std::fs::copy(&path, other.path().join("cache").join(name)).expect("a copy");
    }
    adds(&other, &add);
    for path in cached(&one) {
        let name = path.file_name().expect("a name");
        let rewritten = std::fs::read(other.path().join("cache").join(name)).expect("a file");
        assert!(rewritten != std::fs::read(&path).expect("a file"));
    }
}

#[test]
fn replaced_tool_is_another_tool() {
    // ART-01: by name it is the same file, by digest it is not; nothing of the old one is used.
    let home = Home::cold();
    let tool = wasm(&home, "tool", ADD);
    adds(&home, &tool);
    let changed = ADD.replace("i32.add", "i32.sub");
    assert_eq!(wasm(&home, "tool", &changed), tool);
    let (_, value) = home.call(&tool, &["add", "--input", r#"{"a":20,"b":22}"#]);
    assert_eq!(value["outcome"]["value"], -2);
    let digests: BTreeSet<_> = home
        .entries()
        .iter()
        .filter(|entry| entry["kind"] == "begun")
        .map(|entry| entry["body"]["tool"]["digest"].to_string())
        .collect();
    assert_eq!(digests.len(), 2);
}

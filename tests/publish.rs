//! A published log: what any web server hands out, checked by whoever fetches it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use ringfence_artifacts::TOOL_ECHO;

use crate::harness::Home;
use crate::harness::Ran;

/// Records calls that are refused at once, two to a run of the binary, until the log has so many entries.
fn grow(home: &Home, entries: usize) {
    while home.entries().len() < entries {
        home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    }
}

fn publish(home: &Home, to: &Path) -> Ran {
    home.run(["log".as_ref(), "publish".as_ref(), "--to".as_ref(), to.as_os_str()])
}

fn verify(home: &Home, folder: &Path) -> Ran {
    home.run(["--format".as_ref(), "json".as_ref(), "log".as_ref(), "verify".as_ref(), folder.as_os_str()])
}

/// Every file below a folder, by its path from there.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_owned()];
    while let Some(at) = left.pop() {
        for entry in fs::read_dir(&at).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                left.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below").display().to_string();
                found.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

fn kinds(ran: &Ran) -> Vec<String> {
    ran.code(5);
    let report = ran.json();
    let failures = report["findings"].as_array().expect("findings").iter().filter(|f| f["severity"] == "failure");
    failures.map(|finding| finding["kind"].as_str().expect("a kind").to_owned()).collect()
}

#[test]
fn published_log_grows_and_verifies() {
    let home = Home::new();
    let to = home.folder("www").join("log");
    publish(&home, &to).code(0);
    let names: Vec<_> = files(&to).into_keys().collect();
    assert_eq!(names, ["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"]);
    grow(&home, 3);
    let told = publish(&home, &to);
    assert_eq!(told.code(0).text(), "published: 3 entries, 2 of them new\n");
    let before = files(&to);
    assert_eq!(before["tile/0/000.p/3"].len(), 96);
    assert_eq!(verify(&home, &to).code(0).json()["vouched"], 3);
    // A bundle is a length and the canonical bytes, entry by entry.
    let mut bundle = before["tile/entries/000.p/3"].as_slice();
    for line in home.run(["log", "export"]).text().lines() {
        let (length, rest) = bundle.split_at(2);
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        assert_eq!(&rest[..length], line.as_bytes());
        bundle = &rest[length..];
    }
    assert!(bundle.is_empty());
    // Nothing new: nothing is written but the checkpoint.
    let again = home.run(["--format", "json", "log", "publish", "--to", to.to_str().expect("text")]);
    assert_eq!(again.code(0).json(), serde_json::json!({ "before": 3, "entries": 3, "tiles": 0 }));
    assert_eq!(files(&to), before);
    home.is_well();
}

#[test]
fn published_files_can_be_read_by_a_server() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let to = home.folder("www");
    publish(&home, &to).code(0);
    for name in files(&to).into_keys() {
        let mode = fs::metadata(to.join(&name)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o044, 0o044, "{name}");
    }
}

#[test]
fn tampered_publications_are_found() {
    // AUD-13
    let home = Home::new();
    grow(&home, 5);
    let to = home.folder("www");
    publish(&home, &to).code(0);
    verify(&home, &to).code(0);
    let whole = files(&to);
    for (name, bytes) in &whole {
        for position in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut edited = bytes.clone();
            edited[position] ^= 1;
            fs::write(to.join(name), &edited).expect("a file");
            assert!(!kinds(&verify(&home, &to)).is_empty(), "{name} {position}");
            // What is there is never written over.
            publish(&home, &to).code(if name.starts_with("tile/entries") { 0 } else { 5 });
            let kept = fs::read(to.join(name)).expect("a file");
            assert_eq!(kept, edited, "{name} {position}");
        }
        fs::remove_file(to.join(name)).expect("a file");
        verify(&home, &to).code(if name == "checkpoint" { 1 } else { 5 });
        fs::write(to.join(name), bytes).expect("a file");
    }
    verify(&home, &to).code(0);
    // Without its checkpoint everything that is there is looked at, and what is missing is made.
    fs::remove_file(to.join("checkpoint")).expect("a file");
    fs::remove_file(to.join("tile/0/000.p/5")).expect("a file");
    publish(&home, &to).code(0);
    assert_eq!(files(&to), whole);
    fs::remove_file(to.join("checkpoint")).expect("a file");
    fs::write(to.join("tile/0/000.p/5"), [0; 160]).expect("a file");
    let message = home.refuses(["log", "publish", "--to", to.to_str().expect("text")], 5);
    assert!(message.contains("`tile/0/000.p/5` is there"), "{message}");
}

#[test]
fn pipe_among_published_files_holds_nobody_up() {
    // FS-14: a folder that somebody else has sent.
    let home = Home::new();
    let to = home.folder("www");
    publish(&home, &to).code(0);
    for name in ["checkpoint", "tile/entries/000.p/1", "tile/0/000.p/1"] {
        let whole = fs::read(to.join(name)).expect("a file");
        fs::remove_file(to.join(name)).expect("a file");
        assert!(Command::new("mkfifo").arg(to.join(name)).status().expect("mkfifo").success());
        assert!(!kinds(&verify(&home, &to)).is_empty(), "{name}");
        fs::remove_file(to.join(name)).expect("a pipe");
        fs::write(to.join(name), whole).expect("a file");
    }
    verify(&home, &to).code(0);
}

#[test]
fn other_histories_are_not_published_over() {
    // AUD-07, AUD-10, AUD-24
    let (home, other) = (Home::new(), Home::new());
    let to = home.folder("www");
    publish(&home, &to).code(0);
    let args = ["log", "publish", "--to", to.to_str().expect("text")];
    let whole = files(&to);
    let message = other.refuses(args, 5);
    assert!(message.contains("holds another log"), "{message}");
    assert_eq!(files(&to), whole);
    // The log is put back, and its head with it: what was published still tells.
    let (log, head) = (home.path().join("log.sqlite"), home.path().join("log.head"));
    let yesterday = (fs::read(&log).expect("the log"), fs::read(&head).expect("the head"));
    grow(&home, 3);
    publish(&home, &to).code(0);
    let today = (fs::read(&log).expect("the log"), fs::read(&head).expect("the head"));
    restore(&home, &yesterday);
    let message = home.refuses(args, 5);
    assert!(message.contains("covers 3 entries, and the log holds 1"), "{message}");
    grow(&home, 3);
    let message = home.refuses(args, 5);
    assert!(message.contains("its first 3 entries are not those of the log"), "{message}");
    restore(&home, &today);
    publish(&home, &to).code(0);
}

fn restore(home: &Home, (log, head): &(Vec<u8>, Vec<u8>)) {
    for (name, bytes) in [("log.sqlite", log), ("log.head", head)] {
        fs::write(home.path().join(name), bytes).expect("a file");
    }
    for beside in ["log.sqlite-wal", "log.sqlite-shm"] {
        let _ = fs::remove_file(home.path().join(beside));
    }
}

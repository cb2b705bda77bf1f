//! The log's key is replaced: what was signed before still verifies, and the old key signs nothing new.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use ringfence_artifacts::TOOL_ECHO;
use ringfence_audit::checkpoint::Checkpoint;
use ringfence_audit::signer::SoftwareSigner;
use serde_json::Value;

use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::ringfence;

/// The keys before and after a rotation of this home.
fn rotate(home: &Home) -> (String, String) {
    let rotated = home.run(["--format", "json", "key", "rotate"]).code(0).json();
    let key = |name: &str| rotated[name].as_str().expect("a key").to_owned();
    (key("old"), key("new"))
}

fn export(home: &Home) -> String {
    let path = home.folder("export").join(format!("{}.jsonl", home.entries().len())).display().to_string();
    home.run(["log", "export", "--output", &path]).code(0);
    path
}

fn kinds(ran: &Ran) -> Vec<String> {
    let report = ran.code(5).json();
    let failures = report["findings"].as_array().expect("findings").iter().filter(|f| f["severity"] == "failure");
    failures.map(|finding| finding["kind"].as_str().expect("a kind").to_owned()).collect()
}

fn key_file(home: &Home) -> PathBuf {
    home.path().join("keys/log.key")
}

#[test]
fn log_goes_on_under_its_new_key() {
    // AUD-11
    let home = Home::new();
    let before = home.folder("receipts").join("before.json").display().to_string();
    home.run(["run", TOOL_ECHO, "nothing", "--receipt", &before]).code(0);
    let checkpoint = home.file("old.checkpoint", &home.run(["log", "checkpoint"]).code(0).stdout);
    let (old, new) = rotate(&home);
    assert_ne!(old, new);
    let entry = home.entries().pop().expect("an entry");
    assert_eq!(
        (&entry["kind"], &entry["body"]["old"], &entry["body"]["new"]),
        (&"rotated".into(), &old.into(), &new.into())
    );
    let (old, new) = (entry["body"]["old"].as_str().expect("a key"), entry["body"]["new"].as_str().expect("a key"));
    let after = home.folder("receipts").join("after.json").display().to_string();
    home.run(["run", TOOL_ECHO, "nothing", "--receipt", &after]).code(0);
    home.run(["log", "verify", "--against", checkpoint.to_str().expect("text")]).code(0);
    let checkpoint = checkpoint.to_str().expect("text");
    let proof = home.file("proof.json", &home.run(["log", "prove", "--from", checkpoint]).code(0).stdout);
    let proof = ["log", "verify", "--against", checkpoint, "--proof", proof.to_str().expect("text")];
    home.run(proof.into_iter().chain(["--key", old, "--key", new])).code(0);
    for key in [old, new] {
        home.run(proof.into_iter().chain(["--key", key])).code(5);
    }
    home.run(["log", "publish", "--to", home.folder("www").to_str().expect("text")]).code(0);
    rotate(&home);
    home.run(["log", "publish", "--to", home.folder("www").to_str().expect("text")]).code(0);
    // Whoever trusts one of the keys is led to the others by the log.
    let export = export(&home);
    for key in [old, new] {
        home.run(["log", "verify", &export, "--key", key]).code(0);
        home.run(["log", "verify", home.folder("www").to_str().expect("text"), "--key", key]).code(0);
    }
    // A receipt is signed by the key of its time; the home knows which.
    let none = home.folder("none");
    for (receipt, key, other) in [(&before, old, new), (&after, new, old)] {
        home.run(["receipt", "verify", receipt]).code(0);
        ringfence(&none, ["receipt", "verify", receipt, "--key", key], b"").code(0);
        ringfence(&none, ["receipt", "verify", receipt, "--key", other], b"").code(5);
    }
    assert!(!home.path().join("keys/next-log.key").exists());
    home.is_well();
}

#[test]
fn old_key_signs_nothing_new() {
    // AUD-11: the key that was rotated out is in the wrong hands.
    let home = Home::new();
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let leaked = fs::read_to_string(key_file(&home)).expect("the key");
    let (old, new) = rotate(&home);
    let export = export(&home);
    home.run(["log", "verify", &export, "--key", &old]).code(0);
    let genuine = fs::read_to_string(format!("{export}.checkpoint")).expect("the checkpoint");
    let text: Checkpoint =
        format!("{}\n", genuine.split("\n\n").next().expect("a text")).parse().expect("a checkpoint");
    let (origin, seed) = leaked.trim_end().split_once('\n').expect("two lines");
    let seed: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&seed[2 * at..2 * at + 2], 16).expect("digits")).collect();
    let thief = SoftwareSigner::from_seed(origin, &seed.try_into().expect("32 bytes")).expect("a signer");
    let forged = home.file("forged", text.sign(&thief).expect("a note")).display().to_string();
    for key in [&old, &new] {
        let ran = home.run(["--format", "json", "log", "verify", &export, "--checkpoint", &forged, "--key", key]);
        assert_eq!(kinds(&ran), ["retired-key", "unanchored"]);
    }
    // Put back into the home it signs nothing either, and its checkpoint is no head.
    let kept = fs::read(key_file(&home)).expect("the key");
    fs::write(key_file(&home), leaked).expect("the key");
    let message = home.refuses(["run", TOOL_ECHO, "nothing"], 1);
    assert!(message.contains("the log names key"), "{message}");
    fs::write(key_file(&home), kept).expect("the key");
    let head = home.path().join("log.head");
    let genuine = fs::read(&head).expect("the head");
    fs::copy(&forged, &head).expect("the head");
    home.refuses(["run", TOOL_ECHO, "nothing"], 1);
    assert_eq!(kinds(&home.run(["--format", "json", "log", "verify"])), ["retired-key"]);
    fs::write(&head, genuine).expect("the head");
    home.is_well();
}

#[test]
fn rotation_that_was_cut_off_is_finished() {
    // CR-27: after the entry, before the new key has taken the old one's place.
    let home = Home::new();
    let old = fs::read(key_file(&home)).expect("the key");
    let (_, new) = rotate(&home);
    let next = home.path().join("keys/next-log.key");
    fs::rename(key_file(&home), &next).expect("the key");
    replace(&key_file(&home), &old);
    home.run(["log", "verify"]).code(0);
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    assert!(!next.exists());
    home.run(["--format", "json", "doctor"]).code(0);
    let (rotated, _) = rotate(&home);
    assert_eq!(rotated, new);
    // Before the entry: a next key, or half of one, signs nothing, and the next rotation makes another.
    let home = Home::new();
    let other = home.folder("other").join("next.key").display().to_string();
    home.run(["key", "new", "test.example/log", "--output", &other]).code(0);
    fs::rename(other, home.path().join("keys/next-log.key")).expect("the key");
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let kept: Value = home.run(["--format", "json", "log", "verify"]).code(0).json();
    assert_eq!(kept["vouched"], 3);
    rotate(&home);
    replace(&home.path().join("keys/next-log.key"), b"test.example/l");
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    rotate(&home);
    home.run(["log", "verify"]).code(0);
    home.is_well();
}

/// Puts a key into a file that only its owner may read.
fn replace(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, bytes).expect("the key");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the key");
}

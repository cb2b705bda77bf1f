//! What an operator has revoked: whoever signed it, wherever it is kept, nothing of it is loaded any more.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;

use crate::harness::ADD;
use crate::harness::Home;
use crate::harness::server;
use crate::harness::server::Server;
use crate::harness::sigstore::Signer;
use crate::harness::sigstore::Sigstore;

const SUM: [&str; 5] = ["call", "adder", "add", "--input", r#"{"a":20,"b":22}"#];

fn config(home: &Home) -> String {
    fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration")
}

/// Each way to load a component of the home is refused for this reason, with one entry for each that would have called it or
/// registered it.
#[track_caller]
fn refused_everywhere(home: &Home, tool: &str, says: &str) {
    let before = home.entries().len();
    let recorded: [&[&str]; 2] = [&SUM, &["tool", "add", tool, "--name", "again"]];
    for args in recorded {
        home.run(args).code(3).says("may not be loaded").says(says);
    }
    let entries = home.entries();
    assert_eq!(entries.len(), before + recorded.len());
    for entry in &entries[before..] {
        let body = &entry["body"];
        assert_eq!((&entry["kind"], &body["point"]), (&json!("decided"), &json!("admit")), "{entry}");
        assert_eq!(
            (&body["decision"]["allowed"], &body["decision"]["rulings"]),
            (&json!(false), &json!([])),
            "{entry}"
        );
    }
    let verified = home.run(["tool", "verify"]);
    assert!(verified.code(5).text().contains(says), "{}", verified.text());
    let doctor = home.run(["doctor"]);
    assert!(doctor.text().contains(says), "{}", doctor.text());
    assert_eq!(home.entries().len(), entries.len(), "looking is not written down");
    home.run(["log", "verify"]).code(0);
    home.run(["policy", "replay"]).code(0);
}

#[test]
fn revoked_component_is_never_loaded() {
    // ART-07
    let home = Home::new();
    let tool = home.component("adder", ADD);
    home.run(["tool", "add", &tool]).code(0);
    // The control; it is compiled and kept by then.
    home.run(SUM).code(0);
    let digest = home.run(["tool", "list", "--format", "json"]).json()[0]["digest"].as_str().expect("text").to_owned();
    let before = config(&home);
    home.configure(&format!("{before}\n[revoked]\n'{digest}' = 'it reads beyond its memory'\n"));
    let says = format!("`{digest}` is revoked: it reads beyond its memory");
    refused_everywhere(&home, &tool, &says);
    for args in [&["run", &tool, "add", "--input", r#"{"a":1,"b":2}"#][..], &["inspect", &tool]] {
        home.run(args).code(3).says(&says);
    }
    // Another component is another digest; and what is not revoked any more is loaded.
    let other = home.component("other", &ADD.replace("i32.add", "i32.sub"));
    home.run(["run", &other, "add", "--input", r#"{"a":1,"b":2}"#]).code(0);
    home.configure(&before);
    home.run(SUM).code(0);
    home.is_well();
}

#[test]
fn server_offers_no_revoked_tool() {
    // ART-07
    let home = server::reading();
    let mine = server::token(&home, "mine", "agent:a", "call");
    let tools = home.run(["tool", "list", "--format", "json"]).json();
    let digest = tools[0]["digest"].as_str().expect("text");
    let serving = Server::new(&home);
    let call = || serving.ask("POST", "/v1/calls", Some(&mine), &server::read());
    call().is(200);
    let before = config(&home);
    home.configure(&format!("{before}\n[revoked]\n'{digest}' = 'it reads too much'\n"));
    serving.hang_up();
    call().is(404);
    home.configure(&before);
    serving.hang_up();
    call().is(200);
    // Whatever else is wrong: a policy that is not there leaves those in force, and no revoked tool.
    home.configure(&format!(
        "{before}\n[revoked]\n'{digest}' = 'it reads too much'\n[policies.gone]\ncomponent = 'gone.wasm'\n"
    ));
    serving.hang_up();
    call().is(404);
    home.configure(&before);
    serving.hang_up();
    call().is(200);
    assert_eq!(serving.stop(), 0);
    let entries = home.entries();
    let refusals = entries.iter().filter(|entry| entry["body"]["decision"]["allowed"] == false);
    assert_eq!(refusals.count(), 1);
    home.is_well();
}

#[test]
fn revoked_key_vouches_for_nothing() {
    // ART-05, ART-07
    let home = Home::new();
    let key = home.folder("keys").join("author").display().to_string();
    let made = home.run(["key", "new", "author.example", "--output", &key, "--format", "json"]).code(0).json();
    let line = made["key"].as_str().expect("a key").to_owned();
    let trusted = format!("[signers.author]\nkey = '{line}'\n");
    home.configure(&trusted);
    let tool = home.component("adder", ADD);
    home.run(["sign", &tool, "--key", &key]).code(0);
    home.run(["tool", "add", &tool]).code(0);
    home.run(SUM).code(0);
    let before = config(&home);
    let revoked = format!("{trusted}revoked = 'the key was in a public repository'\n");
    home.configure(&before.replace(&trusted, &revoked));
    refused_everywhere(&home, &tool, "its signer `author` is revoked: the key was in a public repository");
    // Neither without a word for the signature, nor under another name, nor as a file, whatever lies beside it.
    home.run(["tool", "add", &tool, "--name", "again", "--unsigned"]).code(3);
    let run = ["run", &tool, "add", "--input", r#"{"a":1,"b":2}"#];
    home.run(run).code(3).says("its signer `author` is revoked");
    let signature = format!("{tool}.sig");
    let note = fs::read(&signature).expect("a signature");
    fs::remove_file(&signature).expect("removed");
    for args in [&run[..], &["tool", "add", &tool, "--name", "again"], &["inspect", &tool]] {
        home.run(args).code(3).says("its signer `author` is revoked");
    }
    // One that is registered nowhere is known by its signature alone.
    let other = home.component("other", &ADD.replace("i32.add", "i32.sub"));
    let run_other = ["run", &other, "add", "--input", r#"{"a":1,"b":2}"#];
    home.run(run_other).code(0);
    home.run(["sign", &other, "--key", &key]).code(0);
    home.run(run_other).code(3).says("its signer `author` is revoked");
    fs::write(&signature, note).expect("put back");
    home.configure(&format!("{}\n[signers.friend]\nkey = '{line}'\n", before.replace(&trusted, &revoked)));
    let message = home.refuses(["tool", "list"], 1);
    assert!(message.contains("signer `friend` is also `author`, which is revoked"), "{message}");
    // The same key, as it would be written for another name.
    let bytes = line.splitn(3, '+').nth(2).expect("a key");
    let hashed = [&b"friend.example\n"[..], STANDARD.decode(bytes).expect("Base64").as_slice()].concat();
    let renamed = format!("friend.example+{}+{bytes}", hex::encode(&Sha256::digest(hashed)[..4]));
    home.configure(&format!("{}\n[signers.friend]\nkey = '{renamed}'\n", before.replace(&trusted, &revoked)));
    let message = home.refuses(["tool", "list"], 1);
    assert!(message.contains("signer `friend` is also `author`, which is revoked"), "{message}");
    home.configure(&before);
    home.run(SUM).code(0);
    home.is_well();
}

#[test]
fn revoked_identity_vouches_for_nothing() {
    // ART-05, ART-07
    let (home, sigstore) = (Home::new(), Sigstore::new());
    let root = home.file("roots/trusted_root.json", sigstore.trusted_root().to_string()).display().to_string();
    let identity = "identity = 'ada@acme.test'\nissuer = 'https://issuer.test'";
    let trusted = format!("[signers.builder]\n{identity}\ntrusted-root = '{root}'\n");
    home.configure(&trusted);
    let tool = home.component("adder", ADD);
    let bundle =
        sigstore.bundle(&fs::read(&tool).expect("a file"), Signer::new("ada@acme.test", "https://issuer.test"));
    let bundle = home.file("adder.sigstore.json", bundle.to_string()).display().to_string();
    let add = ["tool", "add", &tool, "--bundle", &bundle, "--signer", "builder"];
    home.run(add).code(0);
    home.run(SUM).code(0);
    let before = config(&home);
    home.configure(&before.replace(&trusted, &format!("{trusted}revoked = 'ada has left'\n")));
    let says = "its signer `builder` is revoked: ada has left";
    home.run(SUM).code(3).says(says);
    home.run(add.iter().chain(&["--name", "again"])).code(3).says(says);
    home.configure(&before);
    home.run(SUM).code(0);
    home.is_well();
}

#[test]
fn revocations_without_sense_are_named() {
    let home = Home::new();
    let digest = format!("sha256:{}", "0".repeat(64));
    for (text, line, says) in [
        ("[revoked]\n'sha256:00' = 'x'".to_owned(), 2, "not a digest"),
        (format!("[revoked]\n'{digest}' = ''"), 2, "a reason is one line"),
        (format!("[revoked]\n'{digest}' = \"a\\nb\""), 2, "a reason is one line"),
        (format!("[revoked]\n'{digest}' = '{}'", "x".repeat(513)), 2, "at most 512 bytes"),
        (format!("[revoked]\n'{digest}' = true"), 2, "expected a string"),
        ("[signers.a]\nrevoked = 'x'".to_owned(), 1, "one key"),
    ] {
        home.configure(&text);
        let message = home.refuses(["tool", "list"], 1);
        assert!(message.contains(&format!("at line {line}:")) && message.contains(says), "{message}");
    }
    home.configure(&format!("[revoked]\n'{digest}' = 'x'\n"));
    home.run(["tool", "list"]).code(0);
}

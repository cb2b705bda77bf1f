//! A published log in the hands of a stranger: fetched over HTTP by whatever fetches files, and verified without our host.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use ringfence_artifacts::TOOL_ECHO;
use serde_json::Value;

use crate::evidence::key;
use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::server::Server;
use crate::harness::server::token;
use crate::harness::verify;
use crate::harness::web::Web;
use crate::harness::web::answer;
use crate::harness::web::ok;
use crate::publish::files;
use crate::served_log::long;
use crate::witness::Watcher;

/// A web server that knows nothing but files.
fn static_server(folder: &Path) -> Web {
    let folder = folder.to_owned();
    Web::new(move |seen| match fs::read(folder.join(seen.path().trim_start_matches('/'))) {
        Ok(bytes) => ok(bytes),
        Err(_) => answer("404 Not Found", "", ""),
    })
}

/// What is at a path of such a server.
fn get(web: &Web, path: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", web.port())).expect("a connection");
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: log.example\r\n\r\n").expect("sent");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("an answer");
    let end = said.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
    said.starts_with(b"HTTP/1.1 200").then(|| said.split_off(end + 4))
}

/// Fetches the checkpoint, and then what the verifier says belongs to it.
fn fetch(to: &Path, key: &str, get: impl Fn(&str) -> Option<Vec<u8>>) {
    fs::create_dir_all(to).expect("a folder");
    fs::write(to.join("checkpoint"), get("checkpoint").expect("a checkpoint")).expect("a file");
    let checkpoint = to.join("checkpoint");
    let listed = verify(["--key", key, "--tiles", text(&checkpoint)]);
    for path in listed.code(0).text().lines() {
        let bytes = get(path).unwrap_or_else(|| panic!("`{path}` is not there"));
        fs::create_dir_all(to.join(path).parent().expect("a folder")).expect("a folder");
        fs::write(to.join(path), bytes).expect("a file");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// The findings of a report that are failures: their kinds, and the entries they are about.
fn failures(ran: &Ran) -> Vec<(String, Option<u64>)> {
    let report = ran.code(5).json();
    let failures = report["findings"].as_array().expect("findings").iter().filter(|f| f["severity"] == "failure");
    failures.map(|f| (f["kind"].as_str().expect("a kind").to_owned(), f["index"].as_u64())).collect()
}

/// A home with more entries than a tile holds, where its log is published, and its key.
fn published() -> (Home, PathBuf, String) {
    let home = long();
    let www = home.folder("www");
    home.run(["log", "publish", "--to", text(&www)]).code(0);
    let key = key(&home);
    (home, www, key)
}

#[test]
fn stranger_verifies_what_was_fetched() {
    let (home, www, key) = published();
    let count = home.entries().len();
    let fetched = home.folder("fetched");
    let web = static_server(&www);
    fetch(&fetched, &key, |path| get(&web, path));
    assert_eq!(files(&fetched), files(&www));
    let report = verify(["--format=json", "--key", &key, text(&fetched)]).code(0).json();
    assert_eq!((report["form"].as_str(), report["vouched"].as_u64()), (Some("published"), Some(count as u64)));
    assert_eq!(report["findings"], Value::Array(Vec::new()));
    // The host's own server has the same, for whoever has a token.
    let auditor = token(&home, "auditor", "service:audit", "audit");
    let server = Server::new(&home);
    let by_host = home.folder("served");
    fetch(&by_host, &key, |path| {
        let given = server.ask("GET", &format!("/v1/log/{path}"), Some(&auditor), "");
        (given.status == 200).then_some(given.body)
    });
    assert_eq!(server.stop(), 0);
    verify(["--key", &key, text(&by_host)]).code(0);
    // It has grown since: what was fetched goes on from what was published, and not the other way.
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    home.run(["log", "publish", "--to", text(&www)]).code(0);
    let (old, new) = (fetched.join("checkpoint"), www.join("checkpoint"));
    verify(["--key", &key, "--against", text(&old), text(&www)]).code(0);
    let ran = verify(["--format=json", "--key", &key, "--against", text(&new), text(&fetched)]);
    assert_eq!(failures(&ran), [("rolled-back".to_owned(), Some(count as u64))]);
    home.is_well();
}

#[test]
fn tampered_tiles_are_found_by_a_stranger() {
    // AUD-01, AUD-07, AUD-10, AUD-16, FS-14
    let (home, www, key) = published();
    let count = home.entries().len();
    let other = self::key(&Home::new());
    let whole = files(&www);
    verify(["--key", &key, text(&www)]).code(0);
    let put = |name: &str, bytes: &[u8]| fs::write(www.join(name), bytes).expect("a file");
    let partial = format!("tile/0/001.p/{}", count - 256);
    let found = |key: &str| {
        let report = verify(["--format=json", "--key", key, text(&www)]);
        let command = home.run(["--format=json", "log", "verify", "--key", key, text(&www)]);
        assert_eq!(failures(&report), failures(&command), "the command finds the same");
        failures(&report)
    };
    let flipped = |name: &str, at: usize| {
        let mut bytes = whole[name].clone();
        bytes[at] ^= 1;
        bytes
    };
    let half = |name: &str| whole[name][..whole[name].len() / 2].to_vec();
    // In an entry's text, of a hash of each level, and of what is cut off: a finding names the first entry it is about.
    let entry = whole["tile/entries/000"].len() / 2;
    for (name, bytes, wanted) in [
        ("tile/entries/000", flipped("tile/entries/000", entry), None),
        ("tile/entries/000", half("tile/entries/000"), Some(("wrong-tile", 0))),
        ("tile/0/000", flipped("tile/0/000", 99), Some(("wrong-tile", 0))),
        ("tile/1/000.p/1", flipped("tile/1/000.p/1", 3), Some(("wrong-tile", 0))),
        (&partial, flipped(&partial, 0), Some(("wrong-tile", 256))),
        (&partial, half(&partial), Some(("wrong-tile", 256))),
        (&partial, Vec::new(), Some(("wrong-tile", 256))),
    ] {
        put(name, &bytes);
        let found = found(&key);
        match wanted {
            Some((kind, index)) => assert!(found.contains(&(kind.to_owned(), Some(index))), "{name}: {found:?}"),
            // Which entry has the byte, its own finding says.
            None => assert!(found.iter().any(|(kind, at)| kind != "wrong-tile" && at.is_some()), "{name}: {found:?}"),
        }
        put(name, &whole[name]);
    }
    // A checkpoint of another key, and another size under the same signature.
    assert!(found(&other).contains(&("unknown-key".to_owned(), None)));
    let note = String::from_utf8(whole["checkpoint"].clone()).expect("text");
    put("checkpoint", note.replacen(&format!("\n{count}\n"), &format!("\n{}\n", u64::MAX), 1).as_bytes());
    assert!(found(&key).iter().any(|(kind, _)| kind == "wrong-signature"));
    put("checkpoint", &whole["checkpoint"]);
    // What is no plain file, or has no end: neither waited for nor read.
    for name in ["tile/entries/000", "tile/0/000", &partial] {
        fs::remove_file(www.join(name)).expect("a file");
        assert!(found(&key).iter().any(|(kind, _)| kind == "wrong-tile"), "{name}");
        assert!(Command::new("mkfifo").arg(www.join(name)).status().expect("mkfifo").success());
        assert!(found(&key).iter().any(|(kind, _)| kind == "wrong-tile"), "{name}");
        fs::remove_file(www.join(name)).expect("a pipe");
        std::os::unix::fs::symlink("/dev/zero", www.join(name)).expect("a link");
        assert!(found(&key).iter().any(|(kind, _)| kind == "wrong-tile"), "{name}");
        fs::remove_file(www.join(name)).expect("a link");
        fs::File::create(www.join(name)).and_then(|file| file.set_len(1 << 40)).expect("a file");
        let ran = verify(["--format=json", "--key", &key, text(&www)]);
        assert!(failures(&ran).iter().any(|(kind, _)| kind == "wrong-tile"), "{name}");
        assert!(ran.peak_kib < 128 * 1024, "{name}: {} KiB", ran.peak_kib);
        put(name, &whole[name]);
    }
    verify(["--key", &key, text(&www)]).code(0);
    fs::remove_file(www.join("checkpoint")).expect("a file");
    verify(["--key", &key, text(&www)]).code(1).fails_well();
}

#[test]
fn paths_come_of_verified_checkpoints_only() {
    // Whoever wrote another size would have a stranger fetch without end.
    let home = Home::new();
    let key = key(&home);
    let note = home.run(["log", "checkpoint"]).code(0).text();
    let listed = |note: &str, key: &str| verify(["--key", key, "--tiles", text(&home.file("note", note))]);
    assert_eq!(listed(&note, &key).code(0).text(), "tile/entries/000.p/1\ntile/0/000.p/1\n");
    let larger = note.replacen("\n1\n", "\n18446744073709551615\n", 1);
    for (note, key) in [(&larger, &key), (&note, &self::key(&Home::new()))] {
        let ran = listed(note, key);
        assert_eq!(ran.code(5).text(), "");
        ran.says("FAILED");
    }
    let log = home.run(["log", "export"]).code(0).text();
    listed(&log, &key).code(2).fails_well();
}

#[test]
fn proof_is_verified_by_a_stranger() {
    // AUD-07, AUD-09
    let home = Home::new();
    let (key, other_key) = (key(&home), key(&Home::new()));
    let watcher = Watcher::new("witness.example/one", 51);
    let (witness, stranger) =
        (watcher.witness.to_string(), Watcher::new("witness.example/one", 52).witness.to_string());
    let old = home.file("old", home.run(["log", "checkpoint"]).code(0).text());
    home.run(["run", TOOL_ECHO, "nothing"]).code(0);
    let new = home.run(["log", "checkpoint"]).code(0).text();
    let proof = home.run(["log", "prove", "--from", text(&old)]).code(0).json();
    let cosigned = |note: &str| format!("{note}{}", watcher.line(note));
    let mut seen = proof.clone();
    seen["checkpoint"] = cosigned(&new).into();
    let mut wrong = proof.clone();
    wrong["proof"] = serde_json::json!([]);
    let check = |name: &str, content: &str, more: &[&str]| {
        let file = home.file(name, content);
        let args = ["--format=json", "--key", &key].into_iter().chain(more.iter().copied()).chain([text(&file)]);
        verify(args)
    };
    let against = ["--against", text(&old)];
    for content in [&proof, &seen] {
        let report = check("proof", &content.to_string(), &against).code(0).json();
        assert_eq!((report["form"].as_str(), report["vouched"].as_u64()), (Some("extension"), Some(3)));
        check("proof", &content.to_string(), &[]).code(2).fails_well();
    }
    check("seen", &seen.to_string(), &[&against[..], &["--witness", &witness]].concat()).code(0);
    for (content, more, wanted) in [
        (&wrong, vec![], "wrong-proof"),
        (&proof, vec!["--witness", &witness], "unwitnessed"),
        (&seen, vec!["--witness", &stranger], "unwitnessed"),
    ] {
        let found = failures(&check("bad", &content.to_string(), &[&against[..], &more].concat()));
        assert_eq!(found, [(wanted.to_owned(), None)]);
    }
    // A checkpoint alone says how long the log was signed to be, and who has seen it.
    let report = check("note", &cosigned(&new), &["--witness", &witness]).code(0).json();
    assert_eq!((report["form"].as_str(), report["entries"].as_u64()), (Some("checkpoint"), Some(3)));
    for (content, more, wanted) in [
        (new.clone(), vec!["--witness", &witness], "unwitnessed"),
        (cosigned(&new), vec!["--witness", &stranger], "unwitnessed"),
        (cosigned(&new).replacen("\n3\n", "\n4\n", 1), vec![], "wrong-signature"),
    ] {
        let found = failures(&check("note", &content, &more));
        assert_eq!(found[0], (wanted.to_owned(), None));
    }
    let note = home.file("note", &new);
    assert_eq!(failures(&verify(["--format=json", "--key", &other_key, text(&note)]))[0].0, "unknown-key");
    // What it has no use for is refused, and not passed over.
    check("note", &new, &against).code(2).fails_well();
    check("note", &new, &["--checkpoint", text(&old)]).code(2).fails_well();
    // Exports, receipts and bundles can be demanded to be witnessed as well.
    let log = home.run(["log", "export"]).code(0).text();
    let receipt = home.run(["log", "prove", "1"]).code(0).json();
    let bundle = home.folder("out").join("bundle");
    home.run(["bundle", "--from", "1", "--to", "2", "--out", text(&bundle)]).code(0);
    let bundle = fs::read_to_string(&bundle).expect("a bundle");
    let seen = home.file("seen.checkpoint", cosigned(&new));
    for (name, content, more) in [
        ("log", log, vec!["--checkpoint", text(&seen)]),
        ("receipt", receipt.to_string(), vec![]),
        ("bundle", bundle, vec![]),
    ] {
        let demanded = [&more[..], &["--witness", &witness]].concat();
        check(name, &content, &more).code(0);
        let ran = check(name, &content, &demanded);
        if name == "log" {
            ran.code(0);
        } else {
            assert_eq!(failures(&ran), [("unwitnessed".to_owned(), None)], "{name}");
        }
    }
}

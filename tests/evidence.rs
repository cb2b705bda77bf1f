//! Evidence: bundles of what happened, checked by somebody who has nothing but the file and a key.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use ringfence_artifacts::HOSTILE_POLICY_SCRIPTED;
use ringfence_artifacts::TOOL_ECHO;
use ringfence_audit::bundle;
use ringfence_audit::bundle::Bundle;
use ringfence_model::content::ContentName;
use ringfence_model::digest::Digest;
use ringfence_model::entry::Body;
use ringfence_model::entry::RemovedContent;
use serde_json::Value;

use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::ringfence;
use crate::harness::verify;

/// A home with three calls: entries 1 and 2 returned, 3 was refused, 4 and 5 failed.
fn home_with_calls() -> Home {
    let home = Home::new();
    home.run(["run", TOOL_ECHO, "string", "--input", r#"{"value":"one"}"#]).code(0);
    home.run(["run", TOOL_ECHO, "string", "--input", r#"{"value":2}"#]).code(2);
    home.run(["run", TOOL_ECHO, "fallible", "--input", r#"{"succeed":false}"#]).code(4);
    home
}

/// Puts a policy in force that wants every call approved.
fn asks_for_approval(home: &Home, more: &str) {
    let digest = Digest::of(&std::fs::read(HOSTILE_POLICY_SCRIPTED).expect("a component"));
    home.configure(&format!(
        "[policies.scripted]\ncomponent = \"{HOSTILE_POLICY_SCRIPTED}\"\ndigest = \"{digest}\"\n\
         settings = {{ call = [{{ is = \"approve\", by = [\"operator:*\"], valid-ms = 600000, reason = \"x\" }}] }}\n{more}"
    ));
}

fn pay(home: &Home, value: &str) -> Ran {
    let input = serde_json::json!({ "value": value }).to_string();
    home.run(["run", TOOL_ECHO, "string", "--input", &input, "--as", "agent:a"])
}

/// The verifier key that the log's first entry names.
pub fn key(home: &Home) -> String {
    home.entries()[0]["body"]["key"].as_str().expect("a key").to_owned()
}

fn call(entry: &Value) -> &str {
    entry["body"]["call"].as_str().expect("a call")
}

/// Writes a bundle and reads it as a stranger would.
fn bundled(home: &Home, args: &[&str]) -> (PathBuf, Bundle) {
    let path = home.folder("bundles").join(format!("{}.bundle", args.concat().replace('/', "-")));
    let out = path.to_str().expect("text");
    home.run(["bundle", "--out", out].iter().chain(args)).code(0);
    let bytes = std::fs::read(&path).expect("a bundle");
    let checked = bundle::check(&bytes, &[key(home).parse().expect("a key")]);
    assert!(checked.report.is_intact(), "{:?}", checked.report.findings);
    (path, checked.bundle.expect("a bundle"))
}

/// The contents of a bundle, but for what the policies were told when the tool was loaded: not every call has that.
fn contents(bundle: &Bundle) -> Vec<(u64, ContentName)> {
    let names = bundle.contents.iter().map(|content| (content.entry, content.name));
    names.filter(|(_, name)| *name != ContentName::Admission).collect()
}

#[test]
fn bundle_holds_the_call_and_its_contents() {
    let home = home_with_calls();
    let entries = home.entries();
    let (path, bundle) = bundled(&home, &["--call", call(&entries[1])]);
    assert_eq!(bundle.entries.iter().map(|proven| proven.entry.index).collect::<Vec<_>>(), [1, 2]);
    let all = [ContentName::Grant, ContentName::Input, ContentName::Request].map(|name| (1, name));
    assert_eq!(contents(&bundle), [&all[..], &[(2, ContentName::Output), (2, ContentName::Trace)]].concat());
    let text = |index, name| bundle.content(index, name).expect("a content").text.clone();
    assert!(text(1, ContentName::Input).contains(r#""value":{"value":"one"}"#), "{}", text(1, ContentName::Input));
    assert!(text(2, ContentName::Output).contains(r#""value":"one""#), "{}", text(2, ContentName::Output));
    // What holds inputs in the clear is not for others to read, and never written over something else.
    let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = ["bundle", "--out", path.to_str().expect("text"), "--call", call(&entries[1])];
    assert!(home.refuses(again, 1).contains("can't be used"));
    // A refusal is one entry.
    let (_, refused) = bundled(&home, &["--call", call(&entries[3])]);
    assert_eq!(refused.entries.iter().map(|proven| proven.entry.index).collect::<Vec<_>>(), [3]);
    home.is_well();
}

#[test]
fn bundle_without_content_holds_none() {
    // AUD-17
    let home = home_with_calls();
    let (path, bundle) = bundled(&home, &["--from", "0", "--to", "5", "--without-content"]);
    assert_eq!((bundle.entries.len(), contents(&bundle)), (6, Vec::new()));
    assert!(!std::fs::read_to_string(path).expect("a bundle").contains("\"one\""));
    let (path, _) = bundled(&home, &["--from", "0", "--to", "5"]);
    assert!(std::fs::read_to_string(path).expect("a bundle").contains(r#"\"one\""#));
    let printed = home.run(["bundle", "--from", "1", "--to", "1", "--without-content"]);
    assert_eq!(printed.code(0).text().lines().count(), 2);
}

#[test]
fn bundle_of_approved_call_names_the_approver() {
    // POL-22
    let home = Home::new();
    asks_for_approval(&home, "");
    pay(&home, "5").code(3);
    home.run(["run", TOOL_ECHO, "string", "--input", r#"{"value":"6"}"#, "--as", "agent:b"]).code(3);
    let waiting = home.run(["approvals", "--format", "json"]).json();
    home.run(["approve", waiting[0]["approval"].as_str().expect("an approval"), "--reason", "fine"]).code(0);
    pay(&home, "5").code(0);
    // 1 and 2 are questions, 3 answers the first, 4 and 5 are the call.
    let entries = home.entries();
    let indexes = |index: usize| {
        let (_, bundle) = bundled(&home, &["--call", call(&entries[index])]);
        bundle.entries.iter().map(|proven| proven.entry.index).collect::<Vec<_>>()
    };
    assert_eq!((indexes(5), indexes(1), indexes(2)), (vec![1, 3, 4, 5], vec![1, 3], vec![2]));
    home.configure("");
    home.is_well();
}

#[test]
fn bundles_of_nothing_are_refused() {
    let home = home_with_calls();
    let nobody = format!("call_{}", "0".repeat(32));
    let nowhere = format!("ses_{}", "0".repeat(32));
    for (args, wanted) in [
        (&["--call", &nobody][..], "no entry of call"),
        (&["--session", &nowhere], "no entry of session"),
        (&["--from", "4", "--to", "6"], "no entry of index `6`"),
        (&["--from", "4", "--to", "3"], "is not before"),
    ] {
        let said = home.refuses(["bundle"].iter().chain(args), 2);
        assert!(said.contains(wanted), "{said}");
    }
    for args in [&[][..], &["--from", "1"], &["--call", "call_7"], &["--call", &nobody, "--session", &nowhere]] {
        home.run(["bundle"].iter().chain(args)).code(2);
    }
}

#[test]
fn damaged_entry_is_never_bundled() {
    // AUD-01
    let home = home_with_calls();
    let entries = home.entries();
    let edit = "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); \
                d.execute(\"update entry_contents set bytes=cast(replace(cast(bytes as text),'one','two') as blob)\"); d.commit()";
    let database = home.path().join("log.sqlite");
    let python = Command::new("python3").arg("-c").arg(edit).arg(database).status().expect("python3");
    assert!(python.success());
    let said = home.run(["bundle", "--call", call(&entries[1])]);
    assert!(said.code != 0 && said.stdout.is_empty(), "{said:?}");
    assert!(said.stderr.contains("is another one"), "{}", said.stderr);
}

// --- The verifier ---

/// Failures by kind and entry.
fn failures(ran: &Ran) -> Vec<(String, Option<u64>)> {
    let report = ran.code(5).json();
    assert_eq!(report["intact"], false);
    let failures = report["findings"].as_array().expect("findings").iter().filter(|f| f["severity"] == "failure");
    failures.map(|f| (f["kind"].as_str().expect("a kind").to_owned(), f["index"].as_u64())).collect()
}

/// A bundle, a receipt, what `run` printed and an export with its checkpoint, of a home that is gone.
fn handed_out() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let home = home_with_calls();
    let args = ["run", TOOL_ECHO, "string", "--input", r#"{"value":"four"}"#, "--format", "json", "--receipt"];
    let printed = home.run(args.iter().copied().chain([at("receipt").as_str()]));
    std::fs::write(at("printed"), &printed.code(0).stdout).expect("a file");
    home.run(["bundle", "--from", "0", "--to", "7", "--out", &at("bundle")]).code(0);
    home.run(["log", "export", "--output", &at("log")]).code(0);
    (folder, key(&home))
}

#[test]
fn stranger_verifies_with_file_and_key_alone() {
    let (folder, key) = handed_out();
    for (name, form, entries) in
        [("bundle", "bundle", 8), ("receipt", "receipt", 1), ("printed", "receipt", 1), ("log", "log", 8)]
    {
        let path = folder.path().join(name);
        let path = path.to_str().expect("text");
        let told = verify(["--key", &key, path]);
        assert!(told.code(0).text().contains("intact: "), "{}", told.text());
        let report = verify(["--format=json", "--key", &key, path]).code(0).json();
        assert_eq!((report["form"].as_str(), report["entries"].as_u64()), (Some(form), Some(entries)), "{name}");
    }
    let mut piped = Command::new(crate::harness::verifier());
    piped.env_clear().args(["--key", &key, "-"]);
    let bytes = std::fs::read(folder.path().join("bundle")).expect("a bundle");
    crate::harness::finish(piped, &bytes).code(0);
}

#[test]
fn tampering_is_located_in_every_form() {
    // AUD-01, AUD-10, AUD-17
    let (folder, key) = handed_out();
    for (name, from, to, wanted) in [
        ("bundle", "\"ring\":3", "\"ring\":2", ("wrong-proof", Some(1))),
        ("bundle", "\"code\":\"returned\"", "\"code\":\"returnee\"", ("wrong-proof", Some(2))),
        ("bundle", "caller.bad-input", "caller.bad-imput", ("wrong-proof", Some(3))),
        ("bundle", "\\\"value\\\":\\\"one\\\"", "\\\"value\\\":\\\"two\\\"", ("wrong-content", Some(1))),
        ("bundle", "\"from\":0", "\"from\":1", ("missing", Some(1))),
        ("bundle", "test.example/log\\n8", "test.example/log\\n9", ("wrong-signature", None)),
        ("receipt", "\"wall_ms\":", "\"wall_ms\":1", ("wrong-proof", Some(7))),
        ("printed", "\"value\": \"four\"", "\"value\": \"five\"", ("wrong-content", Some(7))),
        ("log", "\"ring\":3", "\"ring\":2", ("edited", Some(1))),
        ("log", "{\"body\":", "{\"bodx\":", ("malformed", None)),
    ] {
        let whole = std::fs::read_to_string(folder.path().join(name)).expect("a file");
        let edited = whole.replacen(from, to, 1);
        assert_ne!(edited, whole, "`{from}` is not in {name}");
        let path = folder.path().join("edited");
        std::fs::write(&path, edited).expect("a file");
        if name == "log" {
            std::fs::copy(folder.path().join("log.checkpoint"), folder.path().join("edited.checkpoint"))
                .expect("a copy");
        }
        let found = failures(&verify(["--format", "json", "--key", &key, path.to_str().expect("text")]));
        assert!(found.contains(&(wanted.0.to_owned(), wanted.1)), "{name}, {from}: {found:?}");
        let told = verify(["--key", &key, path.to_str().expect("text")]);
        assert!(told.code(5).text().contains("FAILED") && told.text().contains("NOT INTACT"), "{}", told.text());
    }
}

#[test]
fn what_is_cut_mixed_or_foreign_is_refused() {
    // AUD-06, AUD-10, AUD-11
    let (folder, key) = handed_out();
    let (other, other_key) = handed_out();
    let at = |name: &str| folder.path().join(name);
    let found =
        |path: &Path, key: &str| failures(&verify(["--format=json", "--key", key, path.to_str().expect("text")]));
    for name in ["bundle", "receipt", "log"] {
        let found = found(&at(name), &other_key);
        assert!(found.iter().any(|(kind, _)| kind == "unknown-key"), "{name}: {found:?}");
    }
    let whole = std::fs::read(at("bundle")).expect("a bundle");
    for length in [0, 1, 20, whole.len() / 2, whole.len() - 1] {
        std::fs::write(at("cut"), &whole[..length]).expect("a file");
        let found = found(&at("cut"), &key);
        assert!(found.iter().any(|(kind, _)| kind == "truncated" || length < 20 && kind == "malformed"), "{found:?}");
    }
    // The first line of one and the entries of the other.
    let [ours, theirs] = [folder.path(), other.path()].map(|path| {
        std::fs::read_to_string(path.join("bundle")).expect("a bundle").lines().map(str::to_owned).collect::<Vec<_>>()
    });
    std::fs::write(at("mixed"), [&ours[..1], &theirs[1..]].concat().join("\n") + "\n").expect("a file");
    let found = found(&at("mixed"), &key);
    assert_eq!(found.iter().filter(|(kind, _)| kind == "wrong-proof").count(), 8, "{found:?}");
}

#[test]
fn verifier_says_what_it_can_not_read() {
    let (folder, key) = handed_out();
    let bundle = folder.path().join("bundle");
    let bundle = bundle.to_str().expect("text");
    for (args, code) in [
        (&["--key", &key, "/nowhere"][..], 1),
        (&["--key", &key, "/"], 1),
        (&[bundle], 2),
        (&["--key", "x", bundle], 2),
        (&["--key", &key], 2),
        (&["--key", &key, bundle, "--checkpoint", bundle], 2),
        (&["--key", &key, folder.path().join("log").to_str().expect("text"), "--checkpoint", "/nowhere"], 1),
        (&["--help"], 0),
        (&["--version"], 0),
    ] {
        let ran = verify(args);
        ran.code(code);
        assert!(code == 0 || ran.fails_well().stdout.is_empty(), "{ran:?}");
    }
    // Two findings at most are about a file that is nothing at all.
    for bytes in [&b""[..], b"\x7fELF", b"{}", b"[1]", b"{\"receipt\":1}", b"{\"checkpoint\":", &[0xff; 64]] {
        let path = folder.path().join("nothing");
        std::fs::write(&path, bytes).expect("a file");
        assert_eq!(failures(&verify(["--format=json", "--key", &key, path.to_str().expect("text")])).len(), 1);
    }
}

#[test]
fn hostile_bundle_costs_no_more_than_its_size() {
    // MAL-04: as JSON in general, each of these would take sixteen times its size or more.
    const SIZE: usize = 48 << 20;
    let (folder, key) = handed_out();
    let whole = std::fs::read_to_string(folder.path().join("bundle")).expect("a bundle");
    let (first, rest) = whole.split_once('\n').expect("lines");
    let (but_last, _) = whole.trim_end().rsplit_once('\n').expect("lines");
    let small = "0,".repeat(SIZE / 2);
    for hostile in [
        format!("{{\"checkpoint\":[{small}0]}}\n"),
        format!("{first}\n{{\"entry\":[{small}0],\"proof\":[]}}\n{rest}"),
        format!("{first}\n{{\"entry\":{{}},\"proof\":[{small}0]}}\n{rest}"),
        format!("{but_last}\n{{\"content\":[{small}0],\"nonce\":\"\"}}\n"),
    ] {
        let path = folder.path().join("hostile");
        std::fs::write(&path, hostile).expect("a file");
        let ran = verify(["--format=json", "--key", &key, path.to_str().expect("text")]);
        ran.code(5);
        assert!(ran.peak_kib < 4 * (SIZE as u64 / 1024), "{} KiB", ran.peak_kib);
    }
}

#[test]
fn findings_never_act_on_a_terminal() {
    // OUT-02: what stands in a file where a word is expected is repeated, and nothing of it is obeyed.
    let (folder, key) = handed_out();
    let hostile = r"\u001b[2J\u001b]0;owned\u0007\u009b\u202e\r\n FAILED";
    for (name, from, to) in [
        ("bundle", "\"key\":\"test.example", format!("\"key\":\"{hostile}")),
        ("bundle", "{\"checkpoint\":\"test.example", format!("{{\"checkpoint\":\"{hostile}")),
        ("bundle", "\"subject\":{\"range\"", format!("\"subject\":{{\"{hostile}\"")),
        ("bundle", "\"kind\":\"begun\"", format!("\"kind\":\"{hostile}\"")),
        ("bundle", "{\"entry\":", format!("{{\"{hostile}\":")),
        ("receipt", "\"kind\":\"finished\"", format!("\"kind\":\"{hostile}\"")),
        ("log", "\"kind\":\"begun\"", format!("\"kind\":\"{hostile}\"")),
    ] {
        let whole = std::fs::read_to_string(folder.path().join(name)).expect("a file");
        let edited = whole.replacen(from, &to, 1);
        assert_ne!(edited, whole, "`{from}` is not in {name}");
        let path = folder.path().join("hostile");
        std::fs::write(&path, edited).expect("a file");
        for format in ["--format=human", "--format=json"] {
            let ran = verify([format, "--key", &key, path.to_str().expect("text")]);
            let said = format!("{}{}", ran.code(5).text(), ran.stderr);
            let acts = |c: char| c != '\n' && ringfence_model::outcome::is_unprintable(c);
            assert!(!said.contains(acts), "{name}, {from}: {said:?}");
            assert!(!said.lines().any(|line| line.starts_with(" FAILED")), "{name}, {from}: {said:?}");
        }
    }
}

#[test]
fn bundle_names_the_key_in_force() {
    // AUD-11: after a rotation the old key vouches for nothing new, and a copy of the home goes on under the new one.
    let home = home_with_calls();
    let old = key(&home);
    home.run(["key", "rotate"]).code(0);
    let entries = home.entries();
    let rotated = entries.iter().find(|entry| entry["kind"] == "rotated").expect("a rotation");
    let new = rotated["body"]["new"].as_str().expect("a key");
    let path = home.folder("bundles").join("rotated");
    let path = path.to_str().expect("text");
    home.run(["bundle", "--from", "0", "--to", &(entries.len() - 1).to_string(), "--out", path]).code(0);
    verify(["--key", new, path]).code(0);
    assert_eq!(failures(&verify(["--format=json", "--key", &old, path])), [("unknown-key".to_owned(), None)]);
    let (backup, restored) = (home.folder("backups").join("one"), home.folder("homes").join("restored"));
    home.run(["backup".as_ref(), backup.as_os_str()]).code(0);
    ringfence(&restored, ["restore".as_ref(), backup.as_os_str()], b"").code(0);
    ringfence(&restored, ["log", "verify"], b"").code(0);
}

// --- The page ---

/// Reads a page as XML and prints its tags, its attributes and its text: whoever checks it is not us.
const READ_PAGE: &str = "import sys, xml.etree.ElementTree as t
page = t.parse(sys.argv[1]).getroot()
for e in page.iter():
    print('tag', e.tag)
    for k in e.attrib: print('attribute', k)
print('text', ' '.join(''.join(page.itertext()).split()))";

#[test]
fn page_shows_hostile_text_as_text() {
    // OUT-02, OUT-06: in an input, in an output, in the name of a tool and in that of a function.
    let home = Home::new();
    let hostile = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}\u{1b}[2J' \"";
    let input = serde_json::json!({ "value": hostile }).to_string();
    home.run(["run", TOOL_ECHO, "string", "--input", &input]).code(0);
    home.run(["run", TOOL_ECHO, "<b>no</b>", "--input", &input]).code(2);
    let module = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
    let tool = home.file("<script>alert(3)<script>.wasm", wat::parse_str(module).expect("a module"));
    home.run(["run".as_ref(), tool.as_os_str()]).code(0);
    let (bundle, _) = bundled(&home, &["--from", "0", "--to", "5"]);
    let page = home.folder("pages").join("page.html");
    let [bundle, page] = [&bundle, &page].map(|path| path.to_str().expect("text"));
    verify(["--key", &key(&home), bundle, "--html", page]).code(0);
    let python = Command::new("python3").args(["-c", READ_PAGE, page]).output().expect("python3");
    let read = String::from_utf8_lossy(&python.stdout).into_owned();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    for line in read.lines() {
        let (what, name) = line.split_once(' ').unwrap_or_default();
        let allowed = match what {
            "tag" => !["script", "img", "a", "link", "iframe", "b", "form", "object"].contains(&name),
            "attribute" => ["lang", "charset", "http-equiv", "content", "name", "class", "style"].contains(&name),
            _ => true,
        };
        assert!(allowed, "{line}");
    }
    for shown in
        ["<script>alert(1)</script>", "<script>alert(3)<script>", "<b>no</b>", "\\u{202e}", "entry 1: proven", "Intact"]
    {
        assert!(read.contains(shown), "`{shown}` is not in: {read}");
    }
    // Nothing is written over, and what does not verify says so on its page.
    let again = verify(["--key", &key(&home), bundle, "--html", page]);
    again.code(1).fails_well();
    let edited = std::fs::read_to_string(bundle).expect("a bundle").replacen("\"ring\":3", "\"ring\":2", 1);
    let (bad, bad_page) = (home.file("bad", edited), home.folder("pages").join("bad.html"));
    let ran = verify(["--key", &key(&home), bad.to_str().expect("text"), "--html", bad_page.to_str().expect("text")]);
    ran.code(5);
    let page = std::fs::read_to_string(bad_page).expect("a page");
    assert!(page.contains("Does not verify") && page.contains("entry 1: does not verify"), "{page}");
    verify(["--key", &key(&home), "--html", "/nowhere/x", bundle]).code(1);
}

// --- Removal ---

/// Files of the home that hold a text, by their names.
fn holders(home: &Home, text: &str) -> Vec<String> {
    let files = std::fs::read_dir(home.path()).expect("the home").map(|file| file.expect("a file").path());
    let holds = |path: &PathBuf| {
        path.is_file() && std::fs::read(path).expect("a file").windows(text.len()).any(|part| part == text.as_bytes())
    };
    files.filter(holds).map(|path| path.file_name().expect("a name").to_string_lossy().into_owned()).collect()
}

#[test]
fn removed_content_is_gone_and_proofs_hold() {
    // AUD-17, AUD-18
    const CANARY: &str = "canary-4711-of-a-person";
    let home = home_with_calls();
    let input = serde_json::json!({ "value": CANARY }).to_string();
    let again = ["run", TOOL_ECHO, "string", "--input", &input, "--idempotency-key", "k"];
    home.run(again).code(0);
    let entries = home.entries();
    let call = call(&entries[6]).to_owned();
    let (before, _) = bundled(&home, &["--call", &call]);
    assert_eq!(holders(&home, CANARY), ["log.sqlite"]);
    let redact = ["log", "redact", &call, "--what", "input,output", "--by", "privacy desk", "--reason", "case 12"];
    let told = home.run(redact);
    assert_eq!(
        told.code(0).text(),
        "removed  `input` of entry 6\nremoved  `request` of entry 6\nremoved  `output` of entry 7\nrecorded by entry 8\n"
    );
    assert!(holders(&home, CANARY).is_empty(), "{:?}", holders(&home, CANARY));
    // The log verifies and says so; what was proven before goes on to be.
    let verified = home.run(["log", "verify"]);
    assert!(verified.code(0).text().contains("for `privacy desk`: `case 12` [removed]"), "{}", verified.text());
    verify(["--key", &key(&home), before.to_str().expect("text")]).code(0);
    let shown = home.run(["log", "show", "--limit", "1"]);
    assert!(shown.code(0).text().contains("removed   contents: 3  for privacy desk  case 12"), "{}", shown.text());
    let after = home.folder("bundles").join("after");
    home.run(["bundle".as_ref(), "--call".as_ref(), call.as_ref(), "--out".as_ref(), after.as_os_str()]).code(0);
    let checked = bundle::check(&std::fs::read(&after).expect("a bundle"), &[key(&home).parse().expect("a key")]);
    let bundle = checked.bundle.expect("a bundle");
    assert!(checked.report.is_intact(), "{:?}", checked.report.findings);
    assert_eq!(contents(&bundle), [(6, ContentName::Grant), (7, ContentName::Trace)]);
    assert_eq!(bundle.removals()[&RemovedContent { entry: 7, name: ContentName::Output }].reason, "case 12");
    // The call is not made again, and its caller is told why there is no answer.
    let repeated = home.run(again);
    repeated.code(1).says("has been removed from the log");
    assert_eq!(home.entries().len(), 9);
    // A second time there is nothing to remove, and nothing to record.
    assert!(home.run(redact).code(0).text().contains("nothing to remove"));
    assert_eq!(home.entries().len(), 9);
    home.is_well();
}

#[test]
fn one_commitment_is_removed_alone() {
    // AUD-18
    let home = home_with_calls();
    let output = home.entries()[2]["body"]["output"].as_str().expect("a commitment").to_owned();
    let told = home.run(["log", "redact", &output, "--by", "me", "--reason", "too long", "--format", "json"]);
    assert_eq!(told.code(0).json()["removed"], serde_json::json!([{ "entry": 2, "name": "output" }]));
    let nowhere = format!("sha256:{}", "0".repeat(64));
    let nobody = format!("call_{}", "0".repeat(32));
    let call = call(&home.entries()[1]).to_owned();
    for (args, wanted) in [
        (&[nowhere.as_str()][..], "no entry of commitment"),
        (&[nobody.as_str(), "--what", "input"], "no entry of call"),
        (&[call.as_str()], "`--what` is missing"),
    ] {
        let args = ["log", "redact", "--by", "me", "--reason", "x"].iter().chain(args);
        let said = home.refuses(args, 2);
        assert!(said.contains(wanted), "{said}");
    }
    for wrong in [["--what", "inputs"], ["--by", ""], ["--reason", "\u{202e}"], ["--reason", &"x".repeat(600)]] {
        let mut args = vec!["log", "redact", &call, "--what", "input", "--by", "a", "--reason", "b"];
        let position = args.iter().position(|arg| *arg == wrong[0]).expect("a flag");
        args[position + 1] = wrong[1];
        home.run(args).code(2);
    }
    home.run(["log", "verify"]).code(0);
}

#[test]
fn contents_beyond_retention_are_pruned() {
    // AUD-18
    let home = home_with_calls();
    assert!(home.refuses(["log", "prune"], 1).contains("every content is kept"));
    home.configure("[log.retention]\nmax-age-days = 1\nmax-bytes = 1\n");
    let all = bundled(&home, &["--from", "0", "--to", "5"]).1.contents.len();
    let planned = home.run(["log", "prune", "--dry-run", "--format", "json"]).code(0).json();
    assert_eq!(home.entries().len(), 6, "a dry run writes nothing");
    let done = home.run(["log", "prune", "--format", "json"]).code(0).json();
    assert_eq!(planned["would_remove"], done["removed"]);
    assert_eq!((done["removed"].as_array().map(Vec::len), &done["entries"]), (Some(all), &serde_json::json!([6])));
    home.run(["log", "verify"]).code(0);
    assert!(home.run(["log", "prune"]).code(0).text().contains("nothing to remove"));
    let (_, bundle) = bundled(&home, &["--from", "0", "--to", "6"]);
    assert_eq!((bundle.entries.len(), bundle.contents.len()), (7, 0));
    home.configure("[log.retention]\nmax-age = 1\n");
    home.run(["log", "prune"]).code(1);
    home.configure("");
    home.is_well();
}

#[test]
fn pruning_leaves_what_is_waited_for() {
    // POL-22: whoever is asked for an approval has to see of what.
    let home = Home::new();
    asks_for_approval(&home, "[log.retention]\nmax-bytes = 0\n");
    let held = || -> Vec<(u64, ContentName)> {
        let last = (home.entries().len() - 1).to_string();
        let (_, bundle) = bundled(&home, &["--from", "0", "--to", &last]);
        let is_held = |index| matches!(bundle.entry(index).map(|entry| &entry.body), Some(Body::Held(_)));
        contents(&bundle).into_iter().filter(|(index, _)| is_held(*index)).collect()
    };
    let kept = vec![(1, ContentName::Input), (1, ContentName::Request)];
    pay(&home, "5").code(3);
    home.run(["log", "prune"]).code(0);
    assert_eq!(held(), kept);
    let waiting = home.run(["approvals", "--format", "json"]).json();
    home.run(["approve", waiting[0]["approval"].as_str().expect("an approval")]).code(0);
    home.run(["log", "prune"]).code(0);
    assert_eq!(held(), kept, "approved, and not used yet");
    assert_eq!(pay(&home, "5").code(0).text(), "5\n");
    home.run(["log", "prune"]).code(0);
    assert_eq!(held(), [], "used");
    home.run(["log", "verify"]).code(0);
    home.configure("");
    home.is_well();
}

// --- Differences ---

#[test]
fn differences_of_two_calls_are_named() {
    let home = Home::new();
    let run = |value: &str, ring: &str| {
        let input = serde_json::json!({ "value": value }).to_string();
        home.run(["run", TOOL_ECHO, "string", "--input", &input, "--ring", ring]).code(0);
        let entries = home.entries();
        call(&entries[entries.len() - 1]).to_owned()
    };
    let calls = [run("one", "3"), run("one", "3"), run("two", "2")];
    let fields = |a: &str, b: &str| -> Vec<String> {
        let report = home.run(["diff", a, b, "--format", "json"]).code(0).json();
        let differences = report["calls"][0]["differences"].as_array().expect("differences").clone();
        let fields = differences.iter().map(|difference| difference["field"].as_str().expect("a field").to_owned());
        fields.filter(|field| !field.starts_with("cost")).collect()
    };
    assert_eq!(fields(&calls[0], &calls[1]), Vec::<String>::new());
    let found = fields(&calls[0], &calls[2]);
    for wanted in ["ring", "input/value/value", "output/value"] {
        assert!(found.iter().any(|field| field == wanted), "{wanted}: {found:?}");
    }
    // Two bundles, and a bundle beside a call; what is not there is not called the same.
    let (a, _) = bundled(&home, &["--call", &calls[0]]);
    let (b, _) = bundled(&home, &["--call", &calls[2], "--without-content"]);
    let [a, b] = [&a, &b].map(|path| path.to_str().expect("text"));
    assert_eq!(fields(a, &calls[2]), found);
    let report = home.run(["diff", a, b]).code(0).text();
    assert!(report.contains("not there, so not compared"), "{report}");
    let edited = std::fs::read_to_string(a).expect("a bundle").replacen("\"ring\":3", "\"ring\":2", 1);
    let bad = home.file("bad", edited);
    assert!(home.refuses(["diff", a, bad.to_str().expect("text")], 5).contains("is no whole bundle"));
}

#[test]
fn differences_of_two_sessions_are_named() {
    let home = Home::new();
    let session = |name: &str, values: &[&str]| {
        let opened = home.run(["session", "open", name, "--format", "json"]).code(0).json();
        let id = opened["session"].as_str().expect("a session").to_owned();
        for value in values {
            let input = serde_json::json!({ "value": value }).to_string();
            home.run(["run", TOOL_ECHO, "string", "--input", &input, "--session", &id]).code(0);
        }
        id
    };
    let sessions = [session("a", &["one", "two"]), session("b", &["one", "2"]), session("c", &["one", "two", "three"])];
    // How many fields differ of each call; a call that has no counterpart is named.
    let pairs = |a: &str, b: &str| -> Vec<Vec<String>> {
        let report = home.run(["diff", a, b, "--format", "json"]).code(0).json();
        let fields = |pair: &Value| {
            let differences = pair["differences"].as_array().expect("differences").iter();
            let fields = differences.map(|difference| difference["field"].as_str().expect("a field").to_owned());
            fields.filter(|field| !field.starts_with("cost") && field != "session").collect()
        };
        report["calls"].as_array().expect("calls").iter().map(fields).collect()
    };
    assert_eq!(pairs(&sessions[0], &sessions[0]), [Vec::<String>::new(), Vec::new()]);
    let found = pairs(&sessions[0], &sessions[1]);
    assert!(found[0].is_empty() && found[1].contains(&"output/value".to_owned()), "{found:?}");
    let found = pairs(&sessions[0], &sessions[2]);
    assert!(found.len() == 3 && found[..2].iter().all(Vec::is_empty) && !found[2].is_empty(), "{found:?}");
    // The bundle of a session is that session.
    let (bundle, _) = bundled(&home, &["--session", &sessions[1]]);
    assert_eq!(pairs(&sessions[0], bundle.to_str().expect("text")), pairs(&sessions[0], &sessions[1]));
}

// --- Backups ---

/// Every file below a folder, by its path from there, with its mode.
fn files(root: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    let mut next = vec![root.to_owned()];
    while let Some(folder) = next.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                next.push(path);
            } else {
                let mode = std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
                found.push((path.strip_prefix(root).expect("below").to_owned(), mode));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn restored_home_goes_on_where_it_was() {
    // SEC-04, AUD-07
    let home = home_with_calls();
    let input = r#"{"value":"four"}"#;
    let keyed = ["run", TOOL_ECHO, "string", "--input", input, "--idempotency-key", "k"];
    home.run(keyed).code(0);
    let (backup, restored) = (home.folder("backups").join("one"), home.folder("homes").join("restored"));
    home.run(["backup".as_ref(), backup.as_os_str()]).code(0).says("it holds the keys");
    let run = |args: &[&str]| ringfence(&restored, args, b"");
    run(&["restore", backup.to_str().expect("text")]).code(0);
    assert!(run(&["log", "verify"]).code(0).text().contains("intact: 8 entries, 8 under a signed checkpoint"));
    let kept = |root: &Path| {
        let is_kept = |(path, _): &(PathBuf, u32)| {
            let name = path.to_string_lossy();
            !path.starts_with("cache") && !name.contains("sqlite-") && name != "log.head.lock"
        };
        files(root).into_iter().filter(is_kept).collect::<Vec<_>>()
    };
    assert_eq!(kept(&restored), kept(&home.path()));
    assert!(files(&backup).iter().all(|(_, mode)| *mode == 0o600), "{:?}", files(&backup));
    // The idempotency key is still known: nothing runs, and nothing is written.
    assert_eq!(run(&keyed).code(0).text(), "four\n");
    assert!(run(&["log", "verify"]).code(0).text().contains("8 entries"));
    run(&["run", TOOL_ECHO, "string", "--input", input]).code(0);
    // Nothing is overwritten.
    home.refuses(["backup".as_ref(), backup.as_os_str()], 1);
    assert!(home.refuses(["restore".as_ref(), backup.as_os_str()], 1).contains("is there already"));
    home.is_well();
}

#[test]
fn head_without_end_is_not_read() {
    // MAL-04, FS-14: whoever can write the head must not decide how much memory a command takes, or that it never ends.
    let home = home_with_calls();
    let head = home.path().join("log.head");
    let whole = std::fs::read(&head).expect("the head");
    let huge = || std::fs::File::create(&head).and_then(|file| file.set_len(1 << 40)).expect("a file");
    let pipe = || assert!(Command::new("mkfifo").arg(&head).status().expect("mkfifo").success());
    let folder = home.folder("out");
    let backup = folder.join("backup").display().to_string();
    let export = folder.join("log").display().to_string();
    for (name, put) in [("huge", &huge as &dyn Fn()), ("a pipe", &pipe)] {
        std::fs::remove_file(&head).expect("the head");
        put();
        let verified = home.run(["--format=json", "log", "verify"]);
        assert!(failures(&verified).iter().any(|(kind, _)| kind == "malformed-checkpoint"), "{name}: {verified:?}");
        let called = home.run(["run", TOOL_ECHO, "nothing"]);
        called.code(1).fails_well().says("log.head");
        for ran in [verified, called, home.run(["log", "export", "--output", &export])] {
            assert!(ran.peak_kib < 256 * 1024, "{name}: {} KiB", ran.peak_kib);
        }
        let copied = home.run(["backup", &backup]);
        assert!(copied.peak_kib < 256 * 1024, "{name}: {} KiB", copied.peak_kib);
        // A copy of it would take all of the disk for as long as there is room.
        assert_eq!(copied.stderr.contains("is larger than any"), name == "huge", "{name}: {}", copied.stderr);
    }
    std::fs::remove_file(&head).expect("a pipe");
    std::fs::write(&head, whole).expect("the head");
    home.is_well();
}

#[test]
fn damaged_backup_is_refused_whole() {
    // AUD-13
    let home = home_with_calls();
    let backup = home.folder("backups").join("one");
    home.run(["backup".as_ref(), backup.as_os_str()]).code(0);
    let homes = home.folder("homes");
    let restored = homes.join("restored");
    let from = backup.to_str().expect("text");
    let refused = |wanted: i32| {
        let ran = ringfence(&restored, ["restore", from], b"");
        ran.code(wanted).fails_well();
        assert_eq!(std::fs::read_dir(&homes).expect("a folder").count(), 0, "nothing is left");
        ran.stderr
    };
    for (path, _) in files(&backup).into_iter().filter(|(path, _)| !path.ends_with("backup.json")) {
        let path = backup.join(path);
        let whole = std::fs::read(&path).expect("a file");
        let mut edited = whole.clone();
        edited[whole.len() / 2] ^= 1;
        for (bytes, wanted) in [(&edited[..], 5), (&whole[..whole.len() - 1], 5)] {
            std::fs::write(&path, bytes).expect("a file");
            assert!(refused(wanted).contains("is damaged"));
        }
        std::fs::remove_file(&path).expect("a file");
        refused(1);
        std::fs::write(&path, whole).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    }
    let list = std::fs::read_to_string(backup.join("backup.json")).expect("a list");
    for (from, to) in [
        ("\"path\":\"log.head\"", "\"path\":\"../log.head\""),
        ("\"path\":\"log.head\"", "\"path\":\"/tmp/log.head\""),
        ("\"path\":\"log.sqlite\"", "\"path\":\"log.sqlit\""),
        ("\"v\":1", "\"v\":2"),
        ("\"keys\":true", "\"kays\":true"),
        ("}", ""),
    ] {
        assert!(list.contains(from), "{from} is not in {list}");
        std::fs::write(backup.join("backup.json"), list.replacen(from, to, 1)).expect("a list");
        assert!(refused(5).contains("is damaged"), "{from}");
    }
    std::fs::write(backup.join("backup.json"), &list).expect("a list");
    ringfence(&restored, ["restore", from], b"").code(0);
}

/// Adds a file to a backup and to its list, as somebody would who can write to both.
pub fn plant(backup: &Path, name: &str, bytes: &[u8]) {
    let path = backup.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, bytes).expect("a file");
    let list = backup.join("backup.json");
    let mut value: Value = serde_json::from_slice(&std::fs::read(&list).expect("a list")).expect("JSON");
    let file = serde_json::json!({ "path": name, "digest": Digest::of(bytes), "mode": 0o600 });
    let files = value["files"].as_array_mut().expect("files");
    files.retain(|other| other["path"] != file["path"]);
    files.push(file);
    std::fs::write(&list, value.to_string()).expect("a list");
}

#[test]
fn backup_of_a_liar_stays_in_its_place() {
    // ART-02: the list is right, and what it names is not for a home.
    let home = home_with_calls();
    let (backups, homes, outside) = (home.folder("backups"), home.folder("homes"), home.folder("outside"));
    let restored = homes.join("restored");
    let backup = |name: &str| {
        let backup = backups.join(name);
        home.run(["backup".as_ref(), backup.as_os_str()]).code(0);
        backup
    };
    let restore = |backup: &Path| ringfence(&restored, ["restore".as_ref(), backup.as_os_str()], b"");
    // Native code that the host would run, and a write-ahead file of another log.
    for name in ["cache/x.cwasm", "scratch/x", "log.sqlite-wal"] {
        let backup = backup(&name.replace('/', "-"));
        plant(&backup, name, b"x");
        let ran = restore(&backup);
        assert!(ran.code(5).fails_well().stderr.contains("is in no backup"), "{name}: {ran:?}");
    }
    // A link that leads out of the backup, a pipe that nobody writes to.
    let linked = backup("linked");
    std::fs::rename(linked.join("keys"), outside.join("keys")).expect("moved");
    std::os::unix::fs::symlink(outside.join("keys"), linked.join("keys")).expect("a link");
    restore(&linked).code(1).fails_well();
    let piped = backup("piped");
    std::fs::remove_file(piped.join("log.head")).expect("removed");
    assert!(Command::new("mkfifo").arg(piped.join("log.head")).status().expect("mkfifo").success());
    restore(&piped).code(1).fails_well();
    assert_eq!(std::fs::read_dir(&homes).expect("a folder").count(), 0, "nothing is left");
    // A head elsewhere is looked at, and never written.
    let elsewhere = backup("elsewhere");
    let head = outside.join("head");
    let config = std::fs::read_to_string(elsewhere.join("ringfence.toml")).unwrap_or_default();
    let config = format!("{config}\n[log]\nhead = \"{}\"\n", head.display());
    plant(&elsewhere, "ringfence.toml", config.as_bytes());
    restore(&elsewhere).code(0).says("move the home's `log.head` to it");
    assert!(!head.exists(), "a backup made a file outside the home");
    std::fs::rename(restored.join("log.head"), &head).expect("moved");
    ringfence(&restored, ["log", "verify"], b"").code(0);
    // One that tells of a longer log refuses the older backup.
    home.run(["run", TOOL_ECHO, "string", "--input", r#"{"value":"later"}"#]).code(0);
    std::fs::copy(home.path().join("log.head"), &head).expect("a head");
    std::fs::remove_dir_all(&restored).expect("removed");
    assert!(restore(&elsewhere).code(5).fails_well().stderr.contains("does not verify"));
}

#[test]
fn backup_without_keys_holds_none() {
    // SEC-04
    let home = home_with_calls();
    let (backup, restored) = (home.folder("backups").join("one"), home.folder("homes").join("restored"));
    home.run(["backup".as_ref(), "--without-keys".as_ref(), backup.as_os_str()]).code(0).says("it holds no keys");
    assert!(!backup.join("keys").exists());
    ringfence(&restored, ["restore", backup.to_str().expect("text")], b"").code(0).says("held no keys");
    ringfence(&restored, ["run", TOOL_ECHO, "string", "--input", r#"{"value":"x"}"#], b"").code(1).fails_well();
    for key in ["log.key", "cache.key"] {
        std::fs::create_dir_all(restored.join("keys")).expect("a folder");
        std::fs::copy(home.path().join("keys").join(key), restored.join("keys").join(key)).expect("a key");
    }
    ringfence(&restored, ["run", TOOL_ECHO, "string", "--input", r#"{"value":"x"}"#], b"").code(0);
}

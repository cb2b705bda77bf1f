//! Tools that somebody has signed without a key of their own: what a bundle has to show, and what becomes of one that doesn't.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::json;

use crate::harness::ADD;
use crate::harness::Home;
use crate::harness::sigstore::SIGNED_AT;
use crate::harness::sigstore::Signer;
use crate::harness::sigstore::Sigstore;

const SUM: [&str; 5] = ["call", "adder", "add", "--input", r#"{"a":20,"b":22}"#];

const WORKFLOW: &str = "https://forge.test/acme/tools/release.yml@refs/heads/main";
const ADDRESS: &str = "ada@acme.test";
const ISSUER: &str = "https://issuer.test";

/// Trusts an identity, by a sigstore.
fn trust(home: &Home, sigstore: &Sigstore, identity: &str, issuer: &str) {
    let root = home.file("roots/trusted_root.json", sigstore.trusted_root().to_string());
    home.configure(&format!(
        "[signers.builder]\nidentity = '{identity}'\nissuer = '{issuer}'\ntrusted-root = '{}'\n",
        root.display()
    ));
}

fn config(home: &Home) -> String {
    fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration")
}

/// A component and its bytes.
fn adder(home: &Home) -> (String, Vec<u8>) {
    let tool = home.component("adder", ADD);
    let bytes = fs::read(&tool).expect("a file");
    (tool, bytes)
}

/// Adds the component, with what is written as its bundle.
fn add(home: &Home, tool: &str, bundle: &str) -> [String; 7] {
    let bundle = home.file("adder.sigstore.json", bundle).display().to_string();
    ["tool", "add", tool, "--bundle", &bundle, "--signer", "builder"].map(str::to_owned)
}

/// Nothing is registered, and nothing is left over.
#[track_caller]
fn nothing_registered(home: &Home) {
    assert_eq!(home.run(["tool", "list", "--format", "json"]).code(0).json(), json!([]));
    assert_eq!(fs::read_dir(home.path().join("tools")).map_or(0, Iterator::count), 0);
}

#[test]
fn identity_vouches_for_its_tool() {
    // ART-05: checked at each load, by what is trusted then.
    for identity in [WORKFLOW, ADDRESS] {
        let (home, sigstore) = (Home::new(), Sigstore::new());
        trust(&home, &sigstore, identity, ISSUER);
        let (tool, bytes) = adder(&home);
        let bundle = sigstore.bundle(&bytes, Signer::new(identity, ISSUER)).to_string();
        home.run(add(&home, &tool, &bundle)).code(0);
        assert_eq!(home.run(["tool", "list", "--format", "json"]).json()[0]["signer"], "builder");
        home.run(SUM).code(0);
        home.run(["tool", "verify"]).code(0);
        let before = config(&home);
        home.configure(&before.replace(identity, "eve@acme.test"));
        assert!(home.refuses(SUM, 1).contains("identity mismatch"));
        home.configure(&before.replace("issuer.test", "other.test"));
        assert!(home.refuses(SUM, 1).contains("issuer mismatch"));
        home.configure(&before);
        let root = home.file("roots/trusted_root.json", Sigstore::new().trusted_root().to_string());
        assert!(home.refuses(SUM, 1).contains("does not show who signed"));
        fs::remove_file(&root).expect("removed");
        let message = home.refuses(SUM, 1);
        assert!(message.contains(&format!("the trusted root `{}` can't be used", root.display())), "{message}");
        home.run(["tool", "verify"]).code(5);
        home.file("roots/trusted_root.json", sigstore.trusted_root().to_string());
        home.run(SUM).code(0);
        home.is_well();
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one bundle, and one case for each part of it")]
fn bundles_that_show_less_are_refused() {
    // ART-05
    let (home, sigstore, other) = (Home::new(), Sigstore::new(), Sigstore::new());
    trust(&home, &sigstore, WORKFLOW, ISSUER);
    let (tool, bytes) = adder(&home);
    let honest = Signer::new(WORKFLOW, ISSUER);
    let good = sigstore.bundle(&bytes, honest);
    let mut cases = Vec::new();
    for (says, signer) in [
        ("identity mismatch", Signer { identity: "https://forge.test/eve/tools", ..honest }),
        ("identity mismatch", Signer { identity: ADDRESS, ..honest }),
        ("issuer mismatch", Signer { issuer: "https://issuer.test.eve.test", ..honest }),
        ("CertExpired", Signer { at: SIGNED_AT + 86_400, ..honest }),
        ("NotValidYet", Signer { at: SIGNED_AT - 86_400, ..honest }),
        ("missing SCT", Signer { is_promised: false, ..honest }),
        ("chain is invalid", Signer { is_for_code: false, ..honest }),
    ] {
        cases.push((sigstore.bundle(&bytes, signer).to_string(), says));
    }
    // What another sigstore has certified or logged, alone and mixed with what this one has.
    let foreign = other.bundle(&bytes, honest);
    cases.push((foreign.to_string(), "promise"));
    let with = |pointer: &str, value: Value| {
        let mut bundle = good.clone();
        *bundle.pointer_mut(pointer).expect("a part") = value;
        bundle.to_string()
    };
    let entry = "/verificationMaterial/tlogEntries/0";
    let at = |place: &str| format!("{entry}{place}");
    let certificate = "/verificationMaterial/certificate/rawBytes";
    let part = |bundle: &Value, pointer: &str| bundle.pointer(pointer).expect("a part").clone();
    cases.push((with(certificate, part(&foreign, certificate)), "chain is invalid"));
    // No entry, one of something else, and one that was edited.
    let elsewhere = sigstore.bundle(b"another file", honest);
    let again = sigstore.bundle(&bytes, honest);
    let mut without = good.clone();
    without["verificationMaterial"]["tlogEntries"][0].as_object_mut().expect("an entry").remove("inclusionProof");
    let mut promised = good.clone();
    promised["verificationMaterial"]["tlogEntries"][0].as_object_mut().expect("an entry").remove("inclusionPromise");
    let zeros = STANDARD.encode([0; 32]);
    let flipped = |pointer: &str| {
        let mut bytes = STANDARD.decode(part(&good, pointer).as_str().expect("text")).expect("Base64");
        *bytes.last_mut().expect("a byte") ^= 1;
        with(pointer, json!(STANDARD.encode(bytes)))
    };
    let checkpoint = at("/inclusionProof/checkpoint/envelope");
    let larger = part(&good, &checkpoint).as_str().expect("text").replacen("\n3\n", "\n4\n", 1);
    cases.extend([
        (with("/verificationMaterial/tlogEntries", json!([])), ""),
        (without.to_string(), "inclusion proof"),
        (promised.to_string(), "no verified timestamp"),
        (with(entry, part(&elsewhere, entry)), "match"),
        (with(entry, part(&again, entry)), "match"),
        (with(&at("/inclusionProof"), part(&elsewhere, &at("/inclusionProof"))), "inclusion proof"),
        (with(&at("/inclusionProof/hashes/0"), json!(zeros)), "inclusion proof"),
        (with(&at("/inclusionProof/logIndex"), json!("0")), "inclusion proof"),
        (with(&at("/inclusionProof/rootHash"), json!(zeros)), "inclusion proof"),
        (with(&checkpoint, json!(larger)), "checkpoint"),
        (with(&at("/integratedTime"), json!((SIGNED_AT + 60).to_string())), "promise"),
        (with(&at("/logIndex"), json!("2")), "promise"),
        (with(&at("/logId/keyId"), json!(zeros)), "promise"),
        (flipped(&at("/inclusionPromise/signedEntryTimestamp")), "promise"),
        (flipped(&at("/canonicalizedBody")), ""),
        (flipped("/messageSignature/signature"), ""),
        (flipped(certificate), ""),
        (sigstore.bundle(b"another file", honest).to_string(), "for another file"),
        (good.to_string()[..good.to_string().len() / 2].to_owned(), "not a bundle"),
        (with("/verificationMaterial", json!({ "publicKey": { "hint": "" }, "tlogEntries": [] })), "by a key"),
    ]);
    let mut wrong = Vec::new();
    for (written, says) in &cases {
        let args = add(&home, &tool, written);
        let message = home.refuses(&args, 1);
        if !message.contains(says) || !message.contains(&format!("`{}`", args[4])) {
            wrong.push((says, message));
        }
        // Not even where no signature is needed.
        home.refuses(args.iter().map(String::as_str).chain(["--unsigned"]), 1);
        nothing_registered(&home);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The message has the time that it is.
    let later = sigstore.bundle(&bytes, Signer { at: 4_000_000_000, ..honest }).to_string();
    home.run(add(&home, &tool, &later)).code(1).says("in the future");
    nothing_registered(&home);
    // An altered component, and the control.
    home.component("adder", &ADD.replace("i32.add", "i32.sub"));
    assert!(home.refuses(add(&home, &tool, &good.to_string()), 1).contains("for another file"));
    nothing_registered(&home);
    home.component("adder", ADD);
    home.run(add(&home, &tool, &good.to_string())).code(0);
    home.run(SUM).code(0);
    home.is_well();
}

#[test]
fn source_of_a_build_is_compared() {
    // ART-05: a workflow that others call signs under its own name, whosever code it is run on.
    let (home, sigstore) = (Home::new(), Sigstore::new());
    let (tool, bytes) = adder(&home);
    let (mine, main) = ("https://forge.test/acme/tools", "refs/heads/main");
    let bundle = |source| {
        let signer = Signer { source, ..Signer::new(WORKFLOW, ISSUER) };
        sigstore.bundle(&bytes, signer).to_string()
    };
    let (repository, reference) = (format!("source-repository = '{mine}'\n"), format!("source-ref = '{main}'\n"));
    for (wanted, source, says) in [
        (format!("{repository}{reference}"), Some((mine, main)), None),
        (repository.clone(), Some((mine, "refs/heads/other")), None),
        (reference.clone(), Some(("https://forge.test/eve/tools", main)), None),
        (String::new(), None, None),
        (
            repository.clone(),
            Some(("https://forge.test/eve/tools", main)),
            Some("`https://forge.test/eve/tools` as its"),
        ),
        (repository.clone(), Some(("https://forge.test/acme/tools/", main)), Some("acme/tools/` as its")),
        (repository.clone(), Some(("https://forge.test/acme/tools2", main)), Some("acme/tools2` as its")),
        (repository.clone(), None, Some("names none as its source repository")),
        (reference.clone(), Some((mine, "refs/heads/main2")), Some("`refs/heads/main2` as its source ref")),
        (reference.clone(), Some((mine, "refs/tags/main")), Some("`refs/tags/main` as its source ref")),
        (format!("{repository}{reference}"), None, Some("names none as its source repository")),
    ] {
        trust(&home, &sigstore, WORKFLOW, ISSUER);
        home.configure(&config(&home).replace("issuer = ", &format!("{wanted}issuer = ")));
        let args = add(&home, &tool, &bundle(source));
        if let Some(says) = says {
            let message = home.refuses(args, 1);
            assert!(message.contains(says), "{wanted}: {message}");
        } else {
            home.run(args).code(0);
            home.run(SUM).code(0);
            home.run(["tool", "remove", "adder"]).code(0);
        }
        nothing_registered(&home);
    }
    home.is_well();
}

#[test]
fn stamped_bundles_vouch_as_well() {
    // ART-05: a log that says no time, and an authority that stamps signatures with one (RFC 3161).
    let (home, sigstore, other) = (Home::new(), Sigstore::new(), Sigstore::new());
    trust(&home, &sigstore, WORKFLOW, ISSUER);
    let (tool, bytes) = adder(&home);
    let honest = Signer::new(WORKFLOW, ISSUER);
    let good = sigstore.stamped_bundle(&bytes, honest);
    let part = |bundle: &Value, pointer: &str| bundle.pointer(pointer).expect("a part").clone();
    let with = |pointer: &str, value: Value| {
        let mut bundle = good.clone();
        *bundle.pointer_mut(pointer).expect("a part") = value;
        bundle
    };
    let signature = STANDARD.decode(good["messageSignature"]["signature"].as_str().expect("text")).expect("Base64");
    let entry = "/verificationMaterial/tlogEntries/0";
    let stamps = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    let token = format!("{stamps}/0/signedTimestamp");
    let mut broken = STANDARD.decode(part(&good, &token).as_str().expect("text")).expect("Base64");
    *broken.last_mut().expect("a byte") ^= 1;
    // Without a promise, the time that an entry says counts for nothing.
    let mut claimed = with(stamps, json!([]));
    claimed["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = json!(SIGNED_AT.to_string());
    let again = sigstore.stamped_bundle(&bytes, honest);
    let checkpoint = format!("{entry}/inclusionProof/checkpoint/envelope");
    let larger = part(&good, &checkpoint).as_str().expect("text").replacen("\n3\n", "\n4\n", 1);
    let mut wrong = Vec::new();
    for (bundle, says) in [
        (with(stamps, json!([])), "timestamp"),
        (claimed, "timestamp"),
        (with(stamps, json!([other.stamp(&signature, SIGNED_AT)])), "timestamp"),
        (with(stamps, json!([sigstore.stamp(b"another signature", SIGNED_AT)])), "timestamp"),
        (with(stamps, json!([sigstore.stamp(&signature, SIGNED_AT + 86_400)])), ""),
        (with(stamps, json!([sigstore.stamp(&signature, SIGNED_AT - 86_400)])), ""),
        (with(&token, json!(STANDARD.encode(&broken))), "timestamp"),
        (with(&token, json!("MAA=")), "timestamp"),
        (with(&format!("{entry}/logIndex"), json!("2")), "inclusion proof"),
        (with(&checkpoint, json!(larger)), ""),
        (with(entry, part(&again, entry)), "match"),
        (with(entry, part(&other.stamped_bundle(&bytes, honest), entry)), ""),
        (with("/verificationMaterial/tlogEntries", json!([])), ""),
        (sigstore.stamped_bundle(&bytes, Signer { identity: ADDRESS, ..honest }), "identity mismatch"),
    ] {
        let message = home.refuses(add(&home, &tool, &bundle.to_string()), 1);
        if !message.contains("it does not show who signed: ") || !message.contains(says) {
            wrong.push((says, message));
        }
        nothing_registered(&home);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // An authority that the operator does not name, or not for that time, has stamped nothing.
    let root = home.folder("roots").join("trusted_root.json");
    let trusted = sigstore.trusted_root();
    let years_ago = json!({ "start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z" });
    for (pointer, value) in [("/timestampAuthorities", json!([])), ("/timestampAuthorities/0/validFor", years_ago)] {
        let mut root_of_less = trusted.clone();
        *root_of_less.pointer_mut(pointer).expect("a part") = value;
        fs::write(&root, root_of_less.to_string()).expect("written");
        assert!(home.refuses(add(&home, &tool, &good.to_string()), 1).contains("it does not show who signed: "));
        nothing_registered(&home);
    }
    fs::write(&root, trusted.to_string()).expect("written");
    home.run(add(&home, &tool, &good.to_string())).code(0);
    home.run(SUM).code(0);
    home.is_well();
}

#[test]
fn roots_that_lack_something_are_named() {
    // ART-05
    let (home, sigstore) = (Home::new(), Sigstore::new());
    trust(&home, &sigstore, WORKFLOW, ISSUER);
    let (tool, bytes) = adder(&home);
    let bundle = sigstore.bundle(&bytes, Signer::new(WORKFLOW, ISSUER)).to_string();
    let good = sigstore.trusted_root();
    let with = |pointer: &str, value: Value| {
        let mut root = good.clone();
        *root.pointer_mut(pointer).expect("a part") = value;
        root.to_string()
    };
    let past = json!({ "start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z" });
    let path = home.folder("roots").join("trusted_root.json").display().to_string();
    let unusable = format!("the trusted root `{path}` can't be used");
    let mut wrong = Vec::new();
    for (root, says) in [
        (String::new(), unusable.as_str()),
        ("[".repeat(100_000), &unusable),
        ("{\n\"mediaType\": 1\n}".to_owned(), "at line 2"),
        (" ".repeat(1024 * 1024 + 1), "larger than 1048576 bytes"),
        (with("/certificateAuthorities/0/certChain/certificates/0/rawBytes", json!("MAA=")), &unusable),
        (with("/tlogs/0/publicKey/rawBytes", json!("MAA=")), &unusable),
        (with("/certificateAuthorities", json!([])), "no trusted certificate authority"),
        (with("/certificateAuthorities/0/validFor", past.clone()), "no trusted certificate authority"),
        (with("/tlogs", json!([])), "promise"),
        (with("/tlogs/0/publicKey/validFor", past.clone()), "promise"),
        (with("/ctlogs", json!([])), "no CT log keys"),
        (with("/ctlogs/0/publicKey/validFor", past), "SCT"),
    ] {
        fs::write(&path, &root).expect("written");
        let message = home.refuses(add(&home, &tool, &bundle), 1);
        if !message.contains(says) {
            wrong.push((says.to_owned(), message));
        }
        nothing_registered(&home);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    fs::write(&path, good.to_string()).expect("written");
    home.run(add(&home, &tool, &bundle)).code(0);
    home.run(SUM).code(0);
}

#[test]
fn signers_that_nobody_could_be_are_refused() {
    let home = Home::new();
    let root = home.file("roots/trusted_root.json", "{}").display().to_string();
    let named = |identity: &str, issuer: &str, root: &str| {
        format!("identity = '{identity}'\nissuer = '{issuer}'\ntrusted-root = '{root}'")
    };
    for (table, says) in [
        (named("ada", ISSUER, &root), "neither a URI nor a mail address"),
        (named("", ISSUER, &root), "neither a URI"),
        (named(ADDRESS, "http://issuer.test", &root), "not a URL with `https://`"),
        (named(ADDRESS, "", &root), "not a URL"),
        (named(ADDRESS, ISSUER, "trusted_root.json"), "not an absolute path"),
        (format!("identity = '{ADDRESS}'\nissuer = '{ISSUER}'"), "one key"),
        (format!("identity = '{ADDRESS}'\ntrusted-root = '{root}'"), "one key"),
        (
            format!(
                "{}\nkey = 'author.example+992eb85e+AexoEp2XAsPN1PqxnNWQLniMLDzOE5zl9O+4JEkOwPJl'",
                named(ADDRESS, ISSUER, &root)
            ),
            "one key",
        ),
        (format!("{}\nsubject = 'a'", named(ADDRESS, ISSUER, &root)), "unknown field"),
        (format!("{}\nsource-repository = 'acme'", named(ADDRESS, ISSUER, &root)), "`acme` is not a URL"),
        (format!("{}\nsource-ref = 'main'", named(ADDRESS, ISSUER, &root)), "does not begin with `refs/`"),
        ("cosign-key = 'a'\nsource-ref = 'refs/a'".to_owned(), "not a public key"),
        (
            "key = 'author.example+992eb85e+AexoEp2XAsPN1PqxnNWQLniMLDzOE5zl9O+4JEkOwPJl'\nsource-ref = 'refs/a'"
                .to_owned(),
            "beside an `identity`",
        ),
    ] {
        home.configure(&format!("[signers.builder]\n{table}\n"));
        let message = home.refuses(["tool", "list"], 1);
        assert!(message.contains("at line ") && message.contains(says), "{message}");
    }
    home.configure(&format!("[signers.builder]\n{}\n", named(ADDRESS, ISSUER, &root)));
    home.run(["tool", "list"]).code(0);
}

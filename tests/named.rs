//! What is malformed is named: the file and the line, or the flag, and the reason. Nothing half-registered remains.

use std::fs;

use crate::harness::ADD;
use crate::harness::Home;

/// Nothing is registered, and nothing is left over.
#[track_caller]
fn nothing_registered(home: &Home) {
    assert_eq!(home.run(["tool", "list", "--format", "json"]).code(0).json(), serde_json::json!([]));
    assert_eq!(fs::read_dir(home.path().join("tools")).map_or(0, Iterator::count), 0);
}

#[test]
fn malformed_lines_of_configuration_are_named() {
    let home = Home::new();
    let path = home.path().join("ringfence.toml").display().to_string();
    for (kind, text, line, says) in [
        ("grant, requests", "[operator]\n\nhttp = ['GET ftp://a.example/']", 3, "`GET ftp://a.example/`"),
        ("grant, method", "[operator]\nhttp = ['G,,T https://a.example/']", 2, "is not a method"),
        ("grant, sockets", "[rings.2]\nsockets = ['tcp://a.example']", 2, "`tcp://a.example`"),
        ("grant, names", "[operator]\nnames = ['a.*.example']", 2, "`a.*.example`"),
        ("pattern of hosts", "[operator]\nhttp = ['GET https://*a.example/']", 2, "`*a.example`"),
        ("pattern of names", "[operator]\nfolders = ['/a']\nfolder = ['/a']", 3, "unknown field `folder`"),
        ("CIDR", "[operator]\naddresses = ['10.0.0.0/33']", 2, "`10.0.0.0/33`"),
        ("CIDR, bits", "[operator]\naddresses = ['10.0.0.0/8',\n'10.0.0.1/8']", 2, "bits beyond its prefix"),
        ("secret", "[secrets.A]\nfile = 'a'\nheaders = ['A b']\nhosts = ['a.example']", 1, "`A b`"),
        ("folder", "[operator]\nfolders = ['docs']", 2, "not an absolute path"),
        ("limit", "[operator.limits]\nfuel = -1", 2, "invalid value"),
        ("digest", "[policies.x]\n\ndigest = 'sha256:zz'", 3, "not a digest"),
        ("signature key", "[signers.a]\nkey = 'a+0+b'", 2, "not a verifier key"),
        ("certificate key", "[signers.a]\ncosign-key = 'x'", 2, "not a public key"),
        ("two keys", "\n[signers.a]", 2, "one key"),
        ("identity", "[signers.a]\nidentity = 'ada'\nissuer = 'https://a.example'\ntrusted-root = '/a'", 1, "`ada`"),
        (
            "source",
            "[signers.a]\nidentity = 'a@a.example'\nissuer = 'https://a.example'\ntrusted-root = '/a'\nsource-ref = 'main'",
            1,
            "does not begin with `refs/`",
        ),
        ("name server", "[egress]\nnameservers = ['10.0.0.1:53', 'a.example']", 2, "socket address"),
        ("host limit", "[limits]\nqueue-wait-ms = 1\nconcurrent-calls = 0", 3, "nonzero"),
        ("revoked component", "[revoked]\n\n'sha256:zz' = 'a'", 3, "not a digest"),
        ("revoked signer", "[signers.a]\nrevoked = \"\\n\"", 2, "a reason is one line"),
        ("credentials", "\n[registries.\"a.example\"]\ncredentials = 'a'", 2, "not an absolute path"),
        ("not TOML", "[operator\n", 1, ""),
    ] {
        home.configure(text);
        for args in [&["tool", "list"][..], &["tool", "add", "/nowhere.wasm"], &["doctor"]] {
            let message = home.refuses(args, 1);
            assert!(message.contains(&path) && message.contains(&format!("at line {line}:")), "{kind}: {message}");
            assert!(message.contains(says), "{kind}: {message}");
        }
    }
    home.configure("");
    nothing_registered(&home);
}

#[test]
fn malformed_lines_of_a_registration_are_named() {
    let home = Home::new();
    let path = home.path().join("ringfence.toml").display().to_string();
    let digest = format!("sha256:{}", "0".repeat(64));
    let pins = format!(
        "[tools.a]\nsource = '/a.wasm'\ndigest = '{digest}'\ndescription-digest = '{digest}'\nsigner = 'none'\n"
    );
    for (line, says) in [
        ("folders = ['/a::/a:rx']", "neither `ro` nor `rw`"),
        ("folders = ['/a::/a,deny=a//b']", "a//b"),
        ("folders = ['/a::/a,deny=[']", "`[`"),
        ("folders = ['/a::/a,bytes=many']", "many"),
        ("folders = ['a::/a']", "not an absolute path"),
        ("scratch = 'a'", "`a`"),
        ("http = ['GET https://a.example:99999/']", "`99999`"),
        ("http = ['GET https://a.example/../b']", "`/../b`"),
        ("sockets = ['icmp://a.example:1']", "`icmp://a.example:1`"),
        ("names = ['a..example']", "`a..example`"),
        ("addresses = ['fd00::/129']", "`fd00::/129`"),
        ("addresses = ['10.0.0/8']", "`10.0.0/8`"),
        ("environment = { A = { shell = 'x' } }", "a value is a text"),
        ("clock = 'noon'", "`noon`"),
        ("limits = { fuel = 'all' }", "invalid type"),
    ] {
        home.configure(&format!("{pins}[tools.a.grant]\n{line}\n"));
        for args in [&["tool", "list"][..], &["call", "a", "f"], &["tool", "verify"]] {
            let message = home.refuses(args, 1);
            assert!(message.contains(&path) && message.contains("at line 7:"), "{line}: {message}");
            assert!(message.contains(says), "{line}: {message}");
        }
    }
    for (pins, line, says) in [
        (pins.replace("'none'", "'No One'"), 5, "`No One` is not a name"),
        (pins.replace("'none'", "'me'"), 1, "`signer` of tool `a`"),
        (pins.replacen(&digest, "sha256:0", 1), 3, "not a digest"),
        (pins.replace("[tools.a]", "[tools.A]"), 1, "`A` is not a name"),
    ] {
        home.configure(&pins);
        let message = home.refuses(["tool", "list"], 1);
        assert!(message.contains(&format!("at line {line}:")) && message.contains(says), "{message}");
    }
}

#[test]
fn malformed_flags_are_named() {
    let home = Home::new();
    let tool = home.component("adder", ADD);
    for (flag, value, says) in [
        ("--http", "GET ftp://a.example/", "`GET ftp://a.example/`"),
        ("--socket", "tcp://a.example", "`tcp://a.example`"),
        ("--name", "a.*.example", "`a.*.example`"),
        ("--address", "10.0.0.0/33", "`10.0.0.0/33`"),
        ("--dir", "docs", "HOST::GUEST"),
        ("--dir", "docs::/docs:rx", "neither `ro` nor `rw`"),
        ("--dir", "docs::/docs,deny=a//b", "a//b"),
        ("--dir", "docs::/docs,bytes=many", "many"),
        ("--clock", "yesterday", "`yesterday`"),
        ("--seed", "x", "x"),
        ("--ring", "9", "9"),
        ("--timeout", "never", "never"),
    ] {
        let ran = home.run(["run", &tool, "add", &format!("{flag}={value}")]);
        ran.code(2);
        assert!(ran.stderr.contains(flag) && ran.stderr.contains(says), "{flag} {value}: {}", ran.stderr);
    }
    for reference in ["oci://", "oci://host", "oci://host/NAME:1", "oci://ho st/name:1", "oci://host/name@sha256:1"] {
        let ran = home.run(["tool", "add", reference]);
        ran.code(2);
        assert!(ran.stderr.contains(&format!("`{reference}` is not a reference")), "{}", ran.stderr);
    }
    nothing_registered(&home);
}

#[test]
fn malformed_files_are_named() {
    let home = Home::new();
    let tool = home.component("adder", ADD);
    let add = ["tool", "add", &tool];
    for (manifest, line, says) in [
        (&b"name = 'adder'\nversion = '1.0.0'\n[capabilities]\nnetwork = [\n"[..], 4, "unclosed array"),
        (b"name = 'adder'\nversion = '1.0.0'\n\nauthor = 'me'\n", 4, "unknown field `author`"),
        (b"name = 'adder'\nversion = '1.0.0'\n[capabilities]\nhttp = ['GET ftp://a/']\n", 4, "`GET ftp://a/`"),
        (b"name = 'adder'\nversion = '1.0.0'\n[functions.add]\neffect = 'sings'\n", 4, "sings"),
        (b"name = 'adder'\n\xff", 2, "invalid utf-8"),
        (b"", 1, "missing field"),
    ] {
        home.file("adder.toml", manifest);
        for args in [&add[..], &["run", &tool, "add"], &["sign", &tool, "--key", "/nowhere"]] {
            let message = home.refuses(args, 1);
            if args[0] == "sign" {
                continue;
            }
            assert!(message.contains("`adder.toml`") && message.contains(&format!("at line {line}:")), "{message}");
            assert!(message.contains(says), "{message}");
        }
        nothing_registered(&home);
    }
    fs::remove_file(home.file("adder.toml", "")).expect("removed");
    let key = home.folder("keys").join("me").display().to_string();
    let made = home.run(["key", "new", "me.example", "--output", &key, "--format", "json"]).code(0).json();
    home.configure(&format!("[signers.me]\nkey = '{}'\n", made["key"].as_str().expect("a key")));
    home.run(["sign", &tool, "--key", &key]).code(0);
    let beside = format!("{tool}.sig");
    let good = fs::read_to_string(&beside).expect("a signature");
    for (note, line, says) in [
        (b"hello".to_vec(), 1, "no blank line"),
        (good.replace("name adder", "name ad\tder").into_bytes(), 4, "control characters"),
        (good.replace("me.example ", "me.example").into_bytes(), 6, "a signature line"),
        (good.trim_end().as_bytes().to_vec(), 6, "has no end"),
        ([good.as_bytes(), b"\xff\n"].concat(), 7, "utf-8"),
    ] {
        fs::write(&beside, note).expect("written");
        let message = home.refuses(add, 1);
        let place = format!("adder.wasm.sig`: not a signed note at line {line}: ");
        assert!(message.contains(&place) && message.contains(says), "{message}");
        nothing_registered(&home);
    }
    // The control.
    fs::write(&beside, good).expect("written");
    home.run(add).code(0);
}

#[test]
fn malformed_credentials_are_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let file = home.file("config.json", "");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    home.configure(&format!("[registries.\"127.0.0.1:1\"]\ncredentials = '{}'\n", file.display()));
    let add = ["tool", "add", "oci://127.0.0.1:1/acme/adder:1.0.0"];
    for (text, says) in [
        ("{\n\n\"auths\": \"s3cr3t\" }", "holds no credentials: at line 3 "),
        ("{\n\"auths\": {", "holds no credentials: at line 2 "),
        ("{\"auths\": {}}", "has no credentials for `127.0.0.1:1`"),
        ("{\"auths\": {\"127.0.0.1:1\": {\"auth\": \"s3cr3t\"}}}", "has no credentials for `127.0.0.1:1`"),
    ] {
        fs::write(&file, text).expect("written");
        let message = home.refuses(add, 1);
        assert!(message.contains(&file.display().to_string()) && message.contains(says), "{message}");
        assert!(!message.contains("s3cr3t"), "{message}");
        nothing_registered(&home);
    }
}

#[test]
fn malformed_vouchers_are_named() {
    let home = Home::new();
    let tool = home.component("adder", ADD);
    let root = home.file("roots/trusted_root.json", "{\n  \"mediaType\": 1\n}").display().to_string();
    let bundle = home.file("adder.sigstore.json", "{\n\n  \"mediaType\": 1\n}").display().to_string();
    home.configure(&format!(
        "[signers.me]\nidentity = 'ada@a.example'\nissuer = 'https://a.example'\ntrusted-root = '{root}'\n"
    ));
    let add = ["tool", "add", &tool, "--bundle", &bundle, "--signer", "me"];
    let message = home.refuses(add, 1);
    assert!(message.contains(&format!("`{bundle}`: not a bundle")) && message.contains("at line 3"), "{message}");
    nothing_registered(&home);
    let good = crate::harness::sigstore::Sigstore::new();
    let signer = crate::harness::sigstore::Signer::new("ada@a.example", "https://a.example");
    fs::write(&bundle, good.bundle(&fs::read(&tool).expect("a file"), signer).to_string()).expect("written");
    let message = home.refuses(add, 1);
    assert!(message.contains(&format!("`{root}` can't be used: ")) && message.contains("at line 2"), "{message}");
    nothing_registered(&home);
    // The control.
    fs::write(&root, good.trusted_root().to_string()).expect("written");
    home.run(add).code(0);
}

#[test]
fn malformed_certificates_are_named() {
    let home = Home::new();
    let good = crate::harness::tls::Authority::new().pem();
    let lines = good.lines().count();
    let path = home.path().join("ca.pem");
    home.configure("[egress]\nroots = 'ca.pem'\n");
    let tool = home.component("adder", ADD);
    for (pem, line, says) in [
        ("-----BEGIN CERTIFICATE-----\nAA!A\n-----END CERTIFICATE-----\n", 1, "not PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 1, "no certificate that can be trusted"),
    ] {
        for (text, line) in [(pem.to_owned(), line), (format!("{good}{pem}"), lines + line)] {
            fs::write(&path, text).expect("written");
            let run = ["run", &tool, "add", "--input", r#"{"a":1,"b":2}"#, "--http", "GET https://a.example/"];
            let message = home.refuses(run, 1);
            let place = format!("`{}` can't be used: at line {line}: ", path.display());
            assert!(message.contains(&place) && message.contains(says), "{message}");
        }
    }
    fs::write(&path, "hello").expect("written");
    assert!(
        home.refuses(["run", &tool, "add", "--http", "GET https://a.example/"], 1).contains("no certificate in PEM")
    );
}

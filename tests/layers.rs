//! Layers of a grant: a missing key narrows nothing, an empty list allows nothing; and whoever is refused is told what was
//! asked for, by whom it was refused, the nearest that is allowed, and the very lines that would allow it.

use std::fs;

use crate::harness::ADD;
use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::network::GRANTED;
use crate::harness::network::Network;
use crate::harness::server::extend;
use crate::harness::web::Web;
use crate::harness::web::ok;
use ringfence_artifacts::HOSTILE_FETCH_DENIED_URLS;
use ringfence_artifacts::TOOL_FETCH;
use ringfence_artifacts::TOOL_FILES;

/// Where a layer is written down.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Layer {
    Manifest,
    Operator,
    Ring,
    Session,
}

/// A capability: what asks for it, a key that closes it, and what a refusal says of both.
struct Kind {
    asks: Vec<String>,
    closed: &'static str,
    wanted: String,
    nearest: &'static str,
}

/// Every capability, under each key that bounds it: closed, and with something else on its list.
fn kinds(home: &Home) -> Vec<Kind> {
    let of = |asks: &[&str], closed, wanted: &str, nearest| {
        let asks = asks.iter().map(|text| (*text).to_owned()).collect();
        Kind { asks, closed, wanted: wanted.to_owned(), nearest }
    };
    let docs = home.folder("docs").canonicalize().expect("a folder").display().to_string();
    let (read, write) = (format!("--dir={docs}::/docs"), format!("--dir={docs}::/docs:rw"));
    let folder = |access| format!("folder `{docs}` as `/docs` ({access})");
    let quota = format!("{write},bytes=2000,files=20");
    vec![
        of(&[&read], "filesystem = 'none'", &folder("read"), "no folders"),
        of(&[&write], "filesystem = 'read'", &folder("read-write"), "folders to read only"),
        of(&[&read], "folders = []", &folder("read"), "no folders, because its list of them is empty"),
        of(&[&read], "folders = ['/elsewhere']", &folder("read"), "folders under `/elsewhere`"),
        of(&[&quota], "limits.write-bytes = 1000", "`write-bytes` of 2000", "at most 1000"),
        of(&[&quota], "limits.files = 10", "`files` of 20", "at most 10"),
        of(&["--scratch=/tmp"], "limits.files = 0", "a scratch folder as `/tmp`", "nothing to be written"),
        of(&["--scratch=/tmp"], "limits.write-bytes = 0", "a scratch folder as `/tmp`", "nothing to be written"),
        of(&["--env=A=1"], "environment = []", "environment variable `A`", "none"),
        of(&["--env=A=1"], "environment = ['B']", "environment variable `A`", "`B`"),
        of(&["--http=https://a.test/"], "network = 'none'", "requests `GET,HEAD https://a.test/`", "no network"),
        of(&["--http=https://a.test/"], "http = []", "requests `GET,HEAD https://a.test/`", "no requests"),
        of(
            &["--http=https://a.test/"],
            "http = ['GET https://b.test/']",
            "requests `GET,HEAD https://a.test/`",
            "requests within `GET https://b.test/`",
        ),
        of(&["--socket=tcp://a.test:1"], "network = 'none'", "sockets `tcp://a.test:1`", "no network"),
        of(&["--socket=tcp://a.test:1"], "sockets = []", "sockets `tcp://a.test:1`", "no sockets"),
        of(
            &["--socket=tcp://a.test:1"],
            "sockets = ['udp://a.test:1']",
            "sockets `tcp://a.test:1`",
            "sockets within `udp://a.test:1`",
        ),
        of(&["--name=a.test"], "network = 'none'", "looking up `a.test`", "no network"),
        of(&["--name=a.test"], "names = []", "looking up `a.test`", "no lookups"),
        of(&["--name=a.test"], "names = ['b.test']", "looking up `a.test`", "lookups within `b.test`"),
        of(&["--address=10.0.0.0/8"], "addresses = []", "address `10.0.0.0/8`", "no addresses"),
        of(
            &["--address=10.0.0.0/8"],
            "addresses = ['10.1.0.0/16']",
            "address `10.0.0.0/8`",
            "addresses within `10.1.0.0/16`",
        ),
        of(&["--secret=TOKEN"], "secrets = []", "secret `TOKEN`", "no secrets"),
        of(&["--secret=TOKEN"], "secrets = ['OTHER']", "secret `TOKEN`", "secrets within `OTHER`"),
        of(&[], "clock = 'fixed'", "a real clock", "a fixed clock only"),
        of(&[], "random = 'fixed'", "real random bytes", "seeded random bytes only"),
        of(&["--fuel=2000000"], "limits.fuel = 1000000", "`fuel` of 2000000", "at most 1000000"),
        of(&["--memory=64"], "limits.memory-bytes = 33554432", "`memory-bytes` of 67108864", "at most 33554432"),
        of(&["--timeout=20"], "limits.wall-ms = 10000", "`wall-ms` of 20000", "at most 10000"),
    ]
}

/// What every case stands on: ring 2, and two secrets.
fn base(home: &Home) -> toml::Table {
    for name in ["TOKEN", "OTHER"] {
        use std::os::unix::fs::PermissionsExt as _;
        let path = home.path().join(name);
        fs::write(&path, "a secret of many letters").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    }
    let secret = |name| format!("[secrets.{name}]\nfile = '{name}'\nheaders = ['a']\nhosts = ['a.test']\n");
    toml::from_str(&format!("[run]\nring = 2\n{}{}", secret("TOKEN"), secret("OTHER"))).expect("TOML")
}

/// Puts lines into a document, in place of what it says there.
fn put(document: &mut toml::Table, lines: toml::Table) {
    for (key, value) in lines {
        match (document.get_mut(&key), value) {
            (Some(toml::Value::Table(there)), toml::Value::Table(more)) => put(there, more),
            (_, value) => drop(document.insert(key, value)),
        }
    }
}

/// The lines of the hints: what they say to copy.
fn lines(ran: &Ran) -> toml::Table {
    let lines: Vec<_> = ran.stderr.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(!lines.is_empty(), "no lines to copy: {}", ran.stderr);
    toml::from_str(&lines.join("\n")).unwrap_or_else(|error| panic!("{error}: {}", ran.stderr))
}

/// One layer, written down with some settings; the others are as they are without any.
fn ask(home: &Home, layer: Layer, settings: &toml::Table, asks: &[String]) -> Ran {
    let mut config = base(home);
    let tool = home.component("adder", ADD);
    let beside = home.file("adder.toml", "");
    fs::remove_file(&beside).expect("removed");
    let mut args = vec!["run".to_owned(), tool, "add".into(), "--input".into(), r#"{"a":1,"b":2}"#.into()];
    match layer {
        Layer::Manifest => {
            let mut manifest: toml::Table = toml::from_str("name = 'adder'\nversion = '1.0.0'\n").expect("TOML");
            put(&mut manifest, settings.clone());
            fs::write(beside, manifest.to_string()).expect("written");
        }
        Layer::Operator | Layer::Ring => put(&mut config, settings.clone()),
        Layer::Session => {
            let file = home.file("within.toml", settings.to_string()).display().to_string();
            home.configure(&config.to_string());
            let open = ["session", "open", "s", "--ring", "2", "--within", &file, "--format", "json"];
            let opened = home.run(open).code(0).json();
            args.extend(["--session".into(), opened["session"].as_str().expect("an id").to_owned()]);
        }
    }
    home.configure(&config.to_string());
    home.run(args.iter().chain(asks))
}

/// A key where the layer has it.
fn at(layer: Layer, line: &str) -> toml::Table {
    let table = match layer {
        Layer::Manifest => "[capabilities]\n",
        Layer::Operator => "[operator]\n",
        Layer::Ring => "[rings.2]\n",
        Layer::Session => "",
    };
    toml::from_str(&format!("{table}{line}\n")).expect("TOML")
}

/// That a call is refused well, and allowed as soon as the lines of its refusals stand where they belong.
#[track_caller]
fn teaches(home: &Home, layer: Layer, kind: &Kind, mut settings: toml::Table) {
    let Kind { asks, closed, wanted, nearest } = kind;
    let ran = ask(home, layer, &settings, asks);
    let layer_name = format!("{layer:?}").to_lowercase();
    let says = format!("denied: {wanted} was asked for, but the {layer_name} layer allows {nearest}");
    ran.code(3).says(&says).says(&format!("[denied.{layer_name}]"));
    let before = settings.clone();
    put(&mut settings, lines(&ran));
    assert_ne!(before, settings, "{closed}: {}", ran.stderr);
    let ran = ask(home, layer, &settings, asks);
    assert_eq!(ran.code, 0, "{layer:?} {closed}: {settings}: {}", ran.stderr);
}

#[test]
fn refusals_bring_lines_that_allow_it() {
    let home = Home::new();
    for layer in [Layer::Operator, Layer::Ring, Layer::Session] {
        for kind in kinds(&home) {
            teaches(&home, layer, &kind, at(layer, kind.closed));
        }
    }
    // What a list had on it is still there when the lines are.
    let settings = at(Layer::Operator, "environment = ['B']");
    let refused = ask(&home, Layer::Operator, &settings, &["--env=A=1".to_owned()]);
    assert_eq!(lines(&refused)["operator"]["environment"].to_string(), r#"["B", "A"]"#);
    home.configure("");
    home.is_well();
}

#[test]
fn manifests_are_taught_about_as_well() {
    // What is missing in a manifest is not asked for: there it is nothing, whether it is missing or empty.
    let home = Home::new();
    for kind in kinds(&home) {
        let key = kind.closed.split(' ').next().expect("a key");
        if matches!(key, "folders" | "network" | "clock" | "random") || key.starts_with("limits") {
            continue;
        }
        teaches(&home, Layer::Manifest, &kind, at(Layer::Manifest, kind.closed));
        if kind.closed.ends_with("[]") {
            teaches(&home, Layer::Manifest, &kind, toml::Table::new());
        }
    }
    home.configure("");
    home.is_well();
}

#[test]
fn missing_keys_narrow_nothing() {
    let home = Home::new();
    for layer in [Layer::Operator, Layer::Ring, Layer::Session] {
        for kind in kinds(&home) {
            let ran = ask(&home, layer, &toml::Table::new(), &kind.asks);
            assert_eq!(ran.code, 0, "{layer:?} {}: {}", kind.closed, ran.stderr);
        }
    }
    home.configure("");
    home.is_well();
}

#[test]
fn ring_names_the_ring_that_is_wider() {
    let home = Home::new();
    let tool = home.component("adder", ADD);
    for (ring, asks, then) in [
        (3, "--http=https://a.test/", 2),
        (3, "--http=https://*.test/", 1),
        (2, "--name=*.test", 1),
        (3, "--memory=512", 2),
        (2, "--memory=1024", 1),
        (3, "--timeout=60", 2),
    ] {
        home.configure(&format!("[run]\nring = {ring}\n"));
        let run = ["run", &tool, "add", "--input", r#"{"a":1,"b":2}"#, asks];
        let ran = home.run(run);
        let taught = lines(ran.code(3).says("[denied.ring]"));
        assert_eq!(taught["run"]["ring"].as_integer(), Some(then), "{asks}: {}", ran.stderr);
        home.configure(&taught.to_string());
        home.run(run).code(0);
    }
    // More than any ring has is no ring's to give.
    home.configure("[run]\nring = 0\n");
    home.run(["run", &tool, "add", "--input", r#"{"a":1,"b":2}"#, "--memory=4096"])
        .code(3)
        .says("hint: no ring allows that much");
    // A ring that the operator has lowered is not named as a way out for good: its own refusal comes next.
    home.configure("[run]\nring = 3\n[rings.2]\nhttp = []\n");
    let mut config: toml::Table = toml::from_str("[run]\nring = 3\n[rings.2]\nhttp = []\n").expect("TOML");
    let run = ["run", &tool, "add", "--input", r#"{"a":1,"b":2}"#, "--http=https://a.test/"];
    for _ in 0..2 {
        put(&mut config, lines(home.run(run).code(3)));
        home.configure(&config.to_string());
    }
    home.run(run).code(0);
    home.configure("");
    home.is_well();
}

#[test]
fn secret_without_a_table_is_taught() {
    let home = Home::new();
    let tool = home.component("adder", ADD);
    home.configure("[run]\nring = 2\n");
    let run = ["run", &tool, "add", "--input", r#"{"a":1,"b":2}"#, "--secret=TOKEN"];
    let ran = home.run(run);
    ran.code(3).says("secret `TOKEN` was asked for, but the operator layer allows no secrets");
    let mut taught = lines(&ran);
    let mut config = base(&home);
    config.remove("secrets");
    let secret = taught["secrets"]["TOKEN"].as_table_mut().expect("a table");
    secret.insert("file".into(), "TOKEN".into());
    secret.insert("hosts".into(), toml::Value::Array(vec!["a.test".into()]));
    put(&mut config, taught);
    home.configure(&config.to_string());
    home.run(run).code(0);
    home.configure("");
    home.is_well();
}

#[test]
fn what_nobody_gets_has_no_lines() {
    let home = Home::new();
    let tool = home.component("adder", ADD);
    let docs = home.folder("docs").display().to_string();
    let state = format!("--dir={}::/home", home.path().display());
    let (read, write) = (format!("--dir={docs}::/a"), format!("--dir={docs}::/b:rw"));
    for (asks, says, hint) in [
        (&[state.as_str()][..], "the host layer allows no folder that holds its own state", "refused to everybody"),
        (&[&read, &write], "the host layer allows each guest path once, and no tree both", "open the tree once"),
        (&["--scratch=/a", &read], "a scratch folder as `/a` was asked for", "refused to everybody"),
    ] {
        let ran = home.run(["run", &tool, "add", "--input", r#"{"a":1,"b":2}"#, "--ring=2"].iter().chain(asks));
        ran.code(3).says(says).says(hint).says("[denied.host]");
        assert!(!ran.stderr.contains("\n    "), "{}", ran.stderr);
    }
    home.is_well();
}

#[test]
fn wrong_ceilings_of_sessions_are_named() {
    let home = Home::new();
    let path = home.file("within.toml", "").display().to_string();
    for (text, line, says) in [
        (&b"folders = ['docs']"[..], 1, "not an absolute path"),
        (b"\nhttp = ['GET ftp://a/']", 2, "`GET ftp://a/`"),
        (b"clock = 'real'\nscope = 'all'", 2, "unknown field `scope`"),
        (b"[operator]\nhttp = []", 1, "unknown field `operator`"),
        (b"clock = 'real'\n# \xff", 2, "utf-8"),
    ] {
        fs::write(&path, text).expect("written");
        let message = home.refuses(["session", "open", "s", "--within", &path], 1);
        assert!(message.contains(&format!("`{path}` bounds no session: at line {line}: ")), "{message}");
        assert!(message.contains(says), "{message}");
    }
    fs::write(&path, "# ".repeat(9_000)).expect("written");
    home.refuses(["session", "open", "s", "--within", &path], 2);
    assert_eq!(home.entries().len(), 1);
    // What it is bound by stands in the entry that opens it.
    fs::write(&path, "http = []\nlimits = { fuel = 5000000 }\n").expect("written");
    home.run(["session", "open", "s", "--within", &path]).code(0);
    let opened = home.entries().remove(1);
    assert_eq!(opened["body"]["ceiling"], serde_json::json!({ "http": [], "limits": { "fuel": 5_000_000 } }));
    home.is_well();
}

#[test]
fn what_a_tool_reaches_for_is_taught() {
    let home = Home::new();
    let docs = home.folder("docs").canonicalize().expect("a folder").display().to_string();
    home.file("docs/b.key", "closed");
    home.run(["tool", "add", TOOL_FILES, "--unsigned"]).code(0);
    let registered = fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
    for (given, function, input, says, teaches) in [
        (
            format!("{docs}::/docs,deny=*.key,deny=.env"),
            "read",
            r#"{"path":"/docs/b.key"}"#,
            "closed by a pattern of the grant",
            format!("{docs}::/docs:ro,deny=.env"),
        ),
        (
            format!("{docs}::/docs:ro"),
            "write",
            r#"{"path":"/docs/new","content":"b"}"#,
            "granted to read only",
            format!("{docs}::/docs:rw"),
        ),
        (
            format!("{docs}::/docs:rw,bytes=3"),
            "write",
            r#"{"path":"/docs/long","content":"four"}"#,
            "more bytes than the quota has left",
            format!("{docs}::/docs:rw"),
        ),
    ] {
        home.configure(&registered);
        extend(&home, &format!("ring = 2\n[tools.files.grant]\nfolders = ['{given}']\n"));
        let call = ["call", "files", function, "--input", input];
        let ran = home.run(call);
        ran.code(4).says(says).says("hint: review first");
        let taught = lines(&ran);
        assert_eq!(taught["tools"]["files"]["grant"]["folders"][0].as_str(), Some(teaches.as_str()));
        let mut config: toml::Table =
            toml::from_str(&fs::read_to_string(home.path().join("ringfence.toml")).expect("text")).expect("TOML");
        put(&mut config, taught);
        home.configure(&config.to_string());
        home.run(call).code(0);
    }
    home.is_well();
}

#[test]
fn request_that_is_not_granted_is_taught() {
    let network = Network::new();
    let web = Web::new(|_| ok("granted"));
    let (home, url) = (&network.home, format!("http://{GRANTED}:{}/a'b", web.port()));
    home.run(["tool", "add", TOOL_FETCH, "--unsigned"]).code(0);
    extend(home, "ring = 2\n[tools.fetch.grant]\nhttp = ['GET https://other.test/']\naddresses = ['127.0.0.1']\n");
    let input = serde_json::json!({ "url": url }).to_string();
    let call = ["call", "fetch", "get", "--input", &input];
    let ran = home.run(call);
    ran.code(4).says("nothing granted allows it; the nearest is `GET https://other.test/`");
    let mut config: toml::Table =
        toml::from_str(&fs::read_to_string(home.path().join("ringfence.toml")).expect("text")).expect("TOML");
    put(&mut config, lines(&ran));
    home.configure(&config.to_string());
    home.run(call).code(0);
    // What a policy took away is not the operator's to grant: it is granted already.
    extend(
        home,
        "[policies.ring-default]\n[policies.rego]\nsettings.modules.a = '''\npackage ringfence\n\
         verdict := {\"verdict\": \"permit\", \"narrow\": {\"http\": []}} if input.subject.call\n'''\n",
    );
    let ran = home.run(call);
    ran.code(4).says("nothing granted allows it").says("hint: this was granted, and a policy in force took it away");
    assert!(!ran.stderr.contains("review first"), "{}", ran.stderr);
    home.configure(&config.to_string());
    // What is reached for in vain comes as one list.
    home.run(["tool", "add", HOSTILE_FETCH_DENIED_URLS, "--name", "prober", "--unsigned"]).code(0);
    let taught = lines(&home.run(["call", "prober", "--", "http://a.test/x", "http://b.test/y"]));
    let http = r#"["GET http://a.test/x", "GET http://b.test/y"]"#;
    assert_eq!(taught["tools"]["prober"]["grant"]["http"].to_string(), http);
    assert_eq!(taught["tools"]["prober"]["ring"].as_integer(), Some(2));
    // A tool chooses what it reaches for, so what is shown to be copied into a shell is quoted for one.
    let run = ["run", TOOL_FETCH, "get", "--input", &input];
    home.run(run).code(4).says(&format!(r"--http 'GET http://{GRANTED}:{}/a'\''b'", web.port()));
    home.is_well();
}

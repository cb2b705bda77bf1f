//! Every way in, and the one pipeline behind all of them: whatever can start a call leaves an entry with what the policies
//! decided, or nothing has run. The ways are read from the command line's help and from the server's two tables, so one that
//! is new and neither said to make calls nor to start nothing fails here.

use std::collections::BTreeSet;
use std::fs;

use ringfence_artifacts as guests;
use ringfence_model::digest::Digest;
use ringfence_server::http::routes::ROUTES;
use ringfence_server::mcp::METHODS;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::agent::Raw;
use crate::harness::server::Server;
use crate::harness::server::token;
use crate::repeat::Mood;
use crate::repeat::Shop;

const PERMIT: &str = r#"{ call = "permit", transcript = "permit", elevate = "permit" }"#;
const FORBID: &str = r#"{ call = "forbid", transcript = "permit", elevate = "permit" }"#;
const HOLD: &str = r#"{ call = [{ is = "approve", by = ["operator:*"], valid-ms = 600000, reason = "it writes" }] }"#;

/// Commands that make calls, or serve whoever does.
const COMMANDS_THAT_CALL: [&str; 4] = ["call", "mcp", "run", "serve"];
/// Routes behind which calls are made, by their names.
const ROUTES_THAT_CALL: [&str; 2] = ["call", "mcp"];
/// Methods of MCP that make calls.
const METHODS_THAT_CALL: [&str; 1] = ["tools/call"];

/// Commands that start no call, with words that make them do what they do: `{x}` stands for what [`World::word`] says.
const COMMANDS_THAT_START_NOTHING: &[(&str, &[&str])] = &[
    ("approvals", &["--all"]),
    ("approve", &["{approval}"]),
    ("backup", &["{folder}/backup"]),
    ("bench", &["--held", "1"]),
    ("build", &["{folder}"]),
    ("bundle", &["--call", "{call}", "--out", "{folder}/bundle"]),
    ("diff", &["{call}", "{call}"]),
    ("doctor", &[]),
    ("halt", &["--reason", "x"]),
    ("init", &[]),
    ("inspect", &["{tool}"]),
    ("key new", &["--output", "{folder}/key", "a.example/key"]),
    ("key rotate", &[]),
    ("ledger list", &[]),
    ("ledger settle", &["--reason", "x", "--not-executed", "{call}"]),
    ("log checkpoint", &[]),
    ("log cosign", &["--add", "{folder}/none"]),
    ("log export", &[]),
    ("log prove", &["0"]),
    ("log prune", &[]),
    ("log publish", &["--to", "{folder}/published"]),
    ("log redact", &["--by", "x", "--reason", "x", "{call}"]),
    ("log show", &[]),
    ("log verify", &[]),
    ("new policy", &["--dir", "{folder}/p", "p"]),
    ("new tool", &["--dir", "{folder}/t", "t"]),
    ("policy diff", &["{home}"]),
    ("policy eval", &["--request", "{folder}/none", "ring-default"]),
    ("policy explain", &["files", "write", "--input", "{input}"]),
    ("policy list", &[]),
    ("policy replay", &[]),
    ("policy test", &["{folder}"]),
    ("push", &["{tool}", "oci://127.0.0.1:1/a:b"]),
    ("receipt complete", &["{folder}/none"]),
    ("receipt verify", &["{folder}/none"]),
    ("reject", &["{approval}"]),
    ("restore", &["{folder}/backup"]),
    ("resume", &["--reason", "x"]),
    ("session elevate", &["--ring", "1", "{session}"]),
    ("session close", &["{session}"]),
    ("session list", &[]),
    ("session open", &["another"]),
    ("session show", &["{session}"]),
    ("sign", &["--key", "{folder}/key", "{tool}"]),
    ("token list", &[]),
    ("token new", &["--as", "agent:b", "--scope", "call", "another"]),
    ("token revoke", &["another"]),
    ("tool add", &["{tool}", "--name", "another"]),
    ("tool list", &[]),
    ("tool remove", &["another"]),
    ("tool verify", &[]),
    ("transcript check", &["{folder}/messages"]),
];
/// Routes that start no call, by their names.
const ROUTES_THAT_START_NOTHING: [&str; 23] = [
    "approve",
    "checkpoint",
    "close_session",
    "describe",
    "events",
    "explain",
    "health",
    "list_approvals",
    "list_entries",
    "list_sessions",
    "list_tools",
    "mcp_listen",
    "metrics",
    "open_session",
    "prove_consistency",
    "prove_entry",
    "ready",
    "reject",
    "show_approval",
    "show_call",
    "show_entry",
    "show_session",
    "tile",
];
/// Methods of MCP that start no call.
const METHODS_THAT_START_NOTHING: [&str; 5] =
    ["initialize", "ping", "server/discover", "subscriptions/listen", "tools/list"];

/// A home with a tool that writes, a policy that says what it is told to, and ways to reach both.
struct World {
    home: Home,
    config: String,
    token: String,
    session: String,
    wide: String,
}

/// A way in: makes the call that writes a file of this name, and says which way it was.
type Way = fn(&World, Option<&Server>, &str);

/// Each way in, by the command, route or method that it is.
const WAYS: &[(&str, bool, Way)] = &[
    ("run", false, |world, _, file| world.run(&world.on_a_file(file))),
    ("call", false, |world, _, file| world.run(&World::registered(file, &["--as", "agent:a"]))),
    ("call, in a session", false, |world, _, file| {
        world.run(&World::registered(file, &["--session", &world.session]));
    }),
    ("call, as a step of a task", false, |world, _, file| {
        world.run(&World::registered(file, &["--as", "agent:a", "--task", file, "--step", "1"]));
    }),
    ("POST /v1/calls", true, |world, server, file| {
        served(server).ask("POST", "/v1/calls", Some(&world.token), &world.body(file, false));
    }),
    ("POST /v1/calls, in a session", true, |world, server, file| {
        served(server).ask("POST", "/v1/calls", Some(&world.token), &world.body(file, true));
    }),
    ("POST /v1/calls, watched", true, |world, server, file| {
        let (server, body) = (served(server), world.body(file, false));
        let request = format!(
            "POST /v1/calls HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\naccept: text/event-stream\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            server.address,
            world.token,
            body.len()
        );
        let mut stream = server.connect();
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("written");
        std::io::Read::read_to_end(&mut stream, &mut Vec::new()).expect("an end");
    }),
    ("POST /mcp", true, |world, server, file| {
        served(server).ask("POST", "/mcp", Some(&world.token), &message("tools/call", &World::params(file)));
    }),
    ("POST /mcp, in a session", true, |world, server, file| {
        let server = served(server);
        let headers = format!(
            "host: {}\r\nauthorization: Bearer {}\r\nringfence-session: {}\r\n",
            server.address, world.token, world.session
        );
        server.ask_with("POST", "/mcp", &headers, &message("tools/call", &World::params(file)));
    }),
    ("mcp", false, |world, _, file| world.talk(&["--as", "agent:a"], file)),
    ("mcp, in a session", false, |world, _, file| world.talk(&["--session", &world.session], file)),
];

fn served(server: Option<&Server>) -> &Server {
    server.expect("a server")
}

fn message(method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string()
}

impl World {
    fn new() -> Self {
        let home = Home::new();
        home.run(["tool", "add", guests::TOOL_FILES]).code(0);
        let config = fs::read_to_string(home.path().join("ringfence.toml")).expect("the configuration");
        let config = config.replace("[tools.files]\n", "[tools.files]\nring = 2\n");
        let config = format!("{config}\n[tools.files.grant]\nfolders = ['{}']\n", home.dir("out", "/out", "rw"));
        let open = |name: &str, ring: &str| {
            let opened = home.run(["--format", "json", "session", "open", name, "--as", "agent:a", "--ring", ring]);
            opened.code(0).json()["session"].as_str().expect("an id").to_owned()
        };
        let (session, wide) = (open("s", "2"), open("w", "2"));
        let token = token(&home, "all", "agent:a", "call,session,approve,operate,audit");
        home.file("all/messages", "[]");
        Self { home, config, token, session, wide }
    }

    /// Puts a policy in force, and gives the digest of the set.
    fn judged_by(&self, settings: &str) -> Value {
        let component = guests::HOSTILE_POLICY_SCRIPTED;
        let digest = Digest::of(&fs::read(component).expect("a component"));
        let policy = format!("[policies.scripted]\ncomponent = \"{component}\"\ndigest = \"{digest}\"\n");
        self.home.configure(&format!("{}\n{policy}settings = {settings}\n", self.config));
        self.home.run(["--format", "json", "policy", "list"]).code(0).json()["policy_set"].clone()
    }

    fn input(file: &str) -> Value {
        json!({ "path": format!("/out/{file}"), "content": "x" })
    }

    fn on_a_file(&self, file: &str) -> Vec<String> {
        let (dir, input) = (self.home.dir("out", "/out", "rw"), Self::input(file).to_string());
        let args = ["run", guests::TOOL_FILES, "write", "--as", "agent:a", "--ring", "2", "--dir", &dir];
        args.into_iter().chain(["--input", &input]).map(str::to_owned).collect()
    }

    fn registered(file: &str, more: &[&str]) -> Vec<String> {
        let input = Self::input(file).to_string();
        ["call", "files", "write", "--input", &input].iter().chain(more).map(|&word| word.to_owned()).collect()
    }

    fn run(&self, args: &[String]) {
        self.home.run(args);
    }

    fn body(&self, file: &str, is_in_session: bool) -> String {
        let mut body = json!({ "tool": "files", "function": "write", "input": Self::input(file) });
        if is_in_session {
            body["session"] = json!(self.session);
        }
        body.to_string()
    }

    fn params(file: &str) -> Value {
        json!({ "name": "files_write", "arguments": Self::input(file) })
    }

    fn talk(&self, args: &[&str], file: &str) {
        let mut raw = Raw::initialized(&self.home, args);
        assert_eq!(raw.ask("tools/call", &Self::params(file))["id"], "tools/call");
        assert_eq!(raw.leave(), 0);
    }

    /// What has been written.
    fn written(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.home.folder("out")).expect("a folder");
        entries.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect()
    }

    /// Enters one way after the other, each with a file of its own, and gives what each has left on record.
    fn enter(&self, what: &str) -> Vec<(&'static str, String, Vec<Value>)> {
        let server = Server::new(&self.home);
        let mut left = Vec::new();
        for (index, (name, is_served, way)) in WAYS.iter().enumerate() {
            let (file, before) = (format!("{what}-{index}"), self.home.entries().len());
            way(self, Some(&server).filter(|_| *is_served), &file);
            left.push((*name, file, self.home.entries().split_off(before)));
        }
        assert_eq!(server.stop(), 0);
        left
    }

    fn last(&self, kind: &str) -> Value {
        let entries = self.home.entries();
        entries.into_iter().rfind(|entry| entry["kind"] == kind).unwrap_or_else(|| panic!("no `{kind}`"))
    }

    /// What stands for a word of a command.
    fn word(&self, word: &str) -> String {
        let of = |kind: &str, field: &str| self.last(kind)["body"][field].as_str().expect("a text").to_owned();
        let word = match word {
            "{approval}" => of("held", "approval"),
            "{call}" => of("finished", "call"),
            "{home}" => self.home.path().display().to_string(),
            "{input}" => Self::input("explained").to_string(),
            "{session}" => self.wide.clone(),
            // A copy: what is signed gets a signature beside it.
            "{tool}" => {
                let bytes = std::fs::read(guests::TOOL_FILES).expect("a component");
                self.home.file("files.wasm", bytes).display().to_string()
            }
            other => other.replace("{folder}", &self.home.folder("all").display().to_string()),
        };
        assert!(!word.contains('{') || word.starts_with("{\""), "{word}");
        word
    }
}

/// Asserts that an entry has what the policies of a set decided, each of them.
#[track_caller]
fn is_decided(entry: &Value, set: &Value, allowed: bool, verdict: &str) {
    let decision = &entry["body"]["decision"];
    assert_eq!((&decision["policy_set"], &decision["allowed"]), (set, &json!(allowed)), "{entry}");
    assert_eq!(decision["rulings"][0]["verdict"], verdict, "{entry}");
    assert!(decision["request"].is_string() || decision["request"].is_object(), "{entry}");
}

fn kinds(left: &[Value]) -> Vec<&str> {
    left.iter().filter_map(|entry| entry["kind"].as_str()).collect()
}

#[test]
fn every_way_in_is_decided() {
    // POL-11: permitted, forbidden, and held until somebody approves; the same for all.
    let world = World::new();
    let set = world.judged_by(PERMIT);
    for (name, file, left) in world.enter("permitted") {
        assert_eq!(kinds(&left), ["begun", "finished"], "{name}");
        is_decided(&left[0], &set, true, "permit");
        assert!(left[0]["body"]["principal"] == "agent:a" && world.written().contains(&file), "{name}: {left:?}");
    }
    let set = world.judged_by(FORBID);
    for (name, file, left) in world.enter("forbidden") {
        assert_eq!(kinds(&left), ["refused"], "{name}");
        is_decided(&left[0], &set, false, "forbid");
        assert!(left[0]["body"]["code"] == "denied.policy" && !world.written().contains(&file), "{name}: {left:?}");
    }
    let set = world.judged_by(HOLD);
    for (name, file, left) in world.enter("held") {
        assert_eq!(kinds(&left), ["held"], "{name}");
        is_decided(&left[0], &set, true, "permit");
        assert!(!world.written().contains(&file), "{name}");
        world.home.run(["approve", left[0]["body"]["approval"].as_str().expect("an id")]).code(0);
    }
    // Approved, it is decided once more, and only then runs.
    for (name, file, left) in world.enter("held") {
        assert_eq!(kinds(&left), ["begun", "finished"], "{name}");
        is_decided(&left[0], &set, true, "permit");
        assert!(left[0]["body"]["approval"].is_string() && world.written().contains(&file), "{name}: {left:?}");
    }
    world.home.configure("");
    world.home.is_well();
}

#[test]
fn repeat_is_decided_before_it_is_answered() {
    // POL-11: with the key of a call that has ended nothing runs; whoever lost the right is refused, on record.
    let world = World::new();
    world.judged_by(PERMIT);
    let steps = ["--as", "agent:a", "--task", "t", "--step", "1"];
    let keyed = ["--as", "agent:a", "--idempotency-key", "k"];
    let repeats = [World::registered("step", &steps), World::registered("keyed", &keyed)];
    for args in &repeats {
        world.run(args);
    }
    let before = world.home.entries().len();
    for file in ["step", "keyed"] {
        fs::remove_file(world.home.folder("out").join(file)).expect("a file that was written");
    }
    for args in &repeats {
        world.home.run(args).code(0);
    }
    assert_eq!((world.home.entries().len(), world.written().len()), (before, 0));
    let set = world.judged_by(FORBID);
    for args in &repeats {
        world.home.run(args).code(3);
        is_decided(&world.last("refused"), &set, false, "forbid");
    }
    assert_eq!((world.home.entries().len(), world.written().len()), (before + 2, 0));
    world.home.configure("");
    world.home.is_well();
}

#[test]
fn function_that_reconciles_is_decided() {
    // POL-11: what the host calls by itself, to learn what became of a call, is a call as any other.
    let shop = Shop::new();
    let args = shop.order("place", "a", "tea", &["--idempotency-key", "k"]);
    let from = shop.home.entries().len();
    shop.cut_off(Mood::Silent, &args);
    shop.home.run(&args).code(0);
    let set = shop.home.run(["--format", "json", "policy", "list"]).code(0).json()["policy_set"].clone();
    let entries = shop.home.entries().split_off(from);
    let begun: Vec<_> = entries.iter().filter(|entry| entry["kind"] == "begun").collect();
    let functions: Vec<_> = begun.iter().filter_map(|entry| entry["body"]["function"].as_str()).collect();
    // What was found is what the call comes to, which is begun once more.
    assert_eq!(functions, ["place", "find", "place"]);
    for entry in begun {
        is_decided(entry, &set, true, "permit");
    }
    shop.home.is_well();
}

/// The commands that have no commands below them, by what the help lists.
fn commands() -> BTreeSet<String> {
    let home = Home::none();
    let listed = |path: &[&str]| -> Vec<String> {
        let help = home.run(path.iter().chain(&["--help"]));
        let lines = help.code(0).text();
        let lines = lines.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // What is further in goes on with the line before.
        let names = lines.filter_map(|line| line.strip_prefix("  ").filter(|name| !name.starts_with(' ')));
        names.filter_map(|line| line.split(' ').next()).filter(|name| *name != "help").map(str::to_owned).collect()
    };
    let below = |name: String| {
        let below = listed(&[&name]);
        if below.is_empty() { vec![name] } else { below.iter().map(|below| format!("{name} {below}")).collect() }
    };
    listed(&[]).into_iter().flat_map(below).collect()
}

#[test]
fn every_way_in_is_known() {
    // POL-11: a command, route or method that nobody has thought about fails here.
    let known = |calls: &[&str], nothing: &[&str]| {
        let known: BTreeSet<String> = calls.iter().chain(nothing).map(|&name| name.to_owned()).collect();
        assert_eq!(known.len(), calls.len() + nothing.len(), "something is named twice");
        known
    };
    let nothing: Vec<_> = COMMANDS_THAT_START_NOTHING.iter().map(|(name, _)| *name).collect();
    assert_eq!(commands(), known(&COMMANDS_THAT_CALL, &nothing));
    let routes: BTreeSet<_> = ROUTES.iter().map(|route| route.name.to_owned()).collect();
    assert_eq!(routes, known(&ROUTES_THAT_CALL, &ROUTES_THAT_START_NOTHING));
    let methods: BTreeSet<_> = METHODS.iter().map(|&method| method.to_owned()).collect();
    assert_eq!(methods, known(&METHODS_THAT_CALL, &METHODS_THAT_START_NOTHING));
    // Each that makes calls is gone through; `serve` by its routes, a method by what carries it.
    let route = |name: &str| ROUTES.iter().find(|route| route.name == name).map(|route| format!("{route:?}"));
    let commands = COMMANDS_THAT_CALL.iter().filter(|name| **name != "serve").map(|&name| name.to_owned());
    for wanted in commands.chain(ROUTES_THAT_CALL.iter().filter_map(|name| route(name))) {
        let leads = |name: &str| name == wanted || name.starts_with(&format!("{wanted}, "));
        assert!(WAYS.iter().any(|(name, _, _)| leads(name)), "{wanted}");
    }
}

#[test]
fn everything_else_starts_nothing() {
    // POL-11, POL-21
    let world = World::new();
    world.judged_by(HOLD);
    world.run(&World::registered("never", &["--as", "agent:a"]));
    world.judged_by(PERMIT);
    world.run(&World::registered("once", &["--as", "agent:a"]));
    let begun = || world.home.entries().iter().filter(|entry| entry["kind"] == "begun").count();
    let is_as_it_was = |what: &str| {
        assert_eq!((begun(), world.written()), (1, BTreeSet::from(["once".to_owned()])), "{what}");
    };
    is_as_it_was("the one that was made");
    let server = Server::new(&world.home);
    let approval = world.word("{approval}");
    for route in ROUTES.iter().filter(|route| ROUTES_THAT_START_NOTHING.contains(&route.name)) {
        let id = if route.path.contains("approvals") { approval.clone() } else { world.word("{call}") };
        let path = route.path.replace("{id}", &id).replace("{path}", "0/000");
        let body = if route.method == "POST" { world.body("asked", false) } else { String::new() };
        let entries = world.home.entries().len();
        let bodies = [body.as_str(), ""];
        let statuses = bodies.map(|body| server.ask(route.method.as_str(), &path, Some(&world.token), body).status);
        is_as_it_was(route.name);
        let (is_explained, now) = (statuses[0] == 200, world.home.entries().len());
        assert!(route.name != "explain" || (is_explained && now == entries), "{statuses:?}");
    }
    for method in METHODS_THAT_START_NOTHING {
        server.ask("POST", "/mcp", Some(&world.token), &message(method, &World::params("listed")));
        is_as_it_was(method);
    }
    assert_eq!(server.stop(), 0);
    let mut raw = Raw::initialized(&world.home, &["--as", "agent:a"]);
    for method in METHODS_THAT_START_NOTHING {
        raw.ask(method, &World::params("listed"));
    }
    assert_eq!(raw.leave(), 0);
    is_as_it_was("mcp");
    for (name, words) in COMMANDS_THAT_START_NOTHING {
        let entries = world.home.entries().len();
        let words: Vec<_> =
            name.split(' ').map(str::to_owned).chain(words.iter().map(|word| world.word(word))).collect();
        let ran = world.home.run(&words);
        assert!(!ran.stderr.contains("Usage:"), "{words:?}: {}", ran.stderr);
        is_as_it_was(name);
        if ["policy diff", "policy explain", "policy replay"].contains(name) {
            // 3: another set would say something else.
            assert!(matches!(ran.code, 0 | 3), "{name}: {}", ran.stderr);
            assert_eq!(world.home.entries().len(), entries, "{name}");
        }
    }
    world.home.configure("");
    world.home.is_well();
}

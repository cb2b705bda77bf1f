//! The documents, held to the program: what they print is run, what they list is compared, where they point is there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use ringfence_model::digest::Digest;
use ringfence_model::limits;
use ringfence_model::ring::Ring;
use tempfile::TempDir;

use crate::harness;
use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::postgres::Database;
use crate::harness::tls::Authority;

/// Where a home is in the documents.
const SHOWN_HOME: &str = "~/.local/share/ringfence";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every document, by its path from the repository.
fn documents() -> Vec<String> {
    let mut found = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned(), "CHANGELOG.md".to_owned()];
    for folder in ["docs", "docs/guide", "docs/guide/policies", "docs/design"] {
        for entry in fs::read_dir(repository().join(folder)).into_iter().flatten() {
            let name = entry.expect("a file").file_name().into_string().expect("a name");
            if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
                found.push(format!("{folder}/{name}"));
            }
        }
    }
    found
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let behind = text.split(&opening).skip(1);
    behind.filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
}

/// The cells of the rows of every table, without headings.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Option<Vec<String>> {
        let inner = line.strip_prefix('|')?.trim_end().strip_suffix('|')?;
        Some(inner.split('|').map(|cell| cell.trim().to_owned()).collect())
    };
    let lines: Vec<_> = text.lines().collect();
    let is_heading = |index: usize| lines.get(index + 1).is_some_and(|next| next.starts_with("|---"));
    let row = |(index, line): (usize, &&str)| cells(line).filter(|_| !line.starts_with("|---") && !is_heading(index));
    lines.iter().enumerate().filter_map(row).collect()
}

/// What stands in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

// --- What the documents print ---

/// A shell as the documents' reader has it: the program on the path, the repository's folders, a fresh home.
struct Shell {
    folder: TempDir,
}

impl Shell {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let link = |target: &Path, name: &str| {
            let link = folder.path().join(name);
            fs::create_dir_all(link.parent().expect("a parent")).expect("a folder");
            std::os::unix::fs::symlink(target, link).expect("a link");
        };
        for name in ["docs", "policies"] {
            link(&repository().join(name), name);
        }
        let tools = Path::new(ringfence_artifacts::TOOL_FILES).parent().expect("the tools' folder");
        link(tools, "target/guests/tools");
        Self { folder }
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Runs one line; standard error goes where standard output does.
    fn run(&self, line: &str) -> Ran {
        if line.contains("ringfence-verify") {
            harness::verifier();
        }
        let program = Path::new(env!("CARGO_BIN_EXE_ringfence")).parent().expect("a folder");
        let mut command = Command::new("bash");
        command.env_clear().env("RINGFENCE_HOME", self.home()).current_dir(self.folder.path());
        command.env("PATH", format!("{}:/usr/bin:/bin", program.display()));
        command.arg("-c").arg(format!("exec 2>&1; {line}"));
        harness::finish(command, b"")
    }

    /// Runs a block, line by line, and compares what it prints with what the document prints.
    fn check(&self, document: &str, block: &str) {
        let mut last = 0;
        let mut commands = block.split("\n$ ").map(|part| part.strip_prefix("$ ").unwrap_or(part)).peekable();
        while let Some(part) = commands.next() {
            let (line, wanted) = part.split_once('\n').unwrap_or((part, ""));
            if line == "echo $?" {
                assert_eq!(wanted.trim(), last.to_string(), "{document}: exit code");
                continue;
            }
            let ran = self.run(line);
            last = ran.code;
            let is_shown = commands.peek().is_some_and(|next| next.starts_with("echo $?"));
            assert!(last == 0 || is_shown, "{document}: `{line}` ends with {last}, unsaid: {}", ran.text());
            let found = ran.text().replace(&self.home().display().to_string(), SHOWN_HOME);
            let found = found.replace(&self.folder.path().display().to_string(), "~");
            assert_eq!(normal(&found), normal(wanted), "{document}: {line}\n{found}");
        }
    }
}

/// Text without what differs from run to run: digests, ids, keys, times, sizes.
fn normal(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let next = |index: usize| words.get(index + 1).copied().unwrap_or_default();
        let normal = words.iter().enumerate().map(|(index, word)| normal_word(word, next(index)));
        normal.collect::<Vec<_>>().join(" ")
    };
    text.trim_end().lines().map(line).collect()
}

fn normal_word(word: &str, next: &str) -> String {
    let counted = ["ms", "bytes", "fuel)"].iter().any(|unit| next.starts_with(unit));
    let digits = word.trim_start_matches('(');
    if counted && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return "N".to_owned();
    }
    if word.len() == 24 && word.starts_with("20") && word.ends_with('Z') {
        return "TIME".to_owned();
    }
    if let Some((kind, _)) = word.split_once("uid-") {
        return format!("{kind}uid-N");
    }
    for prefix in ["sha256:", "call_"] {
        if let Some((before, digits)) = word.split_once(prefix) {
            let rest = digits.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == '…');
            return format!("{before}{prefix}…{rest}");
        }
    }
    if word.starts_with("4f25b16a4ed1") || (word.ends_with(')') && is_short_digest(word.trim_end_matches(')'))) {
        return "…)".to_owned();
    }
    let parts: Vec<_> = word.splitn(3, '+').collect();
    if let [name, _, key] = parts.as_slice() {
        let quote = if key.ends_with('`') { "`" } else { "" };
        let name = if name.contains("ringfence.local/") { "ringfence.local/…" } else { name };
        return format!("{name}+…{quote}");
    }
    word.to_owned()
}

fn is_short_digest(text: &str) -> bool {
    let digits = text.trim_end_matches('…');
    (8..=12).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn printed_commands_do_what_is_printed() {
    let mut count = 0;
    for document in documents() {
        let shell = Shell::new();
        for block in blocks(&read(&document), "console") {
            shell.check(&document, &block);
            count += 1;
        }
    }
    assert!(count >= 8, "{count} blocks were run");
}

#[test]
fn verifier_in_the_text_agrees_with_the_golden_log() {
    // AUD-22
    let format = read("docs/FORMAT.md");
    let script = blocks(&format, "python").remove(0);
    assert!(script.lines().count() <= 30, "it was to be short");
    let home = Home::new();
    let script = home.file("verify.py", script);
    let golden = repository().join("host/audit/tests/golden");
    let log = fs::read_to_string(golden.join("log.jsonl")).expect("the golden log");
    let verify = |name: &str, log: &str| {
        let log = home.file(name, log);
        let mut python = Command::new("python3");
        python.arg(&script).arg(log).arg(golden.join("checkpoint.txt"));
        harness::finish(python, b"")
    };
    assert_eq!(verify("whole", &log).code(0).text(), "OK 8\n");
    for (index, line) in log.lines().enumerate() {
        let edited = log.replace(line, &line.replace("ring", "rind"));
        let ran = verify("edited", &edited);
        // The last entry has no successor; only the checkpoint tells.
        let wanted = if index == 7 { "not the entries".to_owned() } else { format!("entry {index} ") };
        assert!(edited == log || ran.code(1).stderr.contains(&wanted), "{index}: {}", ran.stderr);
        let edited = log.replace(line, &line.replace("T23:5", "T22:5"));
        assert!(verify("edited", &edited).code(1).stderr.contains(&wanted), "{index}");
    }
    let cut: Vec<_> = log.lines().take(5).collect();
    verify("cut", &(cut.join("\n") + "\n")).code(1).says("5 entries, but 8 were signed");
}

#[test]
fn policy_request_in_the_text_is_one() {
    let format = read("docs/FORMAT.md");
    let request = blocks(&format, "json").remove(0);
    let home = Home::new();
    let file = home.file("request.json", request).display().to_string();
    let ran = home.run(["policy", "eval", "ring-default", "--request", &file]);
    assert!(ran.code(3).text().contains("ring-not-privileged-enough"), "{}", ran.text());
}

// --- What the documents list ---

#[test]
fn exit_codes_are_those_of_the_program() {
    let source = read("host/cli/src/exit.rs");
    let mut wanted = Vec::new();
    let mut meaning = "";
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            meaning = text;
        } else if let Some(name) = line.strip_suffix(',').filter(|name| name.bytes().all(|b| b.is_ascii_alphabetic())) {
            let arm = format!("Self::{name} => ");
            let code = source.lines().find_map(|line| line.trim().strip_prefix(&arm)).expect("a code");
            wanted.push(vec![code.trim_end_matches(',').to_owned(), meaning.trim_end_matches('.').to_owned()]);
        }
    }
    assert_eq!(wanted.len(), 7);
    let readme = read("README.md");
    let shown: Vec<_> = rows(&readme).into_iter().filter(|row| row[0].parse::<u8>().is_ok()).collect();
    assert_eq!(shown, wanted);
}

#[test]
fn drawn_module_graph_is_the_tested_one() {
    let mut wanted = BTreeSet::new();
    let source = read("tests/arch.rs");
    let table = source.split("const RUNTIME").nth(1).and_then(|rest| rest.split("];").next()).expect("the table");
    for line in table.lines().filter(|line| line.trim().starts_with("(\"")) {
        let mut names = line.split('"').skip(1).step_by(2).map(str::to_owned);
        let module = names.next().expect("a module");
        wanted.insert((module, names.collect::<Vec<_>>()));
    }
    assert!(wanted.len() >= 10, "{wanted:?}");
    let architecture = read("docs/ARCHITECTURE.md");
    let table = architecture.split("| module | may use |").nth(1).and_then(|rest| rest.split("\n\n").next());
    let shown = rows(table.expect("the table"));
    let row = |row: Vec<String>| (quoted(&row[0]).remove(0), quoted(&row[1]));
    assert_eq!(shown.into_iter().map(row).collect::<BTreeSet<_>>(), wanted);
}

#[test]
fn code_map_names_every_module() {
    let architecture = read("docs/ARCHITECTURE.md");
    let map = architecture.split("## Code map").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the map");
    for name in ["model", "audit", "runtime", "server", "cli"] {
        let section = map.split(&format!("**host/{name}**")).nth(1).expect("the crate");
        let named = quoted(section.split("\n**").next().unwrap_or_default());
        for entry in fs::read_dir(repository().join(format!("host/{name}/src"))).expect("sources") {
            let path = entry.expect("a file").path();
            let module = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let is_root = matches!(module.as_str(), "lib" | "main");
            assert!(is_root || named.contains(&module), "`{module}` of {name} is not in the code map");
        }
    }
}

#[test]
fn defences_name_tests_that_carry_their_ids() {
    let trust = read("docs/TRUST.md");
    let mut count = 0;
    for row in rows(&trust) {
        let ids: Vec<_> = row[0].split(", ").filter(|id| is_attack(id)).collect();
        let [_, _, tests] = row.as_slice() else { continue };
        if ids.is_empty() {
            continue;
        }
        let sources: String = quoted(tests).iter().map(|path| read(path)).collect();
        for id in &ids {
            assert!(has_id(&sources, id), "{id} is in none of {tests}");
            count += 1;
        }
    }
    assert!(count >= 50, "{count}");
}

#[test]
fn every_attack_has_a_place_in_the_text() {
    // The groups of the catalogue that are about tools and what they are made of, about the record, and about who calls and how
    // much at a time: it counts on from 1 in each.
    let trust = read("docs/TRUST.md");
    let tools = [("ART", 11), ("CM", 11), ("FS", 27), ("HOST", 11), ("MAL", 10), ("NET", 28), ("OUT", 8), ("RES", 17)];
    let record = [("AUD", 24), ("CLK", 6), ("CR", 34), ("IDM", 14)];
    let groups = tools.into_iter().chain(record).chain([("AGT", 11), ("API", 15), ("CON", 10)]);
    let ids = groups.flat_map(|(group, count)| (1..=count).map(move |n| format!("{group}-{n:02}")));
    let missing: Vec<_> = ids.filter(|id| !has_id(&trust, id)).collect();
    assert!(missing.is_empty(), "neither held nor given up: {missing:?}");
}

fn is_attack(id: &str) -> bool {
    let parts = id.split_once('-');
    parts.is_some_and(|(area, number)| area.bytes().all(|b| b.is_ascii_uppercase()) && number.parse::<u8>().is_ok())
}

fn has_id(text: &str, id: &str) -> bool {
    text.split(id).skip(1).any(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[test]
fn links_lead_somewhere() {
    let mut count = 0;
    for document in documents() {
        let text = read(&document);
        let folder = repository().join(&document).parent().expect("a folder").to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            if link.starts_with("http") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { repository().join(&document) } else { folder.join(path) };
            assert!(target.exists(), "{document}: {link}");
            if !heading.is_empty() {
                let text = fs::read_to_string(&target).expect("a document");
                let headings = text.lines().filter_map(|line| Some(line.strip_prefix('#')?.trim_start_matches('#')));
                assert!(headings.map(anchor).any(|found| found == heading), "{document}: {link}");
            }
            count += 1;
        }
    }
    assert!(count >= 20, "{count} links were followed");
}

fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-');
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

// --- The reference of the configuration ---

/// The reference with every key that is commented out: `#` without a space before it.
fn uncommented(text: &str) -> String {
    let is_key = |line: &str| line.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if is_key(key) => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn reference_is_a_configuration() {
    let reference = read("docs/reference.toml");
    let home = Home::new();
    home.configure(&reference);
    home.run(["doctor"]).code(0);
    assert!(home.run(["policy", "list"]).code(0).text().contains("in force  ring-default"));
    home.is_well();
}

#[test]
fn reference_with_every_key_is_a_configuration() {
    let every_key = uncommented(&read("docs/reference.toml"));
    assert!(every_key.contains("\n[policies.mine]\n") && every_key.contains("\nfolders = "));
    let database = Database::new();
    let home = Home::made_with(&["--store", &database.url()]);
    let every_key = with_real_store(&home, &database, &with_real_tool(&home, &every_key));
    put_files_of_a_server(&home);
    let policy = fs::read(ringfence_artifacts::HOSTILE_POLICY_ABSTAIN_ALWAYS).expect("a policy");
    let placeholder = format!("sha256:{}", "0".repeat(64));
    fs::create_dir(home.path().join("policies")).expect("a folder");
    fs::write(home.path().join("policies/mine.wasm"), &policy).expect("a file");
    let cases = "[[cases]]\nname = 'not its concern'\nexpect = 'abstain'\n";
    fs::write(home.path().join("policies/cases.toml"), cases).expect("a file");
    home.configure(&every_key);
    home.run(["doctor"]).code(1);
    assert!(home.run(["doctor"]).text().contains("is pinned"));
    home.configure(&every_key.replace(&placeholder, &Digest::of(&policy).to_string()));
    home.run(["doctor"]).code(0);
    home.run(["tool", "verify", "files"]).code(0);
    assert_eq!(home.run(["policy", "list"]).code(0).text().matches("in force  ").count(), 3);
}

/// The reference with a database that is really there, and the files that it takes.
fn with_real_store(home: &Home, database: &Database, reference: &str) -> String {
    let (shown, password) = ("postgres://ringfence@db.example.com:5432/ringfence", "keys/store.password");
    assert!(reference.contains(shown) && reference.contains(password));
    fs::write(home.path().join("store-roots.pem"), Authority::new().pem()).expect("a file");
    let password = home.path().join(password);
    fs::write(&password, database.password().unwrap_or("none asked for")).expect("a file");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("a mode");
    reference.replace(shown, &database.url())
}

/// What the reference names of the server's own, and of a collector's.
fn put_files_of_a_server(home: &Home) {
    let authority = Authority::new();
    let (certificate, key) = authority.pem_of("tools.example.com");
    fs::create_dir(home.path().join("tls")).expect("a folder");
    for (name, content) in [
        ("tls/server.pem", certificate),
        ("tls/server.key", key),
        ("tls/clients.pem", authority.pem()),
        ("tls/clients.crl.pem", authority.revokes(&[], 2100)),
        ("keys/collector", "authorization: Bearer x\n".to_owned()),
        ("collector.pem", authority.pem()),
    ] {
        let path = home.path().join(name);
        fs::write(&path, content).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    }
}

/// The reference with the pins of a tool that is really there: signed, and with a manifest beside it.
fn with_real_tool(home: &Home, reference: &str) -> String {
    let shown = reference.lines().filter_map(|line| line.strip_prefix("key = ")).find(|key| key.contains('+'));
    let shown = shown.expect("a key").trim_matches('"');
    let file = home.component("files", "(component (core module $m (func (export \"f\"))) (core instance $i (instantiate $m)) (func (export \"write\") (canon lift (core func $i \"f\"))))");
    home.file("files.toml", "name = 'files'\nversion = '1.0.0'\n");
    let key = home.folder("keys").join("author").display().to_string();
    let made = home.run(["key", "new", "author.example", "--output", &key, "--format", "json"]).code(0).json();
    let key_line = made["key"].as_str().expect("a key");
    home.run(["sign", &file, "--key", &key]).code(0);
    let before = fs::read_to_string(home.path().join("ringfence.toml")).expect("a configuration");
    home.configure(&format!("{before}[signers.author]\nkey = '{key_line}'\n"));
    home.run(["tool", "add", &file]).code(0);
    let tool = &home.run(["tool", "list", "--format", "json"]).code(0).json()[0];
    let pins = ["digest", "manifest_digest", "description_digest", "signature_digest"];
    pins.iter().zip(["1", "2", "3", "4"]).fold(reference.replace(shown, key_line), |text, (pin, digit)| {
        let placeholder = format!("sha256:{}", digit.repeat(64));
        assert!(text.contains(&placeholder), "{pin}");
        text.replace(&placeholder, tool[pin].as_str().expect("a digest"))
    })
}

#[test]
fn every_key_is_in_the_reference() {
    let reference = uncommented(&read("docs/reference.toml"));
    let mut fields = Vec::new();
    let structs = |source: &str, names: &[&str]| -> Vec<String> {
        let bodies = names.iter().map(|name| {
            let body = source.split(&format!("struct {name} {{")).nth(1).unwrap_or_else(|| panic!("{name}"));
            body.split("\n}").next().unwrap_or_default().to_owned()
        });
        bodies.collect()
    };
    let config = ["config.rs", "config/policies.rs", "config/tools.rs"]
        .map(|file| read(&format!("host/cli/src/{file}")))
        .concat();
    let named = [
        "Config",
        "RunConfig",
        "HostLimits",
        "RingTable",
        "PolicyTable",
        "LogConfig",
        "RetentionConfig",
        "ServerTable",
        "ToolTable",
        "GrantTable",
        "WrittenSigner",
    ];
    let mut bodies = structs(&config, &named);
    bodies.extend(structs(&read("host/cli/src/tls.rs"), &["TlsTable"]));
    bodies.extend(structs(&read("host/cli/src/telemetry.rs"), &["TelemetryTable"]));
    bodies.extend(structs(&read("host/model/src/capability.rs"), &["Ceiling", "LimitCeiling"]));
    for line in bodies.iter().flat_map(|body| body.lines()) {
        if let Some((name, _)) = line.trim().strip_prefix("pub ").and_then(|rest| rest.split_once(':')) {
            fields.push(name.replace('_', "-"));
        }
    }
    assert!(fields.len() >= 20, "{fields:?}");
    // Newtypes have no keys.
    let is_struct =
        |line: &&str| line.strip_prefix("pub ").unwrap_or(line).starts_with("struct ") && line.ends_with('{');
    // What a signer is read into has no keys of its own.
    let others = config.lines().filter(is_struct).filter(|line| !line.contains("SignerTable")).count();
    assert_eq!(others, named.len(), "a struct of the configuration is new: name it above");
    for field in fields {
        let spellings = [format!("\n{field} = "), format!("[{field}"), format!(".{field}]")];
        assert!(spellings.iter().any(|spelling| reference.contains(spelling)), "`{field}` is not in the reference");
    }
}

#[test]
fn reference_shows_what_rings_allow() {
    let reference: toml::Table = read("docs/reference.toml").parse().expect("TOML");
    for ring in Ring::ALL {
        let shown = &reference["rings"][ring.to_string().as_str()];
        let ceiling = ring.ceiling();
        assert_eq!(shown["filesystem"].as_str(), ceiling.filesystem.map(|f| f.to_string()).as_deref());
        let limits = serde_json::to_value(ceiling.limits).expect("JSON");
        for (name, limit) in limits.as_object().expect("limits") {
            let shown = shown["limits"].get(name).and_then(toml::Value::as_integer);
            assert_eq!(shown, limit.as_i64(), "{name} of ring {ring}");
        }
        let calls = limits::CONCURRENT_CALLS_PER_RING[usize::from(ring.number())];
        assert_eq!(shown["concurrent-calls"].as_integer(), Some(i64::from(calls)), "ring {ring}");
    }
    for (name, limit) in [
        ("compile-memory-bytes", limits::COMPILE_MEMORY_BYTES_MAX),
        ("compile-cpu-seconds", limits::COMPILE_CPU_SECONDS_MAX),
        ("compile-wall-ms", limits::COMPILE_WALL_MS_MAX),
        ("concurrent-calls", limits::CONCURRENT_CALLS.into()),
        ("concurrent-calls-per-tool", limits::CONCURRENT_CALLS_PER_TOOL.into()),
        ("concurrent-calls-per-principal", limits::CONCURRENT_CALLS_PER_PRINCIPAL.into()),
        ("queued-calls-per-ring", limits::QUEUED_CALLS_PER_RING_MAX.into()),
        ("queue-wait-ms", limits::QUEUE_WAIT_MS_MAX),
    ] {
        assert_eq!(reference["limits"][name].as_integer(), i64::try_from(limit).ok(), "{name}");
    }
    assert_eq!(reference["run"]["ring"].as_integer(), Some(i64::from(Ring::default().number())));
}

// --- The WIT packages ---

#[test]
fn every_wit_item_has_a_comment() {
    for path in ["wit/tool/tool.wit", "wit/policy/policy.wit"] {
        let text = read(path);
        let mut before = "";
        let mut count = 0;
        for line in text.lines().map(str::trim) {
            let is_item = !line.is_empty() && !line.starts_with("//") && line != "}";
            let is_plumbing = line.starts_with("export ") || line.starts_with("include ");
            if is_item && !is_plumbing {
                assert!(before.starts_with("///"), "{path}: `{line}` has no comment");
                count += 1;
            }
            before = line;
        }
        assert!(count > 10, "{path}");
    }
}

#[test]
fn vendored_wit_is_pinned() {
    let mut pinned = BTreeSet::new();
    for line in read("wit/deps/SHA256SUMS").lines() {
        let (digest, name) = line.split_once("  ").expect("a digest and a name");
        let found = Digest::of(read(&format!("wit/deps/{name}")).as_bytes()).to_string();
        assert_eq!(found, format!("sha256:{digest}"), "{name} was edited");
        pinned.insert(name.to_owned());
    }
    for entry in fs::read_dir(repository().join("wit/deps")).expect("the folder") {
        let name = entry.expect("a file").file_name().into_string().expect("a name");
        assert!(name == "SHA256SUMS" || pinned.contains(&name), "{name} is not pinned");
    }
}

//! The policy `path-scope` at real calls: a path outside is denied, and a permit takes the other folders away.

use ringfence_model::content::ContentName;
use serde_json::Value;

use crate::harness::Home;
use crate::harness::policies::kinds;
use crate::harness::policies::read;
use crate::harness::policies::rulings;

const FILES: &str = ringfence_artifacts::TOOL_FILES;
const ECHO: &str = ringfence_artifacts::TOOL_ECHO;

const CONFIG: &str = "[policies.ring-default]\n[policies.path-scope]\nsettings = { roots = ['/docs'] }\n";

fn two_folders(home: &Home) -> [String; 2] {
    home.file("docs/a.txt", "a document");
    home.file("secret/b.txt", "a secret");
    ["docs", "secret"].map(|name| format!("{}::/{name}", home.folder(name).display()))
}

#[test]
fn path_in_scope_is_allowed() {
    let home = Home::new();
    home.configure(CONFIG);
    let [docs, _] = two_folders(&home);
    let (ran, value) = read(&home, "/docs/a.txt", &["--dir", &docs, "--policy", "path-scope"]);
    ran.code(0);
    assert_eq!(value["outcome"]["value"], "a document");
    let said = rulings(&home.entries()[1]["body"]);
    assert_eq!(said, ["path-scope permit path-in-scope", "ring-default permit within-ring"]);
    assert_eq!(kinds(&home), ["opened", "begun", "finished"]);
}

#[test]
fn path_outside_scope_is_denied() {
    let home = Home::new();
    home.configure(CONFIG);
    let [docs, secret] = two_folders(&home);
    let dirs = ["--dir", &docs, "--dir", &secret];
    for path in ["/secret/b.txt", "/docs/../secret/b.txt", "/docs/./../secret//b.txt", "secret/b.txt", "/docsy"] {
        let (ran, value) = read(&home, path, &dirs);
        ran.code(3);
        let error = &value["outcome"]["error"];
        assert_eq!(error["code"], "denied.policy", "{path}");
        let hints = error["hints"].as_array().expect("hints");
        assert!(hints[0].as_str().expect("a hint").starts_with("review first"), "{hints:?}");
        assert!(hints.contains(&"    [policies.path-scope]".into()), "{hints:?}");
        assert!(!ran.text().contains("a secret"));
    }
    // The control: without the policy, the grant is enough.
    home.configure("");
    assert_eq!(read(&home, "/secret/b.txt", &dirs).1["outcome"]["value"], "a secret");
}

#[test]
fn permit_takes_other_folders_away() {
    // The tool is given two folders, the obligation leaves one: what the tool sees is what is recorded.
    let home = Home::new();
    home.configure(CONFIG);
    let [docs, secret] = two_folders(&home);
    let lines = ringfence_artifacts::TOOL_LINES;
    let dirs = ["--dir", &docs, "--dir", &secret];
    // A command has no path argument, so nothing says which folder it will use: each has to be in scope.
    let args = [&dirs[..], &["--", "-n", "/secret/b.txt"]].concat();
    let (ran, value) = home.call(lines, &args);
    ran.code(3);
    let message = value["outcome"]["error"]["message"].as_str().expect("a message");
    assert!(message.contains("(folder-outside-scope)"), "{message}");
    home.call(lines, &["--dir", &docs, "--", "/docs/a.txt"]).0.code(0);
    // A function whose path is in scope.
    let (ran, value) = home.call(FILES, &[&["list", "--input", r#"{"path":"/docs"}"#], &dirs[..]].concat());
    ran.code(0);
    assert_eq!(value["outcome"]["value"].as_array().expect("entries").len(), 1);
    let grants: Vec<_> = home
        .entries()
        .iter()
        .filter(|entry| entry["kind"] == "begun")
        .map(|entry| folders_of_grant(&home, &entry["body"]))
        .collect();
    assert_eq!(grants, [vec!["/docs".to_owned()], vec!["/docs".to_owned()]]);
}

#[test]
fn folder_taken_away_is_not_seen() {
    // The policy is told to look at another argument, so a path outside gets past it; the obligation still holds.
    let home = Home::new();
    let [docs, secret] = two_folders(&home);
    let input = r#"{"path":"/secret/b.txt","pattern":"/docs|secret"}"#;
    let args = ["grep", "--input", input, "--dir", &docs, "--dir", &secret];
    let (ran, value) = home.call(FILES, &args);
    ran.code(0);
    assert_eq!(value["outcome"]["value"]["found"][0]["text"], "a secret");
    home.configure(
        "[policies.ring-default]\n[policies.path-scope]\n\
         settings = { roots = ['/docs|secret'], arguments = ['/pattern'] }\n",
    );
    let (ran, value) = home.call(FILES, &args);
    ran.code(4);
    assert_eq!(value["outcome"]["error"]["value"]["not-permitted"], "/secret/b.txt");
    let entries = home.entries();
    let begun = entries.iter().rev().find(|entry| entry["kind"] == "begun").expect("an entry");
    assert_eq!((folders_of_grant(&home, &begun["body"]), &begun["body"]["reach"]), (vec![], &"nothing".into()));
    assert!(rulings(&begun["body"]).contains(&"path-scope permit path-in-scope".to_owned()));
}

#[test]
fn folder_above_the_scope_goes_as_a_whole() {
    let home = Home::new();
    home.configure("[policies.ring-default]\n[policies.path-scope]\nsettings = { roots = ['/docs/open'] }\n");
    home.file("docs/open/a.txt", "a document");
    let dir = format!("{}::/docs", home.folder("docs").display());
    let (ran, value) = read(&home, "/docs/open/a.txt", &["--dir", &dir]);
    ran.code(4);
    assert_eq!(value["outcome"]["error"]["value"]["not-permitted"], "/docs/open/a.txt");
    let dir = format!("{}::/docs/open", home.folder("docs/open").display());
    assert_eq!(read(&home, "/docs/open/a.txt", &["--dir", &dir]).1["outcome"]["value"], "a document");
}

#[test]
fn call_without_a_path_is_not_its_concern() {
    let home = Home::new();
    home.configure("[policies.path-scope]\nsettings = { roots = ['/docs'] }\n");
    let (ran, value) = home.call(ECHO, &["string", "--input", r#"{"value":"/etc/passwd"}"#]);
    ran.code(3);
    assert_eq!(rulings(&value["receipt"]["entry"]["body"]), ["path-scope abstain"]);
    home.configure(CONFIG);
    home.call(ECHO, &["string", "--input", r#"{"value":"/etc/passwd"}"#]).0.code(0);
}

fn folders_of_grant(home: &Home, body: &Value) -> Vec<String> {
    let grant = home.behind(body, ContentName::Grant).bytes;
    let grant: Value = serde_json::from_slice(&grant).expect("a grant");
    let folders = grant["folders"].as_array().expect("folders").iter();
    folders.map(|folder| folder["guest"].as_str().expect("a path").to_owned()).collect()
}

//! One governed call, from the command line to the receipt.

use crate::harness::Home;

#[test]
fn granted_folder_is_listed_and_recorded() {
    let home = Home::new();
    home.file("docs/a.txt", "hello");
    let dir = format!("{}::/docs", home.folder("docs").display());
    let (ran, value) =
        home.call(ringfence_artifacts::TOOL_FILES, &["list", "--input", r#"{"path":"/docs"}"#, "--dir", &dir]);
    ran.code(0);
    assert_eq!(value["outcome"]["kind"], "returned");
    assert_eq!(value["outcome"]["value"][0]["name"], "a.txt");
    assert_eq!(value["receipt"]["entry"]["body"]["call"], value["call"]);
    let kinds: Vec<_> = home.entries().iter().map(|entry| entry["kind"].clone()).collect();
    assert_eq!(kinds, ["opened", "begun", "finished"]);
    home.is_well();
}

#[test]
fn key_never_answers_across_grants() {
    // IDM-02: the recorded answer belongs to the folder and the variables it was made with.
    let home = Home::new();
    home.file("one/f.txt", "one");
    home.file("two/f.txt", "two");
    let read = |folder: &str| {
        let dir = format!("{}::/in", home.folder(folder).display());
        let input = r#"{"path":"/in/f.txt"}"#;
        let args = ["read", "--input", input, "--dir", &dir, "--idempotency-key", "k"];
        home.call(ringfence_artifacts::TOOL_FILES, &args)
    };
    assert_eq!(read("one").1["outcome"]["value"], "one");
    assert_eq!(read("one").1["outcome"]["value"], "one");
    let (ran, value) = read("two");
    ran.code(3);
    assert_eq!(value["outcome"]["error"]["code"], "denied.idempotency-conflict");
}

#[test]
fn unwritable_output_is_never_success() {
    // What could not be printed was not done: a log that does not verify must not look as if it did.
    let home = Home::new();
    for (args, code) in [(vec!["log", "verify"], 1), (vec!["log", "export"], 1), (vec!["log", "prove", "99"], 2)] {
        let mut command = crate::harness::command(&home.path(), args);
        command.stdout(std::fs::File::create("/dev/full").expect("/dev/full")).stderr(std::process::Stdio::null());
        assert_eq!(command.status().expect("the binary runs").code(), Some(code));
    }
}

#[test]
fn values_of_variables_are_not_recorded() {
    let home = Home::new();
    // A tool without a manifest, so that the variable is granted; one that does not print it.
    let args = ["--env", "TOKEN=canary-in-the-log"];
    home.call(ringfence_artifacts::HOSTILE_TRAP_MIDWAY, &args).0.code(4);
    let log = std::fs::read(home.path().join("log.sqlite")).expect("the log");
    let holds = |text: &[u8]| log.windows(text.len()).any(|window| window == text);
    assert!(holds(b"TOKEN") && !holds(b"canary-in-the-log"));
}

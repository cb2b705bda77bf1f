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

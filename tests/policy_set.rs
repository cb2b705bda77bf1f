//! What it takes to put a set of policies in force: scopes, schemas, cases, whole files; and what is kept of it.
//!
//! Whatever is wrong with one policy, nothing runs: exit code 1, the line of the configuration, a hint, and an untouched
//! folder.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use ringfence_model::digest::Digest;
use serde_json::Value;

use crate::harness::Home;
use crate::harness::Ran;
use crate::harness::policies::in_force;
use crate::harness::policies::kinds;
use crate::harness::policies::rulings;

const FILES: &str = ringfence_artifacts::TOOL_FILES;
const FORBID: &str = ringfence_artifacts::HOSTILE_POLICY_FORBID_ALWAYS;
const PERMIT: &str = ringfence_artifacts::HOSTILE_POLICY_PERMIT_ALWAYS;

/// A call that writes, in ring 2.
fn write(home: &Home) -> Ran {
    let dir = format!("{}::/out:rw", home.folder("out").display());
    let input = r#"{"path":"/out/a.txt","content":"x"}"#;
    home.run(["run", FILES, "write", "--ring", "2", "--input", input, "--dir", &dir])
}

fn written(home: &Home) -> usize {
    std::fs::read_dir(home.folder("out")).expect("the folder").count()
}

/// Under this configuration nothing runs, and `line` of it is named.
#[track_caller]
fn nothing_runs(home: &Home, config: &str, line: usize, says: &str) {
    home.configure("");
    let before = kinds(home);
    home.configure(config);
    let ran = write(home);
    ran.code(1).fails_well().says(says);
    let place = ran.stderr.contains(&format!("line {line})")) || ran.stderr.contains(&format!("at line {line}:"));
    assert!(place && ran.stderr.contains("ringfence.toml"), "not line {line}: {}", ran.stderr);
    home.run(["doctor"]).code(1);
    home.configure("");
    assert_eq!((written(home), kinds(home)), (0, before), "{config}");
    home.configure(config);
}

/// The control: with a sound configuration the same call works.
#[track_caller]
fn everything_runs(home: &Home, config: &str) {
    home.configure(config);
    write(home).code(0);
    assert_eq!(written(home), 1);
    home.is_well();
}

mod scope {
    use super::*;

    #[test]
    fn scope_that_is_never_asked_is_refused() {
        let home = Home::new();
        for (lines, line, says) in [
            ("points = []", 3, "`points` is an empty list"),
            ("rings = []", 3, "`rings` is an empty list"),
            ("settings = {}\ntools = []", 4, "`tools` is an empty list"),
            ("principals = []", 3, "`principals` is an empty list"),
            ("tools = [\"sha256:00\"]", 3, "neither a tool's name nor its digest"),
            ("points = [\"egress\", \"result\"]", 3, "it wants to be asked at `call`, `elevate`"),
            ("points = [\"elevate\"]\ntools = [\"files\"]", 3, "would never be asked"),
            ("points = [\"always\"]", 3, "unknown variant `always`"),
            ("rings = [7]", 3, "`7` is not a ring"),
            ("principals = [\"*\"]", 3, "is not a principal"),
        ] {
            let config = format!("\n[policies.ring-default]\n{lines}\n");
            nothing_runs(&home, &config, line, says);
        }
        everything_runs(&home, "[policies.ring-default]\npoints = [\"call\"]\nrings = [2, 3]\n");
    }

    #[test]
    fn scoped_policy_is_asked_within_its_scope() {
        let digest = Digest::of(&std::fs::read(FILES).expect("the tool"));
        let uid = rustix_uid();
        for (scope, asked) in [
            ("rings = [2]".to_owned(), true),
            ("rings = [0, 1, 3]".to_owned(), false),
            ("tools = [\"files\"]".to_owned(), true),
            (format!("tools = [\"{digest}\"]"), true),
            ("tools = [\"lines\", \"echo\"]".to_owned(), false),
            ("principals = [\"operator:*\"]".to_owned(), true),
            (format!("principals = [\"operator:uid-{uid}\"]"), true),
            ("principals = [\"agent:*\", \"operator:ada\"]".to_owned(), false),
            ("points = [\"call\"]".to_owned(), true),
            ("rings = [2]\ntools = [\"lines\"]".to_owned(), false),
        ] {
            let home = Home::new();
            home.configure(&format!("[policies.ring-default]\n{}{scope}\n", in_force("never", FORBID)));
            write(&home).code(if asked { 3 } else { 0 });
            let said = rulings(&home.entries()[1]["body"]);
            assert_eq!(said.contains(&"never forbid forbidden".to_owned()), asked, "{scope}: {said:?}");
        }
    }

    /// The user that runs the tests, as the host names it.
    fn rustix_uid() -> u32 {
        std::fs::metadata("/proc/self").expect("this process").uid()
    }

    #[test]
    fn policy_out_of_scope_permits_nothing() {
        let home = Home::new();
        home.configure("[policies.ring-default]\nrings = [3]\n");
        let ran = write(&home);
        ran.code(3).says("no policy in force is asked at `call`");
        assert_eq!(written(&home), 0);
    }

    #[test]
    fn list_shows_scope_and_set_digest() {
        let home = Home::new();
        let sets: Vec<Value> =
            ["", "rings = [2]\n", "rings = [2, 2]\ntools = [\"files\"]\nprincipals = [\"operator:*\"]\n"]
                .iter()
                .map(|scope| {
                    home.configure(&format!("[policies.ring-default]\n{scope}"));
                    let list = home.run(["policy", "list", "--format", "json"]).code(0).json();
                    write(&home).code(0);
                    let entries = home.entries();
                    let begun = entries.iter().rev().find(|entry| entry["kind"] == "begun").expect("a call");
                    assert_eq!(list["policy_set"], begun["body"]["decision"]["policy_set"]);
                    list["policy_set"].clone()
                })
                .collect();
        assert!(sets[0] != sets[1] && sets[1] != sets[2] && sets[0] != sets[2], "{sets:?}");
        let text = home.run(["policy", "list"]).code(0).text();
        let wanted = "asked at call; rings 2, 2; tools files; principals operator:*";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains(&format!("set       {}", sets[2].as_str().expect("a digest"))), "{text}");
        let list = home.run(["policy", "list", "--format", "json"]).code(0).json();
        let rows = list["policies"].as_array().expect("a list");
        let row = rows.iter().find(|row| row["configured_name"] == "ring-default").expect("ring-default");
        assert_eq!(
            (&row["asked_at"], &row["scope"]["rings"]),
            (&serde_json::json!(["call"]), &serde_json::json!([2, 2]))
        );
    }
}

mod loading {
    use super::*;

    #[test]
    fn settings_are_held_to_the_schema() {
        // The component itself takes any settings; its schema says that they are an object.
        let home = Home::new();
        let policy = in_force("any", PERMIT);
        nothing_runs(&home, &format!("{policy}settings = 7\n"), 4, "the settings of policy `any` are wrong at ``");
        nothing_runs(&home, &format!("{policy}settings = [1]\n"), 4, "is not of type \"object\"");
        let scope = |settings: &str| format!("[policies.ring-default]\n[policies.path-scope]\n{settings}\n");
        for (settings, line, pointer) in [
            ("", 2, "/roots"),
            ("settings = { rots = ['/a'] }", 3, "/ro"),
            ("settings = { roots = ['docs'] }", 3, "/roots/0"),
            ("[policies.path-scope.settings]\nroots = [\n  '/docs',\n  8,\n]", 6, "/roots/1"),
            ("[policies.path-scope.settings]\nroots = ['/docs']\narguments = []", 5, "/arguments"),
        ] {
            nothing_runs(&home, &scope(settings), line, &format!("at `{pointer}"));
        }
        everything_runs(&home, &format!("{policy}settings = {{ any = 7 }}\n"));
    }

    #[test]
    fn damaged_component_is_refused() {
        // POL-04: cut short anywhere, or one bit of it turned.
        let home = Home::new();
        let good = std::fs::read(PERMIT).expect("a policy");
        let path = home.file("policies/mine.wasm", &good);
        let shown = path.display().to_string();
        let table = format!("[policies.ring-default]\n\n{}", in_force("mine", &shown));
        for length in [0, 7, 8, 100, good.len() / 2, good.len() - 1] {
            std::fs::write(&path, &good[..length]).expect("a file");
            nothing_runs(&home, &table, 5, "is pinned");
            nothing_runs(&home, &table.replace("digest", "#digest"), 4, "`mine` is not a ");
        }
        for position in [0, 4, 9, good.len() / 3, good.len() / 2, good.len() - 9] {
            let mut bad = good.clone();
            bad[position] ^= 4;
            std::fs::write(&path, &bad).expect("a file");
            nothing_runs(&home, &table, 5, "is pinned");
        }
        std::fs::write(&path, &good).expect("a file");
        everything_runs(&home, &table);
    }

    #[test]
    fn other_version_of_the_interface_is_named() {
        // POL-04
        let home = Home::new();
        for version in ["0.0.9", "0.2.0", "1.0.0"] {
            let wat = format!(
                r#"(component
                    (core module $m (func (export "f")))
                    (core instance $i (instantiate $m))
                    (func $f (canon lift (core func $i "f")))
                    (instance $judge (export "describe" (func $f)) (export "validate-settings" (func $f))
                        (export "evaluate" (func $f)))
                    (export "ringfence:policy/judge@{version}" (instance $judge)))"#
            );
            let path = home.file("old.wasm", wat::parse_str(&wat).expect("wat"));
            let config = format!("[policies.old]\ncomponent = \"{}\"\n", path.display());
            nothing_runs(
                &home,
                &config,
                2,
                &format!("`old` is not a policy of `ringfence:policy@0.1`: it is one of version `{version}`"),
            );
        }
        everything_runs(&home, "");
    }

    #[test]
    fn each_bad_set_says_where_and_what() {
        // POL-04, POL-05, POL-13
        let home = Home::new();
        let clock = in_force("clock", ringfence_artifacts::HOSTILE_POLICY_IMPORTS_CLOCK);
        let gone = "[policies.mine]\ncomponent = '/nowhere/mine.wasm'\n";
        for (config, line, says) in [
            (format!("[policies.ring-default]\n{clock}"), 3, "policy `clock` imports `wasi:"),
            (format!("\n{gone}"), 3, "`/nowhere/mine.wasm` can't be used"),
            ("[policies.nobody]\n".to_owned(), 1, "there is no policy `nobody`"),
            ("[policies.a]\n[policies.b]\n[policies.a]\n".to_owned(), 3, "duplicate key"),
            ("[policies]\na = {}\na = {}\n".to_owned(), 3, "duplicate key"),
            ("[policies.\"Ring-Default\"]\n".to_owned(), 1, "is not a name"),
        ] {
            nothing_runs(&home, &config, line, says);
        }
        // An empty set is sound and permits nothing: that is a refusal, with a way out.
        home.configure("[policies]\n");
        write(&home).code(3).says("no policy in force is asked at `call`").says("[policies.ring-default]");
        assert_eq!(written(&home), 0);
        everything_runs(&home, "");
    }
}

mod cases {
    use super::*;

    const PASSING: &str = "[[cases]]\nname = 'no'\nexpect = 'forbid'\nreasons = ['forbidden']\n";

    fn with_cases(home: &Home, component: &str, cases: &str) -> String {
        let path = home.file("mine/cases.toml", cases);
        format!("[policies.ring-default]\n{}cases = '{}'\n", in_force("mine", component), path.display())
    }

    #[test]
    fn policy_that_fails_its_cases_is_not_in_force() {
        // A component that permits, beside cases that say it forbids: the wrong build, and the whole set is refused.
        let home = Home::new();
        let config = with_cases(&home, PERMIT, &format!("{PASSING}[[cases]]\nname = 'yes'\nexpect = 'permit'\n"));
        nothing_runs(&home, &config, 5, "policy `mine` fails 1 of its own cases, the first is `no`");
        write(&home).says("expected forbid (forbidden), got permit (permitted)").says("hint: `ringfence policy test ");
        home.run(["policy", "list"]).code(1).fails_well();
        // The control: the component that the cases are for.
        home.configure(&with_cases(&home, FORBID, PASSING));
        write(&home).code(3);
        assert_eq!(rulings(&home.entries()[1]["body"])[0], "mine forbid forbidden");
    }

    #[test]
    fn cases_that_can_not_be_run_are_refused() {
        let home = Home::new();
        for (cases, says) in [
            ("[[cases]]\nname = 'x'\n", "is not a table of cases"),
            ("cases = []\n", "has no `[[cases]]`"),
            ("[[cases]]\nname = 'x'\nexpect = 'permit'\nsettings = 7\n", "the settings of policy `mine` are wrong"),
        ] {
            nothing_runs(&home, &with_cases(&home, PERMIT, cases), 5, says);
        }
        let config = with_cases(&home, PERMIT, PASSING);
        std::fs::remove_file(home.folder("mine").join("cases.toml")).expect("removed");
        nothing_runs(&home, &config, 5, "cases.toml` can't be used");
        everything_runs(&home, &with_cases(&home, PERMIT, "[[cases]]\nname = 'x'\nexpect = 'permit'\n"));
    }
}

mod archive {
    use super::*;

    fn archived(home: &Home) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(home.path().join("archive")).into_iter().flatten();
        let mut files: Vec<_> = folder.map(|entry| entry.expect("a file").path()).collect();
        files.sort();
        files
    }

    fn name_of(bytes: &[u8], extension: &str) -> String {
        format!("{}.{extension}", Digest::of(bytes).to_string().replace(':', "-"))
    }

    #[test]
    fn what_was_in_force_is_kept_by_digest() {
        let home = Home::new();
        assert_eq!(archived(&home), Vec::<PathBuf>::new());
        home.configure(&format!("[policies.ring-default]\n{}settings = {{ a = 1 }}\n", in_force("mine", PERMIT)));
        write(&home).code(0);
        let entries = home.entries();
        let decided = entries[1]["body"]["decision"]["rulings"].as_array().expect("rulings").len();
        assert_eq!(decided, 2);
        for bytes in [std::fs::read(PERMIT), std::fs::read(ringfence_artifacts::POLICY_RING_DEFAULT)] {
            let bytes = bytes.expect("a policy");
            let kept = home.path().join("archive").join(name_of(&bytes, "wasm"));
            assert_eq!(std::fs::read(kept).expect("kept"), bytes);
        }
        for settings in ["{}", r#"{"a":1}"#] {
            let kept = home.path().join("archive").join(name_of(settings.as_bytes(), "json"));
            assert_eq!(std::fs::read_to_string(kept).expect("kept"), settings);
        }
        assert_eq!(archived(&home).len(), 4);
        for file in archived(&home) {
            let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
        let mode = std::fs::metadata(home.path().join("archive")).expect("the folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn archive_is_written_once_and_mended() {
        let home = Home::new();
        write(&home).code(0);
        let inodes =
            || archived(&home).iter().map(|file| std::fs::metadata(file).expect("a file").ino()).collect::<Vec<_>>();
        let before = (archived(&home), inodes());
        write(&home).code(0);
        assert_eq!((archived(&home), inodes()), before);
        let component =
            before.0.iter().find(|file| file.extension().is_some_and(|e| e == "wasm")).expect("a component");
        let good = std::fs::read(component).expect("a component");
        std::fs::write(component, &good[..good.len() / 2]).expect("damage");
        write(&home).code(0);
        assert_eq!(std::fs::read(component).expect("a component"), good);
    }

    #[test]
    fn policy_asked_for_one_call_is_kept_too() {
        let home = Home::new();
        home.configure(&in_force("mine", PERMIT));
        let dir = format!("{}::/out", home.folder("out").display());
        home.run(["run", FILES, "list", "--input", r#"{"path":"/out"}"#, "--dir", &dir, "--policy", "ring-default"])
            .code(0);
        assert_eq!(archived(&home).len(), 3, "two components, one `{{}}`");
    }

    #[test]
    fn set_that_is_refused_is_not_kept() {
        let home = Home::new();
        home.configure(&format!("{}settings = 7\n", in_force("mine", PERMIT)));
        write(&home).code(1);
        home.run(["doctor"]).code(1);
        assert_eq!(archived(&home), Vec::<PathBuf>::new());
    }

    #[test]
    fn archive_is_never_granted() {
        let home = Home::new();
        write(&home).code(0);
        let folder: &Path = &home.path().join("archive");
        let dir = format!("{}::/a", folder.display());
        let ran = home.run(["run", FILES, "list", "--input", r#"{"path":"/a"}"#, "--dir", &dir]);
        ran.code(3).says("denied.host");
    }
}

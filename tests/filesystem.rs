//! What hostile guests try inside a folder that is open to them: quotas, closed names, special files, races, residue.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use ringfence_artifacts as guests;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::FlockOperation;
use rustix::fs::Mode;
use rustix::fs::flock;
use rustix::fs::mknodat;
use serde_json::Value;
use serde_json::json;

use crate::harness::Home;
use crate::harness::command;
use crate::harness::finish;
use crate::isolation::control_works;
use crate::isolation::is_contained;

/// What an attack may take that ends by itself.
const SOON: Duration = Duration::from_secs(40);

/// Everything in a folder, links not followed.
fn everything_in(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.symlink_metadata().is_ok_and(|data| data.is_dir()) {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

fn said(value: &Value) -> &str {
    value["outcome"]["stdout"].as_str().expect("text")
}

/// The host calls in the record of a call, as `(allowed, operation, detail)`.
fn trace(home: &Home, value: &Value) -> Vec<(bool, String, String)> {
    let trace = home.content(value, "trace");
    let event = |event: &Value| {
        let import = event["import"].as_str().expect("an import");
        let operation = import.rsplit_once('#').expect("an operation").1.to_owned();
        (event["allowed"] == true, operation, event["detail"].as_str().unwrap_or_default().to_owned())
    };
    trace["events"].as_array().expect("events").iter().map(event).collect()
}

/// One test for each hostile guest, by its name.
pub mod hostile {
    use super::*;

    #[test]
    pub fn create_files_endlessly() {
        // FS-19
        let home = Home::new();
        for (what, made) in [("file", 20), ("folder", 20), ("symbolic-link", 20), ("hard-link", 19), ("deep", 20)] {
            let folder = home.folder(&format!("work-{what}"));
            let dir = format!("{}::/work:rw,files=20", folder.display());
            let args = ["--ring", "2", "--dir", &dir, "--", "/work", what];
            let value = is_contained(&home, guests::HOSTILE_CREATE_FILES_ENDLESSLY, &args, 1);
            assert!(said(&value).contains(&format!("reached: {made}\n")), "{what}: {value}");
            assert_eq!(everything_in(&folder).len(), 20, "{what}");
            let refused: Vec<_> = trace(&home, &value).into_iter().filter(|(allowed, ..)| !allowed).collect();
            let [(_, _, detail)] = &refused[..] else { panic!("{what}: {refused:?}") };
            assert!(detail.starts_with("/work/") && detail.ends_with("more files than the quota has left"), "{detail}");
        }
        // Without a quota of its own, a folder is bounded by the ring's; and so is what is made in ring 3.
        let args = ["--scratch", "/scratch", "--", "/scratch", "deep"];
        let value = is_contained(&home, guests::HOSTILE_CREATE_FILES_ENDLESSLY, &args, 1);
        assert!(said(&value).contains("reached: 1000\n"), "{value}");
        assert!(everything_in(&home.path().join("scratch")).is_empty());
        let dir = home.dir("work", "/work", "rw");
        control_works(
            &home,
            guests::HOSTILE_CREATE_FILES_ENDLESSLY,
            &["--ring", "2", "--dir", &dir, "--", "control", "/work"],
        );
    }

    #[test]
    pub fn list_huge_folder() {
        // FS-20: `attack` has an eye on the host's memory.
        const FILES: usize = 100_000;
        let home = Home::new();
        let folder = home.folder("work");
        (0..FILES).for_each(|number| drop(fs::File::create(folder.join(format!("file-{number}"))).expect("a file")));
        let dir = home.dir("work", "/work", "ro");
        control_works(&home, guests::HOSTILE_LIST_HUGE_FOLDER, &["--dir", &dir, "--", "control"]);
        let args = ["--dir", &dir, "--", &FILES.to_string()];
        let value = is_contained(&home, guests::HOSTILE_LIST_HUGE_FOLDER, &args, 2);
        assert!(said(&value).contains("twice: 0\n") && said(&value).contains("keep 300 listings"), "{value}");
    }

    #[test]
    pub fn look_for_residue() {
        // FS-25
        let home = Home::new();
        let scratch = home.path().join("scratch");
        let args = ["--scratch", "/scratch", "--"];
        for ring in ["0", "2", "3"] {
            let leave = ["--ring", ring, "--scratch", "/scratch", "--", "leave"];
            control_works(&home, guests::HOSTILE_LOOK_FOR_RESIDUE, &leave);
            assert!(everything_in(&scratch).is_empty());
            is_contained(&home, guests::HOSTILE_LOOK_FOR_RESIDUE, &[&args[..], &["look"]].concat(), 3);
        }
        // A host that is killed can't clean up: the next one does.
        let hang = ["run", guests::HOSTILE_LOOK_FOR_RESIDUE, "--scratch", "/scratch", "--", "leave", "hang"];
        let mut killed = command(&home.path(), hang).stdout(std::process::Stdio::piped()).spawn().expect("a host");
        let started = Instant::now();
        while !everything_in(&scratch).iter().any(|path| path.ends_with("sub/link")) {
            assert!(started.elapsed() < SOON, "the guest left nothing");
            std::thread::sleep(Duration::from_millis(20));
        }
        killed.kill().expect("killed");
        killed.wait().expect("an end");
        assert!(!everything_in(&scratch).is_empty());
        is_contained(&home, guests::HOSTILE_LOOK_FOR_RESIDUE, &[&args[..], &["look"]].concat(), 3);
        assert!(everything_in(&scratch).is_empty());
        // What the operator does not want written is not written.
        home.configure("[operator.limits]\nwrite-bytes = 0\n");
        let (ran, value) = home.attack(guests::HOSTILE_LOOK_FOR_RESIDUE, &args);
        ran.code(3);
        assert_eq!(value["outcome"]["error"]["code"], "denied.operator");
        home.configure("");
        control_works(&home, guests::HOSTILE_LOOK_FOR_RESIDUE, &[&args[..], &["control"]].concat());
    }

    #[test]
    pub fn open_special_files() {
        // FS-14
        let home = Home::new();
        home.file("work/file", "plain");
        let work = home.folder("work");
        mknodat(CWD, work.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o666), 0).expect("a pipe");
        let _socket = UnixListener::bind(work.join("socket")).expect("a socket");
        symlink("pipe", work.join("link")).expect("a link");
        let dir = home.dir("work", "/work", "rw");
        let args = ["--ring", "2", "--dir", &dir, "--dir", "/dev::/dev:ro", "--"];
        control_works(&home, guests::HOSTILE_OPEN_SPECIAL_FILES, &[&args[..], &["control"]].concat());
        let paths = ["/work/pipe", "/work/socket", "/work/link", "/dev/null", "/dev/zero", "/dev/tty"];
        let started = Instant::now();
        let value = is_contained(&home, guests::HOSTILE_OPEN_SPECIAL_FILES, &[&args[..], &paths].concat(), 120);
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
        let refused = trace(&home, &value);
        let wanted = |path: &str| format!("{path}: a pipe, a device or a socket");
        for path in ["/work/pipe", "/work/socket", "/dev/null"] {
            assert!(refused.iter().any(|(_, _, detail)| *detail == wanted(path)), "{path}: {refused:#?}");
        }
    }

    #[test]
    pub fn race_with_links() {
        // FS-08: two hosts at once on one folder. Neither way of turning the door lets anybody through.
        for (way, deny) in [("folder", ""), ("link", ",deny=closed")] {
            let (one, other) = (Home::new(), Home::new());
            one.file("outside/file", "outside");
            one.file("outside/secret", "outside");
            one.file("work/open/file", "open to all");
            one.file("work/closed/file", "closed");
            one.file("work/closed/secret", "closed");
            let work = one.folder("work");
            let dir = format!("{}::/work:rw,files=100000{deny}", work.display());
            let args = ["--ring", "1", "--dir", &dir, "--"];
            control_works(&one, guests::HOSTILE_RACE_WITH_LINKS, &[&args[..], &["control"]].concat());
            let turning = std::thread::scope(|scope| {
                let turner = scope
                    .spawn(|| one.attack(guests::HOSTILE_RACE_WITH_LINKS, &[&args[..], &["turn", way]].concat()).1);
                let value = is_contained(&other, guests::HOSTILE_RACE_WITH_LINKS, &[&args[..], &["enter"]].concat(), 1);
                assert!(!said(&value).contains("came to the open file 0 times"), "{way}: {value}");
                turner.join().expect("an end")
            });
            assert!(said(&turning).contains("turned: "), "{way}: {turning}");
            assert_eq!(everything_in(&one.folder("outside")).len(), 2, "{way}");
            assert_eq!(everything_in(&work.join("closed")).len(), 2, "{way}");
            let stolen = fs::read_to_string(work.join("stolen")).unwrap_or_default();
            assert!(matches!(stolen.as_str(), "" | "open to all" | "by the guest"), "{way}: {stolen}");
            for untouched in [one.folder("outside").join("file"), work.join("closed/file"), work.join("closed/secret")]
            {
                assert_eq!(untouched.metadata().expect("a file").nlink(), 1, "{way}: {}", untouched.display());
            }
        }
    }

    #[test]
    pub fn reach_closed_names() {
        // FS-17
        let home = Home::new();
        for (file, text) in [
            ("private/file", "closed"),
            ("a.key", "closed"),
            ("open/b.key", "closed"),
            ("open/\u{212a}.key", "closed"),
            ("deep/inner/file", "closed"),
            ("open/file", "open"),
        ] {
            home.file(&format!("work/{file}"), text);
        }
        let work = home.folder("work");
        symlink("private", work.join("link-in")).expect("a link");
        symlink("private/file", work.join("link-to-file")).expect("a link");
        let dir = format!("{}::/work:rw,deny=private,deny=*.key,deny=deep/inner", work.display());
        let args = ["--ring", "2", "--dir", &dir];
        control_works(&home, guests::HOSTILE_REACH_CLOSED_NAMES, &[&args[..], &["--", "control"]].concat());
        let closed = ["private/file", "a.key", "open/b.key", "open/\u{212a}.key", "deep/inner/file"];
        let facts = || {
            closed.map(|file| {
                let data = work.join(file).metadata().expect("a file");
                (data.nlink(), data.mtime_nsec(), fs::read_to_string(work.join(file)).expect("text"))
            })
        };
        let before = facts();
        let value = is_contained(&home, guests::HOSTILE_REACH_CLOSED_NAMES, &args, 280);
        assert_eq!(facts(), before);
        let refused = trace(&home, &value);
        let closed =
            |path: &str| (false, "descriptor.open-at".into(), format!("{path}: closed by a pattern of the grant"));
        assert!(refused.contains(&closed("/work/private/file")), "{refused:#?}");
        // The same guest where nothing is closed: it would have worked.
        let open = home.dir("work", "/work", "rw");
        let (ran, value) = home.attack(guests::HOSTILE_REACH_CLOSED_NAMES, &["--ring", "2", "--dir", &open]);
        ran.code(4);
        assert!(said(&value).lines().filter(|line| line.starts_with("escaped")).count() > 20, "{value}");
    }

    #[test]
    pub fn remove_own_folder() {
        // FS-24
        let home = Home::new();
        home.file("outer/work/sub/file", "x");
        let (work, aside) = (home.folder("outer/work"), home.folder("outer").join("aside"));
        let dir = home.dir("outer/work", "/work", "rw");
        let args = ["--ring", "2", "--dir", &dir];
        control_works(&home, guests::HOSTILE_REMOVE_OWN_FOLDER, &[&args[..], &["--", "control"]].concat());
        is_contained(&home, guests::HOSTILE_REMOVE_OWN_FOLDER, &args, 45);
        assert_eq!(everything_in(&home.folder("outer")).len(), 3);
        // The host's owner puts the folder aside and a new one in its place while the guest writes: what was granted is
        // the folder, not its name.
        let args = ["run", guests::HOSTILE_REMOVE_OWN_FOLDER, "--ring", "2", "--dir", &dir, "--", "write"];
        let writing = command(&home.path(), args);
        let ran = std::thread::scope(|scope| {
            let writer = scope.spawn(|| finish(writing, b""));
            let started = Instant::now();
            while !work.join("file-0").exists() {
                assert!(started.elapsed() < SOON, "the guest wrote nothing");
                std::thread::sleep(Duration::from_millis(10));
            }
            fs::rename(&work, &aside).expect("put aside");
            fs::create_dir(&work).expect("a new one");
            writer.join().expect("an end")
        });
        ran.code(0);
        assert!(everything_in(&work).is_empty() && aside.join("file-0").exists());
        home.is_well();
    }

    #[test]
    pub fn set_odd_times() {
        // FS-21
        let home = Home::new();
        home.file("work/file", "x");
        let dir = home.dir("work", "/work", "rw");
        let args = ["--ring", "2", "--dir", &dir];
        control_works(&home, guests::HOSTILE_SET_ODD_TIMES, &[&args[..], &["--", "control"]].concat());
        let value = is_contained(&home, guests::HOSTILE_SET_ODD_TIMES, &args, 40);
        let refused = said(&value).lines().filter(|line| line.contains("Err(")).count();
        assert!(refused >= 8, "{}", said(&value));
    }

    #[test]
    pub fn write_beyond_quota() {
        // FS-18, FS-19
        const QUOTA: u64 = 1_000_000;
        let home = Home::new();
        let work = home.folder("work");
        let dir = format!("{}::/work:rw,bytes={QUOTA}", work.display());
        let args = ["--ring", "2", "--dir", &dir, "--"];
        control_works(&home, guests::HOSTILE_WRITE_BEYOND_QUOTA, &[&args[..], &["control"]].concat());
        let value =
            is_contained(&home, guests::HOSTILE_WRITE_BEYOND_QUOTA, &[&args[..], &[&QUOTA.to_string()]].concat(), 12);
        assert!(said(&value).contains("Quota exceeded") || said(&value).contains("os error 19"), "{}", said(&value));
        let size = |path: &PathBuf| path.metadata().map_or(0, |data| data.len());
        assert!(everything_in(&work).iter().map(size).sum::<u64>() <= QUOTA);
        let refused: Vec<_> = trace(&home, &value).into_iter().filter(|(allowed, ..)| !allowed).collect();
        for operation in ["descriptor.set-size", "output-stream.write"] {
            let detail = "more bytes than the quota has left";
            assert!(refused.iter().any(|(_, op, text)| op == operation && text.ends_with(detail)), "{refused:#?}");
        }
        // The ring's own quota holds where the folder has none, and a lower one of the operator's.
        home.configure("[operator.limits]\nwrite-bytes = 500000\n");
        let dir = home.dir("other", "/work", "rw");
        let args = ["--ring", "2", "--dir", &dir, "--", "500000"];
        is_contained(&home, guests::HOSTILE_WRITE_BEYOND_QUOTA, &args, 12);
        let more = format!("{}::/work:rw,bytes=500001", home.folder("other").display());
        let (ran, value) = home.attack(guests::HOSTILE_WRITE_BEYOND_QUOTA, &["--ring", "2", "--dir", &more]);
        ran.code(3);
        assert_eq!(value["outcome"]["error"]["code"], "denied.operator");
    }
}

#[test]
fn locked_files_hold_nobody_up() {
    // FS-27: the host takes no locks in a granted folder, and waits for none.
    let home = Home::new();
    let path = home.file("docs/a.txt", "here");
    let file = fs::File::open(&path).expect("a file");
    flock(&file, FlockOperation::LockExclusive).expect("a lock");
    let dir = home.dir("docs", "/docs", "rw");
    let started = Instant::now();
    for (function, input, wanted) in [
        ("read", json!({ "path": "/docs/a.txt" }), json!("here")),
        ("write", json!({ "path": "/docs/a.txt", "content": "there" }), json!(5)),
        ("read", json!({ "path": "/docs/a.txt" }), json!("there")),
    ] {
        let input = input.to_string();
        let (ran, value) =
            home.attack(guests::TOOL_FILES, &[function, "--input", &input, "--ring", "2", "--dir", &dir]);
        ran.code(0);
        assert_eq!(value["outcome"]["value"], wanted);
    }
    assert!(started.elapsed() < SOON);
}

#[test]
fn nothing_moves_between_folders() {
    // FS-11, FS-19: what one folder's quota has counted does not get into another by a name.
    let home = Home::new();
    home.file("one/file", "x");
    let (one, other) = (home.dir("one", "/ro", "rw"), home.dir("other", "/rw", "rw"));
    let args = ["--ring", "2", "--dir", &one, "--dir", &other];
    let (_, value) = home.attack(guests::HOSTILE_WRITE_THROUGH_READ_ONLY, &args);
    let crossed: Vec<_> = trace(&home, &value).into_iter().filter(|(allowed, ..)| !allowed).collect();
    for operation in ["descriptor.rename-at", "descriptor.link-at"] {
        let detail = "nothing gets from one granted folder into another by a name";
        assert!(crossed.iter().any(|(_, op, text)| op == operation && text.ends_with(detail)), "{crossed:#?}");
    }
}

#[test]
fn opened_files_are_in_the_trace() {
    let home = Home::new();
    home.file("docs/sub/a.txt", "here");
    let dir = home.dir("docs", "/docs", "ro");
    let input = r#"{"path":"/docs/sub/../sub/a.txt"}"#;
    let (ran, value) = home.attack(guests::TOOL_FILES, &["read", "--input", input, "--dir", &dir]);
    ran.code(0);
    assert_eq!(trace(&home, &value), [(true, "descriptor.open-at".into(), "/docs/sub/a.txt: read".into())]);
    let input = r#"{"path":"/docs/sub/a.txt","content":"x"}"#;
    let (ran, value) = home.attack(guests::TOOL_FILES, &["write", "--input", input, "--ring", "2", "--dir", &dir]);
    assert_ne!(ran.code, 0);
    let refused = (false, "descriptor.open-at".into(), "/docs/sub/a.txt: granted to read only".into());
    assert!(trace(&home, &value).contains(&refused), "{value}");
}

#[test]
fn environment_too_large_is_refused() {
    // HOST-07
    let home = Home::new();
    let variable = |bytes: usize, number: usize| format!("V{number}={}", "x".repeat(bytes));
    for (bytes, count, code) in [(100 * 1024, 3, 2), (1024, 3, 0)] {
        let variables: Vec<_> = (0..count).map(|number| variable(bytes, number)).collect();
        let args: Vec<_> = variables.iter().flat_map(|variable| ["--env", variable]).collect();
        let (ran, value) = home.attack(guests::HOSTILE_READ_ENVIRONMENT, &[&args[..], &["--", "control"]].concat());
        ran.code(code);
        assert_eq!(value["outcome"]["kind"] == "denied", code == 2, "{value}");
    }
    let many: Vec<_> = (0..50_000).map(|number| format!("--env=V{number}=x")).collect();
    let (ran, _) = home.attack(guests::HOSTILE_READ_ENVIRONMENT, &many.iter().map(String::as_str).collect::<Vec<_>>());
    ran.code(2);
    home.is_well();
}

//! Components that are made to be compiled for ever: each ends within its bounds, and costs the host nothing.

use std::path::PathBuf;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::harness::Home;
use crate::harness::command;
use crate::harness::finish;

/// What the host itself may take while a child compiles: far less than any of the bombs wants.
const HOST_KIB_MAX: u64 = 160 * 1024;

/// Limits that are met soon. The bytes are as good as a name: the child has them on its command line.
fn small_limits(memory_bytes: u64) -> String {
    format!("[limits]\ncompile-memory-bytes = {memory_bytes}\ncompile-cpu-seconds = 3\ncompile-wall-ms = 30000\n")
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        bytes.push(if value == 0 { low } else { low | 0x80 });
        if value == 0 {
            return bytes;
        }
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], leb128(content.len()).as_slice(), content].concat()
}

/// A number of items, and the items.
fn items(count: usize, items: &[u8]) -> Vec<u8> {
    [leb128(count).as_slice(), items].concat()
}

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A core module of functions with these bodies, the first exported as `f`; with a memory and these data segments.
fn module(bodies: &[Vec<u8>], segments: usize) -> Vec<u8> {
    let framed: Vec<u8> = bodies.iter().flat_map(|body| items(body.len(), body)).collect();
    [
        b"\0asm\x01\0\0\0".to_vec(),
        section(1, b"\x01\x60\0\0"),
        section(3, &items(bodies.len(), &vec![0; bodies.len()])),
        section(5, b"\x01\0\x01"),
        section(7, b"\x01\x01f\0\0"),
        section(10, &items(bodies.len(), &framed)),
        section(11, &items(segments, &b"\0\x41\0\x0b\x01a".repeat(segments))),
    ]
    .concat()
}

/// A component that exports the module's `f`.
fn component(module: &[u8]) -> Vec<u8> {
    [
        COMPONENT.to_vec(),
        section(1, module),
        section(2, b"\x01\0\0\0"),
        section(6, b"\x01\0\0\x01\0\x01f"),
        section(7, b"\x01\x40\0\x01\0"),
        section(8, b"\x01\0\0\0\0\0"),
        section(11, b"\x01\0\x01f\x01\0\0"),
    ]
    .concat()
}

/// A function of so many locals of type i32, and this code.
fn body(locals: usize, code: &[u8]) -> Vec<u8> {
    let locals = if locals == 0 { vec![0] } else { [&[1], leb128(locals).as_slice(), b"\x7f"].concat() };
    [&locals, code, b"\x0b"].concat()
}

fn one_function(locals: usize, code: &[u8]) -> Vec<u8> {
    component(&module(&[body(locals, code)], 0))
}

/// Loops in one another, with variables that change in the innermost: each is a value of its own in each of them.
fn loops(depth: usize, variables: usize) -> Vec<u8> {
    let change = |variable| [b"\x20", leb128(variable).as_slice(), b"\x41\x01\x6a\x21", &leb128(variable)].concat();
    let changes: Vec<u8> = (0..variables).flat_map(change).collect();
    one_function(variables, &[b"\x03\x40".repeat(depth), changes, b"\x0b".repeat(depth)].concat())
}

/// Conditions in one another.
fn conditions(depth: usize) -> Vec<u8> {
    one_function(0, &[b"\x41\0\x04\x40".repeat(depth), b"\x0b".repeat(depth)].concat())
}

fn branches(targets: usize) -> Vec<u8> {
    one_function(0, &[b"\x02\x40\x41\0\x0e", items(targets, &vec![0; targets + 1]).as_slice(), b"\x0b"].concat())
}

/// Components in one another, each in so many instances: their number doubles at each level, or does not.
fn nested(depth: usize, instances: usize) -> Vec<u8> {
    let innermost = [COMPONENT, &section(1, &module(&[body(0, b"")], 0)), &section(2, b"\x01\0\0\0")].concat();
    (0..depth).fold(innermost, |inner, _| {
        let instances = section(5, &items(instances, &b"\0\0\0".repeat(instances)));
        [COMPONENT, &section(4, &inner), &instances].concat()
    })
}

#[test]
fn bombs_end_within_their_bounds() {
    // RES-12, RES-13
    let home = Home::new();
    home.configure(&small_limits(400 << 20));
    let cases: [(&str, Vec<u8>, &str); 13] = [
        // Half a megabyte.
        ("loops", loops(60_000, 30_000), "needs more than 400 MiB of memory to be compiled"),
        ("fewer-loops", loops(3_000, 3_000), "needs more than"),
        ("conditions", conditions(200_000), "needs more than 3 s of processor time to be compiled"),
        ("doubling", nested(25, 2), "needs more than"),
        ("nested", nested(100, 0), "more than 32 components in one another"),
        ("function-of-10-mb", one_function(0, &b"\x01".repeat(10_000_000)), "more than 2097152 bytes in one function"),
        ("million-locals", one_function(1_000_000, b""), "locals exceed maximum"),
        ("many-locals", component(&module(&vec![body(50_000, b""); 79], 0)), ""),
        ("too-many-locals", component(&module(&vec![body(50_000, b""); 81], 0)), "more than 4000000 local variables"),
        ("million-branches", branches(1_000_000), "exceeds the implementation limit"),
        ("blocks", one_function(0, &[b"\x02\x40".repeat(100_000), b"\x0b".repeat(100_000)].concat()), ""),
        ("segments", component(&module(&[body(0, b"")], 100_000)), ""),
        (
            "too-many-segments",
            component(&module(&[body(0, b"")], 100_001)),
            "more than 100000 data and element segments",
        ),
    ];
    for (name, bytes, says) in cases {
        let path = home.file(&format!("{name}.wasm"), bytes);
        let ran = home.run(["inspect".as_ref(), path.as_os_str()]);
        if says.is_empty() {
            ran.code(0);
        } else {
            ran.code(1).fails_well().says(says).says(&format!("`{name}`"));
        }
        assert!(ran.peak_kib < HOST_KIB_MAX, "{name}: {} KiB", ran.peak_kib);
        assert!(ran.elapsed < Duration::from_secs(30), "{name}: {:?}", ran.elapsed);
    }
    // What was not too much runs; and the next honest component loads.
    let segments = home.file("segments.wasm", component(&module(&[body(0, b"")], 100_000)));
    home.run(["run".as_ref(), segments.as_os_str()]).code(0);
    home.is_well();
}

/// A core module of one function with this body, and with what it says of its interfaces.
fn typed_module(body: Vec<u8>, types: &[u8]) -> Vec<u8> {
    let name = b"component-type:bomb";
    [module(&[body], 0), section(0, &[items(name.len(), name).as_slice(), types].concat())].concat()
}

/// A component of types, each of which has the one before twice.
fn doubled_types(count: usize) -> Vec<u8> {
    let mut types = b"\x6f\x02\x7f\x7f".to_vec();
    for index in 1..count {
        let before = leb128(index - 1);
        types.extend([b"\x6f\x02", before.as_slice(), &before].concat());
    }
    [COMPONENT, &section(7, &items(count, &types))].concat()
}

/// A type of a component in a type of a component, and so on.
fn types_in_types(depth: usize) -> Vec<u8> {
    let types = [b"\x41\x01\x01".repeat(depth), b"\x41\0".to_vec()].concat();
    [COMPONENT, &section(7, &items(1, &types))].concat()
}

#[test]
fn lifting_ends_within_its_bounds() {
    // RES-12, RES-13, MAL-01: a core module is lifted by the process that compiles, so whatever its own sections make of a
    // reader of interfaces, the host has a line about it.
    let home = Home::new();
    home.configure(&small_limits(400 << 20));
    let plain = || body(0, b"");
    let cases: [(&str, Vec<u8>); 8] = [
        ("doubled-types", typed_module(plain(), &doubled_types(60))),
        ("many-doubled-types", typed_module(plain(), &doubled_types(100_000))),
        ("types-in-types", typed_module(plain(), &types_in_types(100_000))),
        ("nested", typed_module(plain(), &nested(1_000, 0))),
        ("doubling", typed_module(plain(), &nested(25, 2))),
        ("nonsense", typed_module(plain(), &vec![0xff; 1_000_000])),
        (
            "conditions",
            typed_module(body(0, &[b"\x41\0\x04\x40".repeat(200_000), b"\x0b".repeat(200_000)].concat()), b""),
        ),
        ("million-locals", typed_module(body(1_000_000, b""), b"")),
    ];
    for (name, bytes) in cases {
        let path = home.file(&format!("{name}.wasm"), bytes);
        let ran = home.run(["inspect".as_ref(), path.as_os_str()]);
        ran.code(1).fails_well().says(&format!("`{name}`"));
        assert!(ran.peak_kib < HOST_KIB_MAX, "{name}: {} KiB", ran.peak_kib);
        assert!(ran.elapsed < Duration::from_secs(30), "{name}: {:?}", ran.elapsed);
    }
    // An honest module is lifted, also by whoever has no home.
    let honest = home.file(
        "honest.wasm",
        wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#).expect("wat"),
    );
    home.run(["run".as_ref(), honest.as_os_str()]).code(0);
    home.is_well();
}

#[test]
fn compiling_has_a_deadline() {
    // RES-12
    let home = Home::new();
    let bomb = home.file("bomb.wasm", conditions(200_000)).display().to_string();
    home.configure("[limits]\ncompile-wall-ms = 400\ncompile-memory-bytes = 411111111\n");
    let message = home.refuses(["run", &bomb], 1);
    assert_eq!(message, "`bomb` can't be compiled: it takes longer than 400 ms to be compiled");
    let ran = home.run(["--format", "json", "inspect", &bomb]);
    assert_eq!(ran.code(1).json()["error"]["code"], "host.compile-limit");
    assert!(ran.elapsed < Duration::from_secs(10), "{:?}", ran.elapsed);
    assert_eq!(children(411_111_111), Vec::<PathBuf>::new(), "nobody compiles any more");
    // Nothing was called.
    assert_eq!(home.entries().len(), 1);
    home.configure("");
    home.is_well();
}

/// Folders in `/proc` of the children that were told these bytes of memory.
fn children(memory_bytes: u64) -> Vec<PathBuf> {
    let wanted = format!("compile-component\0{memory_bytes}\0");
    let processes = std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| Some(entry.ok()?.path()));
    let is_child = |process: &PathBuf| {
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&wanted)
    };
    processes.filter(is_child).collect()
}

/// Waits for something, and not for ever.
#[track_caller]
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A host that has started to compile something that takes long, and the folder of its child, which is confined by now.
fn compiling(home: &Home, memory_bytes: u64) -> (Child, PathBuf) {
    home.configure(&format!("[limits]\ncompile-memory-bytes = {memory_bytes}\ncompile-cpu-seconds = 30\n"));
    let bomb = home.file("bomb.wasm", conditions(200_000)).display().to_string();
    let program = command(&home.path(), [""; 0]).get_program().to_owned();
    // A descriptor that the host was started with, and knows nothing of.
    let mut host = std::process::Command::new("/bin/sh");
    host.args(["-c", "exec 7</dev/zero; exec \"$0\" \"$@\""]).arg(program).args(["inspect", &bomb]);
    host.env_clear().env("RINGFENCE_HOME", home.path()).env("CANARY", crate::harness::SECRET);
    let host = host.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the host runs");
    let child = wait_for("a child", || children(memory_bytes).pop());
    wait_for("confinement", || {
        let limits = std::fs::read_to_string(child.join("limits")).ok()?;
        limits.lines().any(|line| line.starts_with("Max open files") && line.contains(" 3 ")).then_some(())
    });
    (host, child)
}

#[test]
fn compiler_has_little_to_lose() {
    // RES-12: limits, descriptors, environment, folder and privileges of the process, as the kernel sees them.
    let home = Home::new();
    let (mut host, child) = compiling(&home, 412_222_222);
    let limits = std::fs::read_to_string(child.join("limits")).expect("limits");
    for (name, wanted) in [
        ("Max cpu time", "30"),
        ("Max file size", "0"),
        ("Max data size", "412222222"),
        ("Max core file size", "0"),
        ("Max open files", "3"),
    ] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        assert_eq!(line.split_whitespace().next(), Some(wanted), "{name}: {limits}");
    }
    let descriptors = |process: PathBuf| {
        let entries = std::fs::read_dir(process.join("fd")).expect("descriptors");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(descriptors(child.clone()), ["0", "1", "2"]);
    let of_host = descriptors(PathBuf::from(format!("/proc/{}", host.id())));
    assert!(of_host.iter().any(|name| name == "7"), "the host was to have one more: {of_host:?}");
    let environment = std::fs::read_to_string(child.join("environ")).expect("its environment");
    assert!(environment.starts_with("RAYON_NUM_THREADS=") && environment.matches('\0').count() == 1, "{environment}");
    assert_eq!(std::fs::read_link(child.join("cwd")).expect("its folder"), PathBuf::from("/"));
    let status = std::fs::read_to_string(child.join("status")).expect("its status");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    host.kill().expect("the host is killed");
    host.wait().expect("the host ends");
}

#[test]
fn compiler_dies_with_its_host() {
    let home = Home::new();
    let (mut host, child) = compiling(&home, 413_333_333);
    host.kill().expect("the host is killed");
    host.wait().expect("the host ends");
    let is_gone = || std::fs::read(child.join("cmdline")).map_or(true, |line| line.is_empty());
    wait_for("the end of the child", || is_gone().then_some(()));
    home.configure("");
    home.is_well();
}

#[test]
fn killed_compiler_is_an_error() {
    let home = Home::new();
    let (host, child) = compiling(&home, 414_444_444);
    let pid = child.file_name().expect("a number").to_string_lossy().into_owned();
    let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status().expect("`kill` runs");
    assert!(killed.success());
    let output = host.wait_with_output().expect("the host ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: `bomb` can't be compiled: the compiler did not survive it: signal: 9"), "{said}");
    assert!(said.contains("\nhint: "), "{said}");
    home.configure("");
    home.is_well();
}

#[test]
fn hidden_command_stays_hidden() {
    let home = Home::new();
    assert!(!home.run(["help"]).code(0).text().contains("compile-component"));
    let component = one_function(0, b"");
    // Its exit codes are the compiler's, and its output is native code or text.
    let compile =
        |bytes: &[u8], memory: &str| finish(command(&home.path(), ["compile-component", memory, "60"]), bytes);
    assert!(compile(&component, "1000000000").code(0).stdout.starts_with(b"\x7fELF"));
    assert!(!compile(b"\0asm\x0d\0\x01\0\xff", "1000000000").code(1).stderr.is_empty());
    assert!(compile(b"#!/bin/sh", "1000000000").code(1).stdout.is_empty());
    let lift = |bytes: &[u8]| finish(command(&home.path(), ["compile-component", "--lift", "1000000000", "60"]), bytes);
    let program = wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#).expect("wat");
    assert!(lift(&program).code(0).stdout.starts_with(COMPONENT));
    assert!(!lift(b"\0asm\x01\0\0\0\xff").code(1).stderr.is_empty());
}

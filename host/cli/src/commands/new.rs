//! `ringfence new`: a folder of source that builds, and whose cases pass. What is there already stays as it is.

use std::path::Path;
use std::path::PathBuf;

use serde_json::json;

use crate::args::Language;
use crate::args::NewArgs;
use crate::args::NewCommand;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::Output;

/// Where a template has the name.
const NAME: &str = "{{name}}";
/// A file of a template: its path in the folder, and its text.
type File = (&'static str, &'static str);

const POLICY_WIT: File = ("wit/policy.wit", include_str!("../../../../wit/policy/policy.wit"));
const CASES: File = ("cases.toml", include_str!("../../templates/policy/cases.toml"));
const NOT_KEPT: File = (".gitignore", "/*.wasm\n/__pycache__\n/node_modules\n/target\n");

const RUST_POLICY: &[File] = &[
    ("Cargo.toml", include_str!("../../templates/policy/rust/Cargo.toml")),
    ("src/lib.rs", include_str!("../../templates/policy/rust/src/lib.rs")),
];
const PYTHON_POLICY: &[File] = &[("app.py", include_str!("../../templates/policy/python/app.py"))];
const JAVASCRIPT_POLICY: &[File] = &[
    ("app.js", include_str!("../../templates/policy/javascript/app.js")),
    ("package.json", include_str!("../../templates/policy/javascript/package.json")),
];
const RUST_TOOL: &[File] = &[
    ("Cargo.toml", include_str!("../../templates/tool/rust/Cargo.toml")),
    ("manifest.toml", include_str!("../../templates/tool/rust/manifest.toml")),
    ("src/lib.rs", include_str!("../../templates/tool/rust/src/lib.rs")),
    ("wit/tool.wit", include_str!("../../templates/tool/rust/wit/tool.wit")),
];

pub fn run(command: NewCommand, output: Output) -> Result<Exit, CommandError> {
    match command {
        NewCommand::Policy(args) => {
            let source = match args.lang {
                Language::JavaScript => JAVASCRIPT_POLICY,
                Language::Python => PYTHON_POLICY,
                Language::Rust => RUST_POLICY,
            };
            let folder = write(&args, &[source, &[CASES, POLICY_WIT, NOT_KEPT]].concat())?;
            told(&args, &folder, "policy test", output);
        }
        NewCommand::Tool(args) => {
            if args.lang != Language::Rust {
                return Err(CommandError::no_template());
            }
            let folder = write(&args, &[RUST_TOOL, &[NOT_KEPT]].concat())?;
            told(&args, &folder, "inspect", output);
        }
    }
    Ok(Exit::Done)
}

/// Makes the folder. One that holds anything is somebody's, and is not touched.
fn write(args: &NewArgs, files: &[File]) -> Result<PathBuf, CommandError> {
    let name = args.name.as_str();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(CommandError::package_name(name));
    }
    let folder = args.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    let create = |path: &Path| std::fs::create_dir_all(path).map_err(|error| CommandError::file(path, &error));
    create(&folder)?;
    let mut entries = std::fs::read_dir(&folder).map_err(|error| CommandError::file(&folder, &error))?;
    if entries.next().is_some() {
        return Err(CommandError::folder_in_use(&folder));
    }
    for (file, text) in files {
        let path = folder.join(file);
        path.parent().map_or(Ok(()), create)?;
        std::fs::write(&path, text.replace(NAME, name)).map_err(|error| CommandError::file(&path, &error))?;
    }
    Ok(folder)
}

fn told(args: &NewArgs, folder: &Path, then: &str, output: Output) {
    if output.is_json() {
        output.json(&json!({ "name": args.name.as_str(), "folder": folder }));
        return;
    }
    output.line(&format!("made  {}", folder.display()));
    if args.lang == Language::JavaScript {
        output.line(&format!("next  npm install --prefix {}", folder.display()));
    }
    let folder = folder.display();
    let what = if then == "inspect" { format!("{folder}/{}.wasm", args.name) } else { folder.to_string() };
    output.line(&format!("next  ringfence build {folder} && ringfence {then} {what}"));
}

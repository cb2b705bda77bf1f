//! Tools from their source to their registration: written, built, inspected, signed, pushed, added.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::Subcommand;
use clap::ValueEnum;

use crate::config::tools::Name;
use crate::tools::oci::OciRef;
use crate::tools::oci::Source;

#[derive(Debug, Subcommand)]
pub enum NewCommand {
    /// A policy, with its table of cases
    Policy(NewArgs),
    /// A tool, with its manifest
    Tool(NewArgs),
}

#[derive(ClapArgs, Debug)]
pub struct NewArgs {
    /// What it is called, in kebab-case
    pub name: Name,
    /// What it is written in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub lang: Language,
    /// The folder to make [default: NAME]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// What a component is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Built by componentize-js.
    #[value(name = "javascript")]
    JavaScript,
    /// Built by componentize-py.
    Python,
    /// Built by cargo.
    Rust,
}

#[derive(ClapArgs, Debug)]
pub struct BuildArgs {
    /// The folder, with `Cargo.toml`, `app.py` or `app.js`; what is a policy has its WIT in `wit`
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Where the component goes [default: NAME.wasm in the folder]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// For a policy in Rust whose crates want WASI, a clock or chance: stubs that always answer alike
    #[arg(long)]
    pub stub_wasi: bool,
}

#[derive(ClapArgs, Debug)]
pub struct InspectArgs {
    /// A component, or a preview-1 core module
    pub file: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub struct SignArgs {
    /// A component, or a preview-1 core module
    pub file: PathBuf,

    /// The key to sign with, as `ringfence key new` made it
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}

#[derive(ClapArgs, Debug)]
pub struct PushArgs {
    /// A component, or a preview-1 core module
    pub file: PathBuf,

    /// Where to: `oci://HOST/NAME:TAG`
    pub to: OciRef,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key, and print the line that others trust it by
    New {
        /// The name it signs under: a domain and a path of yours, for example
        name: String,
        /// The file to write; only its owner may read it
        #[arg(long = "output", value_name = "FILE")]
        file: PathBuf,
    },
    /// Replace the key that signs this home's checkpoints: an entry that both keys sign
    Rotate,
}

#[derive(Debug, Subcommand)]
pub enum ToolCommand {
    /// Register a component: keep its file, pin it and what it says of itself. Grants nothing
    Add(ToolAddArgs),
    /// List the registered tools
    List,
    /// Check that registered tools still are what was registered
    Verify {
        /// One tool [default: all of them]
        name: Option<Name>,
    },
    /// Remove a tool, its grant and its file
    Remove {
        /// The tool
        name: Name,
    },
}

#[derive(ClapArgs, Debug)]
pub struct ToolAddArgs {
    /// A component or a preview-1 core module: a file, or `oci://HOST/NAME:TAG`
    pub source: Source,

    /// The name to register it by [default: the tool's own]
    #[arg(long, value_name = "NAME")]
    pub name: Option<Name>,

    /// Put it in the place of the tool of that name. Its grant stays if this one asks for nothing more
    #[arg(long)]
    pub replace: bool,

    /// Register it although nobody has signed it and somebody should have
    #[arg(long)]
    pub unsigned: bool,

    /// A bundle of cosign's that vouches for it, instead of the signature beside it
    #[arg(long, value_name = "FILE", requires = "signer")]
    pub bundle: Option<PathBuf>,

    /// Whose key made the bundle: one of `[signers]` with a `cosign-key`
    #[arg(long, value_name = "NAME", requires = "bundle")]
    pub signer: Option<Name>,

    /// With `--replace`, accept an older version than the one that is registered
    #[arg(long, requires = "replace")]
    pub older: bool,
}

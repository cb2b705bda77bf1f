//! `init`, `backup`, `restore` and `bench`: a home or this host as a whole, and the compiler that the host starts.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use ringfence_model::principal::Principal;
use ringfence_runtime::bench::Part;

use crate::args::Seconds;
use crate::args::values::part;

#[derive(ClapArgs, Debug)]
pub struct InitArgs {
    /// The log's permanent name, as it stands in every checkpoint [default: a random one]
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// Keep the log in a database (`postgres://USER@HOST[:PORT]/DATABASE`), or in `memory`, where it ends with each process
    /// [default: a file in the home]
    #[arg(long, value_name = "PLACE")]
    pub store: Option<String>,
    /// The file that holds the password of the database; else it stands in `RINGFENCE_STORE_PASSWORD`
    #[arg(long, value_name = "FILE", requires = "store")]
    pub store_password_file: Option<PathBuf>,
    /// Certificates (PEM) that the server's has to lead to [default: Mozilla's roots]
    #[arg(long, value_name = "FILE", requires = "store")]
    pub store_roots: Option<PathBuf>,
    /// Keep the newest checkpoint a second time in this file or database (`postgres://…`) [default: a file in the home]
    #[arg(long, value_name = "PLACE")]
    pub head: Option<String>,
    /// The file that holds the password of the head's database; else it stands in `RINGFENCE_HEAD_PASSWORD`
    #[arg(long, value_name = "FILE", requires = "head")]
    pub head_password_file: Option<PathBuf>,
    /// Certificates (PEM) that the server's of the head has to lead to [default: Mozilla's roots]
    #[arg(long, value_name = "FILE", requires = "head")]
    pub head_roots: Option<PathBuf>,
    /// Make a token as well, with which this principal may call tools over HTTP; it is shown once
    #[arg(long, value_name = "PRINCIPAL")]
    pub token: Option<Principal>,
}

#[derive(ClapArgs, Debug)]
pub struct BackupArgs {
    /// The folder to make
    pub to: PathBuf,

    /// Leave out the keys. Nothing runs in a home that is restored without them
    #[arg(long)]
    pub without_keys: bool,
}

#[derive(ClapArgs, Debug)]
pub struct RestoreArgs {
    /// The folder that `ringfence backup` made. `--home` says where to
    pub from: PathBuf,

    /// The key that must have signed the log [default: the one that the backup itself names]
    #[arg(long)]
    pub key: Vec<String>,

    /// Put the log into a database that holds none: `postgres://USER@HOST[:PORT]/DATABASE` [default: a file in the home]
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,

    /// The file that holds the password of the database; else it stands in `RINGFENCE_STORE_PASSWORD`
    #[arg(long, value_name = "FILE", requires = "store")]
    pub store_password_file: Option<PathBuf>,

    /// Certificates (PEM) that the server's has to lead to [default: Mozilla's roots]
    #[arg(long, value_name = "FILE", requires = "store")]
    pub store_roots: Option<PathBuf>,
}

#[derive(ClapArgs, Debug)]
pub struct BenchArgs {
    /// Measure only this: policies, calls, record, log, network or files
    #[arg(long, value_name = "PART", value_delimiter = ',', value_parser = part)]
    pub only: Vec<Part>,
    /// Measure for about this long at each row
    #[arg(long, value_name = "SECONDS", default_value = "2")]
    pub seconds: Seconds,
    /// Entries of the log that is verified
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub entries: u64,
    /// Instead of the rows: the host's memory over so many calls, recorded on disk
    #[arg(long, value_name = "CALLS")]
    pub soak: Option<u64>,
    /// Instead of the rows: the memory of so many sandboxes that are open at once
    #[arg(long, value_name = "N", conflicts_with = "soak")]
    pub held: Option<u64>,
    /// Instead of the rows: a log of so many entries on disk against one of 10,000
    #[arg(long, value_name = "ENTRIES", conflicts_with_all = ["soak", "held"], value_parser = clap::value_parser!(u64).range(20..))]
    pub history: Option<u64>,
}

/// The command that compiles, which nobody has to know.
pub const COMPILE: &str = "compile-component";

#[derive(ClapArgs, Debug)]
pub struct CompileArgs {
    /// Lift a core module to a component
    #[arg(long)]
    pub lift: bool,
    /// Bytes of memory it may take
    pub memory_bytes: u64,
    /// Seconds of processor time it may take
    pub cpu_seconds: u64,
}

//! `ringfence backup` and `ringfence restore`: a home as a folder of plain files, and back.
//!
//! A backup is taken while this command holds the log, so nothing changes meanwhile. It has a list of its files with
//! their digests and modes. What is restored is put together beside its place, compared with the list, verified as a log,
//! and only then given its name; a place that is taken is left alone, and nothing is written anywhere else. Neither command
//! goes through a link, or reads what is no plain file.
//!
//! The list finds damage, not malice: whoever can write to a backup decides what is restored from it. All that is kept
//! from them is what no backup has: a way out of the home, and native code for the cache. Who knows the log's key from
//! elsewhere names it, and then decides whose log it is.
//!
//! The log of a backup is a file, also when it was in a database; where it goes on is for whoever restores it to say.

use std::fs;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use ringfence_audit::note::Verifier;
use ringfence_audit::verify::Report;
use ringfence_model::digest::Digest;
use ringfence_model::digest::Hasher;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_runtime::ledger::LedgerError;
use ringfence_runtime::ledger::backend::Backend;
use ringfence_runtime::ledger::backend::postgres::address::Address;
use ringfence_runtime::sequencer;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::openat2;
use serde::Deserialize;
use serde::Serialize;

use crate::args::BackupArgs;
use crate::args::RestoreArgs;
use crate::commands::init;
use crate::commands::log::head_missing;
use crate::commands::log::keys;
use crate::commands::log::log_check;
use crate::commands::log::verify_backend;
use crate::commands::log::verify_home;
use crate::config::HeadConfig;
use crate::config::StoreConfig;
use crate::config::edit::Edit;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::files;
use crate::home::Home;
use crate::log::head;
use crate::output::Output;

/// The version of the format that is written.
const FORMAT_VERSION: u64 = 1;
/// The list of the files of a backup.
const LIST: &str = "backup.json";
/// What of a home can be made again, or is only there while something runs. The log is copied in its own way.
const LEFT_OUT: &[&str] =
    &["cache", "scratch", "log.head.lock", "log.lock", "log.sqlite", "log.sqlite-shm", "log.sqlite-wal"];
/// Where keys are.
const KEYS: &str = "keys";
const LOG: &str = "log.sqlite";
const HEAD: &str = "log.head";
const CONFIG: &str = "ringfence.toml";

/// One file of a backup.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    path: String,
    digest: Digest,
    mode: u32,
}

/// Everything a backup holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    files: Vec<Listed>,
    keys: bool,
    v: u64,
}

pub fn backup(home: &Home, args: &BackupArgs, output: Output) -> Result<Exit, CommandError> {
    let to = &args.to;
    make_folder(to)?;
    let made = fill(home, to, args.without_keys, output).inspect_err(|_| {
        // Ownership: the folder is the one made above.
        let _ = fs::remove_dir_all(to);
    })?;
    output.line(&format!("backup: {}, files: {}", to.display(), made.files.len()));
    output.note(if made.keys {
        "note: it holds the keys: whoever has it can sign as this log; keep it as you keep them"
    } else {
        "note: it holds no keys: without `keys/log.key` from elsewhere, nothing runs in what is restored from it"
    });
    Ok(Exit::Done)
}

fn fill(home: &Home, to: &Path, without_keys: bool, output: Output) -> Result<List, CommandError> {
    // Before the log is looked at: it may have grown since, and is never behind.
    let head = head::read(home)?;
    if head.as_ref().is_some_and(|head| head.len() > limits::CHECKPOINT_BYTES_MAX) {
        return Err(CommandError::evidence(format!(
            "`{}` is no head of a log: it is larger than any",
            home.folder().join(HEAD).display()
        )));
    }
    // Ownership: while the log is held, no other command of this home writes.
    let log = home.copy_log(&to.join(LOG))?;
    let mut files = vec![listed(to, LOG)?];
    let mut names = Vec::new();
    walk(home.folder(), Path::new(""), &mut names, output)?;
    // A head elsewhere is the one that counts: what an earlier one left in the home tells of less.
    let is_elsewhere = home.config().log.head.is_some() && head.is_some();
    for name in names {
        if is_elsewhere && name == Path::new(HEAD) {
            continue;
        }
        if without_keys && is_secret(home, &name) {
            continue;
        }
        files.push(copy(home.folder(), &name, to)?);
    }
    if !files.iter().any(|file| file.path == HEAD)
        && let Some(head) = head
    {
        super::write_new(&to.join(HEAD), &head)?;
        files.push(listed(to, HEAD)?);
    }
    drop(log);
    files.sort();
    let list = List { files, keys: !without_keys, v: FORMAT_VERSION };
    let text = serde_json::to_value(&list).map(|value| json::canonical(&value)).unwrap_or_default();
    super::write_new(&to.join(LIST), &text)?;
    sync(to)?;
    Ok(list)
}

/// The files of a folder, by their paths from it.
fn walk(root: &Path, below: &Path, found: &mut Vec<PathBuf>, output: Output) -> Result<(), CommandError> {
    let folder = root.join(below);
    let failed = |error: io::Error| CommandError::file(&folder, &error);
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (name, kind) = (below.join(entry.file_name()), entry.file_type().map_err(failed)?);
        match () {
            () if is_left_out(&name) => {}
            () if kind.is_dir() => walk(root, &name, found, output)?,
            () if kind.is_file() => found.push(name),
            () => output.note(&format!("note: `{}` is no file and is left out", name.display())),
        }
        if found.len() > limits::BACKUP_FILES_MAX {
            return Err(CommandError::too_much_to_back_up(root));
        }
    }
    Ok(())
}

/// Keys, and the passwords of databases.
fn is_secret(home: &Home, name: &Path) -> bool {
    let log = &home.config().log;
    let passwords = [&log.store_password_file, &log.head_password_file];
    // One file has many spellings: `init` writes down where it really is, and the home may be called by another path.
    let found = home.folder().join(name);
    let is_same = |file: &PathBuf| {
        let file = home.folder().join(file);
        file == found || matches!((file.canonicalize(), found.canonicalize()), (Ok(file), Ok(found)) if file == found)
    };
    name.starts_with(KEYS) || passwords.into_iter().flatten().any(is_same)
}

fn is_left_out(name: &Path) -> bool {
    LEFT_OUT.iter().any(|left_out| name.starts_with(left_out))
}

pub fn restore(args: &RestoreArgs, home: &Path, output: Output) -> Result<Exit, CommandError> {
    let from = args.from.as_path();
    let keys = keys(&args.key, || Ok(Vec::new()))?;
    let store = store_keys(args)?;
    let list = read_list(from)?;
    if fs::symlink_metadata(home).is_ok() {
        return Err(CommandError::place_is_taken(home));
    }
    let beside = home.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(".ringfence-restore").tempdir_in(beside);
    let made = made.map_err(|error| CommandError::file(beside, &error))?;
    for file in &list.files {
        let copied = copy(from, Path::new(&file.path), made.path())?;
        if copied.digest != file.digest {
            return Err(CommandError::damaged_backup(from, &format!("`{}` is not as it was", file.path)));
        }
        set_mode(&made.path().join(&file.path), file.mode)?;
    }
    let before = settle_in(made.path())?;
    let verified = check_apart((from, &keys), made.path(), list.keys, output)?;
    let mut moved = None;
    if args.store.is_some() {
        set_log(made.path(), &store)?;
        moved = Home::open(made.path())?.move_log()?;
        moved.iter().try_for_each(|moved| check_copy((from, &keys), &verified, moved, output))?;
    }
    sync(made.path())?;
    // `rename` takes the place of an empty folder at most.
    fs::rename(made.path(), home).map_err(|error| CommandError::file(home, &error))?;
    let _ = made.keep();
    sync(beside)?;
    if let Some(moved) = &mut moved {
        // Until here nobody takes what is in the database for a log, and whoever restores again begins anew there.
        moved.finish_filling().map_err(LedgerError::from).inspect_err(|_| {
            // Ownership: the home is the one put there above.
            let _ = fs::remove_dir_all(home);
        })?;
    }
    output.line(&format!("restored: {}, files: {}", home.display(), list.files.len()));
    if let Some(HeadConfig::Database(head)) = &Home::open(home)?.config().log.head {
        output.note(&format!(
            "note: the head belongs to `{head}`, which was not asked: it is whoever made the backup that names it; \
             if it is yours, `ringfence log verify` asks it"
        ));
    }
    if let Some(before) = before {
        output.note(&format!(
            "note: the log was in the database `{before}`, and this home has a copy of its own: let only one of the two go on"
        ));
    }
    if !list.keys {
        output.note("note: the backup held no keys: nothing runs before `keys/log.key` and `keys/cache.key` are there");
    }
    Ok(Exit::Done)
}

/// What stands in the configuration of a home whose log was put into a database.
fn store_keys(args: &RestoreArgs) -> Result<[(&'static str, Option<String>); 3], CommandError> {
    let file = |file: &Option<PathBuf>| -> Result<Option<String>, CommandError> {
        let Some(file) = file else { return Ok(None) };
        let text = init::absolute(file)?.into_os_string().into_string();
        text.map(Some).map_err(|_| CommandError::not_text(file))
    };
    let store = args.store.as_deref().map(init::address).transpose()?;
    Ok([
        ("store", store.map(|store| store.to_string())),
        ("store-password-file", file(&args.store_password_file)?),
        ("store-roots", file(&args.store_roots)?),
    ])
}

/// The log of a backup is a file, wherever it was. Where it was, if that was a database.
fn settle_in(made: &Path) -> Result<Option<Address>, CommandError> {
    let store = Home::open(made)?.config().log.store.clone();
    if store.is_some() {
        set_log(made, &[("store", None), ("store-password-file", None), ("store-roots", None)])?;
    }
    Ok(match store {
        Some(StoreConfig::Database(address)) => Some(address),
        Some(StoreConfig::Memory) | None => None,
    })
}

fn set_log(made: &Path, keys: &[(&str, Option<String>)]) -> Result<(), CommandError> {
    let mut edit = Edit::open(&made.join(CONFIG))?;
    edit.set_log(keys)?;
    edit.write()?;
    Ok(())
}

fn read_list(from: &Path) -> Result<List, CommandError> {
    let damaged = |why: String| CommandError::damaged_backup(from, &why);
    let mut text = Vec::new();
    let list = open(from, Path::new(LIST));
    let read = list.and_then(|list| list.take(limits::BACKUP_LIST_BYTES_MAX + 1).read_to_end(&mut text));
    read.map_err(|error| CommandError::file(&from.join(LIST), &error))?;
    if u64::try_from(text.len()).is_ok_and(|length| length > limits::BACKUP_LIST_BYTES_MAX) {
        return Err(damaged("its list is too large".to_owned()));
    }
    let value = json::parse(&text).map_err(|error| damaged(error.to_string()))?;
    let list: List = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
    if list.v != FORMAT_VERSION {
        return Err(damaged(format!("version {} of the format is not one that this version knows", list.v)));
    }
    if list.files.len() > limits::BACKUP_FILES_MAX || !list.files.iter().any(|file| file.path == LOG) {
        return Err(damaged("its list names no log, or too many files".to_owned()));
    }
    // Trust boundary: a list may come from anybody, and must not lead out of the home.
    let is_plain = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    for Listed { path, .. } in &list.files {
        match Path::new(path) {
            name if path.is_empty() || !is_plain(name) => {
                return Err(damaged(format!("`{path}` leads out of the home")));
            }
            // What a host would run as it is, if its MAC is right: keys may be in the backup, too.
            name if path != LOG && is_left_out(name) => return Err(damaged(format!("`{path}` is in no backup"))),
            _ => {}
        }
    }
    Ok(list)
}

/// The same as [`check`], by the head in the backup where the configuration names a database for it.
///
/// Trust boundary: the configuration comes with the backup. It would choose the server that this host calls, and the file
/// whose line is sent there as a password. Whoever uses the home asks the database, before anything is written.
fn check_apart(
    (from, keys): (&Path, &[Verifier]),
    made: &Path,
    has_keys: bool,
    output: Output,
) -> Result<Report, CommandError> {
    if !matches!(Home::open(made)?.config().log.head, Some(HeadConfig::Database(_))) {
        return check((from, keys), made, has_keys, output);
    }
    let path = made.join(CONFIG);
    let as_it_was = files::read(&path, limits::CONFIG_BYTES_MAX).map_err(|error| CommandError::file(&path, &error))?;
    set_log(made, &[("head", None), ("head-password-file", None), ("head-roots", None)])?;
    let report = check((from, keys), made, has_keys, output)?;
    super::write(&path, &as_it_was)?;
    Ok(report)
}

/// Whether what was put together is the home of a log that verifies: by these keys, or by the one that it names itself.
fn check(
    (from, keys): (&Path, &[Verifier]),
    made: &Path,
    has_keys: bool,
    output: Output,
) -> Result<Report, CommandError> {
    let damaged = |why: String| CommandError::damaged_backup(from, &why);
    let home = Home::open(made)?;
    let (head, kept) = (head::place(&home)?, made.join(HEAD));
    // A head in another place tells more than the one in the backup, if it is still there. What a backup says is no reason
    // to write there.
    let is_gone = head::read(&home)?.is_none() && kept.exists();
    let checkpoints = if is_gone { vec![kept] } else { Vec::new() };
    let named: Verifier = {
        let ledger = home.ledger_read_only()?;
        let keys = sequencer::keys(&ledger).map_err(|error| damaged(error.to_string()))?;
        keys.newest().clone()
    };
    if has_keys && home.verifier()? != named {
        return Err(damaged("its key is not the one that the log names".to_owned()));
    }
    let keys = if keys.is_empty() { vec![named] } else { keys.to_vec() };
    let report = verify_home(&home, &checkpoints, log_check(keys, Vec::new()), output)?;
    let missing = head_missing(&home)?;
    if let Some(finding) = report.failures().find(|finding| !is_gone || **finding != missing) {
        return Err(damaged(format!("its log does not verify: {finding}")));
    }
    if is_gone {
        output.note(&format!("note: the head belongs to `{head}` and is not there: move the home's `{HEAD}` to it"));
    }
    Ok(report)
}

/// Whether what was copied into a database is what was verified.
fn check_copy(
    (from, keys): (&Path, &[Verifier]),
    verified: &Report,
    copy: &dyn Backend,
    output: Output,
) -> Result<(), CommandError> {
    let report = verify_backend(copy, log_check(keys.to_vec(), Vec::new()), output)?;
    let is_it = (report.entries, report.head) == (verified.entries, verified.head);
    match report.failures().next() {
        None if is_it => Ok(()),
        Some(finding) => Err(CommandError::damaged_backup(from, &format!("its log does not verify: {finding}"))),
        None => Err(CommandError::damaged_backup(from, "its log is not what was copied")),
    }
}

fn make_folder(path: &Path) -> Result<(), CommandError> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(CommandError::place_is_taken(path));
    }
    fs::DirBuilder::new().mode(0o700).create(path).map_err(|error| CommandError::file(path, &error))
}

/// Copies a file from one folder to another, and takes its digest from the very bytes that were copied.
fn copy(from: &Path, name: &Path, to: &Path) -> Result<Listed, CommandError> {
    let failed = |error: io::Error| CommandError::file(&from.join(name), &error);
    let mut source = open(from, name).map_err(failed)?;
    let mode = source.metadata().map_err(failed)?.permissions().mode() & 0o777;
    let target = to.join(name);
    if let Some(folder) = target.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let mut copied = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target).map_err(failed)?;
    let digest = pour(&mut source, &mut copied).map_err(failed)?;
    let path = name.to_str().ok_or_else(|| CommandError::not_text(name))?.to_owned();
    Ok(Listed { path, digest, mode })
}

/// Opens a plain file below a folder, through no link. A pipe keeps whoever opens it waiting, and a device has no end.
fn open(root: &Path, name: &Path) -> io::Result<fs::File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let below = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let file = fs::File::from(openat2(fs::File::open(root)?, name, flags, Mode::empty(), below)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no plain file")) }
}

/// Waits until a folder and everything below it is on disk, names and all.
fn sync(folder: &Path) -> Result<(), CommandError> {
    let synced = fs::File::open(folder).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    synced.map_err(|error| CommandError::file(folder, &error))
}

/// The digest of a file that is there already.
fn listed(folder: &Path, name: &str) -> Result<Listed, CommandError> {
    let path = folder.join(name);
    let digest = fs::File::open(&path).and_then(|mut file| pour(&mut file, &mut io::sink()));
    let digest = digest.map_err(|error| CommandError::file(&path, &error))?;
    Ok(Listed { path: name.to_owned(), digest, mode: 0o600 })
}

/// Moves bytes, and takes their digest on the way.
fn pour(from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = from.read(&mut buffer)?;
        let part = buffer.get(..length).unwrap_or_default();
        if part.is_empty() {
            return Ok(hasher.finish());
        }
        hasher.update(part);
        to.write_all(part)?;
    }
}

/// Others than the owner are never given more than a file's list says, and never a right to write.
fn set_mode(path: &Path, mode: u32) -> Result<(), CommandError> {
    let mode = fs::Permissions::from_mode(mode & 0o755);
    fs::set_permissions(path, mode).map_err(|error| CommandError::file(path, &error))
}

//! What the host refuses to everybody, and what a layer says of folders, variables, sources and limits a call asks for.

use std::fmt;

use crate::capability::Asked;
use crate::capability::Ceiling;
use crate::capability::FilesystemCeiling;
use crate::capability::Folder;
use crate::capability::GuestPath;
use crate::capability::LimitCeiling;
use crate::capability::Source;
use crate::capability::contains;
use crate::grant::Layer;
use crate::grant::Refusal;
use crate::grant::Wanted;
use crate::limits;

pub(super) fn refuse_host_state(folders: &[Folder], host_state: &[String]) -> Result<(), Box<Refusal>> {
    let touches = |folder: &&Folder| {
        host_state.iter().any(|state| contains(state, &folder.host) || contains(&folder.host, state))
    };
    let Some(folder) = folders.iter().find(touches) else { return Ok(()) };
    let nearest = "no folder that holds its own state or lies under it";
    Err(Refusal::new(Layer::Host, Wanted::Folder(folder.clone()), nearest))
}

/// FS-12: one tree granted twice could be read-only by one name and writable by the other.
pub(super) fn refuse_overlaps(folders: &[Folder]) -> Result<(), Box<Refusal>> {
    if folders.len() > limits::FOLDERS_MAX {
        let nearest = format!("at most {} folders", limits::FOLDERS_MAX);
        return Err(Refusal::new(Layer::Host, Wanted::TooManyFolders(folders.len()), nearest));
    }
    for (index, one) in folders.iter().enumerate() {
        for other in folders.iter().skip(index + 1) {
            let nested = contains(&one.host, &other.host) || contains(&other.host, &one.host);
            if one.guest == other.guest || (nested && !is_plain_twin(one, other)) {
                let nearest =
                    "each guest path once, and no tree both to read and to write, or twice with a quota or a pattern";
                return Err(Refusal::new(Layer::Host, Wanted::FolderPair(one.clone(), other.clone()), nearest));
            }
        }
    }
    Ok(())
}

/// Whether one tree may be seen by two names: with the same access, and nothing that the other name would get around.
fn is_plain_twin(one: &Folder, other: &Folder) -> bool {
    let is_plain = |folder: &Folder| folder.deny.is_empty() && folder.bytes_max.is_none() && folder.files_max.is_none();
    one.access == other.access && is_plain(one) && is_plain(other)
}

pub(super) fn refuse_taken_scratch(asked: &Asked) -> Result<(), Box<Refusal>> {
    match &asked.scratch {
        Some(scratch) if asked.folders.iter().any(|folder| folder.guest == *scratch) => {
            Err(Refusal::new(Layer::Host, Wanted::Scratch(scratch.clone()), "each guest path once"))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_folder(layer: Layer, ceiling: &Ceiling, folder: &Folder) -> Result<(), Box<Refusal>> {
    let refuse = |nearest: &str| Refusal::new(layer, Wanted::Folder(folder.clone()), nearest);
    let wider = |nearest: &str| Err(refuse(nearest).allowed_by("filesystem", folder.access));
    match ceiling.filesystem.map(FilesystemCeiling::access) {
        Some(None) => return wider("no folders"),
        Some(Some(access)) if access < folder.access => return wider(&format!("folders to {access} only")),
        _ => {}
    }
    let own = LimitCeiling { write_bytes: folder.bytes_max, files: folder.files_max, ..LimitCeiling::default() };
    check_limits(layer, &ceiling.limits, &own)?;
    let Some(roots) = &ceiling.folders else { return Ok(()) };
    if roots.iter().any(|root| contains(root, &folder.host)) {
        return Ok(());
    }
    let nearest = match &roots[..] {
        [] => "no folders, because its list of them is empty".to_owned(),
        roots => format!("folders under {}", listed(roots)),
    };
    Err(refuse(&nearest).allowed_by_list("folders", roots, &folder.host))
}

pub(super) fn check_variable(layer: Layer, ceiling: &Ceiling, name: &str) -> Result<(), Box<Refusal>> {
    let Some(names) = &ceiling.environment else { return Ok(()) };
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    let nearest = if names.is_empty() { "none".to_owned() } else { listed(names) };
    let refusal = Refusal::new(layer, Wanted::Environment { name: name.to_owned() }, nearest);
    Err(refusal.allowed_by_list("environment", names, &name))
}

pub(super) fn check_sources(layer: Layer, ceiling: &Ceiling, asked: &Asked) -> Result<(), Box<Refusal>> {
    let source = |is_fixed| if is_fixed { Source::Fixed } else { Source::Real };
    let (clock, random) = (source(asked.clock.is_some()), source(asked.seed.is_some()));
    for (key, wanted, ceiling, asked, nearest) in [
        ("clock", Wanted::Clock(clock), ceiling.clock, clock, "a fixed clock only"),
        ("random", Wanted::Random(random), ceiling.random, random, "seeded random bytes only"),
    ] {
        if ceiling.is_some_and(|ceiling| asked > ceiling) {
            return Err(Refusal::new(layer, wanted, nearest).allowed_by(key, asked));
        }
    }
    Ok(())
}

pub(super) fn check_limits(layer: Layer, ceiling: &LimitCeiling, asked: &LimitCeiling) -> Result<(), Box<Refusal>> {
    for (name, ceiling, asked) in [
        ("memory-bytes", ceiling.memory_bytes, asked.memory_bytes),
        ("fuel", ceiling.fuel, asked.fuel),
        ("wall-ms", ceiling.wall_ms, asked.wall_ms),
        ("output-bytes", ceiling.output_bytes, asked.output_bytes),
        ("handles", ceiling.handles, asked.handles),
        ("sent-bytes", ceiling.sent_bytes, asked.sent_bytes),
        ("received-bytes", ceiling.received_bytes, asked.received_bytes),
        ("requests", ceiling.requests, asked.requests),
        ("connections", ceiling.connections, asked.connections),
        ("write-bytes", ceiling.write_bytes, asked.write_bytes),
        ("files", ceiling.files, asked.files),
    ] {
        if let (Some(max), Some(value)) = (ceiling, asked)
            && value > max
        {
            let refusal = Refusal::new(layer, Wanted::Limit { name, value }, format!("at most {max}"));
            return Err(refusal.allowed_by_limit(name, value));
        }
    }
    Ok(())
}

pub(super) fn check_scratch(
    layer: Layer,
    ceiling: &LimitCeiling,
    scratch: Option<&GuestPath>,
) -> Result<(), Box<Refusal>> {
    let Some(scratch) = scratch else { return Ok(()) };
    let needed = [
        ("write-bytes", ceiling.write_bytes, SCRATCH_BYTES_SUGGESTED),
        ("files", ceiling.files, SCRATCH_FILES_SUGGESTED),
    ];
    let missing: Vec<_> = needed.into_iter().filter(|(_, bound, _)| *bound == Some(0)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let refusal = Refusal::new(layer, Wanted::Scratch(scratch.clone()), "nothing to be written anywhere");
    Err(missing.into_iter().fold(refusal, |refusal, (name, _, value)| refusal.allowed_by_limit(name, value)))
}

/// What a layer would have to leave for a scratch folder to be of use, where it leaves nothing.
const SCRATCH_BYTES_SUGGESTED: u64 = limits::MIB;

const SCRATCH_FILES_SUGGESTED: u64 = 100;

pub(super) fn listed<T: fmt::Display>(names: &[T]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

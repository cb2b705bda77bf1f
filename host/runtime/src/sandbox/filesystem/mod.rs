//! A call's folders: `wasi:filesystem` as the guest sees it, around wasmtime-wasi's own.
//!
//! wasmtime-wasi reads, writes and keeps guests inside their folders. This adds what it has no notion of: patterns that
//! stay closed, quotas, the refusal of special files, listings of bounded memory, and a line in the trace for what is
//! opened and for what is refused. Each operation is looked up, judged, and then handed on as a whole, or made on the
//! very object that was judged. It decides nothing that the grant does not say.
//!
//! ```text
//! view      the interfaces, operation by operation
//! lookup    what an operation is about, and what speaks against it
//! walk      from a path to an object, and to where it really is
//! deny      patterns          quota     budgets          refusal   what a guest is told
//! stream    writing           listing   reading a folder
//! ```

mod deny;
mod listing;
mod lookup;
mod measure;
mod quota;
mod refusal;
mod stream;
mod view;
mod walk;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use ringfence_model::capability::Access;
use ringfence_model::capability::Folder as Granted;
use ringfence_model::capability::GuestPath;
use ringfence_model::grant::Limits;
use ringfence_model::limits;
use wasmtime::component::HasData;
use wasmtime::component::Linker;
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::p2::bindings::filesystem;

use crate::sandbox::filesystem::deny::Deny;
pub use crate::sandbox::filesystem::deny::closes;
pub(crate) use crate::sandbox::filesystem::measure::FileReads;
use crate::sandbox::filesystem::quota::Budget;
use crate::sandbox::filesystem::quota::Quota;
use crate::sandbox::filesystem::refusal::Refusal;
use crate::sandbox::fs::FolderError;
use crate::sandbox::state::State;
use crate::sandbox::watch::WatchedTrace;

/// The folders of one call, and which of them each handle of the guest belongs to.
#[derive(Debug, Default)]
pub(super) struct Filesystem {
    folders: Vec<Arc<Folder>>,
    /// By the number of the handle. An entry lives as long as the handle.
    handles: HashMap<u32, usize>,
    late: Late,
}

/// A folder that is open to the guest.
#[derive(Debug)]
struct Folder {
    root: OwnedFd,
    guest: GuestPath,
    access: Access,
    deny: Deny,
    quota: Quota,
}

/// What streams were refused on threads of their own, until it is put into the trace.
#[derive(Clone, Debug, Default)]
struct Late(Arc<Mutex<Vec<(String, Refusal)>>>);

impl Filesystem {
    /// Opens nothing: `roots` are handles to what `granted` names, in the same order.
    pub(super) fn new(granted: &[Granted], roots: Vec<OwnedFd>, limits: &Limits) -> Result<Self, FolderError> {
        let call = Arc::new(Budget::new(limits.write_bytes, limits.files));
        let folder = |(granted, root): (&Granted, OwnedFd)| {
            let own = Budget::new(granted.bytes_max.unwrap_or(u64::MAX), granted.files_max.unwrap_or(u64::MAX));
            Ok(Arc::new(Folder {
                root,
                guest: granted.guest.clone(),
                access: granted.access,
                deny: Deny::new(&granted.deny).map_err(|error| FolderError::new(granted, error.to_string()))?,
                quota: Quota::new(own, &call),
            }))
        };
        let folders = granted.iter().zip(roots).map(folder).collect::<Result<_, _>>()?;
        Ok(Self { folders, ..Self::default() })
    }

    /// Moves what streams were refused into the trace.
    pub(super) fn settle(&self, trace: &mut WatchedTrace) {
        for (path, refusal) in self.late.take() {
            note(trace, "output-stream.write", &format!("{path}: {refusal}"), false);
        }
    }
}

impl Late {
    fn note(&self, path: String, refusal: Refusal) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() < limits::TRACE_EVENTS_MAX {
            noted.push((path, refusal));
        }
    }

    fn take(&self) -> Vec<(String, Refusal)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the interfaces work on during one operation.
struct View<'a> {
    wasi: WasiFilesystemCtxView<'a>,
    own: &'a mut Filesystem,
    trace: &'a mut WatchedTrace,
}

/// Marks [`View`] as what the linked interfaces work on.
struct Guarded;

impl HasData for Guarded {
    type Data<'a> = View<'a>;
}

/// Links `wasi:filesystem`, in place of what is linked there.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    filesystem::types::add_to_linker::<State, Guarded>(linker, view)?;
    filesystem::preopens::add_to_linker::<State, Guarded>(linker, view)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn view(state: &mut State) -> View<'_> {
    let (wasi, own, trace) = state.filesystem_parts();
    View { wasi, own, trace }
}

fn note(trace: &mut WatchedTrace, operation: &str, detail: &str, allowed: bool) {
    trace.push_with(format!("wasi:filesystem/types@0.2.12#{operation}"), Some(detail), allowed);
}

//! `wasi:config/store`: the variables of a grant, for tools that ask for them there and not in their environment.
//!
//! There is one list of variables, so what bounds the one bounds the other. A secret is a placeholder here too.

use std::collections::BTreeMap;

use wasmtime::StoreContextMut;
use wasmtime::component::ComponentType;
use wasmtime::component::Lift;
use wasmtime::component::Linker;
use wasmtime::component::Lower;

use crate::sandbox::state::State;

/// The interface, whatever its version: it has not changed since its first.
pub(super) const STORE: &str = "wasi:config/store@";

/// What could go wrong elsewhere, and does not here.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum Failure {
    #[component(name = "upstream")]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

/// Links the interface by the name that a component imports it by.
pub(super) fn link(linker: &mut Linker<State>, name: &str) -> wasmtime::Result<()> {
    let mut interface = linker.instance(name)?;
    interface.func_wrap("get", |store: StoreContextMut<'_, State>, (key,): (String,)| {
        Ok((Ok::<_, Failure>(store.data().variables().get(&key).cloned()),))
    })?;
    interface.func_wrap("get-all", |store: StoreContextMut<'_, State>, (): ()| {
        let all: BTreeMap<String, String> = store.data().variables().clone();
        Ok((Ok::<_, Failure>(all.into_iter().collect::<Vec<_>>()),))
    })
}

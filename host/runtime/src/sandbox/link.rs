//! The linker: what a tool's imports are bound to.
//!
//! An import outside WASI fails when the tool is loaded. WASI itself is linked whole, because components made from
//! Python or JavaScript import all of it whether they use it or not; what reaches into the world asks the grant when it
//! is called, and answers with the interface's own access error. What nothing can grant is linked to a *refusal*: that
//! same error where the interface has one, else the call ends as denied. Each refused attempt is in the trace. A tool that is
//! loaded strictly does not load with an import that is not granted.

use ringfence_model::outcome::one_line;
use thiserror::Error;
use wasmtime::component::Component;
use wasmtime::component::InstancePre;
use wasmtime::component::Linker;
use wasmtime::component::ResourceType;
use wasmtime::component::Val;
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::types::ComponentInstance;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::types::Type;

use crate::engine::Engine;
use crate::sandbox::filesystem;
use crate::sandbox::network;
use crate::sandbox::state::State;
use crate::sandbox::variables;

/// WASI interfaces that are linked to refusals: nothing in this version grants them.
const REFUSED: [&str; 2] = ["wasi:tls/", "wasi:keyvalue/"];

/// What becomes of an import that nothing grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Imports {
    /// It is linked, and refuses when it is called.
    #[default]
    Refuse,
    /// The component does not load.
    Strict {
        /// Whether requests over HTTP are granted.
        http: bool,
        /// Whether sockets or names are granted.
        sockets: bool,
    },
}

impl Imports {
    fn refuses(self, import: &str) -> bool {
        let Self::Strict { http, sockets } = self else { return false };
        (!http && import.starts_with("wasi:http/"))
            || (!sockets && import.starts_with("wasi:sockets/"))
            || REFUSED.iter().any(|prefix| import.starts_with(prefix))
    }
}

/// Why a component can't be linked.
#[derive(Debug, Error)]
pub enum LinkError {
    /// It imports what no tool can import.
    #[error("the component imports `{0}`, which is neither WASI 0.2 nor Ringfence's own")]
    UnknownImport(String),
    /// It imports what is not granted, and was to be loaded strictly.
    #[error("the component imports `{0}`, which is not granted, and imports are strict here")]
    StrictImport(String),
    /// An import it names exists, but not as the component wants it.
    #[error("the component's imports don't fit: {0}")]
    Mismatch(String),
}

/// The guest reached for something that is never granted.
#[derive(Clone, Debug, Error)]
#[error("the tool called `{0}`, which is not granted")]
pub(crate) struct NotGranted(pub(crate) String);

/// Links a component.
pub(crate) fn link(engine: &Engine, component: &Component, imports: Imports) -> Result<InstancePre<State>, LinkError> {
    let mut linker = Linker::new(engine.wasmtime());
    let mismatch = |error: wasmtime::Error| LinkError::Mismatch(one_line(&format!("{error:#}")));
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(mismatch)?;
    filesystem::link(&mut linker).map_err(mismatch)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(mismatch)?;
    network::add_to_linker(&mut linker).map_err(mismatch)?;
    for (name, item) in component.component_type().imports(engine.wasmtime()) {
        if imports.refuses(name) {
            return Err(LinkError::StrictImport(one_line(name)));
        }
        if !name.starts_with("wasi:") {
            return Err(LinkError::UnknownImport(one_line(name)));
        }
        if name.starts_with(variables::STORE) {
            variables::link(&mut linker, name).map_err(mismatch)?;
        }
        if let ComponentItem::ComponentInstance(instance) = item.ty
            && REFUSED.iter().any(|prefix| name.starts_with(prefix))
        {
            refuse_instance(engine, &mut linker, name, &instance).map_err(mismatch)?;
        }
    }
    linker.instantiate_pre(component).map_err(mismatch)
}

fn refuse_instance(
    engine: &Engine,
    linker: &mut Linker<State>,
    name: &str,
    instance: &ComponentInstance,
) -> wasmtime::Result<()> {
    let mut refusing = linker.instance(name)?;
    for (item_name, item) in instance.exports(engine.wasmtime()) {
        match item.ty {
            ComponentItem::ComponentFunc(_) => refuse_function(&mut refusing, name, item_name)?,
            ComponentItem::Resource(_) => {
                refusing.resource(item_name, ResourceType::host::<NotGranted>(), |_, _| Ok(()))?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn refuse_function(
    linked: &mut wasmtime::component::LinkerInstance<'_, State>,
    interface: &str,
    function: &str,
) -> wasmtime::Result<()> {
    let import = format!("{interface}#{function}");
    linked.func_new(function, move |mut store, ty, _, results| {
        store.data_mut().trace.push(import.clone(), false);
        match (access_denied(&ty), results) {
            (Some(denied), [result]) => {
                *result = denied;
                Ok(())
            }
            _ => Err(wasmtime::Error::from(NotGranted(import.clone()))),
        }
    })
}

/// The interface's own way to say no: `err(access-denied)`.
fn access_denied(ty: &ComponentFunc) -> Option<Val> {
    let Some(Type::Result(result)) = ty.results().next() else { return None };
    let Some(Type::Enum(codes)) = result.err() else { return None };
    let code = codes.names().find(|name| *name == "access-denied")?;
    Some(Val::Result(Err(Some(Box::new(Val::Enum(code.to_owned()))))))
}

//! From the bytes of a file to the bytes of a component.
//!
//! A component stays as it is. A preview-1 core module is lifted to a component with the published adapter; the digest
//! that pins the tool stays that of the file. Anything else is named for what it is. Lifting reads all of a module, and in it
//! whatever a stranger says of interfaces, so that it is done where compiling is: in the [`super::compiler`]'s process.

use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use thiserror::Error;
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as ADAPTER_NAME;
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER as COMMAND_ADAPTER;
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as REACTOR_ADAPTER;
use wit_component::ComponentEncoder;

use crate::engine::CompileError;

/// The first eight bytes of a component, and of a core module.
const COMPONENT_PREAMBLE: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE_PREAMBLE: &[u8] = b"\0asm\x01\0\0\0";

/// Why a file can't become a component.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LiftError {
    /// It can't be lifted within the compiler's limits.
    #[error(transparent)]
    Compiler(CompileError),
    /// It is not WebAssembly at all.
    #[error("it does not start like a WebAssembly component or module")]
    NotWebAssembly,
    /// It is larger than a component may be.
    #[error("{bytes} bytes are more than a component may have ({max})", max = limits::COMPONENT_BYTES_MAX)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// It is a core module that can't be lifted.
    #[error("it is a core module that can't be lifted to a component: {0}")]
    Module(String),
}

/// Whether bytes start like a component.
pub(crate) fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(COMPONENT_PREAMBLE)
}

/// What a file is, by how it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Component,
    Module,
}

/// Looks at the start of a file, and at its size.
pub(super) fn form(bytes: &[u8]) -> Result<Form, LiftError> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limits::COMPONENT_BYTES_MAX {
        return Err(LiftError::TooLarge { bytes: bytes.len() });
    }
    if is_component(bytes) {
        Ok(Form::Component)
    } else if bytes.starts_with(MODULE_PREAMBLE) {
        Ok(Form::Module)
    } else {
        Err(LiftError::NotWebAssembly)
    }
}

/// Lifts a core module, in this process.
pub(super) fn encode(module: &[u8]) -> Result<Vec<u8>, LiftError> {
    // What lifts reads some sections by the lengths that they state, and believes them (MAL-01).
    wasmtime::Module::validate(&wasmtime::Engine::default(), module)
        .map_err(|error| LiftError::Module(one_line(&error.root_cause().to_string())))?;
    // A module that exports `_start` is a program and takes the command adapter; the adapter for a library brings no
    // `wasi:cli/run`. Trying the first is the cheapest way to tell: it is refused if `_start` is not there.
    let lifted = encode_with(module, COMMAND_ADAPTER).or_else(|_| encode_with(module, REACTOR_ADAPTER));
    lifted.map_err(|why| LiftError::Module(one_line(&why)))
}

fn encode_with(module: &[u8], adapter: &[u8]) -> Result<Vec<u8>, String> {
    ComponentEncoder::default()
        .module(module)
        .and_then(|encoder| encoder.adapter(ADAPTER_NAME, adapter))
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|error| error.root_cause().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn module_that_lies_of_a_length_is_refused() {
        // MAL-01: a section of data that says it is longer than the file.
        let error = encode(include_bytes!("../../../../fuzz/seeds/component/short-data")).expect_err("a refusal");
        assert!(matches!(error, LiftError::Module(_)), "{error}");
    }
}

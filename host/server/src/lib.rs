//! Serves tools to agents: bytes in, a call out, and bytes again.
//!
//! ```text
//! bytes → mcp::lines, http → mcp, http::api → service::Service::call → Host::call_until → answer → bytes
//! ```
//!
//! What a front end here knows is how its protocol writes a call and an answer down. Whether a call may run, under which
//! grant, and what is recorded of it, is decided behind [`ringfence_runtime::host::Host`], the same door that the command
//! line goes through; there is no other. This crate reads no configuration and opens no log: it is given a
//! [`catalogue::Catalogue`] of what may be offered, and [`service::Hosts`] that lend a host for as long as a call takes.

#![forbid(unsafe_code)]

pub mod advice;
pub mod catalogue;
pub mod http;
pub mod mcp;
mod once;
pub mod reach;
mod refusals;
pub mod service;
pub mod telemetry;

//! The life of a call.
//!
//! A [`host::Host`] takes a [`ringfence_model::call::CallRequest`] and gives back a [`pipeline::Response`]. In between,
//! in this order and in no other (see [`pipeline`]): [`session`] admits, [`policy`] decides, the grant is narrowed
//! (`ringfence_model::grant`), [`ledger`] writes the intent, [`sandbox`] runs, [`ledger`] writes the outcome, and
//! [`sequencer`] hands out the receipt.
//!
//! Beside that path: [`engine`] compiles, [`toolbox`] loads tools, [`bench`] measures.

#![deny(missing_docs)]

pub mod host;
pub mod pipeline;
mod session;
pub mod policy;
pub mod sandbox;
pub mod ledger;
pub mod sequencer;
pub mod toolbox;
pub mod engine;
pub mod bench;

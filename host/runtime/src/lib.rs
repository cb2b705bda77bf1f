//! The life of a call.
//!
//! A [`host::Host`] takes a [`ringfence_model::call::CallRequest`] and gives back a [`pipeline::Response`]. In between,
//! in this order and in no other (see [`pipeline`]): [`session`] admits, [`policy`] decides, the grant is narrowed
//! (`ringfence_model::grant`), [`gate`] finds a place, [`ledger`] writes the intent, [`sandbox`] runs, [`ledger`] writes the outcome, and
//! [`sequencer`] hands out the receipt.
//!
//! Beside that path: [`lease`] says whether what was begun may go on, [`engine`] compiles, [`toolbox`] loads tools, [`mod@bench`] measures.

#![deny(missing_docs)]

pub mod bench;
pub mod descriptors;
pub mod egress;
pub mod engine;
pub mod gate;
pub mod halt;
pub mod host;
pub mod lease;
pub mod ledger;
pub mod pipeline;
pub mod policy;
pub mod sandbox;
pub mod sequencer;
mod session;
pub mod toolbox;

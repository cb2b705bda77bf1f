//! The vocabulary of Ringfence.
//!
//! Every other crate speaks in these words: who acts ([`principal`]), in which [`ring`], through which [`tool`], asking
//! for which [`capability`], given which [`grant`], judged by which [`decision`], ending in which [`outcome`], written
//! down as which [`entry`]. Read the modules in that order.
//!
//! Deliberately absent: files, sockets, clocks, randomness, threads, async and WebAssembly. Nothing here can act, so an
//! auditor can build it in seconds and read it in an evening.
//!
//! ```
//! use ringfence_model::ring::Ring;
//! use ringfence_model::tool::Effect;
//!
//! assert!(Ring::Standard.reaches(Effect::Writes.required_ring()));
//! assert!(!Ring::Sandbox.reaches(Effect::Writes.required_ring()));
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod call;
pub mod capability;
pub mod content;
pub mod decision;
pub mod description;
pub mod digest;
pub mod egress;
pub mod encoding;
pub mod entry;
pub mod function_pattern;
pub mod glob;
pub mod grant;
pub mod id;
pub mod json;
pub mod lifecycle;
pub mod limits;
pub mod outcome;
pub mod principal;
pub mod ring;
pub mod time;
pub mod tool;

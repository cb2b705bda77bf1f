//! Where the log of a home is, and its head: in files, in databases, or nowhere for long.

pub mod head;
pub mod memory;
pub mod store;

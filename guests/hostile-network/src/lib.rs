//! What hostile programs say to the network: WASI's HTTP and sockets with nothing checked on the way.
//!
//! It is a crate of its own because bindings export a function for the host to allocate with, and so would every program
//! that is linked with them. A program with that export starts its C library anew at each call of it, and an older one
//! forgets its folders by that.

pub mod http;
pub mod net;

//! Tools of every shape load through one path and can be called.

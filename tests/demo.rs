//! The demonstration claims nothing that is not so.

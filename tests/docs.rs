//! The documents say what is true: the README, the reference configuration, the rendered WIT.

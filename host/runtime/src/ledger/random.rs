//! Where nonces come from.
//!
//! [`Random`] is the only door randomness comes in by, so that a test can seed it and get the same bytes again. Nonces
//! keep low-entropy content from being guessed by its commitment: a predictable source makes the log guessable, not
//! forgeable.

use std::fmt;

use thiserror::Error;

/// The source gave no random bytes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the system gave no random bytes: {0}")]
pub struct RandomError(pub String);

/// A source of random bytes. Implementors fill all of `bytes` with bytes nobody can predict, or fail.
pub trait Random: fmt::Debug + Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError>;
}

/// The operating system's source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        getrandom::fill(bytes).map_err(|error| RandomError(error.to_string()))
    }
}

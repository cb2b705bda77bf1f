//! Identifiers: typed, printable, and never guessed from.
//!
//! An id is 128 random bits behind a short prefix that says what it names, so that one kind can't be passed for
//! another in code, in a log or by hand; a call's has the time in the first 48 of them. Randomness comes from the caller: this
//! crate has none.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use thiserror::Error;

use crate::time::Timestamp;

impl CallId {
    /// The id of a call that is made now, from 16 random bytes: 80 bits of them, behind the time in milliseconds. Calls that are
    /// made one after the other so lie beside each other wherever they are kept in order.
    pub fn at(time: Timestamp, random: [u8; 16]) -> Self {
        let [_, _, millis @ ..] = time.as_millis().to_be_bytes();
        let mut bytes = random;
        bytes.iter_mut().zip(millis).for_each(|(byte, of_time)| *byte = of_time);
        Self(bytes)
    }
}

/// Text that is not the id it should be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{text}` is not an id of the form `{prefix}` and 32 lower-case hexadecimal digits")]
pub struct IdError {
    text: String,
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// An id from 16 random bytes.
            pub const fn from_random(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", Self::PREFIX, hex::encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let wrong = || IdError { text: text.to_owned(), prefix: Self::PREFIX };
                let digits = text.strip_prefix(Self::PREFIX).ok_or_else(wrong)?;
                let mut bytes = [0; 16];
                hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong())?;
                // One id, one spelling: upper-case digits would be a second one.
                if hex::encode(bytes) != digits {
                    return Err(wrong());
                }
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One question to somebody who may approve.
    ApprovalId,
    "apr_"
);
id!(
    /// One call, from request to receipt.
    CallId,
    "call_"
);
id!(
    /// One session: an admitted principal in a ring.
    SessionId,
    "ses_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_id_parses_back() {
        let made = CallId::at(Timestamp::from_millis(0x0102_0304_0506), [0xab; 16]);
        assert_eq!(made.to_string(), "call_010203040506abababababababababab");
        let id = CallId::from_random([0xab; 16]);
        assert_eq!(id.to_string().parse::<CallId>(), Ok(id));
    }

    #[test]
    fn other_spellings_are_refused() {
        let digits = "ab".repeat(16);
        for text in [
            String::new(),
            digits.clone(),
            format!("ses_{digits}"),
            format!("call_{}", digits.to_uppercase()),
            format!("call_{digits}0"),
            format!("call_{digits} "),
        ] {
            assert!(text.parse::<CallId>().is_err(), "{text}");
        }
    }
}

//! Privilege rings: a ceiling, never a right.
//!
//! Ring 0 is the most privileged, ring 3 the least and the default for everything unknown. The variants stand in that
//! order, and it carries meaning: `Ring` is not `Ord`, because "greater" would be read both ways; ask [`Ring::reaches`].

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use thiserror::Error;

use crate::capability::Ceiling;
use crate::capability::FilesystemCeiling;
use crate::capability::LimitCeiling;
use crate::egress::NetworkCeiling;
use crate::limits;

/// A number that names no ring.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a ring: rings are 0, 1, 2 and 3")]
pub struct RingError(u8);

/// A privilege ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Ring {
    /// Ring 0: administrative. Only an operator gets here, out of band.
    Root,
    /// Ring 1: irreversible actions.
    Privileged,
    /// Ring 2: reversible changes.
    Standard,
    /// Ring 3: reads only, no network.
    #[default]
    Sandbox,
}

impl Ring {
    /// Every ring, from the most to the least privileged.
    pub const ALL: [Self; 4] = [Self::Root, Self::Privileged, Self::Standard, Self::Sandbox];

    /// Its number, 0 to 3.
    pub const fn number(self) -> u8 {
        match self {
            Self::Root => 0,
            Self::Privileged => 1,
            Self::Standard => 2,
            Self::Sandbox => 3,
        }
    }

    /// Whether a caller in this ring may call what needs `required`.
    pub const fn reaches(self, required: Self) -> bool {
        self.number() <= required.number()
    }

    /// The ceiling this ring puts on every grant, unless the operator's configuration lowers it further.
    pub fn ceiling(self) -> Ceiling {
        let (filesystem, network, memory_bytes, wall_ms) = match self {
            Self::Root | Self::Privileged => {
                (FilesystemCeiling::ReadWrite, NetworkCeiling::Any, 1024 * limits::MIB, 600_000)
            }
            Self::Standard => (FilesystemCeiling::ReadWrite, NetworkCeiling::Named, 512 * limits::MIB, 120_000),
            Self::Sandbox => (FilesystemCeiling::Read, NetworkCeiling::None, 256 * limits::MIB, 30_000),
        };
        // In ring 3 no folder is writable, so there these two bound the scratch folder alone.
        let (write_bytes, files) = match self {
            Self::Root | Self::Privileged => (limits::WRITE_BYTES_MAX, limits::FILES_MAX),
            Self::Standard => (256 * limits::MIB, 10_000),
            Self::Sandbox => (64 * limits::MIB, 1_000),
        };
        Ceiling {
            filesystem: Some(filesystem),
            network: Some(network),
            limits: LimitCeiling {
                memory_bytes: Some(memory_bytes),
                fuel: Some(limits::FUEL_PER_CALL_MAX),
                wall_ms: Some(wall_ms),
                output_bytes: Some(limits::OUTPUT_BYTES_MAX),
                handles: Some(limits::HANDLES_MAX),
                sent_bytes: Some(limits::NETWORK_BYTES_MAX),
                received_bytes: Some(limits::NETWORK_BYTES_MAX),
                requests: Some(limits::REQUESTS_MAX),
                connections: Some(limits::CONNECTIONS_MAX),
                write_bytes: Some(write_bytes),
                files: Some(files),
            },
            ..Ceiling::default()
        }
    }
}

impl TryFrom<u8> for Ring {
    type Error = RingError;

    fn try_from(number: u8) -> Result<Self, RingError> {
        match number {
            0 => Ok(Self::Root),
            1 => Ok(Self::Privileged),
            2 => Ok(Self::Standard),
            3 => Ok(Self::Sandbox),
            other => Err(RingError(other)),
        }
    }
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

impl Serialize for Ring {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

impl<'de> Deserialize<'de> for Ring {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(u8::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_number_reaches_higher() {
        for caller in Ring::ALL {
            for required in Ring::ALL {
                assert_eq!(caller.reaches(required), caller.number() <= required.number());
            }
        }
    }

    #[test]
    fn unknown_ring_is_refused() {
        assert_eq!(Ring::try_from(4), Err(RingError(4)));
        assert!(serde_json::from_str::<Ring>("255").is_err());
    }

    #[test]
    fn less_privileged_ring_never_exceeds() {
        for (upper, lower) in Ring::ALL.iter().zip(Ring::ALL.iter().skip(1)) {
            assert!(upper.ceiling().covers(&lower.ceiling()), "{upper} {lower}");
        }
    }
}

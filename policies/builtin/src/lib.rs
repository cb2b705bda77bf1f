//! The policies that come with Ringfence, as components.
//!
//! They are built from `policies/` together with this crate and are part of it, so a host has them without any file.
//! Nothing here says which of them is in force: that is the operator's configuration.

/// A policy that comes with Ringfence.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BuiltinPolicy {
    /// The name it is known by, the same as in its own description.
    pub name: &'static str,
    /// The component's bytes.
    pub component: &'static [u8],
}

/// All of them, in alphabetical order.
pub const ALL: &[BuiltinPolicy] = include!(concat!(env!("OUT_DIR"), "/policies.rs"));

/// A policy that does nothing: what asking any policy costs. It is no policy to put in force.
pub const EMPTY: &[u8] = include!(concat!(env!("OUT_DIR"), "/empty.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_a_component() {
        const COMPONENT_MAGIC: &[u8] = b"\0asm\x0d\0\x01\0";
        for policy in ALL {
            assert!(policy.component.starts_with(COMPONENT_MAGIC), "{}", policy.name);
        }
    }

    #[test]
    fn names_are_in_order_and_unique() {
        assert!(ALL.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}

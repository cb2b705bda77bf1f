//! Paths of all guests, built from source together with this crate; for development and tests only.
//!
//! `TOOL_*` are honest tools, `POLICY_*` the policies that come with Ringfence, `HOSTILE_*` programs and
//! `HOSTILE_POLICY_*` policies that misbehave, one way each; `GUEST_PROBE` calls the host with any values. The two macros make a hostile guest without a test fail to
//! compile:
//!
//! ```ignore
//! macro_rules! has_a_test {
//!     ($name:ident) => {
//!         use self::$name as _;
//!     };
//! }
//! ringfence_artifacts::for_each_hostile!(has_a_test);
//! ```

include!(concat!(env!("OUT_DIR"), "/artifacts.rs"));

#[cfg(test)]
mod tests {
    #[test]
    fn every_guest_is_handed_to_the_macro() {
        let mut names = Vec::new();
        macro_rules! collect {
            ($name:ident) => {
                names.push(stringify!($name));
            };
        }
        for_each_hostile!(collect);
        for_each_hostile_policy!(collect);
        assert!(names.contains(&"climb_out_of_preopen"));
        assert!(names.contains(&"imports_clock"));
    }

    #[test]
    fn constants_lead_to_components() {
        for path in [crate::TOOL_LINES, crate::POLICY_RING_DEFAULT, crate::HOSTILE_POLICY_IMPORTS_CLOCK] {
            assert!(std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\0asm\x0d\0\x01\0")), "{path}");
        }
    }
}

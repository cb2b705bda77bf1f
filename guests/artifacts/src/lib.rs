//! Paths of all guests, built from source together with this crate; for development and tests only.
//!
//! `TOOL_*` are honest tools, `POLICY_*` the policies that come with Ringfence, `HOSTILE_*` programs and
//! `HOSTILE_POLICY_*` policies that misbehave, one way each. The two macros make a hostile guest without a test fail to
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

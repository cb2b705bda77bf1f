//! Traps on every request, which has to deny the call (POL-01).

use hostile_policies::hostile_policy;

hostile_policy!("trap", |_| core::arch::wasm32::unreachable());

//! Replies with bytes that are no verdict, as the settings say: `{"reply":"KIND"}` (POL-03).
//!
//! Generated bindings can't say these things, so the verdict is laid out by hand, as the canonical ABI has it. The reply
//! `permit` is a sound one, made the same way.

use hostile_policies::support::Guest;
use hostile_policies::support::types::{Description, Request, SettingsProblem, Verdict};

/// A verdict is a tag and, 4 bytes on, two lists of address and length each. A reason is two strings.
type Words = [u32; 5];

const PERMIT: u32 = 0;
const FORBID: u32 = 1;
const REASON_WORDS: usize = 4;
/// An address that no memory of a policy has.
const OUTSIDE: u32 = 0xffff_fff0;

/// Describes itself honestly; the rest is below.
struct Hostile;

impl Guest for Hostile {
    fn describe() -> Description {
        hostile_policies::description("garbage-reply")
    }

    fn validate_settings(_settings: String) -> Result<(), Vec<SettingsProblem>> {
        Ok(())
    }

    fn evaluate(_settings: String, _request: Request) -> Verdict {
        Verdict::Abstain
    }
}

hostile_policies::support::export!(Hostile with_types_in crate::by_hand);

/// The generated bindings, but for what a verdict is made of.
mod by_hand {
    pub(crate) mod exports {
        pub(crate) mod ringfence {
            pub(crate) mod policy {
                pub(crate) mod judge {
                    pub(crate) use hostile_policies::support::bindings::exports::ringfence::policy::judge::*;

                    pub(crate) unsafe fn _export_evaluate_cabi<T>(parameters: *mut u8) -> *mut u8 {
                        unsafe { crate::reply(parameters.cast()) as *mut u8 }
                    }

                    /// Nothing was allocated that would have to be freed.
                    pub(crate) unsafe fn __post_return_evaluate<T>(_verdict: *mut u8) {}
                }
            }
        }
    }
}

/// The parameters are more than fit, so they are behind one address; the settings come first.
unsafe fn reply(parameters: *const [u32; 2]) -> *const Words {
    let [address, bytes] = unsafe { parameters.read() };
    let settings = unsafe { std::slice::from_raw_parts(address as *const u8, bytes as usize) };
    let settings = String::from_utf8_lossy(settings);
    let kind = settings.split('"').nth(3).unwrap_or_default();
    match kind {
        "permit" => kept([PERMIT, 0, 0, 0, 0]),
        "address-outside" => OUTSIDE as *const Words,
        "address-odd" => (kept([PERMIT, 0, 0, 0, 0]) as usize + 1) as *const Words,
        "tag-unknown" => kept([9, 0, 0, 0, 0]),
        "list-outside" => kept([FORBID, OUTSIDE, 1, 0, 0]),
        "list-endless" => kept([FORBID, address & !3, u32::MAX, 0, 0]),
        "list-odd" => kept([FORBID, (address & !3) + 1, 1, 0, 0]),
        "text-outside" => forbid([OUTSIDE, 64, address, 0]),
        "text-endless" => forbid([address, u32::MAX, address, 0]),
        "text-gibibyte" => forbid([address, 1 << 30, address, 0]),
        "text-not-unicode" => forbid([b"\xff\xfe".as_ptr() as u32, 2, address, 0]),
        "text-surrogate" => forbid([b"\xed\xa0\x80".as_ptr() as u32, 3, address, 0]),
        "obligation-unknown" => kept([PERMIT, 0, 0, kept([99; 16]) as *const u8 as u32, 1]),
        "settings-as-obligations" => kept([PERMIT, 0, 0, address & !7, 64]),
        _ => core::arch::wasm32::unreachable(),
    }
}

fn forbid(reason: [u32; REASON_WORDS]) -> *const Words {
    kept([FORBID, kept(reason) as *const u8 as u32, 1, 0, 0])
}

fn kept<const N: usize>(words: [u32; N]) -> *const [u32; N] {
    Box::leak(Box::new(words))
}

//! What is too much before anything is compiled: a look at a component's framing, in time linear in its size.
//!
//! Compiling has bounds of its own ([`super::compiler`]); these refuse what no honest tool has, in milliseconds and
//! with a name for it (RES-12, RES-13). This counts what sections say they hold and nothing more: whether they are
//! well formed is for the engine to say, so whatever can't be read here is left to it.

use ringfence_model::limits;
use thiserror::Error;

use crate::engine::sections::Section;
use crate::engine::sections::Sections;
use crate::engine::sections::read_u32;

/// The first eight bytes of a component begin a component and not a core module.
const COMPONENT_VERSION: &[u8] = b"\x0d\0\x01\0";

/// A component has too much of something.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("it has more than {max} {what}")]
pub struct Excess {
    /// What it has too much of.
    pub what: &'static str,
    /// How much it may have.
    pub max: u64,
}

/// Checks that a component has not too much of anything.
pub(super) fn check(component: &[u8]) -> Result<(), Excess> {
    Counts::default().component(component, 1)
}

/// What was counted so far, at any depth.
#[derive(Default)]
struct Counts {
    components: u64,
    modules: u64,
    bodies: u64,
    locals: u64,
    segments: u64,
    /// By the number of the section, of core modules and components alike: no kind may have too many of either.
    items: [u64; 16],
}

impl Counts {
    /// Recurses once for each level of components, which is bounded.
    fn component(&mut self, bytes: &[u8], depth: usize) -> Result<(), Excess> {
        if depth > limits::COMPONENT_DEPTH_MAX {
            return Err(Excess { what: "components in one another", max: to_u64(limits::COMPONENT_DEPTH_MAX) });
        }
        for section in Sections::of(bytes) {
            match section.id {
                0 => {}
                1 => self.module(section.content)?,
                4 => {
                    add(&mut self.components, 1, "components", limits::COMPONENTS_PER_COMPONENT_MAX)?;
                    if section.content.get(4..8) == Some(COMPONENT_VERSION) {
                        self.component(section.content, depth + 1)?;
                    }
                }
                _ => self.items(&section)?,
            }
        }
        Ok(())
    }

    fn module(&mut self, bytes: &[u8]) -> Result<(), Excess> {
        add(&mut self.modules, 1, "core modules", limits::MODULES_PER_COMPONENT_MAX)?;
        for section in Sections::of(bytes) {
            match section.id {
                // A function's declaration is counted with its body.
                0 | 3 => {}
                9 | 11 => {
                    let segments = count(section.content);
                    add(&mut self.segments, segments, "data and element segments", limits::SEGMENTS_MAX)?;
                }
                10 => self.code(section.content)?,
                _ => self.items(&section)?,
            }
        }
        Ok(())
    }

    fn items(&mut self, section: &Section<'_>) -> Result<(), Excess> {
        match self.items.get_mut(usize::from(section.id)) {
            Some(items) => add(items, count(section.content), "items of one kind", limits::ITEMS_MAX),
            None => Ok(()),
        }
    }

    fn code(&mut self, section: &[u8]) -> Result<(), Excess> {
        add(&mut self.bodies, count(section), "functions", limits::FUNCTION_BODIES_MAX)?;
        let mut rest = read_u32(section).map(|(_, rest)| rest).unwrap_or_default();
        while let Some((length, after)) = read_u32(rest) {
            if to_u64(length) > limits::FUNCTION_BODY_BYTES_MAX {
                return Err(Excess { what: "bytes in one function", max: limits::FUNCTION_BODY_BYTES_MAX });
            }
            let Some((body, after)) = after.split_at_checked(length) else { break };
            self.locals(body)?;
            rest = after;
        }
        Ok(())
    }

    /// Groups of a number and a type; every type that is not switched off takes one byte.
    fn locals(&mut self, body: &[u8]) -> Result<(), Excess> {
        let Some((groups, mut rest)) = read_u32(body) else { return Ok(()) };
        for _ in 0..groups {
            let Some((locals, after)) = read_u32(rest) else { break };
            add(&mut self.locals, to_u64(locals), "local variables", limits::LOCALS_MAX)?;
            rest = after.get(1..).unwrap_or_default();
        }
        Ok(())
    }
}

/// How many items a section says it has; each takes a byte at least, so one that says more is not well formed.
fn count(section: &[u8]) -> u64 {
    read_u32(section).map_or(0, |(count, rest)| to_u64(count.min(rest.len())))
}

fn add(total: &mut u64, more: u64, what: &'static str, max: u64) -> Result<(), Excess> {
    *total = total.saturating_add(more);
    if *total > max { Err(Excess { what, max }) } else { Ok(()) }
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sections::tests::leb128;

    fn checked(text: &str) -> Result<(), Excess> {
        check(&wat::parse_str(text).expect("wat"))
    }

    fn nested(depth: usize) -> String {
        "(component ".repeat(depth) + &")".repeat(depth)
    }

    fn module(inside: &str) -> String {
        format!("(component (core module {inside}))")
    }

    #[test]
    fn each_bound_is_named() {
        // RES-12, RES-13
        for (name, text, what) in [
            ("depth", nested(limits::COMPONENT_DEPTH_MAX + 1), "components in one another"),
            ("components", format!("(component {})", "(component)".repeat(1_001)), "components"),
            ("modules", format!("(component {})", "(core module)".repeat(257)), "core modules"),
            ("bodies", module(&"(func)".repeat(200_001)), "functions"),
            ("data", module(&format!("(memory 1) {}", "(data \"\")".repeat(100_001))), "data and element segments"),
            ("elements", module(&"(elem func)".repeat(100_001)), "data and element segments"),
            ("globals", module(&"(global i32 (i32.const 0))".repeat(200_001)), "items of one kind"),
            ("types", format!("(component {})", "(type u8)".repeat(200_001)), "items of one kind"),
        ] {
            assert_eq!(checked(&text).map_err(|excess| excess.what), Err(what), "{name}");
        }
    }

    /// A component with a core module of one function with this body.
    fn with_body(body: &[u8]) -> Vec<u8> {
        let part = |start: &[u8], content: &[u8]| [start, &leb128(content.len()), content].concat();
        let code = part(b"\x0a", &part(b"\x01", body));
        part(b"\0asm\x0d\0\x01\0\x01", &[b"\0asm\x01\0\0\0", code.as_slice()].concat())
    }

    #[test]
    fn bodies_have_bounds_of_their_own() {
        // RES-12
        let what = |bytes: &[u8]| check(bytes).map_err(|excess| excess.what);
        assert_eq!(what(&with_body(&vec![0; 2 * 1024 * 1024])), Ok(()));
        assert_eq!(what(&with_body(&vec![0; 2 * 1024 * 1024 + 1])), Err("bytes in one function"));
        let locals = |count: usize| with_body(&[b"\x01", leb128(count).as_slice(), b"\x7f\x0b"].concat());
        assert_eq!(what(&locals(4_000_000)), Ok(()));
        assert_eq!(what(&locals(4_000_001)), Err("local variables"));
    }

    #[test]
    fn bounds_hold_for_all_parts_together() {
        // RES-12: half of each bound in each of three modules, one of them deeper.
        let half = "(func)".repeat(100_000);
        let text = format!("(component (core module {half}) (core module {half}) (component (core module (func))))");
        assert_eq!(checked(&text).map_err(|excess| excess.what), Err("functions"));
        let text = format!("(component (core module {half}) (component (core module {half})))");
        assert_eq!(checked(&text), Ok(()));
    }

    #[test]
    fn just_enough_is_let_through() {
        assert_eq!(checked(&nested(limits::COMPONENT_DEPTH_MAX)), Ok(()));
        assert_eq!(checked(&module(&"(func)".repeat(200_000))), Ok(()));
        assert_eq!(checked(&module(&format!("(memory 1) {}", "(data \"\")".repeat(100_000)))), Ok(()));
    }

    #[test]
    fn malformed_bytes_are_left_to_the_engine() {
        let whole = wat::parse_str(module("(func (local i32)) (memory 1) (data \"a\")")).expect("wat");
        for length in 0..whole.len() {
            assert_eq!(check(&whole[..length]), Ok(()));
        }
        // Four thousand million types in five bytes.
        assert_eq!(check(b"\0asm\x0d\0\x01\0\x07\x05\xff\xff\xff\xff\x0f"), Ok(()));
    }
}

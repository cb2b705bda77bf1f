//! Gives every type of WIT back as it came: what the host's translation between JSON and component values is tested
//! against. It computes from its input alone.

#[allow(missing_docs, reason = "the WIT has the documentation")]
mod bindings {
    wit_bindgen::generate!({ path: "wit" });
}

use bindings::exports::ringfence::echo::values::{Colour, Guest, Permissions, Place, Report, Shape};

struct Echo;

bindings::export!(Echo with_types_in bindings);

/// Functions that answer with their own argument.
macro_rules! echo {
    ($($name:ident: $type:ty,)*) => {
        $(fn $name(value: $type) -> $type {
            value
        })*
    };
}

impl Guest for Echo {
    echo! {
        bool: bool,
        s8: i8,
        s16: i16,
        s32: i32,
        s64: i64,
        u8: u8,
        u16: u16,
        u32: u32,
        u64: u64,
        f32: f32,
        f64: f64,
        char: char,
        string: String,
        bytes: Vec<u8>,
        strings: Vec<String>,
        numbers: Vec<u64>,
        tuple: (u8, String, bool),
        record: Place,
        variant: Shape,
        enum_: Colour,
        flags: Permissions,
        option: Option<String>,
        nested_option: Option<Option<u32>>,
        result: Report,
    }

    fn several(first: u32, second: String, third: Vec<Colour>) -> (u32, String, Vec<Colour>) {
        (first, second, third)
    }

    fn fallible(succeed: bool) -> Result<String, String> {
        if succeed { Ok("as asked".to_owned()) } else { Err("failed as asked".to_owned()) }
    }

    fn nothing() {}
}

//! Numbers compared as they are: no digit of a large integer is lost on the way to a float.

use core::cmp::Ordering;

use serde_json::Number;

/// Beyond this no 64-bit integer is.
const BEYOND_INTEGERS: f64 = 1e20;

/// The order of two numbers; none if one is not a number at all.
pub fn order(a: &Number, b: &Number) -> Option<Ordering> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (None, Some(b)) => with_integer(a.as_f64()?, b),
        (Some(a), None) => with_integer(b.as_f64()?, a).map(Ordering::reverse),
        (None, None) => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Whether it has no fraction.
pub fn is_whole(number: &Number) -> bool {
    integer(number).is_some() || number.as_f64().is_some_and(|float| float.fract() == 0.0)
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// The order of a float and an integer.
#[expect(clippy::cast_possible_truncation, reason = "the float is small enough, and its fraction is looked at")]
fn with_integer(float: f64, integer: i128) -> Option<Ordering> {
    if float.abs() >= BEYOND_INTEGERS {
        return float.partial_cmp(&0.0);
    }
    Some((float.trunc() as i128).cmp(&integer).then(float.fract().partial_cmp(&0.0)?))
}

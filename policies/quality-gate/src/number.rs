//! Numbers compared as they are: an integer of 64 bits is not rounded to a float first.

use std::cmp::Ordering;

use serde_json::Number;

/// How two numbers are ordered.
pub fn compare(a: &Number, b: &Number) -> Ordering {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(a), None) => with_float(a, float(b)),
        (None, Some(b)) => with_float(b, float(a)).reverse(),
        (None, None) => float(a).total_cmp(&float(b)),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// JSON has no number that is none, so this is always one.
fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(0.0)
}

fn with_float(integer: i128, float: f64) -> Ordering {
    // What lies beyond 128 bits becomes the nearest of them, which is on the same side of every integer of 64.
    let whole = float.trunc() as i128;
    integer.cmp(&whole).then_with(|| 0.0_f64.total_cmp(&(float.fract() + 0.0)))
}

//! Accept: which of the kinds of answer that there are a client takes, and how gladly (RFC 9110, 12.5.1).
//!
//! What can't be read of it counts for nothing. Parameters other than the weight are not looked at: there is one form of each kind.

use http::HeaderMap;
use http::header;

/// What whoever says nothing of how gladly means, in thousandths.
const WHOLE: u16 = 1_000;

/// How gladly a client takes a kind of answer, in thousandths; 0, if it does not. Whoever names none takes any.
pub(super) fn weight(headers: &HeaderMap, kind: &str) -> u16 {
    if !headers.contains_key(header::ACCEPT) {
        return WHOLE;
    }
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges = values.flat_map(|value| value.split(',')).filter_map(|range| {
        let (named, parameters) = range.split_once(';').unwrap_or((range, ""));
        Some((closeness(named.trim(), kind)?, weight_in(parameters)))
    });
    // The one that says most counts, whatever the others say.
    ranges.max_by_key(|(closeness, _)| *closeness).map_or(0, |(_, weight)| weight)
}

/// How much a range says of a kind that is in it.
fn closeness(range: &str, kind: &str) -> Option<u8> {
    let group = kind.split('/').next().unwrap_or_default();
    match range.split_once('/')? {
        ("*", "*") => Some(0),
        (named, "*") if named.eq_ignore_ascii_case(group) => Some(1),
        _ if range.eq_ignore_ascii_case(kind) => Some(2),
        _ => None,
    }
}

fn weight_in(parameters: &str) -> u16 {
    let named = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let weight = named.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q")).map(|(_, text)| text.trim()).next();
    weight.map_or(WHOLE, |text| thousandths(text).unwrap_or_default())
}

/// A number from 0 to 1 with three digits at most behind its point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let weight = format!("{whole}{part:0<3}").parse().ok()?;
    (weight <= WHOLE).then_some(weight)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn closest_range_says_how_gladly() {
        for (accept, wanted) in [
            ("text/plain", 1_000),
            ("TEXT/Plain;version=0.0.4", 1_000),
            ("text/plain;version=0.0.4;q=0.3, application/openmetrics-text;q=0.5", 300),
            ("*/*;q=0.1", 100),
            ("text/*, */*;q=0.1", 1_000),
            ("text/plain;q=0, */*", 0),
            ("*/*, text/plain; Q=0.25", 250),
            ("application/json", 0),
            ("text/plain;q=2", 0),
            ("text/plain;q=1.001", 0),
            ("text/plain;q=0.1234", 0),
            ("text/plain;q=x", 0),
            ("text", 0),
            ("", 0),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(weight(&headers, "text/plain"), wanted, "{accept}");
        }
        assert_eq!(weight(&HeaderMap::new(), "text/plain"), WHOLE);
        let mut twice = HeaderMap::new();
        twice.append(header::ACCEPT, HeaderValue::from_static("text/html"));
        twice.append(header::ACCEPT, HeaderValue::from_static("text/plain"));
        assert_eq!(weight(&twice, "text/plain"), WHOLE);
    }
}

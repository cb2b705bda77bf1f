//! Queries: what stands behind the `?` of an address, of which each route says what it may be.
//!
//! Each name once, none that the route does not know, and values that need no escaping: there is one spelling of a query
//! as there is of a path (API-08). What the values mean is for whoever asks.

use ringfence_model::limits;

/// A query, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(&'static str, String)>);

/// Why a text is no query of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotAQuery;

impl Query {
    /// The query of a route that knows these names.
    pub(super) fn parse(text: Option<&str>, known: &[&'static str]) -> Result<Self, NotAQuery> {
        let Some(text) = text else { return Ok(Self::default()) };
        let mut found = Self::default();
        for part in text.split('&') {
            let (name, value) = part.split_once('=').ok_or(NotAQuery)?;
            let name = known.iter().find(|known| **known == name).ok_or(NotAQuery)?;
            let fits = (1..=limits::HTTP_QUERY_VALUE_BYTES_MAX).contains(&value.len()) && value.bytes().all(is_plain);
            if !fits || found.get(name).is_some() {
                return Err(NotAQuery);
            }
            found.0.push((name, value.to_owned()));
        }
        Ok(found)
    }

    /// The value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// What never has to be escaped (RFC 3986).
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_has_one_spelling() {
        // API-08
        let parse = |text| Query::parse(Some(text), &["from", "limit"]);
        let query = parse("limit=3&from=a_b").expect("a query");
        assert_eq!((query.get("from"), query.get("limit"), query.get("to")), (Some("a_b"), Some("3"), None));
        assert_eq!(Query::parse(None, &[]), Ok(Query::default()));
        let long = format!("from={}", "x".repeat(limits::HTTP_QUERY_VALUE_BYTES_MAX + 1));
        for text in [
            "",
            "&",
            "from",
            "from=",
            "to=1",
            "from=1&from=1",
            "from=1&",
            "&from=1",
            "from=1;limit=2",
            "from=%31",
            "from=a+b",
            "from=a=b",
            "From=1",
            "from=1#",
            "from=a/b",
            long.as_str(),
        ] {
            assert_eq!(parse(text), Err(NotAQuery), "{text}");
        }
        assert_eq!(Query::parse(Some("from=1"), &[]), Err(NotAQuery));
    }
}

//! A guest's request, parsed once: into what is decided on, and into the very request that is sent.
//!
//! Everything that two readers could read in two ways is refused here (NET-10, NET-11, NET-12, NET-15): user
//! information, odd spellings of hosts and ports, targets that are not a plain path, lengths that contradict each other.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Request;
use http::Uri;
use http::header;
use ringfence_model::egress::HttpTarget;
use ringfence_model::egress::Scheme;
use ringfence_model::egress::UrlPath;
use ringfence_model::limits;

use crate::egress::Refusal;

/// Headers that say who speaks to whom, how, and through what: the host's to set, or nobody's. And those that have a
/// server take the request for another one than was decided on: another method, another path.
const FORBIDDEN: [&str; 18] = [
    "connection",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

/// Families of such headers; new ones turn up.
const FORBIDDEN_FAMILIES: [&str; 2] = ["proxy-", "x-forwarded-"];

/// Whether a guest may not set a header, in a head or in a trailer. Names are lower-case by the time they come here.
pub(super) fn is_forbidden(name: &HeaderName) -> bool {
    let name = name.as_str();
    FORBIDDEN.binary_search(&name).is_ok() || FORBIDDEN_FAMILIES.iter().any(|family| name.starts_with(family))
}

/// What a request goes to, or why it goes nowhere.
pub(super) fn parse<B>(request: &Request<B>) -> Result<HttpTarget, Refusal> {
    let uri = request.uri();
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(Refusal::Malformed("its scheme is neither `http` nor `https`")),
    };
    let authority = uri.authority().ok_or(Refusal::Malformed("it names no host"))?.as_str();
    let (host, port) = split_port(authority);
    let path_and_query = uri.path_and_query().map_or("/", |both| both.as_str());
    if path_and_query.len() > limits::URL_BYTES_MAX {
        return Err(Refusal::Malformed("its address is too long"));
    }
    if !path_and_query.starts_with('/') {
        return Err(Refusal::Malformed("its target is not a path"));
    }
    let port = match port {
        Some(text) => port_number(text).ok_or(Refusal::Malformed("its port is no port"))?,
        None => scheme.default_port(),
    };
    let path = UrlPath::new(uri.path()).map_err(|_| Refusal::Malformed("its path can be read in more than one way"))?;
    let host = host
        .parse()
        .map_err(|_| Refusal::Malformed("its host is neither a name nor an address in its usual spelling"))?;
    check_headers(request.headers())?;
    Ok(HttpTarget { host, method: request.method().as_str().to_owned(), path, port, scheme })
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// One port, one spelling.
fn port_number(text: &str) -> Option<u16> {
    text.parse::<u16>().ok().filter(|port| *port > 0 && port.to_string() == text)
}

fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.len() > limits::HEADERS_MAX {
        return Err(Refusal::Malformed("it has too many headers"));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > limits::HEADER_BYTES_MAX {
        return Err(Refusal::Malformed("its headers are too long"));
    }
    if headers.get_all(header::CONTENT_LENGTH).iter().count() > 1 {
        return Err(Refusal::Malformed("it has more than one length"));
    }
    Ok(())
}

/// The request as it goes over the wire: a plain path, the decided host, and no header that is not the guest's to set.
pub(super) fn rewrite<B>(request: Request<B>, target: &HttpTarget) -> Result<Request<B>, Refusal> {
    let malformed = || Refusal::Malformed("it can't be written down");
    let (mut parts, body) = request.into_parts();
    let path_and_query = parts.uri.path_and_query().cloned().ok_or_else(malformed)?;
    parts.uri = Uri::builder().path_and_query(path_and_query).build().map_err(|_| malformed())?;
    parts.version = http::Version::HTTP_11;
    let forbidden: Vec<_> = parts.headers.keys().filter(|name| is_forbidden(name)).cloned().collect();
    for name in forbidden {
        parts.headers.remove(name);
    }
    let is_default = target.port == target.scheme.default_port();
    let host = if is_default { target.host.to_string() } else { format!("{}:{}", target.host, target.port) };
    parts.headers.insert(header::HOST, HeaderValue::from_str(&host).map_err(|_| malformed())?);
    Ok(Request::from_parts(parts, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> Option<Request<()>> {
        Request::builder().uri(uri).body(()).ok()
    }

    #[test]
    fn forbidden_headers_are_sorted() {
        assert!(FORBIDDEN.is_sorted());
    }

    #[test]
    fn trailers_are_held_to_headers_names() {
        // NET-16: wasmtime asks this of each trailer that a guest makes, whatever its spelling.
        let families = FORBIDDEN_FAMILIES.map(|family| format!("{family}anything"));
        for name in FORBIDDEN.iter().copied().chain(families.iter().map(String::as_str)) {
            for spelling in [name.to_owned(), name.to_uppercase()] {
                assert!(is_forbidden(&HeaderName::from_bytes(spelling.as_bytes()).expect("a name")), "{spelling}");
            }
        }
        assert!(!is_forbidden(&HeaderName::from_static("x-checksum")));
        // And none is sent: hyper sends trailers that were announced, and this is how they would be.
        assert!(is_forbidden(&header::TRAILER));
    }

    #[test]
    fn ambiguous_targets_are_refused() {
        // NET-06, NET-10, NET-11, NET-22, NET-25, NET-27
        for uri in [
            "http://allowed@evil.example/",
            "http://a:b@evil.example/",
            "http://evil.example:80@allowed.example/",
            "http://127.1/",
            "http://0x7f.0.0.1/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://[fe80::1%25eth0]/",
            "http://a_b.example/",
            "http://a..example/",
            "http://example.com:0/",
            "http://example.com:080/",
            "http://example.com:/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "/no/host",
            "*",
            "http://example.com/a/../b",
            "http://example.com/a/%2e%2e/b",
            "http://example.com//evil.example/",
            "http://example.com/a%2f..%2fb",
            "http://example.com/a%00b",
        ] {
            let parsed = request(uri).map(|request| parse(&request));
            assert!(!matches!(parsed, Some(Ok(_))), "{uri}: {parsed:?}");
        }
        let target = parse(&request("https://EXAMPLE.com:8443/a/b?c=/../d").expect("a request")).expect("a target");
        assert_eq!(target.to_string(), "GET https://example.com:8443/a/b");
    }

    #[test]
    fn written_request_is_the_decided_one() {
        // NET-11, NET-12, NET-14
        let built = Request::builder()
            .uri("https://EXAMPLE.com:8443/a?b")
            .header("Host", "evil.example")
            .header("Transfer-Encoding", "chunked")
            .header("Proxy-Whatever", "x")
            .header("Accept", "text/plain")
            .body(())
            .expect("a request");
        let target = parse(&built).expect("a target");
        let written = rewrite(built, &target).expect("a request");
        assert_eq!(written.uri().to_string(), "/a?b");
        let headers: Vec<_> = written.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().expect("text"))).collect();
        assert_eq!(headers, [("accept", "text/plain"), ("host", "example.com:8443")]);
    }

    #[test]
    fn contradicting_heads_are_refused() {
        // NET-15, NET-17
        let two =
            Request::builder().uri("http://a.example/").header("content-length", "1").header("content-length", "2");
        assert!(parse(&two.body(()).expect("a request")).is_err());
        let long = Request::builder().uri("http://a.example/").header("x", "y".repeat(limits::HEADER_BYTES_MAX));
        assert!(parse(&long.body(()).expect("a request")).is_err());
        let mut many = request("http://a.example/").expect("a request");
        for _ in 0..=limits::HEADERS_MAX {
            many.headers_mut().append("x", HeaderValue::from_static("y"));
        }
        assert!(parse(&many).is_err());
    }
}

//! What handlers read out of a request, and how they answer: one way of each.
//!
//! Who asks has been let in; what they ask is read by the strict reader of all input, unknown fields refused, and nothing
//! that stands there twice is taken once.

use std::sync::Arc;

use http::HeaderValue;
use http::StatusCode;
use http::header;
use ringfence_model::id::SessionId;
use ringfence_model::json;
use ringfence_model::limits;
use ringfence_model::outcome::one_line;
use ringfence_runtime::host::Host;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::http::Problem;
use crate::http::Response;
use crate::http::room::Place;
use crate::http::routes::Admitted;
use crate::http::token::Holder;
use crate::once::Once;
use crate::once::Said;
use crate::service::Kept;
use crate::service::Seat;
use crate::service::ServiceError;
use crate::telemetry::trace::Parent;
use crate::telemetry::trace::TRACEPARENT;

/// What a query has for how many of a list are wanted, and for where they begin.
pub(super) const LIMIT: &str = "limit";
pub(super) const CURSOR: &str = "cursor";

/// What comes of a request.
pub(super) type Handled = Result<Response, Problem>;

/// The header that names a session of ours.
const SESSION: &str = "ringfence-session";
/// The header that makes a call happen once.
pub(super) const KEY: &str = "idempotency-key";

pub(super) fn answer(value: &impl Serialize) -> Response {
    crate::http::json(StatusCode::OK, value)
}

pub(super) fn failed() -> Problem {
    ServiceError::Host.into()
}

/// Asks the host something on a thread that may block.
pub(super) async fn on_host<T: Send + 'static>(
    admitted: &Admitted,
    question: impl FnOnce(&Host) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let host = admitted.server.service().host().await?;
    let (service, lent) = (Arc::clone(admitted.server.service()), Arc::clone(&host));
    let answered = tokio::task::spawn_blocking(move || question(&lent)).await.unwrap_or_else(|_| Err(failed()));
    service.notice(&host);
    answered
}

/// The room that a request takes, to be kept for as long as what it asks for goes on.
pub(super) fn kept(admitted: &Admitted) -> Option<Arc<dyn Kept>> {
    admitted.place.as_ref().map(|place| -> Arc<dyn Kept> { Arc::<Place>::clone(place) })
}

/// Whoever sent the request; there is somebody on every route that asks.
pub(super) fn held(admitted: &Admitted) -> Result<&Holder, Problem> {
    admitted.holder.as_ref().ok_or_else(Problem::unauthorized)
}

/// Who calls: the holder of the token, in its ring, in the session that the header or the body names.
pub(super) fn seat(admitted: &Admitted, in_body: Option<&str>) -> Result<Seat, Problem> {
    let read = |name: &str, text: Option<&str>| {
        let session = text.map(str::parse::<SessionId>).transpose();
        session.map_err(|_| Problem::bad(format!("`{name}` is not the id of a session")))
    };
    let in_body = read("session", in_body)?;
    let in_head = read(SESSION, one_header(admitted, SESSION)?)?;
    if in_body.zip(in_head).is_some_and(|(body, head)| body != head) {
        return Err(Problem::bad(format!("`{SESSION}` and `session` name two sessions")));
    }
    let holder = held(admitted)?;
    Ok(Seat { principal: holder.principal.clone(), session: in_body.or(in_head), ring: holder.ring })
}

/// Where a request stands in a trace. What can't be read is as if it were not there (API-15).
pub(super) fn parent(admitted: &Admitted) -> Option<Parent> {
    one_header(admitted, TRACEPARENT).ok().flatten().and_then(|text| text.parse().ok())
}

/// A header that stands there once, or not at all.
pub(super) fn one_header<'a>(admitted: &'a Admitted, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = admitted.headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::bad(format!("`{name}`: it stands there twice")));
    }
    value.to_str().map(Some).map_err(|_| Problem::bad(format!("`{name}`: it is not ASCII")))
}

pub(super) fn id<T: std::str::FromStr>(admitted: &Admitted) -> Result<T, Problem> {
    admitted.id.as_deref().and_then(|id| id.parse().ok()).ok_or_else(Problem::not_found)
}

/// Whether a body says that it is JSON, as it is: pages can send what they like as text (API-05).
pub(super) fn check_kind(admitted: &Admitted) -> Result<(), Problem> {
    let refuse = |why| Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "caller.content-type", why));
    match one_header(admitted, header::CONTENT_TYPE.as_str())? {
        Some(kind) if is_json(kind) => {}
        _ => return refuse("the body is JSON in UTF-8, and `content-type` says so"),
    }
    match one_header(admitted, header::CONTENT_ENCODING.as_str())? {
        Some(coding) if !coding.eq_ignore_ascii_case("identity") => {
            refuse("the body is sent as it is, without a coding")
        }
        _ => Ok(()),
    }
}

/// Whether a media type is JSON's. It is UTF-8 by definition, and a client may say so.
fn is_json(kind: &str) -> bool {
    let (kind, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let charsets = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let mut charsets = charsets.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    kind.trim().eq_ignore_ascii_case("application/json")
        && charsets.all(|(_, charset)| charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"))
}

/// A body of JSON.
pub(super) fn value(admitted: &Admitted) -> Result<Value, Problem> {
    check_kind(admitted)?;
    json::parse(&admitted.body).map_err(|error| {
        Problem::bad(format!("the body is not JSON that can be read in one way: {}", one_line(&error.to_string())))
    })
}

/// A body that is an object with these fields.
pub(super) fn body<T: DeserializeOwned>(admitted: &Admitted) -> Result<T, Problem> {
    object(value(admitted)?).map_err(Problem::bad)
}

/// What an object says, or what is wrong with it.
fn object<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    // Trust boundary: a list would be read as the fields in their order, which has names for nothing and outlives no change.
    if !value.is_object() {
        return Err("the body is not an object".to_owned());
    }
    serde_json::from_value(value).map_err(|error| one_line(&in_our_words(&error.to_string())))
}

/// What is wrong with a value, without the names that its type has in here.
fn in_our_words(error: &str) -> String {
    let Some((found, wanted)) = error.rsplit_once(", expected ") else { return error.to_owned() };
    let wanted = match wanted {
        "a map" => "an object",
        "a sequence" => "a list",
        "u8" => "a whole number from 0 to 255",
        "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        wanted if wanted.starts_with("struct ") => "an object",
        wanted => wanted,
    };
    let found = found.replacen("invalid type: sequence", "invalid type: list", 1);
    let found = found.replacen("invalid type: map", "invalid type: object", 1);
    format!("{found}, expected {wanted}")
}

/// Which call it is: by the header, or by what the body says of its task.
pub(super) fn once(admitted: &Admitted, task: Option<&str>, step: Option<&str>) -> Result<Once, Problem> {
    let key = one_header(admitted, KEY)?;
    Once::read(&Said { key: (KEY, key), task: ("task", task), step: ("step", step) }).map_err(Problem::bad)
}

/// A path's index or size: a number that is spelled in one way.
pub(super) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// A number that stands in the query.
pub(super) fn number_in(admitted: &Admitted, name: &str) -> Result<Option<u64>, Problem> {
    let text = admitted.query.get(name);
    text.map(|text| number(text).ok_or_else(|| Problem::bad(format!("`{name}` is not a number")))).transpose()
}

/// How many of a list are wanted at most, of which there are never more than `max`.
pub(super) fn limit(admitted: &Admitted, max: usize) -> Result<usize, Problem> {
    let wanted = number_in(admitted, LIMIT)?.map(|wanted| usize::try_from(wanted).unwrap_or(usize::MAX));
    match wanted {
        Some(0) => Err(Problem::bad(format!("`{LIMIT}` is at least 1"))),
        wanted => Ok(wanted.unwrap_or(max).min(max)),
    }
}

/// How many items of a list a page has.
pub(super) fn page_limit(admitted: &Admitted) -> Result<usize, Problem> {
    limit(admitted, limits::HTTP_PAGE_ITEMS_MAX)
}

/// A part of a list: what comes after the cursor, in the order of its keys, as far as the page has room. A key stands in
/// a query as it is, and in the same place whatever comes and goes meanwhile.
pub(super) fn page<T: Serialize>(admitted: &Admitted, items: impl IntoIterator<Item = (String, T)>) -> Handled {
    let after = admitted.query.get(CURSOR);
    let rest = items.into_iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
    part(admitted, rest, None)
}

/// The same of items that come after the cursor already; `more` is where the list goes on behind them, if it does.
pub(super) fn part<T: Serialize>(
    admitted: &Admitted,
    items: impl IntoIterator<Item = (String, T)>,
    more: Option<String>,
) -> Handled {
    let (limit, mut rest) = (page_limit(admitted)?, items.into_iter().peekable());
    let (mut shown, mut bytes, mut last): (Vec<Box<RawValue>>, usize, _) = (Vec::new(), 0, None);
    while shown.len() < limit && bytes < limits::HTTP_PAGE_BYTES_MAX {
        let Some((key, item)) = rest.next() else { break };
        let item = serde_json::value::to_raw_value(&item).map_err(|_| failed())?;
        bytes = bytes.saturating_add(item.get().len());
        shown.push(item);
        last = Some(key);
    }
    let next = if rest.peek().is_some() { last } else { more };
    Ok(linked(answer(&shown), next.map(|key| format!("?{LIMIT}={limit}&{CURSOR}={key}"))))
}

/// An answer that says where the next page is (RFC 8288), if there is one.
pub(super) fn linked(mut response: Response, next: Option<String>) -> Response {
    let link = next.and_then(|query| HeaderValue::try_from(format!("<{query}>; rel=\"next\"")).ok());
    response.headers_mut().extend(link.map(|link| (header::LINK, link)));
    response
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        name: String,
        ring: Option<u8>,
        #[serde(default)]
        more: Vec<String>,
    }

    #[test]
    fn body_is_an_object_and_nothing_else() {
        // API-08
        let read = |value: Value| object::<Asked>(value).map(|asked| (asked.name, asked.ring, asked.more.len()));
        assert_eq!(read(json!({ "name": "a", "ring": 3 })), Ok(("a".to_owned(), Some(3), 0)));
        for (value, why) in [
            (json!(["a", 3, []]), "the body is not an object"),
            (json!([]), "the body is not an object"),
            (json!("a"), "the body is not an object"),
            (json!(null), "the body is not an object"),
            (
                json!({ "name": "a", "ring": 300 }),
                "invalid value: integer `300`, expected a whole number from 0 to 255",
            ),
            (json!({ "name": ["a"] }), "invalid type: list, expected a string"),
            (json!({ "name": {} }), "invalid type: object, expected a string"),
            (json!({ "name": "a", "more": {} }), "invalid type: object, expected a list"),
            (
                json!({ "name": "a", "ring": ", expected struct" }),
                "invalid type: string \", expected struct\", expected a whole number from 0 to 255",
            ),
            (json!({ "ring": 3 }), "missing field `name`"),
            (json!({ "name": "a", "rank": 3 }), "unknown field `rank`, expected one of `name`, `ring`, `more`"),
        ] {
            assert_eq!(read(value.clone()), Err(why.to_owned()), "{value}");
        }
    }

    #[test]
    fn json_is_known_by_its_kind() {
        for (kind, is) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json; charset=\"utf-8\"; x=y", true),
            ("application/json;", true),
            ("application/json; charset=utf-16", false),
            ("application/json; charset=utf-8; Charset=latin1", false),
            ("application/json-patch+json", false),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(is_json(kind), is, "{kind}");
        }
    }
}

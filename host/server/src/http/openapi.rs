//! The description of the API (`OpenAPI` 3.1), made from the table of routes and the types of its bodies.
//!
//! Nothing here is written by hand that the code says already; a golden file shows what has changed for whoever uses it, and
//! a test holds what the server answers against what stands here.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::http::inbound;
use crate::http::routes::Access;
use crate::http::routes::ROUTES;
use crate::http::routes::Route;

/// The description.
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Ringfence",
            "description": "What is asked for by GET can be asked for by HEAD, with the same rights: the answer is its head.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "certificate": { "type": "mutualTLS" },
                "token": { "type": "http", "scheme": "bearer" },
            },
            "schemas": { "Problem": problem() },
        },
    })
}

fn operation(route: &Route) -> Value {
    let (body, answer) = (route.shapes)();
    let security = match route.access {
        Access::Anybody => None,
        Access::Holder => Some(json!([{ "token": [] }, { "certificate": [] }])),
        // One alternative each.
        Access::Scope(any) => {
            let one = |scheme: &'static str| any.0.iter().map(move |scope| json!({ scheme: [scope] }));
            Some(one("token").chain(one("certificate")).collect())
        }
    };
    let body = body.map(
        |schema| json!({ "required": is_needed(&schema), "content": { "application/json": { "schema": schema } } }),
    );
    let parameters = Some(parameters(route)).filter(|parameters| !parameters.is_empty());
    let mut fields = Map::new();
    for (name, value) in [
        ("operationId", Some(json!(route.name))),
        ("summary", Some(json!(route.summary))),
        ("parameters", parameters.map(Value::Array)),
        ("requestBody", body),
        ("responses", Some(responses(route, answer))),
        ("security", security),
    ] {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    }
    Value::Object(fields)
}

fn responses(route: &Route, answer: Option<Value>) -> Value {
    let of_json = answer.map(|schema| ("application/json".to_owned(), json!({ "schema": schema })));
    // Of what is not JSON the media type says all.
    let others = route.answers.iter().map(|kind| ((*kind).to_owned(), json!({})));
    let content: Map<_, _> = of_json.into_iter().chain(others).collect();
    let (told, wrong) = ("the answer", "what went wrong");
    let problem = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
    match route.name {
        "mcp" => json!({
            "200": { "description": told, "content": content },
            "202": { "description": "it is taken, and wants no answer" },
            "default": {
                "description": wrong,
                // The protocol has errors of its own.
                "content": { "application/json": { "schema": { "type": "object" } }, "application/problem+json": problem },
            },
        }),
        "open_session" => json!({
            "201": {
                "description": told,
                "headers": { "Location": { "description": "the session", "schema": { "type": "string" } } },
                "content": content,
            },
            "default": { "description": wrong, "content": { "application/problem+json": problem } },
        }),
        _ => json!({
            "200": { "description": told, "content": content },
            "default": { "description": wrong, "content": { "application/problem+json": problem } },
        }),
    }
}

/// Whether there has to be a body: one whose every field may be left out may be left out itself.
fn is_needed(schema: &Value) -> bool {
    schema.get("properties").is_none() || schema.get("required").is_some()
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = ["id", "path"].into_iter().filter(|name| route.path.contains(&format!("{{{name}}}")));
    let in_path =
        in_path.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = route.query.iter().map(|name| {
        let kind = if *name == inbound::CURSOR { "string" } else { "integer" };
        json!({ "name": name, "in": "query", "schema": { "type": kind } })
    });
    let key = json!({ "name": "Idempotency-Key", "in": "header", "schema": { "type": "string", "maxLength": 256 } });
    let session = json!({ "name": "Ringfence-Session", "in": "header", "schema": { "type": "string" } });
    let last = json!({ "name": "Last-Event-ID", "in": "header", "schema": { "type": "integer", "minimum": 0 } });
    let has_session = matches!(route.name, "call" | "list_tools" | "mcp" | "mcp_listen");
    let in_head = [
        (route.name == "call").then_some(key),
        has_session.then_some(session),
        (route.name == "events").then_some(last),
    ];
    in_path.chain(in_query).chain(in_head.into_iter().flatten()).collect()
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457, with a code that does not change",
        "properties": {
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string" },
            "detail": { "type": "string" },
            "hints": { "type": "array", "items": { "type": "string" } },
            "call": { "type": "string" },
            "entry": { "type": "integer" },
            "value": {},
        },
        "required": ["title", "status", "code", "detail"],
    })
}

/// No body, and no answer that is JSON.
pub(super) const fn nothing() -> (Option<Value>, Option<Value>) {
    (None, None)
}

/// The schemas of a body and an answer; `()` is none.
pub(super) fn shapes<B: JsonSchema, A: JsonSchema>() -> (Option<Value>, Option<Value>) {
    let settings = SchemaSettings::draft2020_12();
    // What is left out where there is nothing to say need not be there.
    (schema::<B>(settings.clone().for_deserialize()), schema::<A>(settings.for_serialize()))
}

fn schema<T: JsonSchema>(mut settings: SchemaSettings) -> Option<Value> {
    if T::schema_name() == <()>::schema_name() {
        return None;
    }
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    Some(settings.into_generator().into_root_schema_for::<T>().to_value())
}

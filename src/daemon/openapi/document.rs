//! From the table to the OpenAPI document (<https://spec.openapis.org/oas/v3.1.0>).

use serde_json::{Map, Value, json};

use super::schema::{Field, Schema, described};
use super::{Body, Content, answers, parameters, shapes};
use crate::daemon::auth::Access;
use crate::daemon::gate::reason;
use crate::daemon::people::UI_COOKIE;
use crate::daemon::router::Route;

const FORM: &str = "application/x-www-form-urlencoded";

/// The whole description of `routes`.
pub(in crate::daemon) fn document(routes: &[Route]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut refusals = Map::new();
    for route in routes {
        let path = paths.entry(route.pattern).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route, &mut refusals);
    }
    let schemas: Map<String, Value> =
        shapes(routes).into_iter().map(|(name, shape)| (name.to_owned(), shape.to_json())).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "authsome",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A credential gateway: programs call APIs with your keys and never see them. \
                            HEAD is answered as GET, without a body.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals,
            "securitySchemes": {
                "proof": {
                    "type": "http", "scheme": "PoP",
                    "description": "A JWT that the identity's key signed for this very request.",
                },
                "browser": {"type": "apiKey", "in": "cookie", "name": UI_COOKIE},
            },
        },
    })
}

fn operation(route: &Route, refusals: &mut Map<String, Value>) -> Value {
    let mut responses = Map::new();
    for (status, contents) in answers(route) {
        let answer = match refusal_name(route, status, &contents) {
            Some(name) => {
                let reference = json!({"$ref": format!("#/components/responses/{name}")});
                refusals.entry(name).or_insert_with(|| response(status, &contents));
                reference
            }
            None => response(status, &contents),
        };
        responses.insert(status.to_string(), answer);
    }
    let mut operation = json!({
        "summary": route.doc.summary,
        "tags": [route.resource()],
        "parameters": parameters(route).map(|(place, field)| parameter(place, field)).collect::<Vec<_>>(),
        "responses": responses,
    });
    if let Some(security) = security(route.access) {
        operation["security"] = security;
    }
    if let Some(body) = body(route.doc.body) {
        operation["requestBody"] = body;
    }
    operation
}

/// The name of an answer that is the same for many routes: a refusal, and nothing else.
fn refusal_name(route: &Route, status: u16, contents: &[Content]) -> Option<String> {
    let is_own = route.doc.answers.iter().any(|answer| answer.status == status) || contents.is_empty();
    let page = if contents.len() > 1 { "page-" } else { "" };
    (!is_own && status >= 400).then(|| format!("{page}{status}"))
}

fn parameter(place: &'static str, field: Field) -> Value {
    let parameter =
        json!({"name": field.name, "in": place, "required": field.is_required, "schema": field.schema.to_json()});
    described(parameter, field.meaning)
}

fn body(body: Body) -> Option<Value> {
    let (kind, schema) = match body {
        Body::None => return None,
        Body::Json(schema) => ("application/json", schema.to_json()),
        Body::Form(fields) => {
            let mut form = Schema::Open(fields).to_json();
            form["additionalProperties"] = Schema::Text.to_json();
            (FORM, form)
        }
    };
    // Without a body a handler sees an empty object.
    let is_required = schema.get("required").is_some() || schema.get("$ref").is_some();
    Some(json!({"required": is_required, "content": {kind: {"schema": schema}}}))
}

fn response(status: u16, contents: &[Content]) -> Value {
    let mut response = json!({"description": reason(status)});
    for content in contents {
        let (kind, schema) = match content {
            Content::Json(schema) => ("application/json", schema.to_json()),
            Content::Html => ("text/html", Schema::Text.to_json()),
            Content::Asset(kind) => (*kind, Schema::Text.to_json()),
            Content::Location => {
                response["headers"] = json!({"Location": {"required": true, "schema": Schema::Text.to_json()}});
                continue;
            }
        };
        response["content"][kind] = json!({"schema": schema});
    }
    response
}

/// Who may call. `None`: anybody.
fn security(access: Access) -> Option<Value> {
    match access {
        Access::Open => None,
        Access::Registered | Access::Proof => Some(json!([{"proof": []}])),
        Access::ProofOrBrowser | Access::Admin => Some(json!([{"proof": []}, {"browser": []}])),
        Access::Page | Access::AdminPage => Some(json!([{"browser": []}])),
    }
}

//! Whether answers are what the description of their route says. Every answer of the tests in this room goes through
//! [`check`], so that neither a status nor a member can appear unnoticed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Daemon, Request, Response};
use crate::clock::Timestamp;
use crate::daemon::openapi::{Content, Field, Schema, answers, document, each_shape, may, need};
use crate::daemon::router::{self, Match, ROUTES};

/// Panics where `answer` to `request` is not what the table says.
pub(super) fn check(request: &Request, answer: &Response) {
    let Match::Found(route, _) = router::find(&request.method, request.path()) else { return };
    let name = format!("{} {}: {}", route.method, route.pattern, answer.status);
    let documented = answers(route);
    let contents = documented.get(&answer.status).unwrap_or_else(|| panic!("{name} is not documented"));
    let problems: Vec<String> = contents.iter().filter_map(|content| problem(*content, answer)).collect();
    assert!(problems.len() < contents.len(), "{name}: {}", problems.join("; or "));
}

/// Why `answer` does not carry `content`.
fn problem(content: Content, answer: &Response) -> Option<String> {
    let kind = answer.fields.first_str("content-type").unwrap_or_default();
    let expected = match content {
        Content::Json(_) => "application/json",
        Content::Html => "text/html; charset=utf-8",
        Content::Asset(kind) => kind,
        Content::Location => "",
    };
    if !kind.starts_with(expected) || expected.is_empty() != kind.is_empty() {
        return Some(format!("{kind:?} is not {expected:?}"));
    }
    match content {
        Content::Json(schema) => match serde_json::from_slice(&answer.body) {
            Ok(value) => fits(schema, &value).err(),
            Err(error) => Some(error.to_string()),
        },
        Content::Location => answer.fields.first("location").is_none().then(|| "no Location".to_owned()),
        Content::Html | Content::Asset(_) => None,
    }
}

/// Whether `value` has the shape of `schema`; else where it differs.
fn fits(schema: Schema, value: &Value) -> Result<(), String> {
    let holds = |good: bool| if good { Ok(()) } else { Err(format!("{value} is no {schema:?}")) };
    match schema {
        Schema::Any => Ok(()),
        Schema::Text => holds(value.is_string()),
        Schema::Time => holds(value.as_str().is_some_and(|text| Timestamp::parse(text).is_some())),
        Schema::Integer => holds(value.is_i64() || value.is_u64()),
        Schema::Number => holds(value.is_number()),
        Schema::Flag => holds(value.is_boolean()),
        Schema::OneOf(words) => holds(value.as_str().is_some_and(|word| words.contains(&word))),
        Schema::Nullable(_) if value.is_null() => Ok(()),
        Schema::Nullable(inner) => fits(*inner, value),
        Schema::Named(shape) => fits(shape.schema, value).map_err(|problem| format!("{}: {problem}", shape.name)),
        Schema::Either(shapes) => {
            let problems: Vec<String> = shapes.iter().filter_map(|shape| fits(*shape, value).err()).collect();
            if problems.len() < shapes.len() { Ok(()) } else { Err(problems.join("; or ")) }
        }
        Schema::List(inner) => {
            holds(value.is_array())?;
            value.as_array().into_iter().flatten().try_for_each(|value| fits(*inner, value))
        }
        Schema::Map(inner) => {
            holds(value.is_object())?;
            value.as_object().into_iter().flatten().try_for_each(|(_, value)| fits(*inner, value))
        }
        Schema::Object(fields) => {
            has(fields, value)?;
            let mut names = value.as_object().into_iter().flatten().map(|(name, _)| name);
            match names.find(|name| fields.iter().all(|field| field.name != *name)) {
                Some(name) => Err(format!("{name} is not documented")),
                None => Ok(()),
            }
        }
        Schema::Open(fields) => has(fields, value),
    }
}

/// Whether `value` is an object with these members.
fn has(fields: &[Field], value: &Value) -> Result<(), String> {
    let Value::Object(members) = value else { return Err(format!("{value} is no object")) };
    for field in fields {
        match members.get(field.name) {
            Some(value) => fits(field.schema, value).map_err(|problem| format!("{}: {problem}", field.name))?,
            None if field.is_required => return Err(format!("{} is missing", field.name)),
            None => {}
        }
    }
    Ok(())
}

#[test]
fn what_is_not_described_is_noticed() {
    const NAMES: Schema = Schema::Object(&[need("name", Schema::Text), may("age", Schema::Nullable(&Schema::Integer))]);
    for good in [json!({"name": "x"}), json!({"name": "x", "age": 1}), json!({"name": "x", "age": null})] {
        assert_eq!(fits(NAMES, &good), Ok(()));
    }
    for bad in
        [json!({}), json!({"name": 1}), json!({"name": "x", "age": 1.5}), json!({"name": "x", "more": 1}), json!([])]
    {
        assert!(fits(NAMES, &bad).is_err(), "{bad}");
    }
    let refused = Response::json_with_status(404, &json!({"detail": "Not there"}));
    assert_eq!(problem(Content::Json(Schema::Map(&Schema::Text)), &refused), None);
    assert!(problem(Content::Html, &refused).is_some());
    assert!(problem(Content::Location, &refused).is_some());
    assert!(problem(Content::Location, &Response::redirect("/")).is_none());
}

#[test]
fn the_description_has_every_route_and_what_it_refers_to() {
    let description = document(ROUTES);
    for route in ROUTES {
        let operation = &description["paths"][route.pattern][route.method.to_lowercase()];
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{}", route.pattern);
        assert!(
            operation["responses"]
                .as_object()
                .is_some_and(|answers| answers.keys().any(|status| status.as_str() < "400"))
        );
    }
    each_reference(&description, &mut |reference| {
        let pointer = reference.strip_prefix('#').expect("a place in this document");
        assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
    });
}

fn each_reference(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                found(reference);
            }
            members.values().for_each(|value| each_reference(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| each_reference(value, found)),
        _ => {}
    }
}

#[test]
fn a_name_is_one_shape_and_examples_fit() {
    let mut shapes = BTreeMap::new();
    each_shape(ROUTES, &mut |shape| {
        let text = shape.schema.to_json().to_string();
        assert_eq!(shapes.entry(shape.name).or_insert_with(|| text.clone()), &text, "{}", shape.name);
        if !shape.example.is_empty() {
            let example = serde_json::from_str(shape.example).expect("JSON");
            assert_eq!(fits(shape.schema, &example), Ok(()));
        }
    });
}

#[test]
fn the_page_has_every_route_and_stays_small() {
    let page = Daemon::local().open("GET", "/docs", "");
    let text = String::from_utf8_lossy(&page.body);
    for route in ROUTES {
        assert_eq!(text.matches(&format!("<code>{} {}</code>", route.method, route.pattern)).count(), 1, "{text}");
    }
    assert!(!text.contains("<script") && text.len() < 60_000, "{}", text.len());
}

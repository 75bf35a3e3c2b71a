//! `/docs`: the description of the API for people.

use super::Html;
use super::layout::reference as frame;
use super::parts::{facts, link, paragraph, rows, section};
use crate::daemon::auth::Access;
use crate::daemon::openapi::{ALWAYS, Body, Content, Field, RESOURCES, Schema, Shape, refusal, refusals, shapes};
use crate::daemon::router::Route;

/// Every route of `routes`, by what it is about, and the shapes that they share.
pub(in crate::daemon) fn reference(routes: &[Route], base_url: &str) -> Html {
    let mut html = Html::new();
    introduce(&mut html, base_url);
    for resource in RESOURCES {
        let of: Vec<&Route> = routes.iter().filter(|route| route.resource() == resource).collect();
        section(&mut html, resource, |html| rows(html, &of, |html, route| operation(html, route)));
    }
    section(&mut html, "Shapes", |html| {
        let shapes: Vec<_> = shapes(routes).into_values().collect();
        rows(html, &shapes, |html, shape| describe(html, shape));
    });
    frame("The API", &html)
}

fn introduce(html: &mut Html, base_url: &str) {
    section(html, "How to call it", |html| {
        facts(html, |facts| {
            facts.text("Address", Some(base_url));
            facts.fact("For programs", |html| link(html, "/openapi.json", "/openapi.json"));
            facts.text("Proof", Some("Authorization: PoP and a JWT, signed for this very request: authsome pop"));
            facts.text("Browser", Some("The cookie of a person who is signed in"));
            facts.text("Any route may refuse with", Some(&listed(ALWAYS.iter().copied())));
            for (status, text) in [(401, "400, 401, 404"), (409, "409"), (422, "422"), (500, "Every other")] {
                facts.fact(text, |html| notation(html, refusal(status)));
            }
        });
    });
}

fn listed(statuses: impl IntoIterator<Item = u16>) -> String {
    statuses.into_iter().map(|status| status.to_string()).collect::<Vec<_>>().join(", ")
}

/// Who may call, in a few words.
fn callers(access: Access) -> &'static str {
    match access {
        Access::Open => "Anybody",
        Access::Registered => "An identity, by proof",
        Access::Proof => "A claimed identity, by proof",
        Access::ProofOrBrowser => "A claimed identity by proof, or a browser",
        Access::Admin => "An administrator, by proof or in a browser",
        Access::Page => "A browser; without a session it is led to sign in",
        Access::AdminPage => "An administrator's browser",
    }
}

fn operation(html: &mut Html, route: &Route) {
    html.element("details", &[("class", "operation")], |html| {
        html.element("summary", &[], |html| {
            html.element("code", &[], |html| html.text(&format!("{} {}", route.method, route.pattern)));
            html.text(" ");
            html.element("small", &[], |html| html.text(route.doc.summary));
        });
        facts(html, |facts| {
            facts.text("Caller", Some(callers(route.access)));
            if !route.doc.query.is_empty() {
                facts.fact("Query", |html| members(html, route.doc.query));
            }
            match route.doc.body {
                Body::None => {}
                Body::Json(Schema::Open(fields)) => facts.fact("JSON", |html| members(html, fields)),
                Body::Json(schema) => facts.fact("JSON", |html| notation(html, schema)),
                Body::Form(fields) => facts.fact("Form", |html| members(html, fields)),
            }
            for answer in route.doc.answers {
                facts.fact(&answer.status.to_string(), |html| carries(html, answer.content));
            }
            facts.text("Refuses with", Some(&listed(refusals(route))));
        });
    });
}

fn carries(html: &mut Html, content: Content) {
    match content {
        Content::Json(schema) => notation(html, schema),
        Content::Html => html.text("a page"),
        Content::Asset(kind) => html.text(kind),
        Content::Location => html.text("leads on"),
    }
}

fn members(html: &mut Html, fields: &[Field]) {
    html.element("ul", &[], |html| {
        for field in fields {
            html.element("li", &[], |html| {
                html.element("code", &[], |html| html.text(field.name));
                html.text(if field.is_required { ": " } else { "?: " });
                notation(html, field.schema);
                if !field.meaning.is_empty() {
                    html.text(" ");
                    html.element("small", &[], |html| html.text(field.meaning));
                }
            });
        }
    });
}

/// A shape as people write it.
fn notation(html: &mut Html, schema: Schema) {
    match schema {
        Schema::Text => html.text("text"),
        Schema::Time => html.text("time"),
        Schema::Integer => html.text("whole number"),
        Schema::Number => html.text("number"),
        Schema::Flag => html.text("true or false"),
        Schema::Any => html.text("anything"),
        Schema::OneOf(words) => html.text(&words.join(" | ")),
        Schema::Nullable(inner) => {
            notation(html, *inner);
            html.text(" or null");
        }
        Schema::List(inner) => {
            html.text("list of ");
            notation(html, *inner);
        }
        Schema::Map(inner) => {
            html.text("names with ");
            notation(html, *inner);
        }
        Schema::Object(fields) | Schema::Open(fields) => members(html, fields),
        Schema::Either(shapes) => {
            for (index, shape) in shapes.iter().enumerate() {
                if index > 0 {
                    html.text(" or ");
                }
                notation(html, *shape);
            }
        }
        Schema::Named(shape) => link(html, &format!("#{}", shape.name), shape.name),
    }
}

fn describe(html: &mut Html, shape: &Shape) {
    html.element("h3", &[("id", shape.name)], |html| html.text(shape.name));
    paragraph(html, shape.meaning);
    notation(html, shape.schema);
    if !shape.example.is_empty() {
        html.element("pre", &[], |html| html.text(shape.example));
    }
}

//! The description of the API: OpenAPI 3.1 of the very table that routes requests, so that it cannot lie.
//!
//! Each row of the table points to a [`Doc`]: static data, made into JSON when somebody asks. What follows from the
//! kind of caller, from a body, or from the gate is not repeated there; [`document`] adds it.

pub(super) mod doc;
mod document;
mod schema;
mod shared;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use self::document::document;
#[cfg(test)]
pub(super) use self::schema::may;
pub(super) use self::schema::{Field, Schema, Shape, need};
use super::auth::Access;
use super::router::Route;

/// What the gate, and what stands before every handler, may answer to anything.
pub(super) const ALWAYS: &[u16] = &[400, 408, 413, 421, 431, 500, 503, 505];

/// What one route takes and answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doc {
    /// One line for people.
    pub(super) summary: &'static str,
    /// Parameters in the query. Those in the path are in the route's pattern.
    pub(super) query: &'static [Field],
    pub(super) body: Body,
    /// What it answers when all is well.
    pub(super) answers: &'static [Answer],
    /// Statuses of its own refusals.
    pub(super) refusals: &'static [u16],
}

/// The body of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Body {
    None,
    /// A JSON object. Members that are not listed are ignored.
    Json(Schema),
    /// `application/x-www-form-urlencoded`. Fields that are not listed are ignored.
    Form(&'static [Field]),
}

/// One answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content: Content,
}

/// What an answer carries.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    Json(Schema),
    /// A page.
    Html,
    /// A file of a page, of this media type.
    Asset(&'static str),
    /// A redirect.
    Location,
}

/// 200 with JSON.
const fn json(schema: Schema) -> Answer {
    Answer { status: 200, content: Content::Json(schema) }
}

/// A page.
const fn html(status: u16) -> Answer {
    Answer { status, content: Content::Html }
}

/// 303 to somewhere.
const SEE_OTHER: Answer = Answer { status: 303, content: Content::Location };

impl Doc {
    const fn new(summary: &'static str, answers: &'static [Answer]) -> Self {
        Self { summary, query: &[], body: Body::None, answers, refusals: &[] }
    }

    const fn query(self, query: &'static [Field]) -> Self {
        Self { query, ..self }
    }

    /// Takes a JSON object with these members.
    const fn takes(self, fields: &'static [Field]) -> Self {
        Self { body: Body::Json(Schema::Open(fields)), ..self }
    }

    /// Takes a form with these fields.
    const fn takes_form(self, fields: &'static [Field]) -> Self {
        Self { body: Body::Form(fields), ..self }
    }

    const fn refuses(self, refusals: &'static [u16]) -> Self {
        Self { refusals, ..self }
    }
}

/// Every status that `route` may answer with, and what it then carries: its own, and what follows from its caller, its
/// body and the gate.
pub(super) fn answers(route: &Route) -> BTreeMap<u16, Vec<Content>> {
    let mut answers: BTreeMap<u16, Vec<Content>> = BTreeMap::new();
    for answer in route.doc.answers {
        answers.entry(answer.status).or_default().push(answer.content);
    }
    let mut refused = refusals(route);
    refused.extend(ALWAYS);
    for status in refused {
        let contents = answers.entry(status).or_default();
        contents.push(Content::Json(refusal(status)));
        if route.is_page() {
            contents.push(Content::Html);
        }
    }
    if matches!(route.access, Access::Page | Access::AdminPage) {
        answers.entry(303).or_insert_with(|| vec![Content::Location]); // to sign in
    }
    answers
}

/// The statuses of refusals of `route`, beside those of every route.
pub(super) fn refusals(route: &Route) -> BTreeSet<u16> {
    let by_caller: &[u16] = match route.access {
        Access::Open | Access::Page => &[],
        Access::Registered | Access::Proof | Access::ProofOrBrowser | Access::Admin => &[401, 403],
        Access::AdminPage => &[403],
    };
    let by_method: &[u16] = if route.method == "GET" { &[] } else { &[403] }; // from a page of another site
    let by_body: &[u16] = if matches!(route.doc.body, Body::None) { &[] } else { &[422] };
    [by_caller, by_method, by_body, route.doc.refusals].concat().into_iter().collect()
}

/// What a refusal carries (`contract/http.md` section 2).
pub(super) fn refusal(status: u16) -> Schema {
    match status {
        400 | 401 | 404 => Schema::Either(&[Schema::Named(&shared::ERROR), Schema::Named(&shared::DETAIL)]),
        409 => Schema::Named(&shared::CONFLICT),
        422 => Schema::Either(&[Schema::Named(&shared::INVALID), Schema::Named(&shared::DETAIL)]),
        _ => Schema::Named(&shared::DETAIL),
    }
}

/// Parameters of the path, then of the query, with where they stand.
fn parameters(route: &Route) -> impl Iterator<Item = (&'static str, Field)> + '_ {
    let in_path = route.names().map(|name| ("path", need(name, Schema::Text).means(meaning(name))));
    in_path.chain(route.doc.query.iter().map(|field| ("query", *field)))
}

/// What a parameter of a path names.
fn meaning(parameter: &str) -> &'static str {
    match parameter {
        "provider" => "Name of a provider.",
        "connection" => "Name of a connection.",
        "handle" => "Handle of an identity.",
        "did" => "A did:key.",
        "id" => "A login.",
        "token" => "Token of a claim.",
        _ => "",
    }
}

/// Every named shape that `routes` take or answer, by name.
pub(super) fn shapes(routes: &[Route]) -> BTreeMap<&'static str, &'static Shape> {
    let mut shapes = BTreeMap::new();
    each_shape(routes, &mut |shape| {
        shapes.insert(shape.name, shape);
    });
    shapes
}

/// Calls `found` with every use of a named shape.
pub(super) fn each_shape(routes: &[Route], found: &mut impl FnMut(&'static Shape)) {
    for route in routes {
        if let Body::Json(schema) = route.doc.body {
            schema.walk(found);
        }
        for content in answers(route).into_values().flatten() {
            if let Content::Json(schema) = content {
                schema.walk(found);
            }
        }
    }
}

/// What routes are about, in the order of the pages that describe them.
pub(super) const RESOURCES: [&str; 9] =
    ["Daemon", "Identities", "Providers", "Logins", "Connections", "Credentials", "Audit", "Accounts", "Pages"];

/// What the route with this pattern is about.
pub(super) fn resource(pattern: &str) -> &'static str {
    const BEGINNINGS: [(&str, &str); 24] = [
        ("/api/identities", "Identities"),
        ("/api/principals", "Identities"),
        ("/api/providers", "Providers"),
        ("/api/auth/sessions", "Logins"),
        ("/api/auth/providers", "Logins"),
        ("/api/auth/callback", "Logins"),
        ("/auth/", "Logins"),
        ("/api/connections", "Connections"),
        ("/api/credentials", "Credentials"),
        ("/api/run", "Credentials"),
        ("/api/proxy", "Credentials"),
        ("/api/audit", "Audit"),
        ("/api/auth/", "Accounts"),
        ("/api/logout", "Accounts"),
        ("/api/session", "Accounts"),
        ("/api/invitations", "Accounts"),
        ("/api/claim", "Accounts"),
        ("/claim", "Accounts"),
        ("/login", "Accounts"),
        ("/signin", "Accounts"),
        ("/api/", "Daemon"),
        ("/health", "Daemon"),
        ("/openapi.json", "Daemon"),
        ("/docs", "Daemon"),
    ];
    BEGINNINGS.iter().find(|(beginning, _)| pattern.starts_with(beginning)).map_or("Pages", |(_, resource)| resource)
}

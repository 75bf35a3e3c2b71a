//! `/api/audit/events`: reading for the owner, writing for clients.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::broker::{Actor, AuditQuery, Cursor, MAX_PAGE};
use crate::daemon::{Context, Outcome, Refusal, Response};
use crate::model::{AuditEvent, AuditSource};

/// Events of one call: a run flushes what it has, at most so many at a time.
const MAX_BATCH: usize = 1000;

pub(in crate::daemon) fn list(context: &Context<'_>) -> Outcome {
    let actor = context.actor()?;
    let limit = match context.query("limit") {
        None => 50,
        Some(text) => text.parse::<i64>().map_err(|_| not_an_integer())?,
    };
    let limit = usize::try_from(limit.max(1)).unwrap_or(1).min(MAX_PAGE);
    let cursor = match given(context, "cursor") {
        None => None,
        Some(text) => Some(Cursor::parse(&text).ok_or_else(|| Refusal::new(422, "Invalid cursor"))?),
    };
    let query = AuditQuery { limit, cursor, ..filter(context, &actor) };
    if let Some(handle) = query.identity.as_deref().filter(|_| !actor.is_admin())
        && context.owner_of(handle)?.as_deref() != Some(actor.principal_id.as_str())
    {
        return Err(Refusal::new(403, "This identity belongs to somebody else").into());
    }
    let (entries, next) = context.broker().audit().page(&query)?;
    Ok(Response::json(&json!({
        "entries": entries,
        "next_cursor": next.map(|cursor| cursor.to_string()),
        "scope": if actor.is_admin() { "global" } else { "principal" },
    })))
}

/// A query parameter; an empty one is none.
pub(in crate::daemon) fn given(context: &Context<'_>, name: &str) -> Option<String> {
    context.query(name).filter(|text| !text.is_empty())
}

/// Which entries a request asks for, of those that `actor` may see: administrators all, others their own.
pub(in crate::daemon) fn filter(context: &Context<'_>, actor: &Actor) -> AuditQuery {
    AuditQuery {
        principal_id: (!actor.is_admin()).then(|| actor.principal_id.clone()),
        identity: given(context, "identity"),
        provider: given(context, "provider"),
        event: given(context, "event"),
        ..AuditQuery::default()
    }
}

fn not_an_integer() -> Refusal {
    Refusal::field(&["query", "limit"], "Input should be a valid integer", "int_parsing")
}

#[derive(Deserialize)]
struct WriteBody {
    #[serde(default)]
    event: Option<Written>,
    #[serde(default)]
    events: Option<Vec<Written>>,
}

/// An event as an object. Read as it is, it might be a list of its members.
#[derive(Deserialize)]
#[serde(try_from = "Map<String, Value>")]
struct Written(AuditEvent);

impl TryFrom<Map<String, Value>> for Written {
    type Error = serde_json::Error;

    fn try_from(members: Map<String, Value>) -> Result<Self, Self::Error> {
        serde_json::from_value(Value::Object(members)).map(Self)
    }
}

/// Control characters are no name: the log leaves them out.
fn has_name(event: &AuditEvent) -> bool {
    event.event.chars().any(|character| !character.is_whitespace() && !character.is_control())
}

pub(in crate::daemon) fn write(context: &Context<'_>) -> Outcome {
    let body: WriteBody = context.json()?;
    let is_batch = body.events.is_some();
    let events: Vec<AuditEvent> =
        body.event.into_iter().chain(body.events.unwrap_or_default()).map(|Written(event)| event).collect();
    if (events.is_empty() && !is_batch) || !events.iter().all(has_name) {
        return Err(Refusal::field(&["body", "event"], "Field required", "missing").into());
    }
    if events.len() > MAX_BATCH {
        return Err(Refusal::field(&["body", "events"], "At most 1000 events a call", "too_long").into());
    }
    let ids = context.broker().audit().record(AuditSource::External, Some(&context.actor()?), events)?;
    if is_batch {
        return Ok(Response::json(&json!({"status": "ok", "event_ids": ids})));
    }
    Ok(Response::json(&json!({"status": "ok", "event_id": ids.first()})))
}

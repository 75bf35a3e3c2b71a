//! `/api/audit/events`.

use super::*;

pub(in crate::daemon) static AUDIT: Doc = Doc::new(
    "What happened, newest first",
    &[json(Object(&[
        need("entries", List(&Named(&shared::AUDIT_ENTRY))),
        need("next_cursor", TEXT_OR_NULL),
        need("scope", OneOf(&["global", "principal"])),
    ]))],
)
.query(&[
    may("limit", Integer).means("1 to 500; without it, 50."),
    may("cursor", Text).means("Where the page before ended."),
    may("identity", Text).means("Only what this identity did."),
    may("provider", Text).means("Only what is about this provider."),
    may("event", Text).means("Only events of this name. A page may be short, although there is a next one."),
])
.refuses(&[403, 422]);

pub(in crate::daemon) static WRITE_AUDIT: Doc = Doc::new(
    "Writes one event, or several",
    &[json(Object(&[
        OK,
        may("event_id", TEXT_OR_NULL).means("For one event."),
        may("event_ids", TEXTS).means("For several."),
    ]))],
)
.takes(&[
    may("event", Nullable(&Named(&shared::AUDIT_EVENT))),
    may("events", Nullable(&List(&Named(&shared::AUDIT_EVENT)))).means("At most 1000."),
]);

//! `/api/credentials`, `/api/run` and `/api/proxy/routes`.

use super::*;

pub(in crate::daemon) static RESOLVE: Doc = Doc::new(
    "The values of a connection, refreshed first when they are due",
    &[json(Object(&[
        need("provider", Text),
        need("connection", Text),
        need("headers", Map(&Text)),
        need("expires_at", TIME_OR_NULL),
        need("source", OneOf(&["local", "global"])),
        may("inject", List(&Named(&shared::SLOT))).means("With v = 2."),
        may("destinations", List(&PLACE)).means("With v = 2: where the values may go."),
    ]))],
)
.takes(&[
    need("provider", Text),
    may("connection", TEXT_OR_NULL),
    may("v", Integer).means("2: with every slot and destination."),
    may("rejected", Flag).means("The upstream refused the last value."),
    may("refused", TEXT_OR_NULL).means("Which value that was: the start of a SHA-256 over its slots, 16 digits."),
])
.refuses(&[400, 401, 404]);

const PLACE: Schema =
    Object(&[need("host", Text), need("match", shared::HOST_MATCH), need("port", Integer), need("path_prefix", Text)]);

pub(in crate::daemon) static EXPORT: Doc =
    Doc::new("Raw secrets, for an environment or as JSON", &[json(Object(&[need("output", Text)]))])
        .takes(&[
            may("provider", TEXT_OR_NULL).means("Without it, everything."),
            may("connection", Text),
            may("format", OneOf(&["env", "shell", "json"])),
        ])
        .refuses(&[400, 401, 404]);

const SCOPE: Schema = OneOf(&["connected", "configured"]);

pub(in crate::daemon) static RUN: Doc = Doc::new(
    "Everything that a run needs: destinations, and the values that are fresh",
    &[json(Object(&[need("run_id", Text), need("routes", List(&ROUTE))]))],
)
.takes(&[
    may("scope", SCOPE),
    may("providers", TEXTS_OR_NULL).means("Only these."),
    may("connections", Map(&Text)).means("Connections to use in place of the default ones, by provider."),
])
.refuses(&[400, 401, 404]);

const ROUTE: Schema = Object(&[
    need("provider", Text),
    need("connection", Text),
    need("host", Text),
    need("match", shared::HOST_MATCH),
    need("port", Integer),
    need("path_prefix", Text),
    need("auth_endpoints", List(&Object(&[need("host", Text), need("path", Text)]))),
    need("inject", Nullable(&List(&Named(&shared::SLOT)))).means("Null: resolve when needed."),
    need("strip", List(&Object(&[need("in", shared::PLACE), need("name", Text)]))),
    need("default_headers", Map(&Text)),
    need("exports", TEXTS),
    need("expires_at", TIME_OR_NULL),
]);

pub(in crate::daemon) static PROXY_ROUTES: Doc = Doc::new(
    "Where a proxy would set values",
    &[json(Object(&[need(
        "routes",
        List(&Object(&[
            need("provider", Text),
            need("connection", TEXT_OR_NULL),
            need("api_url", Text),
            need("auth_endpoint_paths", TEXTS),
        ])),
    )]))],
)
.query(&[may("scope", SCOPE)])
.refuses(&[400, 404, 422]);

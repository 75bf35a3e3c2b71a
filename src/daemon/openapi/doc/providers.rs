//! `/api/providers`.

use super::*;

pub(in crate::daemon) static PROVIDERS: Doc = Doc::new("Every definition", &[json(shared::BY_SOURCE)]);

pub(in crate::daemon) static PROVIDER: Doc =
    Doc::new("A definition", &[json(Named(&shared::DEFINITION))]).refuses(&[404]);

pub(in crate::daemon) static PROVIDER_DETAIL: Doc =
    Doc::new("A provider with its settings and connections", &[json(DETAIL)]).refuses(&[404]);

const DETAIL: Schema = Object(&[
    need("provider", Named(&shared::DEFINITION)),
    need("account", Object(&[need("principal_id", Text), need("role", shared::ROLE), need("is_admin", Flag)])),
    need("client", Nullable(&CLIENT)).means("For administrators, its secret masked."),
    need("configuration_fields", TEXTS),
    need("configuration_warning", TEXT_OR_NULL),
    need("show_callback_helper", Flag),
    need("callback_url", Text),
    need(
        "connections",
        List(&Object(&[
            need("provider", Text),
            need("provider_display_name", Text),
            need("connection_name", Text),
            need("status", shared::CONNECTION_STATUS),
            need("auth_type", shared::AUTH_TYPE),
            need("account_label", TEXT_OR_NULL),
            need("principal_id", Text),
        ])),
    ),
    need(
        "principal_usage",
        List(&Object(&[need("principal_id", Text), need("email", TEXT_OR_NULL), need("connections", Integer)])),
    )
    .means("For administrators."),
]);

const CLIENT: Schema = Object(&[
    need("client_id", TEXT_OR_NULL),
    need("client_secret", TEXT_OR_NULL),
    need("base_url", TEXT_OR_NULL),
    need("api_url", TEXT_OR_NULL),
    need("scopes", TEXTS_OR_NULL),
]);

const DONE: &[Answer] = &[json(Object(&[OK, need("provider", Text)]))];

pub(in crate::daemon) static REGISTER_PROVIDER: Doc = Doc::new("Adds a definition", DONE)
    .takes(&[
        need("definition", Named(&shared::DEFINITION)),
        may("force", Flag).means("Replaces one that is there."),
        may("allow_local", Flag).means("Allows local addresses as destinations."),
    ])
    .refuses(&[400]);

pub(in crate::daemon) static REPLACE_PROVIDER: Doc = Doc {
    body: Body::Json(Named(&shared::DEFINITION)),
    ..Doc::new("Replaces a definition of one's own", DONE).refuses(&[400, 404])
};

pub(in crate::daemon) static CONFIGURE: Doc = Doc::new(
    "Stores the client of an OAuth provider; a change ends its connections",
    &[json(Object(&[OK, need("changed", Flag), need("provider", Text)]))],
)
.takes(&[
    may("client_id", TEXT_OR_NULL),
    may("client_secret", TEXT_OR_NULL),
    may("base_url", TEXT_OR_NULL),
    may("api_url", TEXT_OR_NULL),
    may("scopes", TEXTS_OR_NULL),
])
.refuses(&[400, 404]);

pub(in crate::daemon) static REMOVE_PROVIDER: Doc =
    Doc::new("Ends the connections of a provider, then removes its definition; a bundled one stays", DONE)
        .refuses(&[400, 404]);

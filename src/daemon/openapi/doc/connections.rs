//! `/api/connections`.

use super::*;

pub(in crate::daemon) static CONNECTIONS: Doc = Doc::new(
    "What is connected, and what could be",
    &[json(Object(&[
        need("connections", List(&PROVIDER_ROW)),
        need("global_connections", List(&GLOBAL_ROW)),
        need("provider_connection_counts", Map(&Integer)).means("Over all principals, for administrators."),
        need("by_source", shared::BY_SOURCE),
    ]))],
);

const PROVIDER_ROW: Schema = Object(&[
    need("name", Text),
    need("default_connection", TEXT_OR_NULL),
    need(
        "connections",
        List(&Object(&[
            need("connection_name", Text),
            need("is_default", Flag),
            need("auth_type", shared::AUTH_TYPE),
            need("status", shared::CONNECTION_STATUS),
            need("scopes", TEXTS_OR_NULL),
            need("base_url", TEXT_OR_NULL),
            need("api_url", TEXT_OR_NULL),
            need("expires_at", TIME_OR_NULL),
        ])),
    ),
]);

const GLOBAL_ROW: Schema = Object(&[
    need("provider", Text),
    need("provider_display_name", Text),
    need("connection_name", Text),
    need("status", shared::CONNECTION_STATUS),
    need("auth_type", shared::AUTH_TYPE),
    need("account_label", TEXT_OR_NULL),
    need("api_url", TEXT_OR_NULL),
    need("source", OneOf(&["global"])),
]);

pub(in crate::daemon) static CONNECTION: Doc =
    Doc::new("The whole record, with the secrets for whoever may read them", &[json(Named(&shared::CONNECTION))])
        .query(&[may("redact", Text).means("Masks the secrets, unless it is 0 or false.")])
        .refuses(&[400, 404]);

/// Whose connection is meant.
const PRINCIPAL: Field = may("principal", Text).means("Somebody else's connection, for administrators.");

pub(in crate::daemon) static CONNECTION_FACTS: Doc =
    Doc::new("One connection; its secrets for an identity that may read them, else masked", &[json(DETAIL)])
        .query(&[PRINCIPAL])
        .refuses(&[404]);

const DETAIL: Schema = Object(&[
    need("provider", Text),
    need("provider_display_name", Text),
    need("connection_name", Text),
    need("principal_id", Text),
    need("identity", Text),
    need("vault_id", Text),
    need("status", shared::CONNECTION_STATUS),
    need("auth_type", shared::AUTH_TYPE),
    need("base_url", TEXT_OR_NULL),
    need("api_url", TEXT_OR_NULL),
    need("scopes", TEXTS_OR_NULL),
    need("token_type", TEXT_OR_NULL),
    need("obtained_at", TIME_OR_NULL),
    need("expires_at", TIME_OR_NULL),
    need("account", shared::ACCOUNT),
    need(
        "secrets",
        Object(&[
            need("access_token", TEXT_OR_NULL),
            need("refresh_token", TEXT_OR_NULL),
            need("api_key", TEXT_OR_NULL),
            need("credentials", Nullable(&Map(&Text))),
        ]),
    ),
    need("can_set_default", Flag),
    need("can_set_global", Flag),
    need("is_global", Flag),
]);

pub(in crate::daemon) static DISCONNECT: Doc =
    Doc::new("Revokes at the provider and deletes the record; also ok when there is none", &[json(Object(&[OK]))])
        .query(&[PRINCIPAL])
        .refuses(&[400, 404]);

pub(in crate::daemon) static DEFAULT: Doc = Doc::new(
    "Makes a connection the one that is used without a name",
    &[json(Object(&[OK, need("provider", Text), need("default_connection", Text)]))],
)
.refuses(&[400, 404]);

const NAMED: Schema = Object(&[OK, need("provider", Text), need("connection_name", Text)]);

pub(in crate::daemon) static SET_GLOBAL: Doc =
    Doc::new("Lets everybody use a connection of one's own", &[json(NAMED)]).refuses(&[400, 404]);

pub(in crate::daemon) static UNSET_GLOBAL: Doc = Doc::new(
    "Ends that everybody may use a connection",
    &[json(Object(&[OK, need("provider", Text), need("deleted", Flag)]))],
)
.refuses(&[400]);

pub(in crate::daemon) static REBIND: Doc = Doc::new(
    "Confirms the changed destination of a connection",
    &[json(Object(&[
        OK,
        need("provider", Text),
        need("connection_name", Text),
        need("connection_status", shared::CONNECTION_STATUS),
    ]))],
)
.refuses(&[400, 404]);

pub(in crate::daemon) static REVOKE: Doc =
    Doc::new("Ends every connection of a provider, in every vault, and its client", &[json(Object(&[OK]))])
        .refuses(&[400, 404]);

pub(in crate::daemon) static CONNECTION_PAGE: Doc =
    Doc::new("The page of a connection", &[html(200)]).query(&[PRINCIPAL]).refuses(&[400, 403, 404]);

pub(in crate::daemon) static CONNECTION_FORM: Doc = Doc::new("A form of a connection's page", &[SEE_OTHER])
    .query(&[PRINCIPAL])
    .takes_form(&[])
    .refuses(&[400, 401, 404]);

pub(in crate::daemon) static REVEAL: Doc =
    Doc::new("The secrets of one's own connection, on a page", &[html(200), html(422), html(429)])
        .takes_form(&[may("password", Text).means("Of the account, where it has one.")])
        .refuses(&[400, 401, 404]);

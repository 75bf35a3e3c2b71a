//! The shapes that several routes share: the named components of the description.

use super::schema::Schema::{
    self, Any, Either, Flag, Integer, List, Map, Named, Nullable, Number, Object, OneOf, Open, Text, Time,
};
use super::schema::{Field, Shape, TEXT_OR_NULL, TEXTS, TEXTS_OR_NULL, TIME_OR_NULL, may, need};

pub(super) const ROLE: Schema = OneOf(&["admin", "user"]);
pub(super) const AUTH_TYPE: Schema = OneOf(&["oauth2", "api_key", "browser"]);
pub(super) const FLOW: Schema = OneOf(&["pkce", "device_code", "dcr_pkce", "api_key", "browser"]);
pub(super) const CONNECTION_STATUS: Schema = OneOf(&["not_connected", "connected", "expired", "revoked", "invalid"]);
pub(super) const CLAIM_STATUS: Schema = OneOf(&["claim_required", "pending", "claimed", "rejected"]);
const SESSION_STATUS: Schema =
    OneOf(&["pending", "waiting_for_user", "processing", "completed", "failed", "expired", "cancelled"]);

/// `"status": "ok"`.
pub(super) const OK: Field = need("status", OneOf(&["ok"]));

pub(super) const DETAIL: Shape = Shape {
    name: "Detail",
    meaning: "A refusal of the route: what is wrong, for people.",
    schema: Object(&[need("detail", Text)]),
    example: "",
};

pub(super) const ERROR: Shape = Shape {
    name: "Error",
    meaning: "A failure under a stable name. The message begins with the provider and the operation, where they are known.",
    schema: Object(&[
        need("error", Text).means("Name, as ConnectionNotFoundError."),
        need("message", Text),
        need("provider", TEXT_OR_NULL),
        need("operation", TEXT_OR_NULL),
        may("hint", Text).means("What to do about it, for requests with the header Authsome-Hints: 1."),
    ]),
    example: "",
};

pub(super) const CONFLICT: Shape = Shape {
    name: "Conflict",
    meaning: "A handle or a key that somebody else holds.",
    schema: Object(&[need("error", OneOf(&["IdentityRegistrationError"])), need("message", Text)]),
    example: "",
};

pub(super) const INVALID: Shape = Shape {
    name: "Invalid",
    meaning: "Fields that do not fit.",
    schema: Object(&[need(
        "detail",
        List(&Object(&[
            need("loc", TEXTS).means("Where: body or query, then the name."),
            need("msg", Text),
            need("type", Text),
        ])),
    )]),
    example: "",
};

/// What every answer about the daemon says of encryption.
macro_rules! with_encryption {
    ($($field:expr),* $(,)?) => {
        Object(&[
            $($field,)*
            need("configured_encryption_mode", Text),
            need("effective_encryption_source", OneOf(&["env", "file", "keyring", "passphrase"])),
            need("encryption_backend", Text),
        ])
    };
}

pub(super) const HEALTH: Shape = Shape {
    name: "Health",
    meaning: "A daemon that is up.",
    schema: with_encryption![OK, need("version", Text), need("store_backend", Text)],
    example: "",
};

const CHECK: Schema = OneOf(&["ok", "failed"]);

pub(super) const READINESS: Shape = Shape {
    name: "Readiness",
    meaning: "Whether the daemon can serve, and what it checked.",
    schema: with_encryption![
        need("status", OneOf(&["ready", "not_ready"])),
        need(
            "checks",
            Object(&[
                need("spec_version", CHECK),
                need("store", CHECK),
                need("identity", CHECK),
                need("providers", CHECK),
                need("connections", CHECK),
                need("vault", CHECK),
                need("integrity", CHECK),
            ])
        ),
        need("issues", TEXTS),
        need("warnings", TEXTS),
    ],
    example: "",
};

pub(super) const WHOAMI: Shape = Shape {
    name: "Whoami",
    meaning: "The caller as the daemon knows it. What does not apply is an empty string.",
    schema: with_encryption![
        need("version", Text),
        need("home", Text),
        need("identity", Text),
        need("active_identity", Text),
        need("principal_id", Text),
        need("vault_id", Text),
        need("principal_role", ROLE),
        need("account_email", Text),
        need("did", Text),
        need("registration_status", CLAIM_STATUS),
        need("daemon_url", Text),
    ],
    example: "",
};

pub(super) const REGISTRATION: Shape = Shape {
    name: "Registration",
    meaning: "Where an identity stands.",
    schema: Object(&[
        need("identity", Text),
        need("did", Text),
        need("registration_status", CLAIM_STATUS),
        may("claim_url", Text).means("Where a person claims it. Only for a request that the identity itself signed."),
        may("principal_id", Text).means("Its owner."),
        may("status", OneOf(&["registered"])).means("In the answer to a registration."),
    ]),
    example: "",
};

pub(super) const IDENTITY: Shape = Shape {
    name: "Identity",
    meaning: "An identity, for its owner.",
    schema: Object(&[
        need("handle", Text),
        need("did", Text),
        need("registration_status", CLAIM_STATUS),
        need("claim_status", Nullable(&CLAIM_STATUS)),
        need("principal_id", TEXT_OR_NULL),
        need("principal_email", TEXT_OR_NULL),
        need("is_active", Flag).means("Whether it is the one that asks."),
        need("created_at", Time),
        need("updated_at", Time),
        need("claimed_at", TIME_OR_NULL),
        IF_ASKED_GRANTS,
    ]),
    example: "",
};

/// Only for who asks, since 0.7.2 has it nowhere.
pub(super) const IF_ASKED_GRANTS: Field =
    may("grants", Nullable(&Object(&[need("use", Flag), need("export", Flag)]))).means("With ?grants=1 only.");

pub(super) const SESSION: Shape = Shape {
    name: "Session",
    meaning: "One attempt to log in to one provider.",
    schema: Object(&[
        need("id", Text),
        need("provider", Text),
        need("connection", Text),
        need("status", SESSION_STATUS),
        need("message", TEXT_OR_NULL),
        need("error", TEXT_OR_NULL),
        need("created_at", Time),
        need("expires_at", Time),
        need("next_action", NEXT_ACTION),
        need("user_code", TEXT_OR_NULL).means("Device flow: the code to type."),
        need("verification_uri", TEXT_OR_NULL).means("Device flow: where to type it."),
        need("verification_uri_complete", TEXT_OR_NULL).means("Device flow: both in one link."),
    ]),
    example: "",
};

const NEXT_ACTION: Schema = Either(&[
    Object(&[need("type", OneOf(&["open_url"])), need("url", Text)]),
    Object(&[
        need("type", OneOf(&["browser"])),
        need("entry_url", Text),
        need("domains", TEXTS),
        need("auth_cookies", TEXTS),
        need("ttl_from_cookie", TEXT_OR_NULL),
        need("ttl_hours", Nullable(&Number)),
    ]),
    Object(&[need("type", OneOf(&["none"]))]),
]);

pub(super) const SESSION_STATE: Shape = Shape {
    name: "SessionState",
    meaning: "How a login goes, for its page.",
    schema: Object(&[
        need("id", Text),
        need("provider", Text),
        need("connection", Text),
        need("status", SESSION_STATUS),
        need("message", TEXT_OR_NULL),
        need("error", TEXT_OR_NULL),
    ]),
    example: "",
};

pub(super) const CONNECTION: Shape = Shape {
    name: "Connection",
    meaning: "The whole record of a connection. Secrets are masked for whoever may not read them. Members that another \
              version stored are kept.",
    schema: Open(&[
        need("schema_version", Integer),
        need("provider", Text),
        need("identity", Text),
        need("principal_id", Text),
        need("vault_id", Text),
        need("connection_name", Text),
        need("auth_type", AUTH_TYPE),
        need("status", CONNECTION_STATUS),
        need("base_url", TEXT_OR_NULL),
        need("api_url", TEXT_OR_NULL),
        need("scopes", TEXTS_OR_NULL),
        need("access_token", TEXT_OR_NULL),
        need("refresh_token", TEXT_OR_NULL),
        need("token_type", TEXT_OR_NULL),
        need("expires_at", TIME_OR_NULL),
        need("obtained_at", TIME_OR_NULL),
        need("api_key", TEXT_OR_NULL),
        need("credentials", Nullable(&Map(&Text))),
        need("account", ACCOUNT),
        need("metadata", Map(&Any)),
    ]),
    example: "",
};

pub(super) const ACCOUNT: Schema = Object(&[need("id", TEXT_OR_NULL), need("label", TEXT_OR_NULL)]);

pub(super) const SLOT: Shape = Shape {
    name: "Slot",
    meaning: "A place in a request, with the value to set.",
    schema: Object(&[
        need("in", PLACE),
        need("name", Text),
        need("value", Text),
        need("only_if_absent", Flag),
        need("secrets", TEXTS).means("The stored secrets inside the value."),
    ]),
    example: "",
};

pub(super) const PLACE: Schema = OneOf(&["header", "query", "cookie"]);
pub(super) const HOST_MATCH: Schema = OneOf(&["exact", "suffix", "regex"]);

pub(super) const AUDIT_EVENT: Shape = Shape {
    name: "AuditEvent",
    meaning: "What a client tells the audit log.",
    schema: Open(&[
        need("event", Text).means("Name, as proxy.request."),
        may("provider", TEXT_OR_NULL),
        may("connection", TEXT_OR_NULL),
        may("status", TEXT_OR_NULL),
        may("metadata", Map(&Any)).means("Further facts. Nothing secret."),
    ]),
    example: "",
};

pub(super) const AUDIT_ENTRY: Shape = Shape {
    name: "AuditEntry",
    meaning: "What happened. The event's metadata stands beside the fixed members.",
    schema: Open(&[
        need("event_id", Text),
        need("timestamp", Time),
        need("event", Text),
        need("source", OneOf(&["internal", "external"])),
        need("provider", TEXT_OR_NULL),
        need("connection", TEXT_OR_NULL),
        need("identity", TEXT_OR_NULL),
        need("principal_id", TEXT_OR_NULL),
        need("status", TEXT_OR_NULL),
    ]),
    example: "",
};

pub(super) const DEFINITION: Shape = Shape {
    name: "Definition",
    meaning: "A provider: where its API is, and how to get and send a credential for it. Unknown members are kept.",
    schema: Open(&[
        may("schema_version", Integer),
        need("name", Text),
        may("display_name", TEXT_OR_NULL),
        may("logo", TEXT_OR_NULL),
        may("description", TEXT_OR_NULL),
        may("type", Nullable(&OneOf(&["app", "llm", "mcp", "browser"]))),
        need("auth_type", AUTH_TYPE),
        need("flow", FLOW),
        may("api_url", Nullable(&Either(&[Text, TEXTS]))).means("Hosts, URLs or patterns that get the credential."),
        may("docs_url", TEXT_OR_NULL),
        may("oauth", SETTINGS),
        may("registration", SETTINGS),
        may("api_key", SETTINGS),
        may("browser", SETTINGS),
        may("export", SETTINGS).means("Names in the environment."),
        may("metadata", SETTINGS),
        may("inject", OBJECTS).means("Slots to set."),
        may("fields", OBJECTS).means("What to ask for besides one key."),
        may("default_headers", Nullable(&Map(&Text))),
        may("strip", OBJECTS).means("Slots to empty first."),
        may("key_hint", TEXT_OR_NULL),
    ]),
    example: r#"{"name":"acme","auth_type":"api_key","flow":"api_key","api_url":"api.acme.test"}"#,
};

const SETTINGS: Schema = Nullable(&Map(&Any));
const OBJECTS: Schema = Nullable(&List(&Map(&Any)));

/// Definitions by where they come from.
pub(super) const BY_SOURCE: Schema =
    Object(&[need("bundled", List(&Named(&DEFINITION))), need("custom", List(&Named(&DEFINITION)))]);

//! `/api/auth/sessions` and the pages of a login.

use super::*;

const SESSION: &[Answer] = &[json(Named(&shared::SESSION))];

pub(in crate::daemon) static START_LOGIN: Doc = Doc::new("Starts a login", SESSION)
    .takes(&[
        need("provider", Text),
        may("connection", Text).means("Name of the connection; without it, default."),
        may("flow", Nullable(&shared::FLOW)),
        may("scopes", TEXTS_OR_NULL),
        may("base_url", TEXT_OR_NULL),
        may("force", Flag).means("Replaces a connection that works."),
    ])
    .refuses(&[400, 401, 404]);

pub(in crate::daemon) static LOGIN: Doc = Doc::new("A login of one's own", SESSION).refuses(&[404]);

pub(in crate::daemon) static CANCEL_LOGIN: Doc = Doc::new("Breaks a login off", SESSION).refuses(&[400, 404]);

pub(in crate::daemon) static RESUME_LOGIN: Doc = Doc::new("Gives a login what it waits for", SESSION)
    .takes(&[may("data", Map(&RESUME_VALUE))
        .means("As {\"api_key\": ..}, {\"credentials\": {name: value}}, or {\"code\": .., \"state\": ..}.")])
    .refuses(&[400, 401, 404]);

const RESUME_VALUE: Schema = Nullable(&Either(&[Text, Map(&Text), Map(&Number)]));

pub(in crate::daemon) static LOGIN_INPUT: Doc = Doc::new(
    "What a login asks a person for",
    &[
        json(Object(&[
            need("session_id", Text),
            need("provider", Text),
            need("display_name", Text),
            need("docs_url", TEXT_OR_NULL),
            need("fields", List(&FIELD)),
            need("callback_url", TEXT_OR_NULL),
            need("warning", TEXT_OR_NULL),
        ])),
        SEE_OTHER,
    ],
)
.refuses(&[400, 404]);

const FIELD: Schema = Object(&[
    need("name", Text),
    need("label", Text),
    need("secret", Flag),
    need("default", TEXT_OR_NULL),
    need("required", Flag),
    may("pattern", Text).means("What values usually match."),
    may("pattern_hint", Text),
]);

/// What logins ask for; a definition may have more fields.
const INPUT: &[Field] = &[
    may("api_key", Text),
    may("client_id", Text),
    may("client_secret", Text),
    may("scopes", Text).means("Between commas."),
    may("base_url", Text),
    may("api_url", Text),
];

pub(in crate::daemon) static SUBMIT_INPUT: Doc =
    Doc::new("What a person filled in; leads to the provider, or to how it ended", &[SEE_OTHER])
        .takes_form(INPUT)
        .refuses(&[400, 401, 404]);

pub(in crate::daemon) static LOGIN_DEVICE: Doc = Doc::new(
    "The code of a device login",
    &[
        json(Object(&[
            need("session_id", Text),
            need("display_name", Text),
            need("user_code", TEXT_OR_NULL),
            need("verification_uri", TEXT_OR_NULL),
            need("verification_uri_complete", TEXT_OR_NULL),
        ])),
        SEE_OTHER,
    ],
)
.refuses(&[400, 404]);

pub(in crate::daemon) static LOGIN_STATUS: Doc =
    Doc::new("How a login goes", &[json(Named(&shared::SESSION_STATE)), SEE_OTHER]).refuses(&[404]);

pub(in crate::daemon) static CONNECT: Doc = Doc::new("Starts a login in the browser", &[SEE_OTHER])
    .takes_form(&[may("connection", Text), may("force", Text), may("return_url", Text)])
    .refuses(&[400, 404]);

const SESSION_ID: Field = may("session", Text).means("The login.");

pub(in crate::daemon) static INPUT_PAGE: Doc =
    Doc::new("The form of a login", &[html(200), SEE_OTHER]).query(&[SESSION_ID]).refuses(&[400, 403, 404]);

pub(in crate::daemon) static SUBMIT_PAGE: Doc =
    Doc::new("What a person filled in; leads to the provider, or to how it ended", &[SEE_OTHER])
        .query(&[SESSION_ID])
        .takes_form(INPUT)
        .refuses(&[400, 401, 404]);

pub(in crate::daemon) static DEVICE_PAGE: Doc =
    Doc::new("The code of a device login", &[html(200), SEE_OTHER]).query(&[SESSION_ID]).refuses(&[403, 404]);

pub(in crate::daemon) static SUCCESS_PAGE: Doc = Doc::new("How a login ended", &[html(200), html(400), SEE_OTHER])
    .query(&[SESSION_ID, may("error", Text)])
    .refuses(&[404]);

pub(in crate::daemon) static CALLBACK: Doc = Doc::new("Where a provider sends the browser back to", &[SEE_OTHER])
    .query(&[
        may("state", Text),
        may("code", Text),
        may("error", Text),
        may("error_description", Text),
        may("iss", Text),
    ])
    .refuses(&[400, 403, 404]);

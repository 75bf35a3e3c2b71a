//! Accounts in a browser: register, sign in, claim.

use super::*;

const NEXT: Field = may("next", Text).means("Where to go afterwards: a place on this server.");

pub(in crate::daemon) static REGISTER_ACCOUNT: Doc = Doc::new("Makes an account and signs in", &[SEE_OTHER])
    .takes_form(&[
        may("email", Text),
        may("password", Text),
        may("setup_token", Text).means("For the first account of a server."),
        may("invitation", Text).means("For every other one."),
        NEXT,
    ]);

pub(in crate::daemon) static SIGN_IN: Doc =
    Doc::new("Signs in", &[SEE_OTHER]).takes_form(&[may("email", Text), may("password", Text), NEXT]);

pub(in crate::daemon) static CHANGE_PASSWORD: Doc = Doc::new("Changes one's password", &[SEE_OTHER]).takes_form(&[
    may("current_password", Text),
    may("new_password", Text),
    NEXT,
]);

pub(in crate::daemon) static SIGN_OUT: Doc = Doc::new("Signs out", &[SEE_OTHER]).takes_form(&[may("return_url", Text)]);

pub(in crate::daemon) static SIGN_IN_LINK: Doc =
    Doc::new("An address that signs its opener in, once, within a minute", &[json(Object(&[need("url", Text)]))])
        .refuses(&[400]);

pub(in crate::daemon) static END_SESSIONS: Doc = Doc::new(
    "Signs every browser of the caller's principal out, but the one that asks",
    &[json(Object(&[OK, need("closed", Integer).means("How many it were.")]))],
)
.refuses(&[400]);

pub(in crate::daemon) static INVITE: Doc = Doc::new(
    "A token with which somebody may make an account",
    &[json(Object(&[need("invitation", Text), need("url", Text)]))],
);

pub(in crate::daemon) static CLAIM: Doc = Doc::new(
    "What a claim link is good for",
    &[json(Object(&[
        need("token", Text),
        need("identity", Text).means("Empty when the link is over."),
        need("authenticated", Flag),
        need("email", TEXT_OR_NULL),
        need("expired", Flag),
    ]))],
);

pub(in crate::daemon) static CONFIRM_CLAIM: Doc = Doc::new("Claims an identity for who is signed in", &[SEE_OTHER])
    .takes_form(&[
        may("permissions", Text).means("1: the form has the switch."),
        may("export", Text).means("1: it may read raw secrets."),
    ]);

pub(in crate::daemon) static CLAIM_LINK: Doc =
    Doc::new("The page of a claim", &[Answer { status: 307, content: Content::Location }]).refuses(&[404]);

pub(in crate::daemon) static CLAIM_PAGE: Doc = Doc::new("The page of a claim", &[html(200), html(404), SEE_OTHER])
    .query(&[may("token", Text), may("error", Text)]);

pub(in crate::daemon) static LOGIN_PAGE: Doc = Doc::new("The forms to sign in and to make an account", &[html(200)])
    .query(&[NEXT, may("error", Text), may("tab", Text)]);

pub(in crate::daemon) static SIGN_IN_PAGE: Doc =
    Doc::new("Signs a browser in with a one-time link", &[html(200), html(404), SEE_OTHER])
        .query(&[may("token", Text)]);

pub(in crate::daemon) static CONFIRM_SIGN_IN: Doc =
    Doc::new("Signs a browser in after its person agreed", &[html(404), SEE_OTHER]).takes_form(&[may("token", Text)]);

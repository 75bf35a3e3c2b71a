//! `/api/identities` and `/api/principals`.

use super::*;

const REGISTRATION: &[Answer] = &[json(Named(&shared::REGISTRATION))];

pub(in crate::daemon) static REGISTER_IDENTITY: Doc =
    Doc::new("Registers a key under a handle; the same pair again gets the same answer", REGISTRATION)
        .takes(&[need("handle", Text), need("did", Text).means("did:key of an Ed25519 key.")])
        .refuses(&[400, 409]);

pub(in crate::daemon) static IDENTITY: Doc = Doc::new("Where an identity stands", REGISTRATION).refuses(&[404]);

pub(in crate::daemon) static IDENTITY_BY_DID: Doc =
    Doc::new("The handle of a key", &[json(Object(&[need("identity", Text), need("did", Text)]))]).refuses(&[404]);

pub(in crate::daemon) static IDENTITIES: Doc = Doc::new(
    "The identities of the caller's principal",
    &[json(Object(&[need(
        "identities",
        List(&Object(&[need("handle", Text), need("status", Text), shared::IF_ASKED_GRANTS])),
    )]))],
)
.query(&[ASKS_GRANTS]);

const ASKS_GRANTS: Field = may("grants", Text).means("1: also what each may do.");

pub(in crate::daemon) static IDENTITY_DETAIL: Doc =
    Doc::new("An identity of one's own", &[json(Named(&shared::IDENTITY))]).query(&[ASKS_GRANTS]).refuses(&[404]);

pub(in crate::daemon) static CLAIM_LOCALLY: Doc =
    Doc::new("Binds the identity that signs to the owner of this machine", REGISTRATION)
        .takes(&[need("bootstrap_token", Text)])
        .refuses(&[400]);

pub(in crate::daemon) static FORGET_IDENTITY: Doc =
    Doc::new("Unclaims and forgets an identity of one's own", &[json(Object(&[OK, need("identity", Text)]))])
        .refuses(&[404]);

pub(in crate::daemon) static GRANTS: Doc = Doc::new(
    "Says what an identity of one's own may do",
    &[json(Object(&[need("identity", Text), need("use", Flag), need("export", Flag)]))],
)
.takes(&[
    may("use", Nullable(&Flag)).means("Use connections."),
    may("export", Nullable(&Flag)).means("Read raw secrets."),
])
.refuses(&[404]);

pub(in crate::daemon) static PRINCIPALS: Doc = Doc::new(
    "Everybody who has an account",
    &[json(Object(&[need(
        "principals",
        List(&Object(&[
            need("principal_id", Text),
            need("email", Text),
            need("role", shared::ROLE),
            need("created_at", Time),
        ])),
    )]))],
);

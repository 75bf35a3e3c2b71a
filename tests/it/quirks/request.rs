//! A request as a vendor reads it, in a form that can be written down and compared.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fake::{CLIENT, SECRET, basic};
use crate::harness::form;
use crate::upstream::Seen;

/// Headers that every request has, or that HTTP itself needs. All others are compared.
const ORDINARY: [&str; 8] = [
    "host",
    "accept",
    "accept-encoding",
    "user-agent",
    "content-type",
    "content-length",
    "connection",
    "authorization",
];

/// Who a request comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Auth {
    Nobody,
    /// User and password.
    Basic(String, String),
    Bearer(String),
}

/// One request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    method: String,
    url: String,
    auth: Auth,
    headers: BTreeMap<String, String>,
    /// `form`, `json` or nothing.
    body: &'static str,
    pub(super) fields: BTreeMap<String, String>,
}

pub(super) fn post(url: &str) -> Request {
    Request::new("POST", url)
}

pub(super) fn delete(url: &str) -> Request {
    Request::new("DELETE", url)
}

impl Request {
    fn new(method: &str, url: &str) -> Self {
        Self {
            method: method.to_owned(),
            url: url.to_owned(),
            auth: Auth::Nobody,
            headers: BTreeMap::new(),
            body: "",
            fields: BTreeMap::new(),
        }
    }

    pub(super) fn form(self, fields: &[(&str, &str)]) -> Self {
        Self { body: "form", ..self.with(fields) }
    }

    pub(super) fn json(self, fields: &[(&str, &str)]) -> Self {
        Self { body: "json", ..self.with(fields) }
    }

    /// The client proves itself in the body.
    pub(super) fn client_in_body(self) -> Self {
        self.with(&[("client_id", CLIENT), ("client_secret", SECRET)])
    }

    /// The client proves itself by HTTP authentication.
    pub(super) fn basic(self) -> Self {
        Self { auth: Auth::Basic(CLIENT.to_owned(), SECRET.to_owned()), ..self }
    }

    /// A token is who asks.
    pub(super) fn bearer(self, token: &str) -> Self {
        Self { auth: Auth::Bearer(token.to_owned()), ..self }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_lowercase(), value.to_owned());
        self
    }

    fn with(mut self, fields: &[(&str, &str)]) -> Self {
        self.fields.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// What came, field by field.
    pub(super) fn read(seen: &Seen) -> Self {
        let host = seen.header("host").unwrap_or_default();
        let (body, fields) = read_body(seen);
        Self {
            auth: read_auth(seen),
            headers: read_headers(seen),
            body,
            fields,
            ..Self::new(&seen.method, &format!("https://{host}{}", seen.target))
        }
    }
}

fn read_auth(seen: &Seen) -> Auth {
    let Some(value) = seen.header("authorization") else { return Auth::Nobody };
    let basic = value.strip_prefix("Basic ").and_then(basic);
    let bearer = value.strip_prefix("Bearer ").map(|token| Auth::Bearer(token.to_owned()));
    basic.or(bearer).unwrap_or_else(|| panic!("no Authorization that a vendor knows: {value}"))
}

fn read_headers(seen: &Seen) -> BTreeMap<String, String> {
    let fields = seen.head.fields.iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
    fields.filter(|(name, _)| !ORDINARY.contains(&name.as_str())).collect()
}

fn read_body(seen: &Seen) -> (&'static str, BTreeMap<String, String>) {
    let text = String::from_utf8(seen.body.clone()).expect("UTF-8");
    match seen.header("content-type") {
        Some("application/x-www-form-urlencoded") => {
            let pairs = form::decode(&text);
            let fields: BTreeMap<String, String> = pairs.iter().cloned().collect();
            assert_eq!(fields.len(), pairs.len(), "a field came twice: {text}");
            ("form", fields)
        }
        Some("application/json") => {
            let body: BTreeMap<String, Value> = serde_json::from_str(&text).expect("a JSON object");
            let plain = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            ("json", body.into_iter().map(|(name, value)| (name, plain(value))).collect())
        }
        other => {
            assert_eq!((other, text.as_str()), (None, ""), "a body of a known type, or none");
            ("", BTreeMap::new())
        }
    }
}

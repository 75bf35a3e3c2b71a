//! Signed requests to the daemon, byte by byte, for statuses and answers that the command line does not show.

use std::fs;
use std::io;
use std::net::TcpStream;

use authsome::clock::Clock;
use authsome::identity::SigningKey;
use authsome::secret::Secret;
use serde_json::{Value, json};

use super::{PATIENCE, World};
use crate::upstream::{Answer, Wire};

/// An identity that calls the daemon of a world.
pub(crate) struct Caller<'a> {
    world: &'a World,
    pub(crate) handle: String,
    key: SigningKey,
}

impl<'a> Caller<'a> {
    /// The world's active identity.
    pub(crate) fn active(world: &'a World) -> Self {
        let key = world.identity_file("key");
        let handle = key.file_stem().and_then(|stem| stem.to_str()).expect("a handle").to_owned();
        let seed = fs::read_to_string(&key).expect("a key");
        let key = SigningKey::from_hex(&Secret::new(seed.trim().to_owned())).expect("a key");
        Self { world, handle, key }
    }

    /// A new identity that the daemon has never heard of.
    pub(crate) fn stranger(world: &'a World, handle: &str) -> Self {
        Self { world, handle: handle.to_owned(), key: SigningKey::generate() }
    }

    pub(crate) fn did(&self) -> String {
        self.key.did()
    }

    /// Registers this identity.
    pub(crate) fn register(&self) -> Answer {
        let body = json!({"handle": self.handle, "did": self.did()}).to_string();
        self.send("POST", "/api/identities/register", &body, "")
    }

    /// Registers this identity, signed, and gives the link with which a person claims it.
    pub(crate) fn claim_url(&self) -> String {
        let answer = self.post("/api/identities/register", &json!({"handle": self.handle, "did": self.did()}));
        let url = answer.json()["claim_url"].as_str().map(str::to_owned);
        url.unwrap_or_else(|| panic!("no claim link: {}", answer.text()))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &body.to_string())
    }

    /// One signed request on a connection of its own.
    pub(crate) fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        self.try_call(method, path, body).expect("an answer of the daemon")
    }

    /// The same to a daemon that may end at any moment.
    pub(crate) fn try_call(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let proof = self.key.sign_request(&self.handle, method, path, body.as_bytes(), Clock::system().now());
        self.try_send(method, path, body, &format!("Authorization: PoP {proof}\r\n"))
    }

    fn send(&self, method: &str, path: &str, body: &str, lines: &str) -> Answer {
        self.try_send(method, path, body, lines).expect("an answer of the daemon")
    }

    fn try_send(&self, method: &str, path: &str, body: &str, lines: &str) -> io::Result<Answer> {
        let stream = TcpStream::connect(("127.0.0.1", self.world.daemon().port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut wire = Wire::new(stream);
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}");
        let head = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        wire.send(head)?;
        wire.answer(method)
    }
}

//! A disk without space: whoever asked is told, nothing has changed, and memory does not run ahead of the store.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::authorization::{ROWS, Row, SENDERS};
use super::{Scene, Sender};
use crate::store::{Range, Store, StoreError, Write};

/// A store that can be full.
pub(super) struct Disk {
    inner: Arc<dyn Store>,
    is_full: AtomicBool,
}

impl Disk {
    pub(super) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, is_full: AtomicBool::new(false) }
    }

    fn everything(&self) -> Vec<(String, Vec<u8>)> {
        let all = Range { prefix: "", after: None, reverse: false, limit: usize::MAX };
        self.inner.range(&all).expect("reads")
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl Store for Disk {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(key)
    }

    fn apply(&self, writes: &[Write<'_>]) -> Result<bool, StoreError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::Full("no space left on device".to_owned()));
        }
        self.inner.apply(writes)
    }

    fn range(&self, range: &Range<'_>) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.inner.range(range)
    }

    fn remove_expired(&self) -> Result<usize, StoreError> {
        self.inner.remove_expired()
    }

    fn is_exclusive(&self) -> bool {
        self.inner.is_exclusive()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// What the daemon knows, from memory.
fn knowledge(scene: &Scene) -> Vec<Vec<u8>> {
    let asked = ["/api/identities/bob-agent", "/api/identities/new-agent/detail", "/api/connections"];
    asked.map(|target| scene.send(Sender::Browser("ada"), "GET", target, super::Body::None).body.to_vec()).into()
}

fn check(row: &Row, sender: Sender) {
    let healthy = Scene::new();
    let before = healthy.disk.everything();
    healthy.send(sender, row.method, row.target, row.body);
    let writes = healthy.disk.everything() != before;

    let scene = Scene::new();
    let (stored, known) = (scene.disk.everything(), knowledge(&scene));
    scene.disk.is_full.store(true, Ordering::SeqCst);
    let answer = scene.send(sender, row.method, row.target, row.body);
    scene.disk.is_full.store(false, Ordering::SeqCst);
    let text = String::from_utf8_lossy(&answer.body);
    let place = format!("{} {} by {sender:?}", row.method, row.target);
    if writes {
        assert_eq!(answer.status, 400, "{place}: {text}");
        assert!(text.contains("StoreUnavailableError") && text.contains("cannot be written"), "{place}: {text}");
    }
    assert!(scene.disk.everything() == stored, "{place} has changed the store");
    assert_eq!(knowledge(&scene), known, "{place} has changed what is in memory");
}

#[test]
fn what_cannot_be_written_is_not_done() {
    for row in ROWS.iter().filter(|row| row.method != "GET") {
        let allowed = SENDERS.into_iter().zip(row.expected).filter(|(_, status)| *status < 400);
        for (sender, _) in allowed.filter(|(sender, _)| *sender != Sender::BadProof).take(3) {
            check(row, sender);
        }
    }
}

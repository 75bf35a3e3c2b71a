//! What the tests stand on: a scratch directory, commands with a deadline, a world with a daemon, a live run.
#![allow(dead_code, unused_imports)] // a toolbox: not every tool is in use at every moment

pub(crate) mod authorization_server;
pub(crate) mod browser;
mod caller;
mod command;
mod conversation;
pub(crate) mod form;
mod live;
mod login;
pub(crate) mod oauth;
mod person;
mod python;
mod scratch;
mod site;
mod tool;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use authsome::clock::Clock;
use authsome::store::{self, Store, StoreError};

pub(crate) use caller::Caller;
pub(crate) use command::{Finished, TestCommand, to_pid};
pub(crate) use conversation::Conversation;
pub(crate) use live::{LiveRun, Tunnel};
pub(crate) use login::CliLogin;
pub(crate) use oauth::AuthServer;
pub(crate) use person::{Page, Person};
pub(crate) use python::{chromium, node, python};
pub(crate) use scratch::Scratch;
pub(crate) use site::Site;
pub(crate) use world::{Daemon, KEY, PLACEHOLDER, World, demo_provider};

/// How long anything may take before a test fails. Generous: a loaded machine is slow, and nothing waits this long
/// when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something; fails the test after [`PATIENCE`].
pub(crate) fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Opens a store that another test's fresh process may be holding: until its exec, that has a copy of every descriptor
/// of ours, and with it the lock of a store that we have closed.
pub(crate) fn open_store(path: &Path) -> Arc<dyn Store> {
    eventually("the lock of the store", || match store::open_embedded(path, Clock::system()) {
        Err(StoreError::Locked) => None,
        opened => Some(opened.expect("opens")),
    })
}

/// The child processes of `pid`.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().filter_map(Result::ok);
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>()).collect()
}

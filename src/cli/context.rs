//! What every command gets: the home, the way out, and clients that are made when they are needed.

use std::sync::Arc;

use super::debug_log::DebugLog;
use super::output::Output;
use crate::client::{Chosen, Client, LocalDaemon, Settings, Target};
use crate::error::{AuthsomeError, Result};
use crate::paths::Home;

/// The surroundings of one command.
pub(super) struct Context {
    home: Home,
    settings: Arc<Settings>,
    /// How to print.
    pub(super) out: Output,
    log: Arc<DebugLog>,
}

impl Context {
    pub(super) fn new(home: Home, settings: Settings, out: Output, log: Arc<DebugLog>) -> Self {
        Self { home, settings: Arc::new(settings), out, log }
    }

    /// The home.
    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    /// What the environment says.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The client's debug log.
    pub(super) fn log(&self) -> &DebugLog {
        &self.log
    }

    /// A client that signs as the identity in use. A local daemon starts with its first call.
    pub(super) fn client(&self) -> Result<Client> {
        // Before anything is started: without an identity there is nothing to ask a daemon.
        let chosen = Chosen::select(&self.home, &self.settings)?;
        self.unsigned(Target::select(&self.home, &self.settings)?).signed(chosen)
    }

    /// A client that signs nothing yet.
    pub(super) fn unsigned(&self, target: Target) -> Client {
        let log = Arc::clone(&self.log);
        Client::new(self.home.clone(), Arc::clone(&self.settings), target).observed(move |call| log.call(call))
    }

    /// The daemon of this home, for the commands that start and stop it.
    ///
    /// # Errors
    /// `OperationNotAllowed` when the commands of this home go to a daemon elsewhere.
    pub(super) fn local_daemon(&self, operation: &'static str) -> Result<LocalDaemon<'_>> {
        match Target::select(&self.home, &self.settings)? {
            Target::Local => Ok(LocalDaemon::new(&self.home, &self.settings)),
            Target::Named(url) => Err(AuthsomeError::OperationNotAllowed {
                operation,
                reason: format!("the daemon at {url} is not this home's own"),
                hint: Some("it is named by AUTHSOME_BASE_URL or by daemon_base_url in client/config.json"),
            }),
        }
    }
}

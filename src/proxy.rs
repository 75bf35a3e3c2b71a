//! The private proxy of one run: it adds credentials to requests for the hosts of the run's routes, and to nothing else.
//!
//! A child connection is served by one thread ([`workers`]), from CONNECT to its end ([`serve`]). Hosts that no route
//! mentions are tunnelled blindly ([`tunnel`]). For routed hosts the proxy is the TLS server ([`ca`]), reads each
//! request, and decides on each anew: destinations must agree ([`agree`]), the route and the run's mode decide
//! ([`policy`]), what the run may do is checked ([`limits`]), the credential is resolved ([`credentials`]) and put into a rebuilt head ([`inject`], [`headers`]),
//! and both bodies stream ([`exchange`]). An upgraded connection is copied from then on ([`duplex`]). What the answer repeats of a credential is masked: raw, in base64, hex,
//! percent-encoding, JSON and HTML escapes and UTF-16 ([`redact`]).
//!
//! Invariants. Only who knows the run's token is served. A credential is written only to a connection that
//! [`upstream`] has verified for the CONNECT host, which `Host` and the TLS server name equal. What cannot be read in
//! one way only is refused. Nothing is buffered but heads,
//! what may be the beginning of a secret, and short bodies that may have to be sent again with a renewed credential.

mod acceptor;
mod agree;
mod ca;
mod credentials;
mod duplex;
mod exchange;
mod headers;
mod inject;
mod limits;
mod link;
mod policy;
mod query;
mod record;
mod redact;
mod refusal;
mod relay;
mod run;
mod serve;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod tunnel;
mod upstream;
mod workers;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

pub use ca::RunCa;
pub use credentials::CredentialSource;
pub use inject::PLACEHOLDER;
pub use limits::{Limits, Rule};
pub use policy::Mode;
pub use record::RunReport;

use self::acceptor::{Acceptor, connection_limit};
use self::credentials::Credentials;
use self::limits::Budget;
use self::record::Recorder;
use self::redact::Redaction;
use self::run::{Live, Run};
use self::upstream::Upstreams;
use self::workers::Workers;
use crate::clock::Clock;
use crate::error::Result;
use crate::limits::STOP_DEADLINE;
use crate::model::RunPlan;
use crate::net::{NetSettings, Policy};
use crate::provider::{Host, Router};
use crate::secret::Secret;

/// What the user of a run decides about its proxy.
#[derive(Debug)]
pub struct ProxySettings {
    /// Which requests are refused.
    pub mode: Mode,
    /// Hosts that deny modes let through untouched.
    pub allow_hosts: Vec<Host>,
    /// What it may do at hosts that have a route.
    pub limits: Limits,
    /// Mask injected secrets in answers.
    pub redact: bool,
    /// The child has no way out but this proxy (`--isolate`): private networks are refused to it.
    pub is_isolated: bool,
    /// The operator's network.
    pub net: NetSettings,
    /// What the child must show: random, for this run only.
    pub token: Secret,
}

/// A running proxy.
pub struct Proxy {
    address: SocketAddr,
    acceptor: Acceptor,
    workers: Workers,
    run: Arc<Run>,
}

impl Proxy {
    /// Serves the child's connections to `listener` until [`Proxy::stop`].
    ///
    /// # Errors
    /// A route that cannot be used; no threads or descriptors left.
    pub fn start(
        listener: TcpListener,
        ca: RunCa,
        plan: RunPlan,
        source: Arc<dyn CredentialSource>,
        settings: ProxySettings,
    ) -> Result<Self> {
        let address = listener.local_addr()?;
        let mut routes = plan.routes;
        let credentials = Credentials::new(Arc::clone(&source), Clock::system(), &mut routes);
        let policy = Policy { refuse_private: settings.is_isolated || settings.mode.denies() };
        let run = Arc::new(Run {
            router: Router::new(routes)?,
            mode: settings.mode,
            allow_hosts: settings.allow_hosts,
            budget: Budget::new(settings.limits.max_requests),
            limits: settings.limits,
            ca,
            credentials,
            redaction: settings.redact.then(|| Arc::new(Redaction::new())),
            upstreams: Upstreams::new(settings.net, policy),
            recorder: Recorder::new(plan.run_id, source),
            credentials_of_child: Secret::new(format!("authsome:{}", settings.token.expose())),
            live: Live::default(),
        });
        let serving = Arc::clone(&run);
        let workers = Workers::new(connection_limit(), move |connection| serve::serve(&serving, connection));
        let acceptor = Acceptor::start(listener, workers.clone())?;
        Ok(Self { address, acceptor, workers, run })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening, waits a moment for requests that are on their way to the record, and ends all connections.
    pub fn stop(self) -> RunReport {
        self.acceptor.stop();
        self.run.live.wait_until_quiet(STOP_DEADLINE);
        self.run.live.shut_down();
        self.workers.close();
        RunReport { requests_left: self.run.budget.left(), ..self.run.recorder.report() }
    }
}

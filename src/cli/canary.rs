//! Whether the clients on this machine would trust a run: each is started behind a real proxy that lets nothing out,
//! asks for a page of a name that nobody has, and must get the proxy's own refusal over a connection that it trusts.

use std::env;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use crate::error::{AuthsomeError, Result};
use crate::launch::{LaunchSettings, Launcher};
use crate::model::{AuditEvent, Fingerprint, Resolved, RunPlan};
use crate::net::NetSettings;
use crate::proxy::{CredentialSource, Limits, Mode};

/// A page that does not exist (RFC 2606): nothing can answer but the proxy.
const PAGE: &str = "https://canary.authsome.invalid/";

/// A client, and a shell line that succeeds when it got the refusal (403). Nothing it writes is shown.
struct Client {
    program: &'static str,
    line: &'static str,
    advice: &'static str,
}

const CLIENTS: [Client; 5] = [
    Client {
        program: "curl",
        line: r#"test "$(curl -sS -o /dev/null -w '%{http_code}' --max-time 10 "$1")" = 403"#,
        advice: "is a .curlrc or an alias setting --cacert or --proxy?",
    },
    Client {
        program: "git",
        line: r#"GIT_TERMINAL_PROMPT=0 git ls-remote "$1" 2>&1 | grep -q 403"#,
        advice: "is http.sslCAInfo or http.proxy set in its configuration?",
    },
    Client {
        program: "python3",
        line: r#"python3 -c 'import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(sys.argv[1], timeout=10)
except urllib.error.HTTPError as refusal:
    sys.exit(refusal.code != 403)
sys.exit(1)' "$1""#,
        advice: "a Python that was built without OpenSSL's default paths needs SSL_CERT_FILE support",
    },
    Client {
        program: "node",
        line: r#"node -e 'setTimeout(() => process.exit(1), 10000)
fetch(process.argv[1]).then((answer) => process.exit(answer.status === 403 ? 0 : 1), () => process.exit(1))' "$1""#,
        advice: "its fetch follows proxy variables from Node.js 24 on (22.21 with --use-env-proxy)",
    },
    Client {
        program: "wget",
        line: r#"wget -q -O /dev/null --tries=1 --timeout=10 "$1"; test $? = 8"#,
        advice: "builds with GnuTLS want --ca-certificate=\"$SSL_CERT_FILE\"",
    },
];

/// One client's result.
pub(super) struct Sighting {
    pub(super) program: &'static str,
    pub(super) trusts: bool,
    pub(super) advice: &'static str,
}

/// Tries every known client that is on the search path.
///
/// # Errors
/// When the proxy or a process cannot be started.
pub(super) fn try_clients() -> Result<Vec<Sighting>> {
    let found: Vec<&Client> = CLIENTS.iter().filter(|client| is_on_path(client.program)).collect();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    found.into_iter().map(try_one).collect()
}

/// Runs one client as `authsome run` would, where every request is refused.
fn try_one(client: &Client) -> Result<Sighting> {
    let command = vec!["sh".into(), "-c".into(), quiet(client.line).into(), "sh".into(), PAGE.into()];
    let settings = LaunchSettings {
        command,
        mode: Mode::ConnectedDeny,
        allow_hosts: Vec::new(),
        limits: Limits::default(),
        redact: true,
    };
    let plan = RunPlan { run_id: "canary".to_owned(), routes: Vec::new() };
    let launcher = Launcher::prepare(NetSettings::from_env()?, None)?;
    let ended = launcher.run(plan, Arc::new(Nothing), settings, &mut |_| {})?;
    Ok(Sighting { program: client.program, trusts: ended.status == 0, advice: client.advice })
}

fn quiet(line: &str) -> String {
    format!("{{ {line}\n}} </dev/null >/dev/null 2>&1")
}

fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|dir| dir.join(program)).any(|file| {
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

/// No credentials, and nobody to tell.
struct Nothing;

impl CredentialSource for Nothing {
    fn resolve(&self, provider: &str, _: &str, _: Option<Fingerprint>) -> Result<Resolved> {
        Err(AuthsomeError::ProviderNotFound { provider: provider.to_owned() })
    }

    fn record(&self, _: AuditEvent) {}
}

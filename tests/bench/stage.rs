//! A home with a connection, a daemon, an upstream and a run that waits: what every measurement stands on.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use authsome::paths::hex;
use authsome::secret::random_bytes;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::upstream::client_config;

pub(crate) const HOST: &str = "api.bench.test";

pub(crate) struct Stage {
    pub(crate) dir: PathBuf,
    pub(crate) program: PathBuf,
    pub(crate) upstream: SocketAddr,
    upstream_process: Child,
    daemon: Child,
    pub(crate) run: Run,
    /// The same with `--no-redact`.
    pub(crate) unmasked: Run,
}

/// `authsome run` around a child that waits.
pub(crate) struct Run {
    process: Child,
    pub(crate) proxy: SocketAddr,
    pub(crate) credentials: String,
    pub(crate) tls: Arc<ClientConfig>,
}

impl Run {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Stage {
    pub(crate) fn set(program: &Path) -> io::Result<Self> {
        let dir = std::env::temp_dir().join(format!("authsome-bench-{}", hex(&random_bytes::<6>())));
        fs::create_dir(&dir)?;
        let program = program.canonicalize()?;
        let mut upstream_process = Command::new(std::env::current_exe()?)
            .arg("serve-upstream")
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(upstream_process.stdout.as_mut().expect("piped")).read_line(&mut line)?;
        let upstream = line.trim().parse().map_err(|_| io::Error::other("the upstream did not start"))?;

        let base = Base { dir: &dir, program: &program, upstream };
        let daemon = base.start_daemon()?;
        base.finish(&["onboard", "--yes"], "")?;
        let definition = serde_json::json!({
            "name": "bench", "auth_type": "api_key", "flow": "api_key", "api_url": HOST,
            "export": {"env": {"api_key": "BENCH_API_KEY"}},
        });
        fs::write(dir.join("bench.json"), definition.to_string())?;
        base.finish(&["provider", "register", &dir.join("bench.json").to_string_lossy(), "--yes"], "")?;
        base.finish(&["login", "bench", "--key-stdin"], "bench-key-0123456789abcdef")?;
        let (run, unmasked) = (base.start_run(&[])?, base.start_run(&["--no-redact"])?);
        Ok(Self { dir, program, upstream, upstream_process, daemon, run, unmasked })
    }

    fn base(&self) -> Base<'_> {
        Base { dir: &self.dir, program: &self.program, upstream: self.upstream }
    }

    /// `authsome ARGS...` in this home, silent.
    pub(crate) fn command<T: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = T>) -> Command {
        self.base().command(args)
    }

    pub(crate) fn daemon_pid(&self) -> u32 {
        self.daemon.id()
    }

    pub(crate) fn run_pid(&self) -> u32 {
        self.run.pid()
    }

    pub(crate) fn daemon_address(&self) -> io::Result<SocketAddr> {
        let facts: serde_json::Value = serde_json::from_slice(&fs::read(self.base().daemon_json())?)?;
        let port = facts["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        Ok(SocketAddr::from(([127, 0, 0, 1], port.ok_or_else(|| io::Error::other("no port in daemon.json"))?)))
    }

    /// Ends the daemon and starts it again; the time from its start to its first answer to `/health`.
    pub(crate) fn cold_start(&mut self) -> io::Result<Duration> {
        let _ = self.daemon.kill();
        self.daemon.wait()?;
        let _ = fs::remove_file(self.base().daemon_json());
        let start = Instant::now();
        self.daemon = self.base().start_daemon()?;
        crate::load::health(self.daemon_address()?)?;
        Ok(start.elapsed())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for process in [&mut self.run.process, &mut self.unmasked.process, &mut self.daemon, &mut self.upstream_process]
        {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

struct Base<'a> {
    dir: &'a Path,
    program: &'a Path,
    upstream: SocketAddr,
}

impl Base<'_> {
    fn daemon_json(&self) -> PathBuf {
        self.dir.join("home/server/daemon/daemon.json")
    }

    fn command<T: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = T>) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir)
            .env("AUTHSOME_HOME", self.dir.join("home"))
            .env("AUTHSOME_RESOLVE", format!("{HOST}:443:{}", self.upstream))
            .env("AUTHSOME_UPSTREAM_CA", self.dir.join("ca.pem"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Runs a command that must succeed.
    fn finish(&self, args: &[&str], input: &str) -> io::Result<()> {
        let mut child = self.command(args).stdin(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        child.stdin.take().expect("piped").write_all(input.as_bytes())?;
        let status = child.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("authsome {args:?}: {status}"))) }
    }

    fn start_daemon(&self) -> io::Result<Child> {
        let mut daemon = self.command(["daemon", "serve", "--port", "0"]).spawn()?;
        while !self.daemon_json().exists() {
            if let Some(status) = daemon.try_wait()? {
                return Err(io::Error::other(format!("the daemon ended: {status}")));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(daemon)
    }

    fn start_run(&self, options: &[&str]) -> io::Result<Run> {
        let script = r#"printf '%s\n%s\n' "$HTTPS_PROXY" "$SSL_CERT_FILE"; exec cat >/dev/null"#;
        let mut command = self.command(["run"]);
        command.args(options).args(["--", "sh", "-c", script]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut line = || lines.next().unwrap_or_else(|| Err(io::Error::other("the run did not start its child")));
        let (url, bundle) = (line()?, line()?);
        let (credentials, address) = url
            .strip_prefix("http://")
            .and_then(|rest| rest.trim_end_matches('/').split_once('@'))
            .ok_or_else(|| io::Error::other("not a proxy URL with credentials"))?;
        let proxy = address.parse().map_err(|_| io::Error::other("not an address"))?;
        Ok(Run { process, proxy, credentials: credentials.to_owned(), tls: trust(Path::new(&bundle))? })
    }
}

/// A client that trusts the authorities of a PEM file and resumes nothing, so that each handshake is a whole one.
pub(crate) fn trust(bundle: &Path) -> io::Result<Arc<ClientConfig>> {
    let certificates = CertificateDer::pem_file_iter(bundle).map_err(io::Error::other)?;
    let mut config = client_config(certificates.filter_map(Result::ok));
    Arc::get_mut(&mut config).expect("just made").resumption = Resumption::disabled();
    Ok(config)
}

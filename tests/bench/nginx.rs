//! A stock reverse proxy that terminates TLS and encrypts again, for comparison.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::stage::{HOST, Stage};

pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    master: Child,
}

/// Starts nginx between the clients and the upstream; `None` when there is none on this machine.
pub(crate) fn start(stage: &Stage) -> io::Result<Option<Nginx>> {
    if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
        eprintln!("no nginx here: the comparison with it is left out");
        return Ok(None);
    }
    // nginx cannot choose a port by itself: take a free one and hope that nobody else does in the meantime.
    let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let dir = stage.dir.join("nginx");
    fs::create_dir(&dir)?;
    let config = format!(
        "worker_processes 2; daemon off; pid {dir}/pid; error_log {dir}/error.log error;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 0;
  client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
  upstream api {{ server {upstream}; keepalive 512; keepalive_requests 1000000000; }}
  server {{
    listen {address} ssl; ssl_certificate {stage}/nginx.crt; ssl_certificate_key {stage}/nginx.key;
    location / {{
      proxy_pass https://api; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host {HOST};
      proxy_set_header Authorization 'Bearer bench-key-0123456789abcdef'; proxy_request_buffering off;
      proxy_ssl_verify on; proxy_ssl_trusted_certificate {stage}/ca.pem; proxy_ssl_name {HOST};
      proxy_ssl_server_name on; proxy_ssl_session_reuse on; proxy_max_temp_file_size 0;
    }}
  }}
}}
",
        dir = dir.display(),
        stage = stage.dir.display(),
        upstream = stage.upstream,
    );
    fs::write(dir.join("nginx.conf"), config)?;
    let mut master = Command::new("nginx").arg("-c").arg(dir.join("nginx.conf")).stderr(Stdio::null()).spawn()?;
    for _ in 0..500 {
        if TcpStream::connect(address).is_ok() {
            return Ok(Some(Nginx { address, master }));
        }
        if let Some(status) = master.try_wait()? {
            return Err(io::Error::other(format!("nginx ended: {status}")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(io::Error::other("nginx does not listen"))
}

impl Nginx {
    /// Its worker processes.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.master.id());
        let list = fs::read_to_string(path).unwrap_or_default();
        list.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master takes its workers along on SIGTERM; after SIGKILL they would stay.
        let pid = i32::try_from(self.master.id()).expect("process numbers are small");
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGTERM);
        let _ = self.master.wait();
    }
}

//! The load generator: blocking threads, one connection each, the same code for every side.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use authsome::clock::Clock;
use authsome::identity::SigningKey;
use authsome::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::Options;
use crate::nginx::Nginx;
use crate::processes::{cpu_time, resident_mb};
use crate::report::{Report, Row, Target, median, percentile, spread};
use crate::stage::{HOST, Run, Stage, trust};

/// The body of the throughput comparison.
const BODY_BYTES: u64 = 256 << 20;

/// A run that masks nothing.
const UNMASKED: &str = "--no-redact";
/// What masking may cost of the throughput.
const MASKING: Target = Target::AtLeast(0.95);

/// Where requests go, and how.
#[derive(Clone)]
struct Side {
    name: &'static str,
    address: SocketAddr,
    /// `Proxy-Authorization`, when CONNECT comes first.
    connect: Option<String>,
    tls: Arc<ClientConfig>,
    /// The processes between client and upstream.
    processes: Vec<u32>,
}

/// What one side did in one round.
#[derive(Default)]
struct Sample {
    per_second: f64,
    p50: f64,
    p99: f64,
    /// Microseconds of processor time that the processes between spent on each request.
    cpu: f64,
}

fn sides(stage: &Stage, nginx: Option<&Nginx>) -> io::Result<Vec<Side>> {
    let upstream_tls = trust(&stage.dir.join("ca.pem"))?;
    let through = |name, run: &Run| Side {
        name,
        address: run.proxy,
        connect: Some(format!("Basic {}", STANDARD.encode(run.credentials.as_bytes()))),
        tls: Arc::clone(&run.tls),
        processes: vec![run.pid(), stage.daemon_pid()], // the daemon writes the audit log
    };
    let mut sides = vec![
        Side {
            name: "direct",
            address: stage.upstream,
            connect: None,
            tls: Arc::clone(&upstream_tls),
            processes: Vec::new(),
        },
        through("authsome", &stage.run),
        through(UNMASKED, &stage.unmasked),
    ];
    if let Some(nginx) = nginx {
        let processes = nginx.workers();
        sides.push(Side { name: "nginx", address: nginx.address, connect: None, tls: upstream_tls, processes });
    }
    Ok(sides)
}

/// Small requests: kept connections at 1 and 16, and a new connection for each.
pub(crate) fn proxied(options: &Options, stage: &Stage, nginx: Option<&Nginx>, report: &mut Report) -> io::Result<()> {
    let sides = sides(stage, nginx)?;
    for (connections, fresh) in [(1, false), (16, false), (16, true)] {
        let mut rounds: Vec<Vec<Sample>> = Vec::new();
        for _ in 0..options.rounds {
            let round = sides.iter().map(|side| measure(side, connections, fresh, options.seconds));
            rounds.push(round.collect::<io::Result<_>>()?);
        }
        compare(&sides, &rounds, connections, fresh, report);
    }
    Ok(())
}

/// What one intercepted connection costs the run in memory, while all of them are open.
pub(crate) fn memory(stage: &Stage, report: &mut Report) -> io::Result<()> {
    const CONNECTIONS: u32 = 300;
    let side = sides(stage, None)?.remove(1);
    let before = resident_mb(stage.run_pid())?;
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = side.open()?;
        request(&mut stream, SMALL)?;
        open.push(stream);
    }
    let each = (resident_mb(stage.run_pid())? - before) * 1e3 / f64::from(CONNECTIONS);
    report.single("memory of an intercepted connection", each, "kB", Some(Target::AtMost(128.0)));
    Ok(())
}

fn compare(sides: &[Side], rounds: &[Vec<Sample>], connections: usize, fresh: bool, report: &mut Report) {
    let what = if fresh { "new connection each" } else { "kept" };
    let each = |index: usize, figure: &dyn Fn(&Sample) -> f64| -> Vec<f64> {
        rounds.iter().map(|round| figure(&round[index])).collect()
    };
    let figure = |index: usize| {
        format!(
            "{:.0}/s, p50 {:.0} us, p99 {:.0} us, CPU {:.1} us",
            median(&each(index, &|one| one.per_second)),
            median(&each(index, &|one| one.p50)),
            median(&each(index, &|one| one.p99)),
            median(&each(index, &|one| one.cpu)),
        )
    };
    for (index, side) in sides.iter().enumerate().filter(|(index, _)| *index != 1) {
        let ratios: Vec<f64> = rounds.iter().map(|round| round[1].per_second / round[index].per_second).collect();
        let target = match side.name {
            "nginx" => Some(Target::AtLeast(if fresh { 1.1 } else { 1.0 })),
            UNMASKED => Some(MASKING),
            _ => None,
        };
        report.add(Row {
            name: format!("requests, {connections} x {what}, authsome / {}", side.name),
            figure: figure(1),
            beside: format!("{} {}", side.name, figure(index)),
            value: median(&ratios),
            spread: Some(spread(&ratios)),
            target,
        });
        if side.name == "nginx" && !fresh {
            let ratios: Vec<f64> = rounds.iter().map(|round| round[1].cpu / round[index].cpu).collect();
            report.add(Row {
                name: format!("processor time a request, {connections} x {what}, authsome / nginx"),
                figure: format!("{:.1} us", median(&each(1, &|one| one.cpu))),
                beside: format!("nginx {:.1} us", median(&each(index, &|one| one.cpu))),
                value: median(&ratios),
                spread: Some(spread(&ratios)),
                target: Some(Target::AtMost(0.95)),
            });
        }
    }
    if connections == 1 {
        let added: Vec<f64> = rounds.iter().map(|round| round[1].p50 - round[0].p50).collect();
        report.add(Row {
            name: "added latency p50, one connection, us".to_owned(),
            figure: format!("{:.0} us", median(&each(1, &|one| one.p50))),
            beside: format!("direct {:.0} us", median(&each(0, &|one| one.p50))),
            value: median(&added),
            spread: Some(spread(&added)),
            target: Some(Target::AtMost(40.0)),
        });
    }
}

fn measure(side: &Side, connections: usize, fresh: bool, seconds: f64) -> io::Result<Sample> {
    let cpu = || side.processes.iter().map(|pid| cpu_time(*pid)).sum::<io::Result<Duration>>();
    let before = cpu()?;
    let (latencies, elapsed) = in_parallel(connections, seconds, |_| {
        let side = side.clone();
        let mut kept = None;
        move || {
            if fresh || kept.is_none() {
                kept = Some(side.open()?);
            }
            request(kept.as_mut().expect("just opened"), SMALL)
        }
    })?;
    let spent = cpu()?.saturating_sub(before);
    let count = latencies.len() as f64;
    Ok(Sample {
        per_second: count / elapsed,
        p50: percentile(&latencies, 0.5),
        p99: percentile(&latencies, 0.99),
        cpu: spent.as_secs_f64() * 1e6 / count,
    })
}

const SMALL: &str = "GET /small HTTP/1.1\r\nHost: api.bench.test\r\n\r\n";

/// Runs what `make` gives, on `count` threads, until the time is over: each call's microseconds, and the seconds
/// that passed.
fn in_parallel<F>(count: usize, seconds: f64, mut make: impl FnMut(usize) -> F) -> io::Result<(Vec<f64>, f64)>
where
    F: FnMut() -> io::Result<()> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(count + 1));
    let threads: Vec<_> = (0..count)
        .map(|index| {
            let (mut call, barrier) = (make(index), Arc::clone(&barrier));
            thread::spawn(move || -> io::Result<Vec<f64>> {
                let warm = call();
                barrier.wait();
                warm?;
                let start = Instant::now();
                let mut latencies = Vec::with_capacity(64 * 1024);
                while start.elapsed().as_secs_f64() < seconds {
                    let before = Instant::now();
                    match call() {
                        Err(error) if error.kind() == io::ErrorKind::Other => break, // nothing left to send
                        other => other?,
                    }
                    latencies.push(before.elapsed().as_secs_f64() * 1e6);
                }
                Ok(latencies)
            })
        })
        .collect();
    barrier.wait();
    let start = Instant::now();
    let mut all = Vec::new();
    for thread in threads {
        all.extend(thread.join().expect("no panic inside")?);
    }
    Ok((all, start.elapsed().as_secs_f64()))
}

impl Side {
    fn open(&self) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        if let Some(authorization) = &self.connect {
            let head = format!(
                "CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\nProxy-Authorization: {authorization}\r\n\r\n"
            );
            stream.write_all(head.as_bytes())?;
            let (status, _, _) = read_head(&mut stream, &mut Vec::new())?;
            expect(status)?;
        }
        let name = ServerName::try_from(HOST).expect("a DNS name");
        let mut tls = ClientConnection::new(Arc::clone(&self.tls), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(tls, stream))
    }
}

/// One request and its whole answer.
fn request<S: Read + Write>(stream: &mut S, request: &str) -> io::Result<()> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut buffer = Vec::with_capacity(1024);
    let (status, body_start, length) = read_head(stream, &mut buffer)?;
    expect(status)?;
    let mut missing = length.saturating_sub((buffer.len() - body_start) as u64);
    let mut scratch = if missing > 0 { vec![0; 64 * 1024] } else { Vec::new() };
    while missing > 0 {
        match stream.read(&mut scratch)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => missing = missing.saturating_sub(count as u64),
        }
    }
    Ok(())
}

/// Reads to the end of a head: status, where the body starts in `buffer`, and its length.
fn read_head(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<(u16, usize, u64)> {
    let mut scratch = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut scratch)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.extend_from_slice(&scratch[..count]);
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            return Ok((status, end + 4, length.and_then(|text| text.trim().parse().ok()).unwrap_or(0)));
        }
    }
}

fn expect(status: u16) -> io::Result<()> {
    if status == 200 { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, format!("status {status}"))) }
}

/// One large body, down and up.
pub(crate) fn bodies(options: &Options, stage: &Stage, nginx: Option<&Nginx>, report: &mut Report) -> io::Result<()> {
    let sides = sides(stage, nginx)?;
    for direction in ["GET", "GET of JSON", "POST"] {
        let mut rounds: Vec<Vec<f64>> = Vec::new();
        for _ in 0..options.rounds.div_ceil(2) {
            let round = sides.iter().map(|side| megabytes_per_second(side, direction));
            rounds.push(round.collect::<io::Result<_>>()?);
        }
        let mid = |index: usize| median(&rounds.iter().map(|round| round[index]).collect::<Vec<_>>());
        for (index, side) in sides.iter().enumerate().filter(|(index, _)| *index != 1) {
            let ratios: Vec<f64> = rounds.iter().map(|round| round[1] / round[index]).collect();
            report.add(Row {
                name: format!("256 MiB {direction}, authsome / {}", side.name),
                figure: format!("{:.0} MB/s", mid(1)),
                beside: format!("{} {:.0} MB/s", side.name, mid(index)),
                value: median(&ratios),
                spread: Some(spread(&ratios)),
                target: match side.name {
                    "nginx" => Some(Target::AtLeast(0.85)),
                    UNMASKED => Some(MASKING),
                    _ => None,
                },
            });
        }
    }
    Ok(())
}

fn megabytes_per_second(side: &Side, direction: &str) -> io::Result<f64> {
    let mut stream = side.open()?;
    let start = Instant::now();
    if direction.starts_with("GET") {
        let path = if direction == "GET" { "bytes" } else { "json" };
        request(&mut stream, &format!("GET /{path}/{BODY_BYTES} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"))?;
    } else {
        let head = format!("POST /sink HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {BODY_BYTES}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let block = vec![b'.'; 64 * 1024];
        for _ in 0..BODY_BYTES / block.len() as u64 {
            stream.write_all(&block)?;
        }
        stream.flush()?;
        let (status, _, _) = read_head(&mut stream, &mut Vec::new())?;
        expect(status)?;
    }
    Ok(BODY_BYTES as f64 / 1e6 / start.elapsed().as_secs_f64())
}

/// One `GET /health`.
pub(crate) fn health(address: SocketAddr) -> io::Result<()> {
    request(&mut TcpStream::connect(address)?, HEALTH)
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Proofs made ahead for each connection and second: more than the daemon can check.
const PROOFS_PER_SECOND: f64 = 4_000.0;

/// The daemon: its requests a second, open and proved, and its cold start.
pub(crate) fn daemon(options: &Options, stage: &mut Stage, report: &mut Report) -> io::Result<()> {
    let address = stage.daemon_address()?;
    let (mut open, mut proved) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds.div_ceil(2) {
        open.push(rate(address, options.seconds, |_| std::iter::repeat(HEALTH.to_owned()))?);
        let mut proofs = proofs(stage, options.seconds)?;
        proved.push(rate(address, options.seconds, |_| proofs.pop().unwrap_or_default().into_iter())?);
    }
    report.single("daemon, GET /health, 16 connections", median(&open), "/s", Some(Target::AtLeast(30_000.0)));
    report.single("daemon, PoP GET, 16 connections", median(&proved), "/s", Some(Target::AtLeast(12_000.0)));
    let mut starts = Vec::new();
    for _ in 0..options.rounds {
        starts.push(stage.cold_start()?.as_secs_f64() * 1e3);
    }
    report.single("daemon, cold start to healthy", median(&starts), "ms", Some(Target::AtMost(15.0)));
    Ok(())
}

/// Requests a second over 16 kept connections, each with requests of its own.
fn rate<I>(address: SocketAddr, seconds: f64, mut requests: impl FnMut(usize) -> I) -> io::Result<f64>
where
    I: Iterator<Item = String> + Send + 'static,
{
    let (latencies, elapsed) = in_parallel(16, seconds, |index| {
        let mut requests = requests(index);
        let mut stream = None;
        move || {
            // Running out ends this connection's share early, and the rate is taken over the time that passed.
            let next = requests.next().ok_or_else(|| io::Error::other("no request left"))?;
            if stream.is_none() {
                let fresh = TcpStream::connect(address)?;
                fresh.set_nodelay(true)?;
                stream = Some(fresh);
            }
            request(stream.as_mut().expect("just opened"), &next)
        }
    })?;
    Ok(latencies.len() as f64 / elapsed)
}

/// Signed requests for 16 connections; each proof is good once.
fn proofs(stage: &Stage, seconds: f64) -> io::Result<Vec<Vec<String>>> {
    let client = stage.dir.join("home/client");
    let config: serde_json::Value = serde_json::from_slice(&fs::read(client.join("config.json"))?)?;
    let handle = config["active_identity"].as_str().ok_or_else(|| io::Error::other("no active identity"))?.to_owned();
    let seed = fs::read_to_string(client.join(format!("identities/{handle}.key")))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a small positive number
    let each = (PROOFS_PER_SECOND * seconds) as usize / 2;
    let sign = move || -> io::Result<Vec<Vec<String>>> {
        let key = SigningKey::from_hex(&Secret::new(seed.trim().to_owned())).map_err(io::Error::other)?;
        let now = Clock::system().now();
        let one = |_| {
            let proof = key.sign_request(&handle, "GET", "/api/whoami", b"", now);
            format!("GET /api/whoami HTTP/1.1\r\nHost: localhost\r\nAuthorization: PoP {proof}\r\n\r\n")
        };
        Ok((0..8).map(|_| (0..each).map(one).collect()).collect())
    };
    let second = thread::spawn(sign.clone());
    let mut all = sign()?;
    all.extend(second.join().expect("no panic inside")?);
    Ok(all)
}

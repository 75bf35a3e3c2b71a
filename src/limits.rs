//! Every deadline and every byte cap, each with its reason. Nothing reads from a peer without one of these.

use std::time::Duration;

/// A request or response head, request line included: twice what common servers allow (`contract/proxy.md` section 5).
pub const HEAD_BYTES: usize = 64 * 1024;
/// Header fields in one head (`contract/proxy.md` section 5).
pub const HEAD_FIELDS: usize = 200;
/// A chunk-size line with its extensions: sizes are at most 16 digits, extensions are dropped unread.
pub const CHUNK_LINE_BYTES: usize = 256;
/// All trailer fields of one chunked body together.
pub const TRAILER_BYTES: usize = 16 * 1024;

/// A request body to the daemon: the largest legitimate one is a provider definition or a batch of audit events.
pub const DAEMON_BODY_BYTES: usize = 1024 * 1024;
/// Connections that the daemon serves at once; one more waits in the kernel's queue until its turn or its own timeout.
pub const DAEMON_CONNECTIONS: usize = 512;
/// From a connection's first byte (or its accept) to a complete head.
pub const DAEMON_HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// From the end of the head to the end of the body.
pub const DAEMON_BODY_DEADLINE: Duration = Duration::from_secs(10);
/// How long an idle keep-alive connection may stay.
pub const DAEMON_IDLE_DEADLINE: Duration = Duration::from_secs(60);
/// How long a client may refuse to read its answer.
pub const DAEMON_WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// How long a spare thread of the daemon waits for more work.
pub const DAEMON_THREAD_IDLE: Duration = Duration::from_secs(10);
/// After a refusal the rest of the request is read and dropped for so long, and so much of it: a close while bytes
/// are unread would reset the connection, and the client might never see why.
pub const DAEMON_LINGER: Duration = Duration::from_secs(1);
/// See [`DAEMON_LINGER`].
pub const DAEMON_LINGER_BYTES: usize = 1024 * 1024;
/// At the end of the daemon, requests under way get so long; less than [`DAEMON_STOP_DEADLINE`].
pub const DAEMON_GRACE: Duration = Duration::from_secs(5);
/// Connections from the gate to the engine for requests that are answered at once.
pub const ENGINE_QUICK_LINKS: usize = 16;
/// Connections from the gate to the engine for requests that may wait for a provider: so many refreshes and logins can
/// hang at once before another has to wait.
pub const ENGINE_PATIENT_LINKS: usize = 32;
/// How long a request waits for a free connection to the engine.
pub const ENGINE_WAIT_DEADLINE: Duration = Duration::from_secs(30);
/// From a request to its answer inside the daemon: the longest is a refresh (30 s) behind a lock (20 s), retried.
pub const ENGINE_ANSWER_DEADLINE: Duration = Duration::from_secs(150);
/// An answer of the daemon; the largest is the list of all provider definitions.
pub const ENGINE_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Stack of a thread that runs handlers: TLS, JSON and HTTP clients run on it. Only what is touched counts.
pub const ENGINE_STACK_BYTES: usize = 1024 * 1024;
/// How long a new daemon waits for the store of one that is ending: a killed process keeps its files until its last
/// thread has ended, which takes milliseconds, and longer on a machine under load.
pub const STORE_LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// The body that the daemon's client takes from a daemon: lists of definitions are the largest.
pub const CLIENT_BODY_BYTES: usize = 16 * 1024 * 1024;
/// Reaching a daemon, remote ones included.
pub const CLIENT_CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// One whole call of the client; a resolve may wait for a token endpoint (30 s) behind a lock (20 s).
pub const CLIENT_CALL_DEADLINE: Duration = Duration::from_secs(60);
/// How long the client waits for a daemon that it started. Cold start takes milliseconds; a loaded CI machine is slow.
pub const DAEMON_START_DEADLINE: Duration = Duration::from_secs(20);
/// How long `daemon stop` waits before it says that the daemon does not end.
pub const DAEMON_STOP_DEADLINE: Duration = Duration::from_secs(10);

/// An outbound call to a provider's OAuth endpoint, from name resolution to the last byte (`contract/oauth.md`).
pub const OAUTH_CALL_DEADLINE: Duration = Duration::from_secs(30);
/// The answer of an OAuth endpoint (`contract/oauth.md`).
pub const OAUTH_BODY_BYTES: usize = 1024 * 1024;

/// A stored key or token. The longest seen are JWTs of a few KiB; a header field must still fit in a head.
pub const SECRET_BYTES: usize = 32 * 1024;
/// A provider definition file.
pub const DEFINITION_BYTES: usize = 256 * 1024;
/// A `regex:` host pattern (`contract/providers.md`).
pub const HOST_PATTERN_BYTES: usize = 256;
/// A provider or connection name.
pub const NAME_BYTES: usize = 64;
/// A handle. Generated ones have at most 43; the rest is for those that people choose.
pub const HANDLE_BYTES: usize = 128;
/// Any small file of ours: keys, tokens, `config.json`.
pub const SMALL_FILE_BYTES: usize = 64 * 1024;

/// Life of a signed request (`contract/identity.md`).
pub const POP_LIFETIME_SECONDS: i64 = 60;
/// The furthest `exp` that a verifier takes (`contract/identity.md`).
pub const POP_MAX_LIFETIME_SECONDS: i64 = 300;
/// How far ahead `iat` and `nbf` may be (`contract/identity.md`).
pub const POP_SKEW_SECONDS: i64 = 60;
/// A `jti` (`contract/identity.md`).
pub const POP_JTI_BYTES: usize = 128;
/// A whole PoP token; ours are about 600 bytes.
pub const POP_TOKEN_BYTES: usize = 8 * 1024;
/// Proofs remembered at once: above this the verifier refuses rather than forgets.
pub const POP_REPLAY_ENTRIES: usize = 1_000_000;

/// A claim link (`contract/http.md`).
pub const CLAIM_TOKEN_SECONDS: i64 = 300;
/// A login session without a device code (`contract/http.md`).
pub const AUTH_SESSION_SECONDS: i64 = 300;
/// A browser session (`contract/http.md`).
pub const UI_SESSION_SECONDS: i64 = 3600;
/// A registration that nobody claimed (`contract/http.md`).
pub const UNCLAIMED_SECONDS: i64 = 3600;
/// Unclaimed registrations at once: registration is open to strangers, so their number is bounded.
pub const UNCLAIMED_REGISTRATIONS: usize = 1000;
/// A token is refreshed when it has less than this left (`AUTHSOME_TOKEN_NEAR_EXPIRY_SECONDS`).
pub const NEAR_EXPIRY_SECONDS: i64 = 300;

/// Connections of the child that a run's proxy serves at once (`contract/proxy.md` section 8).
pub const PROXY_CONNECTIONS: usize = 2048;
/// From a child's connection to its complete CONNECT, and to its TLS handshake.
pub const PROXY_HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// One address of an upstream that has more: two retransmissions of a lost SYN, then the next is tried.
pub const CONNECT_ATTEMPT: Duration = Duration::from_secs(4);
/// A file of trust roots; the largest platform bundles are about 500 KiB.
pub const TRUST_BUNDLE_BYTES: u64 = 8 * 1024 * 1024;
/// Name resolution and TCP connection to an upstream.
pub const UPSTREAM_CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// TLS handshake with an upstream.
pub const UPSTREAM_TLS_DEADLINE: Duration = Duration::from_secs(30);
/// How long an upstream may stay silent while an answer is due: long polls and slow models take minutes.
pub const UPSTREAM_IDLE_DEADLINE: Duration = Duration::from_secs(15 * 60);
/// How long a blind tunnel or an idle keep-alive connection may carry nothing.
pub const TUNNEL_IDLE_DEADLINE: Duration = Duration::from_secs(60 * 60);
/// Certificates that a run keeps for hosts that its child visited.
pub const LEAF_CACHE_ENTRIES: usize = 512;
/// Credentials are asked for again after this, so that logout and rotation bite (`contract/proxy.md` section 5).
pub const CREDENTIAL_CACHE: Duration = Duration::from_secs(60);
/// Audit events that wait for the daemon in a run; beyond it they are counted, not kept.
pub const AUDIT_QUEUE: usize = 10_000;
/// How long the end of a run waits for its audit events (`contract/proxy.md` section 1).
pub const AUDIT_FLUSH_DEADLINE: Duration = Duration::from_secs(2);
/// Stack of a connection thread: measured use is below 100 KiB.
pub const THREAD_STACK_BYTES: usize = 256 * 1024;
/// Buffer for relaying bodies; larger ones gain nothing (measured).
pub const RELAY_BUFFER_BYTES: usize = 32 * 1024;
/// What one read of a busy TLS connection asks for: a tenth faster than rustls' own 4 KiB, and larger is slower again
/// (measured). Allocated when a body starts.
pub const RAW_BUFFER_BYTES: usize = 64 * 1024;
/// What is encrypted before it is sent in one call.
pub const BATCH_BYTES: usize = 64 * 1024;
/// Interim (1xx) responses before the final one. Some servers repeat 102 or 103; without an end it is an attack.
pub const INTERIM_RESPONSES: usize = 64;
/// How long a connection that is to be closed is still read, so that its peer gets to the last answer.
pub const LINGER_DEADLINE: Duration = Duration::from_secs(30);
/// How long a credential is still used when the daemon cannot be asked: as long as a restart or an upgrade may take.
pub const CREDENTIAL_GRACE: Duration = Duration::from_secs(5 * 60);
/// The daemon is not asked about one connection more often than this, whatever it answers.
pub const CREDENTIAL_RETRY: Duration = Duration::from_secs(2);
/// How long a thread without a connection waits for the next before it ends.
pub const WORKER_IDLE: Duration = Duration::from_secs(30);
/// How long the end of a run waits for requests that are being recorded.
pub const STOP_DEADLINE: Duration = Duration::from_millis(500);
/// After this much in one direction, a blind tunnel lets the kernel move the bytes.
pub const SPLICE_AFTER_BYTES: u64 = 256 * 1024;
/// Directions of tunnels that have a pipe at once: each takes two descriptors.
pub const SPLICED_DIRECTIONS: usize = 64;
/// Capacity of such a pipe.
pub const SPLICE_PIPE_BYTES: i32 = 1024 * 1024;
/// How long an answer of our own waits for its reader before a connection is dropped.
pub const REFUSAL_LINGER: Duration = Duration::from_secs(10);
/// Connections beyond the cap that wait for their refusal.
pub const OVERLOAD_QUEUE: usize = 64;
/// What one of them may take.
pub const OVERLOAD_DEADLINE: Duration = Duration::from_secs(1);
/// Pause after an `accept` that failed for want of descriptors.
pub const ACCEPT_PAUSE_MILLISECONDS: u16 = 20;
/// Secrets shorter than this are not looked for in text: they would be found by accident (`contract/proxy.md` section 5).
pub const SHORTEST_SECRET_BYTES: usize = 8;
/// A `.env` file that is looked through.
pub const DOTENV_BYTES: usize = 1024 * 1024;
/// Soft limit of open files while a child runs: enough for the connection cap; the child gets its own back.
pub const DESCRIPTORS: u64 = 16 * 1024;
/// Stack of the thread that makes a run's certificate and files.
pub const LAUNCH_STACK_BYTES: usize = 512 * 1024;

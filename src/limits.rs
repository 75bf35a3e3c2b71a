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
/// Requests at once that may wait for a provider: [`REFRESH_ALL_WAITERS`], and so many refreshes and logins that hang at
/// once before another such request has to wait. The rest of [`DAEMON_CONNECTIONS`] is for those that never do.
pub const DAEMON_PATIENT_REQUESTS: usize = 96;
/// How long a request waits for its place among those.
pub const DAEMON_PLACE_DEADLINE: Duration = Duration::from_secs(30);
/// Stack of a thread that serves: TLS, JSON and HTTP clients run on it. Only what is touched counts.
pub const DAEMON_STACK_BYTES: usize = 1024 * 1024;
/// Links from the gate to the engine. Each has a thread of the engine that reads lines, which takes microseconds; more links
/// are slower (measured).
pub const ENGINE_LINKS: usize = 2;
/// How long the engine may take to read one.
pub const ENGINE_DEADLINE: Duration = Duration::from_secs(10);
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

/// How long the end of a login that was broken off waits for the daemon to hear of it.
pub const LOGIN_CANCEL_DEADLINE: Duration = Duration::from_secs(2);
/// From the start of a browser to its first answer: a cold start from a slow disk takes seconds.
pub const BROWSER_START_DEADLINE: Duration = Duration::from_secs(30);
/// Any later answer of a browser: it comes from memory, but a page may be busy.
pub const BROWSER_ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// How long a browser may take to close itself before it is killed.
pub const BROWSER_CLOSE_DEADLINE: Duration = Duration::from_secs(3);
/// One message of a browser: it keeps at most 3300 cookies of 4 KiB.
pub const BROWSER_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// An outbound call to a provider's OAuth endpoint, from name resolution to the last byte (`contract/oauth.md`).
pub const OAUTH_CALL_DEADLINE: Duration = Duration::from_secs(30);
/// The answer of an OAuth endpoint (`contract/oauth.md`).
pub const OAUTH_BODY_BYTES: usize = 1024 * 1024;
/// Everything that an OAuth endpoint sends for one answer: head, framing and interim (1xx) answers, which have no end of
/// their own, stand beside [`OAUTH_BODY_BYTES`] of body.
pub const OAUTH_ANSWER_BYTES: usize = 4 * OAUTH_BODY_BYTES;
/// Values in one such answer, nested ones included. The longest real ones, metadata with its lists, have a few hundred.
pub const OAUTH_VALUES: usize = 10_000;
/// So much of a secret in a server's words is an echo of it. Shorter parts are found by accident.
pub const OAUTH_ECHO_BYTES: usize = 12;
/// Granted scopes that are kept of an answer: they are in every list of connections.
pub const OAUTH_SCOPES: usize = 256;
/// A revocation, which may hold up a logout but is not worth a person's patience.
pub const OAUTH_REVOKE_DEADLINE: Duration = Duration::from_secs(10);
/// An error text of a server, in characters (`contract/oauth.md`).
pub const OAUTH_TEXT_CHARS: usize = 200;
/// The longest `Retry-After` that is obeyed: a server must not be able to switch a connection off.
pub const OAUTH_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
/// Life of a token; more means that the server does not know (`contract/oauth.md`: ten years).
pub const TOKEN_LIFETIME_SECONDS: i64 = 10 * 365 * 24 * 60 * 60;
/// Life of a device code that the server says nothing about (`contract/oauth.md`).
pub const DEVICE_LIFETIME_SECONDS: i64 = 900;
/// The longest life of a device code: Google's is half an hour, and a thread waits as long.
pub const DEVICE_MAX_LIFETIME_SECONDS: i64 = 60 * 60;
/// Between two polls for a device code, when the server says nothing (RFC 8628 section 3.5).
pub const DEVICE_INTERVAL_SECONDS: i64 = 5;

/// How long a caller waits for a refresh that another one has begun, here or on another daemon (`contract/oauth.md`).
pub const REFRESH_WAIT_DEADLINE: Duration = Duration::from_secs(20);
/// Callers that wait so at once for one connection; others are told to try again.
pub const REFRESH_WAITERS: usize = 64;
/// The same over all connections: a hung endpoint leaves seats for those who wait for another one. Each of them holds one
/// of [`DAEMON_PATIENT_REQUESTS`], and the rest of those is for whoever asks for something else.
pub const REFRESH_ALL_WAITERS: usize = 80;
/// A token with less left is not handed out while another caller has a new one fetched: a request may take so long to
/// connect and to be sent, and then arrive with a token that is over.
pub const REQUEST_LEAD: Duration = Duration::from_secs(10);
/// How often a daemon looks whether another one has finished a refresh: a token endpoint takes about that long.
pub const REFRESH_POLL: Duration = Duration::from_millis(100);
/// How long the right to spend a refresh token lasts: a call of [`OAUTH_CALL_DEADLINE`], and as much as two daemons'
/// clocks may differ, or a disk may take.
pub const REFRESH_LEASE: Duration = Duration::from_secs(45);
/// A token of a login that is younger is not refreshed because an upstream refused it: an upstream that refuses every
/// token would cause a refresh at each request.
pub const REFUSED_TOKEN_PAUSE: Duration = Duration::from_secs(10);
/// The same for a token of a refresh. A run keeps a token for [`CREDENTIAL_CACHE`] and tells of a refusal at its next
/// request, so what was refused is probably the one before; where a refresh ends that one, runs would take turns at it.
pub const REFUSED_SUCCESSOR_PAUSE: Duration = Duration::from_secs(2 * CREDENTIAL_CACHE.as_secs());
/// Pause after the second failed refresh in a row; doubles with each further one.
pub const REFRESH_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause of our own.
pub const REFRESH_LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How far ahead of our clock a time may be that another daemon wrote, or that we wrote before our clock was corrected
/// a little. What is further ahead comes from a clock that was wrong.
pub const CLOCK_SKEW_SECONDS: i64 = 60;
/// At the end of the daemon, after [`DAEMON_GRACE`]: a refresh under way gets so long before its answer is given up.
/// Together they are less than [`DAEMON_STOP_DEADLINE`].
pub const REFRESH_GRACE: Duration = Duration::from_secs(4);
/// Connections whose tokens an export of everything refreshes at once.
pub const EXPORT_REFRESHES: usize = 8;

/// Device logins that are asked about at once: each has a thread of its own for as long as its code lives.
pub const DEVICE_POLLERS: usize = 64;
/// Of these, so many for one principal: nobody takes them all. A person waits for one, a script for a few.
pub const DEVICE_POLLERS_EACH: usize = 8;
/// The scopes of a login together, its client ID, and each of its addresses: all of them become one URL in a `Location`
/// field, three bytes for one at worst, and every head is within [`HEAD_BYTES`].
pub const LOGIN_TEXT_BYTES: usize = 4 * 1024;
/// What RFC 8628 section 3.5 adds to the interval when the server says `slow_down`.
pub const DEVICE_SLOW_DOWN: Duration = Duration::from_secs(5);

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
/// Proofs remembered at once: above this the verifier refuses rather than forgets. One principal alone may hold half:
/// eight thousand requests a second.
pub const POP_REPLAY_ENTRIES: usize = 1_000_000;

/// A claim link (`contract/http.md`).
pub const CLAIM_TOKEN_SECONDS: i64 = 300;
/// A claim link that is younger than this is given out again: who asks where their registration stands, as a client does
/// that waits, shall not fill the store with links.
pub const CLAIM_TOKEN_REUSE_SECONDS: i64 = 30;
/// A login session without a device code (`contract/http.md`).
pub const AUTH_SESSION_SECONDS: i64 = 300;
/// Logins of one principal that may be under way at once, begun within [`AUTH_SESSION_SECONDS`]. A person has one, a script
/// that logs in to everything there is has as many as there are providers.
pub const LOGINS_EACH: usize = 500;
/// A one-time sign-in of a browser (`contract/http.md`).
pub const SIGN_IN_SECONDS: i64 = 60;
/// A browser session (`contract/http.md`).
pub const UI_SESSION_SECONDS: i64 = 3600;
/// Browsers that one person is signed in with at once. Each sign-in looks at all there are, and so does who signs out
/// everywhere: a loop that signs in must not slow that down for everybody.
pub const UI_SESSIONS_EACH: usize = 50;
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
/// The longest body of a request that is kept until the answer has begun, to be sent again with a new credential.
pub const RESEND_BODY_BYTES: usize = 64 * 1024;
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
/// Secrets that one run masks in answers: those of all its connections, and what they were before they were renewed.
/// Beyond it the oldest are forgotten, days after they have ended.
pub const REDACTED_SECRETS: usize = 512;
/// The head of a gzip member, which may name a file and carry a comment.
pub const GZIP_HEAD_BYTES: usize = 4 * 1024;
/// A `.env` file that is looked through.
pub const DOTENV_BYTES: usize = 1024 * 1024;
/// Soft limit of open files while a child runs: enough for the connection cap; the child gets its own back.
pub const DESCRIPTORS: u64 = 16 * 1024;
/// Stack of the thread that makes a run's certificate and files.
pub const LAUNCH_STACK_BYTES: usize = 512 * 1024;
/// How long the wall around a child may take to build: milliseconds, but for a machine that is out of memory.
pub const WALL_DEADLINE: Duration = Duration::from_secs(30);
/// A command with its environment on its way into the wall. The kernel takes a quarter of the stack limit, 2 MiB as a
/// rule, and 6 MiB at most (`execve(2)`); it has the last word.
pub const COMMAND_BYTES: usize = 16 * 1024 * 1024;

//! One request and its answer between two links, streaming.
//!
//! While the request is on its way, both sockets are polled and nothing blocks: an upstream may answer before it has
//! read the body (and go on reading it), and both bodies may be larger than what sockets buffer. Once the request is
//! through, the answer is relayed with plain blocking calls, which cost the fewest system calls.

mod download;
mod upload;

use std::sync::Arc;
use std::time::Instant;

use self::download::Download;
use self::upload::Upload;
use super::link::{Ending, Link, Received, Wait, Watch, wait_for};
use super::redact::Redaction;
use super::redact::answer::Withheld;
use crate::http1::{BodyLength, Version};
use crate::limits::{HEAD_BYTES, LINGER_DEADLINE, TUNNEL_IDLE_DEADLINE, UPSTREAM_IDLE_DEADLINE};

/// What the exchange has to know of the request besides its bytes.
pub(super) struct Request {
    /// Method: HEAD changes what an answer looks like.
    pub(super) method: String,
    /// The child's version.
    pub(super) version: Version,
    /// Framing of the body.
    pub(super) body: BodyLength,
    /// Whether the child keeps the connection.
    pub(super) wants_keep_alive: bool,
    /// Whether the child waits for `100 Continue`.
    pub(super) expects_continue: bool,
    /// Whether the child wants to go on as a WebSocket.
    pub(super) wants_upgrade: bool,
    /// Lower-case names of header fields that carry credentials: not allowed in trailers.
    pub(super) secret_names: Vec<String>,
    /// What is masked in the answer: it may repeat the credential.
    pub(super) redaction: Option<Arc<Redaction>>,
}

/// How an exchange went, once an answer has begun.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // independent facts about one exchange
pub(super) struct Outcome {
    /// Status of the answer.
    pub(super) status: u16,
    /// Bytes of both bodies.
    pub(super) bytes: u64,
    /// Whether the body went through without a look at it, although there are secrets to be masked.
    pub(super) is_opaque: bool,
    /// Whether the answer went through to its end.
    pub(super) is_complete: bool,
    /// Whether both sides speak another protocol from here on.
    pub(super) is_upgraded: bool,
    /// Whether the child may send another request on its connection.
    pub(super) child_reusable: bool,
    /// Whether the upstream connection can carry another request.
    pub(super) upstream_reusable: bool,
}

/// Why there is no answer. The child has got nothing but perhaps interim responses.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The upstream closed or failed before it answered.
    NoResponse,
    /// The upstream stayed silent.
    TimedOut,
    /// The upstream's answer is not acceptable; says why.
    BadResponse(&'static str),
    /// The upstream's answer cannot be masked.
    Withheld(Withheld),
    /// The child's body is not framed right; says how.
    BadRequest(&'static str),
    /// The upstream refused the credential, and there is a newer one: the request is to be sent again, with this body,
    /// which has its framing.
    Renewed(Vec<u8>),
    /// The child went away. There may have been the beginning of an answer.
    ChildGone,
}

/// Gets a newer credential, if there is one. It may take as long as a refresh.
pub(super) type Renew<'a> = &'a dyn Fn() -> bool;

/// Sends `head` (with the credential in it) and relays both bodies. `renew`: asked once, when the upstream answers 401 to
/// a request that is short enough to be sent again.
pub(super) fn exchange(
    child: &mut Link,
    upstream: &mut Link,
    request: &Request,
    head: &[u8],
    renew: Option<Renew<'_>>,
) -> Result<Outcome, Failure> {
    let upload = Upload::new(request.body, renew.is_some());
    let download = Download::new(renew.is_some());
    let (moved_at, answered_at) = (Instant::now(), None);
    let (is_broken, watches_child) = (false, true);
    let mut exchange =
        Exchange { child, upstream, request, renew, upload, download, moved_at, answered_at, is_broken, watches_child };

    match exchange.run(head) {
        Err(Failure::Renewed(_)) => Err(Failure::Renewed(exchange.upload.into_kept())),
        Err(failure) if !exchange.download.has_begun() => Err(failure),
        // Too late for another answer: this one is what it is.
        Err(_) => {
            exchange.give_up();
            Ok(exchange.conclude())
        }
        Ok(()) => Ok(exchange.conclude()),
    }
}

struct Exchange<'a> {
    child: &'a mut Link,
    upstream: &'a mut Link,
    request: &'a Request,
    renew: Option<Renew<'a>>,
    upload: Upload,
    download: Download,
    /// When a byte last moved.
    moved_at: Instant,
    /// When the answer was over.
    answered_at: Option<Instant>,
    /// The upstream takes no more; it may have answered before.
    is_broken: bool,
    /// Look out for the child going away while the upstream thinks.
    watches_child: bool,
}

impl Exchange<'_> {
    fn run(&mut self, head: &[u8]) -> Result<(), Failure> {
        self.upload_step(head)?; // head and first piece of the body: one record, one packet
        while self.is_uploading() {
            self.duplex_turn()?;
        }
        while !self.download.is_over() {
            self.download_turn()?;
        }
        Ok(())
    }

    /// Whether the request is still on its way.
    fn is_uploading(&self) -> bool {
        let is_flowing = !self.upload.is_over() || (self.upstream.wants_write() && !self.is_broken);
        is_flowing && !self.is_settled()
    }

    /// Whether to stop although the request is not through.
    fn is_settled(&self) -> bool {
        let Some(answered_at) = self.answered_at else { return false };
        // The answer came instead of `100 Continue`: the child may never send its body.
        let is_enough = self.is_withheld() || self.download.has_failed();
        let is_lingering_too_long = self.upload.is_discarding() && answered_at.elapsed() >= LINGER_DEADLINE;
        is_lingering_too_long || (is_enough && !self.child.wants_write())
    }

    /// Whether the child waits for a `100 Continue` that has not come.
    fn is_withheld(&self) -> bool {
        self.request.expects_continue && !self.download.has_continued() && self.upload.is_untouched()
    }

    /// Moves whatever can be moved without waiting; when that is nothing, waits for either socket.
    fn duplex_turn(&mut self) -> Result<(), Failure> {
        let mut has_moved = false;
        if self.may_upload() {
            has_moved |= self.upload_step(&[])?;
        } else {
            has_moved |= self.flush_upstream();
        }
        if self.child.wants_write() {
            has_moved |= self.child.flush(Wait::Never).map_err(|_| Failure::ChildGone)?;
        } else {
            has_moved |= self.download_step(Wait::Never)?;
        }
        if has_moved {
            self.moved_at = Instant::now();
            return Ok(());
        }
        self.wait_for_both()
    }

    /// One piece at a time: the next is read when the last has gone.
    fn may_upload(&self) -> bool {
        self.is_broken || !self.upstream.wants_write()
    }

    fn wait_for_both(&mut self) -> Result<(), Failure> {
        let until = match self.answered_at {
            Some(answered_at) if self.upload.is_discarding() => answered_at + LINGER_DEADLINE,
            _ => self.moved_at + UPSTREAM_IDLE_DEADLINE,
        };
        let mut watches = [
            Watch {
                read: self.may_upload() && !self.upload.is_over(),
                write: self.child.wants_write(),
                ..Watch::new(self.child.socket())
            },
            Watch {
                read: !self.child.wants_write() && self.download.wants_read(),
                write: self.upstream.wants_write() && !self.is_broken,
                ..Watch::new(self.upstream.socket())
            },
        ];
        let is_ready = wait_for(&mut watches, until).map_err(|_| Failure::NoResponse)?;
        self.upload.is_ready |= watches[0].is_ready;
        self.download.is_ready |= watches[1].is_ready;
        if is_ready { Ok(()) } else { self.time_out() }
    }

    /// Relays one piece of the answer while nothing else is going on.
    fn download_turn(&mut self) -> Result<(), Failure> {
        self.child.flush_until(Instant::now() + TUNNEL_IDLE_DEADLINE).map_err(|_| Failure::ChildGone)?;
        self.download.is_ready = true;
        if self.download_step(Wait::Briefly)? {
            self.moved_at = Instant::now();
            return Ok(());
        }
        if self.download.is_over() { Ok(()) } else { self.wait_for_answer() }
    }

    /// The upstream takes its time: waits for it, and looks whether the child is still there.
    fn wait_for_answer(&mut self) -> Result<(), Failure> {
        let mut watches = vec![Watch { read: true, ..Watch::new(self.upstream.socket()) }];
        if self.watches_child {
            watches.push(Watch { hangup: true, ..Watch::new(self.child.socket()) });
        }
        let is_ready =
            wait_for(&mut watches, self.moved_at + UPSTREAM_IDLE_DEADLINE).map_err(|_| Failure::NoResponse)?;
        if watches.get(1).is_some_and(|child| child.is_ready) {
            self.watches_child = false;
            if self.is_abandoned() {
                return Err(Failure::ChildGone);
            }
        }
        if is_ready { Ok(()) } else { self.time_out() }
    }

    /// Whether the child has gone without a word. One that ended its direction in order still wants the answer.
    fn is_abandoned(&mut self) -> bool {
        while self.child.peek().len() < HEAD_BYTES {
            match self.child.receive_more(Wait::Never) {
                Ok(Received::Data) => {}
                Ok(Received::Nothing) => return false,
                Ok(Received::End) => return self.child.ending() == Some(Ending::Cut),
                Err(_) => return true,
            }
        }
        false // it pipelines much, so it lives
    }

    fn time_out(&mut self) -> Result<(), Failure> {
        if self.download.has_begun() {
            self.give_up();
            return Ok(());
        }
        Err(Failure::TimedOut)
    }

    fn give_up(&mut self) {
        self.is_broken = true;
        self.upload.abandon();
        if !self.download.is_over() {
            self.download.fail();
        }
        self.answered_at.get_or_insert_with(Instant::now);
    }

    fn upload_step(&mut self, prefix: &[u8]) -> Result<bool, Failure> {
        let has_moved = self.upload.step(self.child, self.upstream, self.request, prefix)?;
        Ok(self.flush_upstream() | has_moved)
    }

    /// Whether anything went out.
    fn flush_upstream(&mut self) -> bool {
        if self.is_broken || !self.upstream.wants_write() {
            return false;
        }
        self.upstream.flush(Wait::Never).unwrap_or_else(|_| {
            self.is_broken = true;
            self.upload.discard();
            true
        })
    }

    fn download_step(&mut self, wait: Wait) -> Result<bool, Failure> {
        let is_withheld = self.is_withheld();
        let has_moved = self.download.step(self.upstream, self.child, self.request, is_withheld, wait)?;
        if self.download.is_held() {
            let is_renewed = self.upload.is_kept() && self.renew.take().is_some_and(|renew| renew());
            return if is_renewed { Err(Failure::Renewed(Vec::new())) } else { Ok(true) };
        }
        if self.download.is_over() {
            self.answered_at.get_or_insert_with(Instant::now);
        }
        if self.upstream.ending().is_some() {
            self.is_broken = true;
            self.upload.discard();
        }
        Ok(has_moved)
    }

    fn conclude(self) -> Outcome {
        let is_complete =
            !self.download.has_failed() && self.child.flush_until(Instant::now() + TUNNEL_IDLE_DEADLINE).is_ok();
        let is_whole = is_complete && self.upload.is_complete();
        Outcome {
            status: self.download.status(),
            bytes: self.upload.bytes() + self.download.bytes(),
            is_opaque: self.download.is_opaque(),
            is_complete,
            is_upgraded: is_complete && self.download.status() == 101,
            child_reusable: is_whole && self.download.keeps_child(),
            upstream_reusable: is_whole && !self.is_broken && self.download.keeps_upstream(),
        }
    }
}

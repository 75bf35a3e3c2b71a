//! The answer on its way to the child.

use super::{Failure, Request};
use crate::http1::{BodyDecoder, BodyLength, HeadError, ResponseHead, Version, response_body};
use crate::limits::{BATCH_BYTES, INTERIM_RESPONSES, RELAY_BUFFER_BYTES};
use crate::proxy::headers::{clean_trailers, response_for_child};
use crate::proxy::link::{Ending, Link, Received, Wait};
use crate::proxy::relay::{self, Encoding, Trouble};

#[allow(clippy::struct_excessive_bools)] // independent facts about one answer
pub(super) struct Download {
    state: State,
    status: u16,
    bytes: u64,
    interim: usize,
    has_continued: bool,
    keeps_child: bool,
    keeps_upstream: bool,
    /// Whether the upstream's socket may have something.
    pub(super) is_ready: bool,
}

enum State {
    /// No final head yet.
    Head,
    /// In the body.
    Body { decoder: BodyDecoder, encoding: Encoding },
    /// Through to its end.
    Complete,
    /// Begun, and cut short.
    Failed,
}

impl Download {
    pub(super) fn new() -> Self {
        Self {
            state: State::Head,
            status: 0,
            bytes: 0,
            interim: 0,
            has_continued: false,
            keeps_child: false,
            keeps_upstream: false,
            is_ready: false,
        }
    }

    /// Whether a final head went to the child.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.state, State::Head)
    }

    /// Whether there is nothing more to relay.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Complete | State::Failed)
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed)
    }

    /// Whether a `100 Continue` went to the child.
    pub(super) fn has_continued(&self) -> bool {
        self.has_continued
    }

    /// Whether the upstream's socket is worth watching: also after the answer, for its end. Not for what it may send
    /// beyond the answer.
    pub(super) fn wants_read(&self) -> bool {
        !self.is_over() || self.keeps_upstream
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Bytes of body that went to the child.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn keeps_child(&self) -> bool {
        self.keeps_child
    }

    pub(super) fn keeps_upstream(&self) -> bool {
        self.keeps_upstream
    }

    /// Gives up on an answer that has begun.
    pub(super) fn fail(&mut self) {
        self.state = State::Failed;
        self.keeps_upstream = false;
    }

    /// Queues what the upstream has sent; waits for it once if `wait` allows that. Whether anything moved.
    pub(super) fn step(
        &mut self,
        upstream: &mut Link,
        child: &mut Link,
        request: &Request,
        is_withheld: bool,
        wait: Wait,
    ) -> Result<bool, Failure> {
        if !self.is_ready && upstream.peek().is_empty() && !upstream.has_raw() {
            return Ok(false);
        }
        match &self.state {
            State::Head => self.head(upstream, child, request, is_withheld, wait),
            State::Body { .. } => self.body(upstream, child, request, &[], wait),
            State::Complete | State::Failed => Ok(self.after(upstream)),
        }
    }

    fn head(
        &mut self,
        upstream: &mut Link,
        child: &mut Link,
        request: &Request,
        is_withheld: bool,
        wait: Wait,
    ) -> Result<bool, Failure> {
        let head = match upstream.read_response(wait) {
            Ok(head) => head,
            Err(HeadError::TimedOut { .. }) => {
                self.is_ready = false;
                return Ok(false);
            }
            Err(HeadError::Closed | HeadError::Io(_)) => return Err(Failure::NoResponse),
            Err(HeadError::Truncated) => return Err(Failure::BadResponse("it ended within the head")),
            Err(HeadError::TooLarge) => return Err(Failure::BadResponse("its head is too large")),
            Err(HeadError::Version) => return Err(Failure::BadResponse("it is not HTTP/1.0 or HTTP/1.1")),
            Err(HeadError::Malformed(what)) => return Err(Failure::BadResponse(what)),
        };
        match head.status {
            101 => Err(Failure::BadResponse("it switched to a protocol that nobody asked for")),
            100..=199 => self.interim(&head, child, request),
            407 => Err(Failure::BadResponse("it asked for proxy credentials")),
            _ => self.begin(&head, upstream, child, request, is_withheld, wait),
        }
    }

    fn interim(&mut self, head: &ResponseHead, child: &mut Link, request: &Request) -> Result<bool, Failure> {
        self.interim += 1;
        if self.interim > INTERIM_RESPONSES {
            return Err(Failure::BadResponse("too many interim responses"));
        }
        if request.version == Version::Http11 {
            self.has_continued |= head.status == 100;
            let bytes = response_for_child(head, BodyLength::None, false).to_bytes();
            child.queue(&[std::io::IoSlice::new(&bytes)]).map_err(|_| Failure::ChildGone)?;
            child.flush(Wait::Never).map_err(|_| Failure::ChildGone)?;
        }
        Ok(true)
    }

    /// The final head has come. What stands between the two heads is the place for a look at answers.
    fn begin(
        &mut self,
        head: &ResponseHead,
        upstream: &mut Link,
        child: &mut Link,
        request: &Request,
        is_withheld: bool,
        wait: Wait,
    ) -> Result<bool, Failure> {
        let body = response_body(head, &request.method).map_err(|error| Failure::BadResponse(error.0))?;
        let ends_at_close = body == BodyLength::UntilClose;
        // HTTP/1.0 knows no chunks: the end of the connection ends the body.
        let framing = match body {
            BodyLength::Chunked if request.version == Version::Http10 => BodyLength::UntilClose,
            other => other,
        };
        self.status = head.status;
        self.keeps_upstream = head.keeps_alive() && !ends_at_close;
        self.keeps_child = request.wants_keep_alive && framing != BodyLength::UntilClose && !is_withheld;
        self.state = State::Body { decoder: BodyDecoder::new(body), encoding: Encoding::of(framing) };
        let bytes = response_for_child(head, framing, !self.keeps_child).to_bytes();
        self.body(upstream, child, request, &bytes, wait)
    }

    fn body(
        &mut self,
        upstream: &mut Link,
        child: &mut Link,
        request: &Request,
        mut prefix: &[u8],
        wait: Wait,
    ) -> Result<bool, Failure> {
        let mut queued = prefix.len();
        loop {
            let Some(step) = self.relay(upstream, child, request, prefix)? else { return Ok(true) };
            prefix = &[];
            queued += step.data;
            if queued >= BATCH_BYTES {
                return Ok(true);
            }
            if step.has_more {
                continue;
            }
            if !upstream.has_raw() && (!self.is_ready || queued > 0) {
                return Ok(queued > 0); // what there is goes out before more is waited for
            }
            match self.receive(upstream, wait) {
                Some(true) => {}
                Some(false) => return Ok(queued > 0),
                None => return Ok(true),
            }
        }
    }

    /// Queues one piece, `prefix` first. `None`: the answer is over.
    fn relay(
        &mut self,
        upstream: &mut Link,
        child: &mut Link,
        request: &Request,
        prefix: &[u8],
    ) -> Result<Option<relay::Step>, Failure> {
        let State::Body { decoder, encoding } = &mut self.state else { return Ok(None) };
        let mut step = match relay::step(upstream, child, decoder, *encoding, prefix) {
            Ok(step) => step,
            Err(Trouble::Output) => return Err(Failure::ChildGone),
            Err(Trouble::Framing(error)) if !prefix.is_empty() => {
                self.state = State::Head; // nothing of it went out yet
                return Err(Failure::BadResponse(error.0));
            }
            Err(Trouble::Framing(_)) => {
                self.fail();
                return Ok(None);
            }
        };
        self.bytes += step.data as u64;
        if self.bytes > RELAY_BUFFER_BYTES as u64 {
            upstream.expect_bulk();
        }
        let Some(mut trailers) = step.end.take() else { return Ok(Some(step)) };
        clean_trailers(&mut trailers, &request.secret_names);
        relay::finish(child, *encoding, &trailers).map_err(|_| Failure::ChildGone)?;
        self.state = State::Complete;
        self.keeps_upstream &= upstream.peek().is_empty(); // whatever it sends now answers nothing
        Ok(None)
    }

    /// Whether the upstream sent more. `None`: the answer is over.
    fn receive(&mut self, upstream: &mut Link, wait: Wait) -> Option<bool> {
        match upstream.receive_more(wait) {
            Ok(Received::Data) => return Some(true),
            Ok(Received::Nothing) => {
                self.is_ready = false;
                return Some(false);
            }
            Ok(Received::End) if self.ends_here() && upstream.ending() == Some(Ending::Clean) => {
                self.state = State::Complete;
            }
            Ok(Received::End) | Err(_) => self.fail(),
        }
        None
    }

    fn ends_here(&self) -> bool {
        matches!(&self.state, State::Body { decoder, .. } if decoder.ends_at_close())
    }

    /// The answer is over, the request is not: notices the upstream closing. Whether something was noticed.
    fn after(&mut self, upstream: &mut Link) -> bool {
        if !self.keeps_upstream && upstream.ending().is_some() {
            return false;
        }
        match upstream.receive(Wait::Never) {
            Ok(Received::Nothing) => {
                self.is_ready = false;
                false
            }
            Ok(Received::Data | Received::End) | Err(_) => {
                let was_kept = self.keeps_upstream;
                self.keeps_upstream = false;
                was_kept
            }
        }
    }
}

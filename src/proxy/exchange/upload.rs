//! The request's body on its way upstream.

use super::{Failure, Request};
use crate::http1::{BodyDecoder, BodyLength};
use crate::limits::{BATCH_BYTES, RELAY_BUFFER_BYTES};
use crate::proxy::headers::clean_trailers;
use crate::proxy::link::{Link, Received, Wait};
use crate::proxy::relay::{self, Encoding, Tape, Trouble};

pub(super) struct Upload {
    decoder: BodyDecoder,
    encoding: Encoding,
    tape: Tape,
    state: State,
    bytes: u64,
    /// Whether the child was used at all.
    is_untouched: bool,
    /// Whether the child's socket may have something.
    pub(super) is_ready: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// On its way.
    Flowing,
    /// The upstream wants no more of it. It is read to its end all the same, so that the child gets to the answer.
    Discarding,
    /// Read to its end.
    Complete,
    /// The child's part in it is over without an end.
    Abandoned,
}

impl Upload {
    /// `is_kept`: the body may have to be sent again.
    pub(super) fn new(body: BodyLength, is_kept: bool) -> Self {
        Self {
            decoder: BodyDecoder::new(body),
            encoding: Encoding::of(body),
            tape: Tape::new(body, is_kept),
            state: State::Flowing,
            bytes: 0,
            is_untouched: true,
            is_ready: false,
        }
    }

    /// Whether nothing more comes from the child.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.state, State::Complete | State::Abandoned)
    }

    /// Whether the child's body was read to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Whether the body was read to its end and can be sent again.
    pub(super) fn is_kept(&self) -> bool {
        self.is_complete() && self.tape.is_whole()
    }

    /// The body with its framing, to be sent again.
    pub(super) fn into_kept(self) -> Vec<u8> {
        self.tape.into_bytes(self.encoding).unwrap_or_default()
    }

    pub(super) fn is_discarding(&self) -> bool {
        self.state == State::Discarding
    }

    /// Whether no byte of a body that is due has come.
    pub(super) fn is_untouched(&self) -> bool {
        self.is_untouched && !self.is_over()
    }

    /// Bytes of body that went upstream.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Stops sending.
    pub(super) fn discard(&mut self) {
        if self.state == State::Flowing {
            self.state = State::Discarding;
        }
    }

    /// Stops reading.
    pub(super) fn abandon(&mut self) {
        if !self.is_over() {
            self.state = State::Abandoned;
        }
    }

    /// Queues what the child has sent, `prefix` first. Whether anything moved.
    pub(super) fn step(
        &mut self,
        child: &mut Link,
        upstream: &mut Link,
        request: &Request,
        prefix: &[u8],
    ) -> Result<bool, Failure> {
        match self.state {
            State::Flowing => self.relay(child, upstream, request, prefix),
            State::Discarding => self.drop_piece(child),
            State::Complete | State::Abandoned => Ok(false),
        }
    }

    fn relay(
        &mut self,
        child: &mut Link,
        upstream: &mut Link,
        request: &Request,
        mut prefix: &[u8],
    ) -> Result<bool, Failure> {
        let mut queued = prefix.len();
        loop {
            let is_empty = child.peek().is_empty();
            let step = match relay::step(
                child,
                upstream,
                &mut self.decoder,
                self.encoding,
                None,
                Some(&mut self.tape),
                prefix,
            ) {
                Ok(step) => step,
                Err(Trouble::Framing(error)) => return Err(Failure::BadRequest(error.0)),
                Err(Trouble::Output) => return Err(Failure::NoResponse),
            };
            prefix = &[];
            self.is_untouched &= is_empty;
            self.bytes += step.data as u64;
            queued += step.data;
            if let Some(mut trailers) = step.end {
                clean_trailers(&mut trailers, &request.secret_names);
                if !trailers.is_empty() {
                    self.tape.spoil();
                }
                relay::finish(upstream, self.encoding, &trailers).map_err(|_| Failure::NoResponse)?;
                self.state = State::Complete;
                return Ok(true);
            }
            if self.bytes > RELAY_BUFFER_BYTES as u64 {
                child.expect_bulk();
            }
            if queued >= BATCH_BYTES {
                return Ok(true);
            }
            let may_read = child.has_raw() || (self.is_ready && queued == 0);
            let goes_on = step.has_more || (may_read && self.receive(child)?);
            if !goes_on {
                return Ok(queued > 0);
            }
        }
    }

    fn drop_piece(&mut self, child: &mut Link) -> Result<bool, Failure> {
        if relay::discard(child, &mut self.decoder).map_err(|error| Failure::BadRequest(error.0))? {
            self.state = State::Complete;
            return Ok(true);
        }
        if !self.is_ready && !child.has_raw() {
            return Ok(false);
        }
        Ok(self.receive(child).unwrap_or_else(|_| {
            self.state = State::Abandoned; // an answer may be on its way, and the child may still read
            true
        }))
    }

    /// Whether the child sent more.
    fn receive(&mut self, child: &mut Link) -> Result<bool, Failure> {
        match child.receive_more(Wait::Never) {
            Ok(Received::Data) => Ok(true),
            Ok(Received::Nothing) => {
                self.is_ready = false;
                Ok(false)
            }
            // However it ended: a body that stops in the middle must not look whole upstream.
            Ok(Received::End) | Err(_) => Err(Failure::ChildGone),
        }
    }
}

//! The answer on its way to the child.

use super::{Failure, Request};
use crate::http1::{BodyDecoder, BodyLength, HeadError, ResponseHead, Version, response_body};
use crate::limits::{BATCH_BYTES, INTERIM_RESPONSES, RELAY_BUFFER_BYTES};
use crate::proxy::headers::{clean_trailers, is_websocket, response_for_child, upgraded_for_child};
use crate::proxy::link::{Ending, Link, Received, Wait};
use crate::proxy::redact::body::BodyFilter;
use crate::proxy::relay::{self, Encoding, Trouble};

#[allow(clippy::struct_excessive_bools)] // independent facts about one answer
pub(super) struct Download {
    state: State,
    holds_refusal: bool,
    status: u16,
    bytes: u64,
    interim: usize,
    has_continued: bool,
    keeps_child: bool,
    keeps_upstream: bool,
    is_opaque: bool,
    /// Whether the upstream's socket may have something.
    pub(super) is_ready: bool,
}

enum State {
    /// No final head yet.
    Head,
    /// A refusal of the credential, which the child is not told of yet.
    Held(Box<ResponseHead>),
    /// In the body.
    Body { decoder: BodyDecoder, encoding: Encoding, filter: Option<Box<BodyFilter>> },
    /// Through to its end.
    Complete,
    /// Begun, and cut short.
    Failed,
}

impl Download {
    /// `holds_refusal`: a 401 waits for [`Download::is_held`] to be looked at.
    pub(super) fn new(holds_refusal: bool) -> Self {
        Self {
            state: State::Head,
            holds_refusal,
            status: 0,
            bytes: 0,
            interim: 0,
            has_continued: false,
            keeps_child: false,
            keeps_upstream: false,
            is_opaque: false,
            is_ready: false,
        }
    }

    /// Whether a final head went to the child.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.state, State::Head | State::Held(_))
    }

    /// Whether a refusal of the credential is held back. The next [`Download::step`] lets it go.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.state, State::Held(_))
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

    /// Whether the body is none of those that are masked.
    pub(super) fn is_opaque(&self) -> bool {
        self.is_opaque
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
        if self.is_held()
            && let State::Held(mut head) = std::mem::replace(&mut self.state, State::Head)
        {
            return self.begin(&mut head, upstream, child, request, is_withheld, wait);
        }
        let has_more = matches!(&self.state, State::Body { filter: Some(filter), .. } if filter.has_more());
        if !self.is_ready && upstream.peek().is_empty() && !upstream.has_raw() && !has_more {
            return Ok(false);
        }
        match &self.state {
            State::Head => self.head(upstream, child, request, is_withheld, wait),
            State::Body { .. } => self.body(upstream, child, request, &[], wait),
            State::Held(_) | State::Complete | State::Failed => Ok(self.after(upstream)),
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
        let mut head = match upstream.read_response(wait) {
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
            101 => self.upgrade(&mut head, child, request),
            100..=199 => self.interim(&mut head, child, request),
            401 if self.holds_refusal => {
                self.state = State::Held(Box::new(head));
                Ok(true)
            }
            407 => Err(Failure::BadResponse("it asked for proxy credentials")),
            _ => self.begin(&mut head, upstream, child, request, is_withheld, wait),
        }
    }

    fn interim(&mut self, head: &mut ResponseHead, child: &mut Link, request: &Request) -> Result<bool, Failure> {
        self.interim += 1;
        if self.interim > INTERIM_RESPONSES {
            return Err(Failure::BadResponse("too many interim responses"));
        }
        if request.version == Version::Http11 {
            self.has_continued |= head.status == 100;
            mask_head(head, request);
            let bytes = response_for_child(head, BodyLength::None, false).to_bytes();
            child.queue(&[std::io::IoSlice::new(&bytes)]).map_err(|_| Failure::ChildGone)?;
            child.flush(Wait::Never).map_err(|_| Failure::ChildGone)?;
        }
        Ok(true)
    }

    /// The upstream goes on in another protocol. What it has sent in that stays where it is.
    fn upgrade(&mut self, head: &mut ResponseHead, child: &mut Link, request: &Request) -> Result<bool, Failure> {
        if !request.wants_upgrade || !is_websocket(&head.fields) {
            return Err(Failure::BadResponse("it switched to a protocol that nobody asked for"));
        }
        mask_head(head, request);
        let bytes = upgraded_for_child(head).to_bytes();
        child.queue(&[std::io::IoSlice::new(&bytes)]).map_err(|_| Failure::ChildGone)?;
        (self.status, self.state) = (101, State::Complete);
        Ok(true)
    }

    /// The final head has come.
    fn begin(
        &mut self,
        head: &mut ResponseHead,
        upstream: &mut Link,
        child: &mut Link,
        request: &Request,
        is_withheld: bool,
        wait: Wait,
    ) -> Result<bool, Failure> {
        let body = response_body(head, &request.method).map_err(|error| Failure::BadResponse(error.0))?;
        let ends_at_close = body == BodyLength::UntilClose;
        let filter = match &request.redaction {
            Some(redaction) if body != BodyLength::None => redaction.filter(head).map_err(Failure::Withheld)?,
            Some(_) | None => None,
        };
        self.is_opaque = request.redaction.is_some() && body != BodyLength::None && filter.is_none();
        let is_longer = filter.as_ref().is_some_and(BodyFilter::changes_length);
        let framing = if is_longer { BodyLength::Chunked } else { body };
        // HTTP/1.0 knows no chunks: the end of the connection ends the body.
        let framing = match framing {
            BodyLength::Chunked if request.version == Version::Http10 => BodyLength::UntilClose,
            other => other,
        };
        self.status = head.status;
        self.keeps_upstream = head.keeps_alive() && !ends_at_close;
        self.keeps_child = request.wants_keep_alive && framing != BodyLength::UntilClose && !is_withheld;
        self.state = State::Body {
            decoder: BodyDecoder::new(body),
            encoding: Encoding::of(framing),
            filter: filter.map(Box::new),
        };
        mask_head(head, request);
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
            match self.receive(upstream, child, wait)? {
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
        let State::Body { decoder, encoding, filter } = &mut self.state else { return Ok(None) };
        let mut step = match relay::step(upstream, child, decoder, *encoding, filter.as_deref_mut(), None, prefix) {
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
        if let Some(redaction) = &request.redaction {
            redaction.mask_fields(&mut trailers);
        }
        relay::finish(child, *encoding, &trailers).map_err(|_| Failure::ChildGone)?;
        self.state = State::Complete;
        self.keeps_upstream &= upstream.peek().is_empty(); // whatever it sends now answers nothing
        Ok(None)
    }

    /// Whether the upstream sent more. `None`: the answer is over.
    fn receive(&mut self, upstream: &mut Link, child: &mut Link, wait: Wait) -> Result<Option<bool>, Failure> {
        match upstream.receive_more(wait) {
            Ok(Received::Data) => return Ok(Some(true)),
            Ok(Received::Nothing) => {
                self.is_ready = false;
                return Ok(Some(false));
            }
            Ok(Received::End) if self.ends_here() && upstream.ending() == Some(Ending::Clean) => self.close(child)?,
            Ok(Received::End) | Err(_) => self.fail(),
        }
        Ok(None)
    }

    /// The end of the connection is the end of the body.
    fn close(&mut self, child: &mut Link) -> Result<(), Failure> {
        if let State::Body { encoding, filter: Some(filter), .. } = &mut self.state {
            match relay::flush(child, *encoding, filter) {
                Ok(()) => {}
                Err(Trouble::Output) => return Err(Failure::ChildGone),
                Err(Trouble::Framing(_)) => {
                    self.fail();
                    return Ok(());
                }
            }
        }
        self.state = State::Complete;
        Ok(())
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

/// What an API repeats in its head.
fn mask_head(head: &mut ResponseHead, request: &Request) {
    if let Some(redaction) = &request.redaction {
        redaction.mask_head(head);
    }
}

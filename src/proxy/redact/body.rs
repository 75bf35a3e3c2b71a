//! [`BodyFilter`]: the body of one answer, its compression undone, masked.

use std::ops::Range;
use std::sync::Arc;

use super::inflate::{Coding, Inflater};
use super::{Redaction, Redactor};
use crate::http1::BodyError;

pub(in crate::proxy) struct BodyFilter {
    inflater: Option<Inflater>,
    redactor: Redactor,
    /// More may come out without more input.
    has_more: bool,
}

impl BodyFilter {
    /// For a body in `coding`.
    pub(super) fn new(redaction: Arc<Redaction>, coding: Option<Coding>) -> Self {
        Self { inflater: coding.map(Inflater::new), redactor: Redactor::new(redaction), has_more: false }
    }

    /// Whether a compression is undone.
    pub(in crate::proxy) fn changes_length(&self) -> bool {
        self.inflater.is_some()
    }

    /// Takes the parts of `input` that `spans` names; none, while [`BodyFilter::has_more`]. What may go on now.
    /// `is_last`: nothing follows.
    ///
    /// # Errors
    /// A body that is not what its coding says.
    pub(in crate::proxy) fn push<'a>(
        &'a mut self,
        input: &'a [u8],
        spans: &[Range<usize>],
        is_last: bool,
    ) -> Result<&'a [u8], BodyError> {
        let Some(inflater) = &mut self.inflater else { return Ok(self.redactor.push(input, spans, is_last)) };
        if !spans.is_empty() {
            inflater.feed(input, spans);
        }
        let piece = inflater.next_piece(is_last)?;
        self.has_more = !piece.is_empty();
        Ok(self.redactor.push(piece, std::slice::from_ref(&(0..piece.len())), is_last && !self.has_more))
    }

    /// Whether the next piece is to be asked for before more is given: what comes out may be a thousand times as much as
    /// what went in.
    pub(in crate::proxy) fn has_more(&self) -> bool {
        self.has_more
    }
}

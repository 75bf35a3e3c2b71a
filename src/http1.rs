//! Strict HTTP/1.1 (RFC 9112): heads, and the framing of bodies, over any stream. One implementation with two users,
//! the daemon's gate and the proxy.
//!
//! It reads only what is unambiguous: whatever two implementations could take differently (bare CR or LF, folded
//! lines, two lengths, `Transfer-Encoding` beside `Content-Length`) is an error, because a disagreement is how
//! requests are smuggled. Heads are rebuilt from what was parsed, never passed through.

mod body;
mod fields;
mod head;
mod stream;

pub use body::{BodyDecoder, BodyError, BodyLength, Piece, encode_chunk_head, request_body, response_body};
pub use fields::{Fields, is_token, is_valid_value};
pub use head::{HeadError, RequestHead, ResponseHead, Version, read_request, read_response};
pub use stream::{Buffered, Deadline, SetTimeouts};

//! gzip (RFC 1952) and deflate (RFC 9110 section 8.4.1.2), undone as they come, in constant memory.

use std::ops::Range;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_PARSE_ZLIB_HEADER};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use crate::http1::BodyError;
use crate::limits::GZIP_HEAD_BYTES;

/// How far back deflate refers (RFC 1951 section 2).
const WINDOW_BYTES: usize = 32 * 1024;

const DAMAGED: BodyError = BodyError("its compressed body is damaged");

/// A compression that we undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    /// As it should be, in zlib's format (RFC 1950), or bare, as some servers send it.
    Deflate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Before the first byte.
    Start,
    /// In a head.
    Head,
    Data,
    /// In the check sums of a gzip member.
    Sums,
    /// Behind a gzip member. Another may follow (RFC 1952 section 2.2).
    Between,
    /// Behind the end. What comes is no part of the body, and ignored as others do it.
    End,
}

/// Undoes the compression of one body.
pub(super) struct Inflater {
    coding: Coding,
    stage: Stage,
    state: Box<DecompressorOxide>,
    flags: u32,
    /// The last of what came out, in a circle.
    window: Box<[u8]>,
    position: usize,
    /// What was fed; `used` of it is used up.
    input: Vec<u8>,
    used: usize,
    sums: Sums,
}

/// Check sum and length, as a gzip member ends with them.
struct Sums {
    /// Inverted.
    crc: u32,
    length: u32,
}

impl Inflater {
    pub(super) fn new(coding: Coding) -> Self {
        Self {
            coding,
            stage: Stage::Start,
            state: Box::default(),
            flags: 0,
            window: vec![0; WINDOW_BYTES].into(),
            position: 0,
            input: Vec::new(),
            used: 0,
            sums: Sums::new(),
        }
    }

    /// Takes compressed bytes. Everything before must have been asked for.
    pub(super) fn feed(&mut self, input: &[u8], spans: &[Range<usize>]) {
        self.input.drain(..std::mem::take(&mut self.used));
        for span in spans {
            self.input.extend_from_slice(&input[span.clone()]);
        }
    }

    /// The next of what comes out, [`WINDOW_BYTES`] at most. Empty: there is no more without more input. `is_last`: none
    /// follows.
    pub(super) fn next_piece(&mut self, is_last: bool) -> Result<&[u8], BodyError> {
        let mut piece = 0..0;
        while piece.is_empty() && self.advance(&mut piece)? {}
        if piece.is_empty() && is_last && !matches!(self.stage, Stage::Start | Stage::Between | Stage::End) {
            return Err(BodyError("its compressed body ended early"));
        }
        Ok(&self.window[piece])
    }

    /// Goes on by one stage, or by one piece. Whether that was possible.
    fn advance(&mut self, piece: &mut Range<usize>) -> Result<bool, BodyError> {
        let input = &self.input[self.used..];
        match self.stage {
            Stage::Start | Stage::Between if input.is_empty() => return Ok(false),
            Stage::Between if input[0] != MAGIC[0] => self.stage = Stage::End,
            Stage::Start | Stage::Between => self.stage = Stage::Head,
            Stage::Head => {
                let Some(length) = self.read_head()? else { return Ok(false) };
                self.used += length;
                self.state.init();
                self.sums = Sums::new();
                self.stage = Stage::Data;
            }
            Stage::Data => return self.inflate(piece),
            Stage::Sums => {
                let Some(sums) = input.first_chunk::<8>() else { return Ok(false) };
                if *sums != self.sums.to_bytes() {
                    return Err(DAMAGED);
                }
                self.used += sums.len();
                self.stage = Stage::Between;
            }
            Stage::End => {
                self.used = self.input.len();
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn inflate(&mut self, piece: &mut Range<usize>) -> Result<bool, BodyError> {
        let (input, flags) = (&self.input[self.used..], self.flags | TINFL_FLAG_HAS_MORE_INPUT);
        let (status, used, count) = decompress(&mut self.state, input, &mut self.window, self.position, flags);
        *piece = self.position..self.position + count;
        self.used += used;
        self.position = piece.end % WINDOW_BYTES;
        match status {
            TINFLStatus::Done | TINFLStatus::HasMoreOutput | TINFLStatus::NeedsMoreInput => {}
            _ => return Err(DAMAGED),
        }
        match self.coding {
            Coding::Gzip => {
                self.sums.add(&self.window[piece.clone()]);
                if status == TINFLStatus::Done {
                    self.stage = Stage::Sums;
                }
            }
            Coding::Deflate if status == TINFLStatus::Done => self.stage = Stage::End,
            Coding::Deflate => {}
        }
        Ok(status != TINFLStatus::NeedsMoreInput)
    }

    /// Length of the head; `None`: it is not there yet.
    fn read_head(&mut self) -> Result<Option<usize>, BodyError> {
        let input = &self.input[self.used..];
        let length = match self.coding {
            Coding::Gzip => gzip_head(input)?,
            Coding::Deflate => input.first_chunk().map(|[method, check]| {
                let is_zlib = method & 0x8f == 8 && u16::from_be_bytes([*method, *check]) % 31 == 0;
                self.flags = if is_zlib { TINFL_FLAG_PARSE_ZLIB_HEADER } else { 0 };
                0
            }),
        };
        if length.is_none() && input.len() > GZIP_HEAD_BYTES {
            return Err(DAMAGED);
        }
        Ok(length)
    }
}

/// The first two bytes of a gzip member.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Length of a member's head (RFC 1952 section 2.3); `None`: it is not all there.
fn gzip_head(input: &[u8]) -> Result<Option<usize>, BodyError> {
    const DEFLATE: u8 = 8;
    const HEAD_SUM: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const RESERVED: u8 = 0xe0;
    let Some([first, second, method, flags, ..]) = input.first_chunk::<10>() else { return Ok(None) };
    if [*first, *second] != MAGIC || *method != DEFLATE || flags & RESERVED != 0 {
        return Err(DAMAGED);
    }
    let mut length = 10;
    if flags & EXTRA != 0 {
        let Some([low, high]) = input[length..].first_chunk() else { return Ok(None) };
        length += 2 + usize::from(u16::from_le_bytes([*low, *high]));
    }
    for _ in 0..(flags & NAME).count_ones() + (flags & COMMENT).count_ones() {
        let rest = input.get(length..).unwrap_or_default();
        let Some(end) = memchr::memchr(0, rest) else { return Ok(None) };
        length += end + 1;
    }
    if flags & HEAD_SUM != 0 {
        length += 2;
    }
    Ok((length <= input.len()).then_some(length))
}

impl Sums {
    fn new() -> Self {
        Self { crc: !0, length: 0 }
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.length = self.length.wrapping_add(1);
            let [low, ..] = self.crc.to_le_bytes();
            self.crc = CRC_TABLE[usize::from(low ^ byte)] ^ (self.crc >> 8);
        }
    }

    fn to_bytes(&self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&(!self.crc).to_le_bytes());
        bytes[4..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }
}

/// RFC 1952 section 8.
const CRC_TABLE: [u32; 256] = {
    let (mut table, mut byte, mut index) = ([0; 256], 0, 0);
    while index < table.len() {
        let (mut value, mut bit): (u32, _) = (byte, 0);
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        (byte, index) = (byte + 1, index + 1);
    }
    table
};

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};

    use super::*;

    fn gzip(data: &[u8], flags: u8, extra: &[u8]) -> Vec<u8> {
        let mut sums = Sums::new();
        sums.add(data);
        let head = [0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 255];
        [&head, extra, &compress_to_vec(data, 6), &sums.to_bytes()].concat()
    }

    /// Fed `step` bytes at a time.
    fn inflate(coding: Coding, input: &[u8], step: usize) -> Result<Vec<u8>, BodyError> {
        let (mut inflater, mut out) = (Inflater::new(coding), Vec::new());
        for piece in input.chunks(step) {
            inflater.feed(piece, std::slice::from_ref(&(0..piece.len())));
            loop {
                let piece = inflater.next_piece(false)?;
                if piece.is_empty() {
                    break;
                }
                out.extend_from_slice(piece);
            }
        }
        inflater.next_piece(true).map(|_| out)
    }

    fn text() -> Vec<u8> {
        (0..20_000).flat_map(|number: u32| format!("{{\"n\": {}}},", number * number).into_bytes()).collect()
    }

    #[test]
    fn the_check_sum_is_the_usual_one() {
        let mut sums = Sums::new();
        sums.add(b"1234");
        sums.add(b"56789");
        assert_eq!((!sums.crc, sums.length), (0xcbf4_3926, 9));
    }

    #[test]
    fn every_format_comes_out_whole_in_any_pieces() {
        let text = text();
        let zeros = vec![0; 3_000_000];
        for data in [&b""[..], b"a", &text, &zeros] {
            for (coding, input) in [
                (Coding::Gzip, gzip(data, 0, b"")),
                (Coding::Gzip, gzip(data, 2 | 4 | 8 | 16, b"\x03\x00abcname\0comment\0ss")),
                (Coding::Deflate, compress_to_vec_zlib(data, 6)),
                (Coding::Deflate, compress_to_vec(data, 6)),
            ] {
                for step in [1, 7, 1000, input.len()] {
                    assert!(inflate(coding, &input, step).expect("inflates") == data, "{coding:?} {step}");
                }
            }
        }
    }

    #[test]
    fn members_follow_each_other_and_what_is_none_is_ignored() {
        let input = [gzip(b"one ", 0, b""), gzip(b"two", 0, b""), b"\0\0garbage\x1f".to_vec()].concat();
        for step in [1, 5, input.len()] {
            assert_eq!(inflate(Coding::Gzip, &input, step), Ok(b"one two".to_vec()), "{step}");
        }
        assert_eq!(inflate(Coding::Gzip, b"", 1), Ok(Vec::new()), "no body at all");
    }

    #[test]
    fn what_is_cut_short_or_damaged_is_noticed() {
        let text = text();
        let whole = gzip(&text, 0, b"");
        for cut in [1, 9, 10, 500, whole.len() - 8, whole.len() - 1] {
            assert!(inflate(Coding::Gzip, &whole[..cut], 64).is_err(), "{cut}");
        }
        for at in [0, 1, 2, 3, whole.len() - 8, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            assert_eq!(inflate(Coding::Gzip, &damaged, 64), Err(DAMAGED), "{at}");
        }
        let mut zlib = compress_to_vec_zlib(&text, 6);
        assert!(inflate(Coding::Deflate, &zlib[..zlib.len() - 1], 64).is_err());
        *zlib.last_mut().expect("not empty") ^= 1;
        assert!(inflate(Coding::Deflate, &zlib, 64).is_err());
        assert!(inflate(Coding::Gzip, &gzip(b"a", 8, &vec![b'n'; GZIP_HEAD_BYTES]), 64).is_err(), "a name without end");
    }

    #[test]
    fn what_was_flushed_comes_out_at_once() {
        use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, compress_to_output};
        let mut compressor = CompressorOxide::default(); // zlib's format
        let mut inflater = Inflater::new(Coding::Deflate);
        for event in ["data: one\n\n", "data: two\n\n"] {
            let mut sent = Vec::new();
            compress_to_output(&mut compressor, event.as_bytes(), TDEFLFlush::Sync, |bytes| {
                sent.extend_from_slice(bytes);
                true
            });
            inflater.feed(&sent, std::slice::from_ref(&(0..sent.len())));
            assert_eq!(inflater.next_piece(false), Ok(event.as_bytes()));
            assert_eq!(inflater.next_piece(false), Ok(&b""[..]));
        }
    }
}

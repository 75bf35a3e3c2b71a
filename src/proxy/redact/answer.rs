//! Answers to requests that carried a credential: what becomes of their bodies, and their heads masked.

use std::sync::Arc;

use super::Redaction;
use super::body::BodyFilter;
use super::inflate::Coding;
use crate::http1::{Fields, ResponseHead};

/// Fields about a body as it was compressed.
const ABOUT_COMPRESSED: [&str; 5] = ["content-encoding", "content-md5", "content-digest", "repr-digest", "digest"];

/// What becomes of the body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
enum Treatment {
    /// It is masked.
    Mask,
    /// Its compression is undone, and it is masked.
    Inflate(Coding),
    /// It passes unlooked at, which is recorded: it is no text, and compressed in a way that is not undone here.
    Pass,
    /// It is withheld.
    Withhold(Withheld),
}

/// Why an answer is withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Withheld {
    /// A part of a text: a secret could be had in pieces.
    Part,
    /// A text in a compression that is not undone here, although none was asked for.
    Coding,
}

/// Decides on the body behind `head`.
fn treat(head: &ResponseHead) -> Treatment {
    let fields = &head.fields;
    let codings = fields.tokens("content-encoding").filter(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    let codings: Vec<String> = codings.map(|coding| String::from_utf8_lossy(coding).to_ascii_lowercase()).collect();
    let codings: Vec<&str> = codings.iter().map(String::as_str).collect();
    match (head.status == 206, codings.as_slice()) {
        (true, _) if is_text(fields) => Treatment::Withhold(Withheld::Part),
        (_, []) => Treatment::Mask,
        (false, ["gzip" | "x-gzip"]) => Treatment::Inflate(Coding::Gzip),
        (false, ["deflate"]) => Treatment::Inflate(Coding::Deflate),
        (false, _) if is_text(fields) => Treatment::Withhold(Withheld::Coding),
        (true | false, _) => Treatment::Pass,
    }
}

/// Whether the type is one of texts, or one of several parts, which may be texts. So is what has no type.
fn is_text(fields: &Fields) -> bool {
    let mut types = fields.all("content-type").peekable();
    types.peek().is_none() || types.any(|value| is_text_type(&String::from_utf8_lossy(value).to_ascii_lowercase()))
}

fn is_text_type(value: &str) -> bool {
    const TEXTS: [&str; 14] = [
        "json",
        "jsonl",
        "x-ndjson",
        "ndjson",
        "json-seq",
        "xml",
        "xml-dtd",
        "yaml",
        "x-yaml",
        "javascript",
        "x-javascript",
        "ecmascript",
        "graphql",
        "x-www-form-urlencoded",
    ];
    let media_type = value.split(';').next().unwrap_or_default().trim();
    let Some((kind, subtype)) = media_type.split_once('/') else { return true };
    let suffix = subtype.rsplit_once('+').map_or(subtype, |(_, suffix)| suffix);
    matches!(kind, "text" | "multipart" | "message") || TEXTS.contains(&suffix)
}

impl Redaction {
    /// What the body behind `head` goes through; `None`: nothing, although there are secrets to be masked. Where it undoes
    /// a compression, `head` does not speak of that any more.
    ///
    /// # Errors
    /// The answer is not to be passed on.
    pub(in crate::proxy) fn filter(self: &Arc<Self>, head: &mut ResponseHead) -> Result<Option<BodyFilter>, Withheld> {
        let coding = match treat(head) {
            Treatment::Mask => None,
            Treatment::Inflate(coding) => {
                for name in ABOUT_COMPRESSED {
                    head.fields.remove(name);
                }
                Some(coding)
            }
            Treatment::Pass => return Ok(None),
            Treatment::Withhold(why) => return Err(why),
        };
        Ok(Some(BodyFilter::new(Arc::clone(self), coding)))
    }

    /// Masks what the fields and the reason of `head` say. Framing is not touched: it is read, checked and made anew.
    pub(in crate::proxy) fn mask_head(&self, head: &mut ResponseHead) {
        if self.patterns().is_in(head.reason.as_bytes()) {
            head.reason.clear();
        }
        self.mask_fields(&mut head.fields);
    }

    /// Masks values; a field whose name has a secret in it goes.
    pub(in crate::proxy) fn mask_fields(&self, fields: &mut Fields) {
        let patterns = self.patterns();
        fields.retain(|name, _| !patterns.is_in(name.as_bytes()));
        for (_, value) in fields.iter_mut().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")) {
            patterns.mask(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Version;

    fn head(status: u16, lines: &[(&str, &str)]) -> ResponseHead {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.push(*name, *value);
        }
        ResponseHead { status, reason: "OK".to_owned(), version: Version::Http11, fields }
    }

    #[test]
    fn bodies_are_treated_by_status_type_and_coding() {
        const PART: Treatment = Treatment::Withhold(Withheld::Part);
        const CODING: Treatment = Treatment::Withhold(Withheld::Coding);
        const GZIP: Treatment = Treatment::Inflate(Coding::Gzip);
        let json = "application/json; charset=utf-8";
        for (status, media_type, coding, expected) in [
            (200, json, "", Treatment::Mask),
            (200, "image/png", "", Treatment::Mask),
            (200, "", "", Treatment::Mask),
            (200, json, "identity", Treatment::Mask),
            (200, json, "GZip", GZIP),
            (200, "image/png", "x-gzip", GZIP),
            (404, json, "identity, gzip", GZIP),
            (200, json, "deflate", Treatment::Inflate(Coding::Deflate)),
            (200, json, "br", CODING),
            (200, json, "gzip, gzip", CODING),
            (200, "", "zstd", CODING),
            (200, "image/png", "br", Treatment::Pass),
            (200, "application/octet-stream", "gzip, br", Treatment::Pass),
            (206, json, "", PART),
            (206, json, "gzip", PART),
            (206, "", "", PART),
            (206, "text/plain", "br", PART),
            (206, "multipart/byteranges; boundary=x", "", PART),
            (206, "image/svg+xml", "", PART),
            (206, "application/x-www-form-urlencoded", "", PART),
            (206, "application/zip", "", Treatment::Mask),
            (206, "application/zip", "gzip", Treatment::Pass),
            (206, "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "", Treatment::Mask),
        ] {
            let lines = [("Content-Type", media_type), ("Content-Encoding", coding)];
            let lines: Vec<_> = lines.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            assert_eq!(treat(&head(status, &lines)), expected, "{status} {media_type} {coding}");
        }
        let two = head(206, &[("content-type", "image/png"), ("content-type", "text/html")]);
        assert_eq!(treat(&two), PART, "whichever the client believes");
        let two = head(200, &[("content-encoding", "gzip"), ("content-type", "text/html"), ("content-encoding", "br")]);
        assert_eq!(treat(&two), CODING);
    }
}

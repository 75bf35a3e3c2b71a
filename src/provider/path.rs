//! Request paths as another program may read them: whether a prefix comparison on the raw text can be trusted, and
//! whether two paths could name the same endpoint.

use std::fmt;

/// Rounds of percent-decoding after which a path counts as hostile. Real clients encode once, sloppy ones twice.
const DECODE_ROUNDS: usize = 4;

/// Why no path prefix can be compared with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    /// It does not start with `/`.
    NotAbsolute,
    /// A `.` or `..` segment, plain or encoded, anywhere: it could climb out of the prefix.
    DotSegment,
    /// An encoded letter, digit, dot, slash, backslash, percent sign or control where the prefix is compared.
    Encoded,
    /// A percent sign that starts no escape.
    BadEscape,
    /// `//` where the prefix is compared.
    EmptySegment,
    /// A backslash, which some servers read as a slash.
    Backslash,
    /// A `;`, which some servers cut off with what follows.
    Parameter,
    /// A `#`, which no request path has, anywhere.
    Fragment,
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "the path does not start with a slash",
            Self::DotSegment => "the path has a dot segment",
            Self::Encoded => "the start of the path has characters that are percent-encoded without need",
            Self::BadEscape => "the path has a bad percent escape",
            Self::EmptySegment => "the start of the path has an empty segment",
            Self::Backslash => "the start of the path has a backslash",
            Self::Parameter => "the start of the path has a semicolon",
            Self::Fragment => "the path has a number sign",
        })
    }
}

/// The path of an origin-form request target.
pub(super) fn path_of(path_query: &str) -> &str {
    path_query.split('?').next().unwrap_or_default()
}

/// Whether the first `region` segments of `path` mean what they say, and nothing behind them climbs back into them.
/// With an empty region there is nothing to compare, so nothing to judge but the leading slash.
pub(super) fn judge(path: &str, region: usize) -> Result<(), PathFault> {
    let rest = path.strip_prefix('/').ok_or(PathFault::NotAbsolute)?;
    if region == 0 {
        return Ok(());
    }
    if path.contains('#') {
        return Err(PathFault::Fragment);
    }
    let mut segments = rest.split('/').enumerate().peekable();
    while let Some((index, segment)) = segments.next() {
        if is_dots_in_disguise(segment) {
            return Err(PathFault::DotSegment);
        }
        if index < region {
            if segment.is_empty() && segments.peek().is_some() {
                return Err(PathFault::EmptySegment);
            }
            judge_segment(segment)?;
        }
    }
    Ok(())
}

/// The decoded segments of a request target's path, all of which have to mean what they say. A slash at its end counts for
/// nothing: many servers do not mind it.
///
/// # Errors
/// What cannot be compared.
pub fn plain_segments(path_query: &str) -> Result<Vec<Vec<u8>>, PathFault> {
    let path = path_of(path_query);
    judge(path, usize::MAX)?;
    let mut segments: Vec<_> = path.split('/').skip(1).map(|segment| decode_once(segment.as_bytes())).collect();
    segments.pop_if(|last| last.is_empty());
    Ok(segments)
}

/// Whether any segment of `path` is `.` or `..`, plain or in disguise.
pub(super) fn has_dots(path: &str) -> bool {
    path.split('/').any(is_dots_in_disguise)
}

/// Whether `path` starts with the whole segments of `prefix`.
pub(super) fn starts_with(path: &str, prefix: &[String]) -> bool {
    let mut segments = path.strip_prefix('/').unwrap_or_default().split('/');
    prefix.iter().all(|wanted| segments.next() == Some(wanted))
}

/// The segments that a lenient server could see in `path`: without case, escapes, dot segments, parameters, empty
/// segments and trailing slashes.
pub(super) fn lenient_segments(path: &str) -> Vec<String> {
    let decoded = decode_fully(path).unwrap_or_default();
    let decoded = decoded.split(|byte| b"?#".contains(byte)).next().unwrap_or_default();
    let mut segments: Vec<String> = Vec::new();
    for piece in decoded.split(|byte| b"/\\".contains(byte)) {
        match without_parameters(piece) {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            name => segments.push(String::from_utf8_lossy(name).to_ascii_lowercase()),
        }
    }
    segments
}

/// Whether a request could reach an endpoint, both as [`lenient_segments`]. A segment `{...}` of the endpoint stands
/// for any one segment. Errs on the side of yes.
pub(super) fn could_reach(request: &[String], endpoint: &[String]) -> bool {
    let is_any = |segment: &str| segment.starts_with('{') && segment.ends_with('}');
    request.len() == endpoint.len() && request.iter().zip(endpoint).all(|(have, want)| have == want || is_any(want))
}

fn judge_segment(segment: &str) -> Result<(), PathFault> {
    if segment.ends_with("%20") {
        return Err(PathFault::Encoded); // some servers cut spaces off the end of a name
    }
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => return Err(PathFault::Backslash),
            b';' => return Err(PathFault::Parameter),
            b'%' => {
                let pair = [bytes.next().unwrap_or_default(), bytes.next().unwrap_or_default()];
                let decoded = hex_pair(pair).ok_or(PathFault::BadEscape)?;
                if is_suspicious_escape(decoded) {
                    return Err(PathFault::Encoded);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// RFC 3986 section 2.3: an encoded unreserved character is the same URL as the plain one, so a raw comparison would
/// miss it. Delimiters and a second encoding are read differently by different servers.
fn is_suspicious_escape(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte.is_ascii_control() || b"-._~/\\;%#?".contains(&byte)
}

/// Whether a segment is, or decodes to a path that holds, `.` or `..`.
fn is_dots_in_disguise(segment: &str) -> bool {
    if !segment.bytes().any(|byte| b"%\\;".contains(&byte)) {
        return segment == "." || segment == "..";
    }
    let Some(decoded) = decode_fully(segment) else { return true };
    decoded.split(|byte| b"/\\".contains(byte)).any(|piece| matches!(without_parameters(piece), b"." | b".."))
}

/// What is left of a segment when a server cuts at `;`, `?` or `#` and drops control characters and spaces at its end.
fn without_parameters(segment: &[u8]) -> &[u8] {
    let name = segment.split(|byte| b";?#".contains(byte)).next().unwrap_or_default();
    let end = name.iter().rposition(|byte| *byte > b' ').map_or(0, |last| last + 1);
    &name[..end]
}

/// Decodes until nothing changes; `None` when [`DECODE_ROUNDS`] do not suffice.
fn decode_fully(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..DECODE_ROUNDS {
        let decoded = decode_once(&bytes);
        if decoded == bytes {
            return Some(bytes);
        }
        bytes = decoded;
    }
    None
}

fn decode_once(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        let escape = match tail {
            [high, low, ..] if first == b'%' => hex_pair([*high, *low]),
            _ => None,
        };
        decoded.push(escape.unwrap_or(first));
        rest = if escape.is_some() { &tail[2..] } else { tail };
    }
    decoded
}

fn hex_pair(pair: [u8; 2]) -> Option<u8> {
    let digit = |byte| char::from(byte).to_digit(16);
    u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_mean_what_they_say() {
        for path in [
            "/",
            "/drive",
            "/drive/",
            "/drive/v3",
            "/drive/v3/",
            "/drive/v3/files",
            "/drive/v3//files",
            "/drive/v3/files/a%2Fb",
            "/drive/v3/a;b",
            "/drive/v3/a\\b",
            "/drive/v3/%zz",
            "/drive/v3/a..b/...",
            "/drive/v3/.well-known",
            "/v1.0/users",
            "/users/a%40b.test",
            "/a%20b/%C3%A9",
            "/x/y/%2525",
            "/a:b/c,d=(e)",
        ] {
            assert_eq!(judge(path, 2), Ok(()), "{path}");
        }
    }

    #[test]
    fn paths_in_disguise() {
        for (path, fault) in [
            ("", PathFault::NotAbsolute),
            ("*", PathFault::NotAbsolute),
            ("drive/v3", PathFault::NotAbsolute),
            ("https://x/drive", PathFault::NotAbsolute),
            ("\\drive\\v3", PathFault::NotAbsolute),
            ("//drive/v3", PathFault::EmptySegment),
            ("/drive//v3", PathFault::EmptySegment),
            ("/./drive/v3", PathFault::DotSegment),
            ("/../drive/v3", PathFault::DotSegment),
            ("/drive/v3/..", PathFault::DotSegment),
            ("/drive/v3/files/../../../gmail", PathFault::DotSegment),
            ("/drive/v3/x/%2e%2e/%2E%2E/y", PathFault::DotSegment),
            ("/drive/v3/x/.%2e/y", PathFault::DotSegment),
            ("/drive/v3/%252e%252e/y", PathFault::DotSegment),
            ("/drive/v3/%25252e%25252e/y", PathFault::DotSegment),
            ("/drive/v3/%2525252525252e/y", PathFault::DotSegment),
            ("/drive/v3/..%2f..%2fgmail", PathFault::DotSegment),
            ("/drive/v3/x%2f..%2fy", PathFault::DotSegment),
            ("/drive/v3/..%5c..%5cgmail", PathFault::DotSegment),
            ("/drive/v3/..\\..\\gmail", PathFault::DotSegment),
            ("/drive/v3/..;/..;x=1/gmail", PathFault::DotSegment),
            ("/drive/v3/..%3b/gmail", PathFault::DotSegment),
            ("/drive/v3/..%00/gmail", PathFault::DotSegment),
            ("/drive%2fv3", PathFault::Encoded),
            ("/drive%2Fv3", PathFault::Encoded),
            ("/drive%5cv3", PathFault::Encoded),
            ("/drive%252fv3", PathFault::Encoded),
            ("/%64rive/v3", PathFault::Encoded),
            ("/drive/v%33", PathFault::Encoded),
            ("/drive/v3%00", PathFault::Encoded),
            ("/drive/v3%3fx", PathFault::Encoded),
            ("/drive/v3%20", PathFault::Encoded),
            ("/dri%7Eve/v3", PathFault::Encoded),
            ("/drive\\v3", PathFault::Backslash),
            ("/drive;x=1/v3", PathFault::Parameter),
            ("/drive/v3;x", PathFault::Parameter),
            ("/drive/v3#x", PathFault::Fragment),
            ("/drive/v3/..#x", PathFault::Fragment),
            ("/drive/v3/..%23x", PathFault::DotSegment),
            ("/drive/v3/..%3fx", PathFault::DotSegment),
            ("/drive/%", PathFault::BadEscape),
            ("/drive/%2", PathFault::BadEscape),
            ("/drive/%zz", PathFault::BadEscape),
            ("/drive/%\u{e9}x", PathFault::BadEscape),
        ] {
            assert_eq!(judge(path, 2), Err(fault), "{path}");
        }
    }

    #[test]
    fn without_prefixes_there_is_nothing_to_judge() {
        for path in ["/..", "//x", "/a%2fb", "/a;b"] {
            assert_eq!(judge(path, 0), Ok(()), "{path}");
        }
        assert_eq!(judge("*", 0), Err(PathFault::NotAbsolute));
    }

    #[test]
    fn prefixes_are_whole_segments() {
        let prefix = ["drive".to_owned(), "v3".to_owned()];
        for path in ["/drive/v3", "/drive/v3/", "/drive/v3/files", "/drive/v3//"] {
            assert!(starts_with(path, &prefix), "{path}");
        }
        for path in ["/", "/drive", "/drive/", "/drive/v", "/drive/v30", "/drive/v3x/y", "/Drive/v3", "/x/drive/v3"] {
            assert!(!starts_with(path, &prefix), "{path}");
        }
    }

    #[test]
    fn endpoints_are_known_in_every_disguise() {
        let could_be = |path, endpoint| could_reach(&lenient_segments(path), &lenient_segments(endpoint));
        for path in [
            "/oauth/token",
            "/oauth/token/",
            "//oauth//token",
            "/OAuth/Token",
            "/oauth%2ftoken",
            "/oauth/%74oken",
            "/x/../oauth/token",
            "/oauth/./token",
            "/oauth/token;jsessionid=1",
            "/oauth%252ftoken",
            "\\oauth\\token",
            "/oauth/token%3fx",
            "/oauth/token%20",
            "/oauth/token#x",
        ] {
            assert!(could_be(path, "/oauth/token"), "{path}");
        }
        for path in ["/", "/oauth", "/oauth/tokens", "/oauth/token/x", "/x/oauth/token"] {
            assert!(!could_be(path, "/oauth/token"), "{path}");
        }
        assert!(could_be("/applications/Iv1.abc/token", "/applications/{client_id}/token"));
        assert!(!could_be("/applications/a/b/token", "/applications/{client_id}/token"));
    }

    /// A path that passes is in or out of a prefix, whichever way it is read.
    #[test]
    fn random_paths_mean_the_same_raw_and_normalised() {
        const PIECES: [&str; 20] = [
            "/", "/", "/", "api", "api", "v3", "x", ".", "..", "%2e", "%2F", "%5c", "\\", ";", "%3b", "%25", "2e",
            "%61", "%20", "#",
        ];
        let prefix = ["api".to_owned(), "v3".to_owned()];
        let mut state = 0x5eed_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).expect("fits") % below
        };
        let (mut inside, mut outside) = (0, 0);
        for _ in 0..100_000 {
            let tail: String = (0..random(9)).map(|_| PIECES[random(PIECES.len())]).collect();
            let path = if random(2) == 0 { format!("/api/v3{tail}") } else { format!("/{tail}") };
            if judge(&path, prefix.len()).is_err() {
                continue;
            }
            let is_inside = starts_with(&path, &prefix);
            assert_eq!(lenient_segments(&path).starts_with(&prefix), is_inside, "{path}");
            if is_inside { inside += 1 } else { outside += 1 }
        }
        assert!(inside > 1000 && outside > 1000, "the test sees too little: {inside} {outside}");
    }
}

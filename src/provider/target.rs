//! One entry of `api_url`, read strictly: `host`, `https://host:port/prefix`, `*.suffix`, `{field}.host`,
//! `{base_url}/prefix` or `regex:PATTERN`.

use super::domain;
use super::host::Host;
use super::pattern::HostPattern;
use super::template::{Piece, Template};

/// The port of https.
pub(super) const HTTPS_PORT: u16 = 443;

/// What an entry says, before placeholders are filled.
#[derive(Debug)]
pub(super) struct Target {
    /// Plain http: allowed for loopback only, and never a destination of a secret.
    pub is_http: bool,
    pub host: TargetHost,
    pub port: u16,
    pub prefix: String,
}

/// The host part of an entry.
#[derive(Debug)]
pub(super) enum TargetHost {
    Exact(Host),
    /// `*.` and this.
    Suffix(Host),
    /// The text behind `regex:`, which a [`HostPattern`] was made of.
    Pattern(String),
    /// A host with placeholders.
    Template(Template),
}

/// A part of the text says something that is no target; the text says which.
pub(super) type Reason = String;

impl Target {
    /// Reads an entry in which `{base_url}` is filled already.
    pub(super) fn parse(entry: &str) -> Result<Self, Reason> {
        if let Some(pattern) = entry.strip_prefix("regex:") {
            HostPattern::parse(pattern).map_err(|error| error.to_string())?;
            let host = TargetHost::Pattern(pattern.to_owned());
            return Ok(Self { is_http: false, host, port: HTTPS_PORT, prefix: String::new() });
        }
        let (is_http, rest) = match entry.split_once("://") {
            None => (false, entry),
            Some(("https", rest)) => (false, rest),
            Some(("http", rest)) => (true, rest),
            Some(_) => return Err("the scheme is neither https nor http".into()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split_port(authority)?;
        let prefix = join(&prefix_segments(path)?);
        let default_port = if is_http { 80 } else { HTTPS_PORT };
        Ok(Self { is_http, host: TargetHost::parse(host)?, port: port.unwrap_or(default_port), prefix })
    }
}

impl TargetHost {
    fn parse(text: &str) -> Result<Self, Reason> {
        let host = |text| Host::parse(text).map_err(|error| error.to_string());
        if text.contains(['{', '}']) {
            return template_host(text).map(Self::Template);
        }
        match text.strip_prefix("*.") {
            Some(suffix) => host(suffix).map(Self::Suffix),
            None => host(text).map(Self::Exact),
        }
    }
}

/// The segments of a path prefix: none when it is empty or `/`; one trailing slash is ignored.
pub(super) fn prefix_segments(path: &str) -> Result<Vec<String>, Reason> {
    if path.is_empty() || path == "/" {
        return Ok(Vec::new());
    }
    let inner = path.strip_prefix('/').ok_or("the path does not start with a slash")?;
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    inner.split('/').map(prefix_segment).collect()
}

fn prefix_segment(segment: &str) -> Result<String, Reason> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
    if segment.is_empty() || segment == "." || segment == ".." {
        return Err("the path has an empty segment or a dot segment".into());
    }
    if !segment.bytes().all(is_plain) {
        return Err("the path has a character that a path prefix may not have".into());
    }
    Ok(segment.to_owned())
}

fn join(segments: &[String]) -> String {
    segments.iter().fold(String::new(), |path, segment| path + "/" + segment)
}

/// Splits `host:port` and `[v6]:port`.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), Reason> {
    let end_of_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[end_of_host..].find(':').map(|at| at + end_of_host) else {
        return Ok((authority, None));
    };
    let digits = &authority[colon + 1..];
    let is_number = digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(port) if is_number && port != 0 => Ok((&authority[..colon], Some(port))),
        _ => Err("what follows the host is no port number".into()),
    }
}

/// A host with placeholders must end in a literal domain of at least two labels, so that no value changes whose host it is. (A field
/// of format `host` is checked where the fields are known.)
fn template_host(text: &str) -> Result<Template, Reason> {
    let template = Template::parse(text)?;
    if let Some(Piece::Literal(tail)) = template.pieces().last() {
        let (_, parent) = tail.split_once('.').ok_or("a domain must follow the last placeholder")?;
        let parent = Host::parse(parent).map_err(|error| error.to_string())?;
        domain::check_owned(&parent).map_err(|error| error.to_string())?;
    }
    let sample = template.fill(|_| Ok::<_, String>("x"))?;
    Host::parse(&sample).map_err(|error| error.to_string())?;
    Ok(template)
}

#[cfg(test)]
mod tests {
    use crate::model::HostMatch;
    use crate::provider::Destination;

    #[test]
    fn every_form_of_an_entry() {
        for (entry, host, host_match, port, path_prefix) in [
            ("api.acme.test", "api.acme.test", HostMatch::Exact, 443, ""),
            ("API.Acme.Test.", "api.acme.test", HostMatch::Exact, 443, ""),
            ("https://api.acme.test", "api.acme.test", HostMatch::Exact, 443, ""),
            ("https://api.acme.test/", "api.acme.test", HostMatch::Exact, 443, ""),
            ("https://api.acme.test:8443/v1/", "api.acme.test", HostMatch::Exact, 8443, "/v1"),
            ("api.acme.test/v1/x", "api.acme.test", HostMatch::Exact, 443, "/v1/x"),
            ("api.acme.test:444", "api.acme.test", HostMatch::Exact, 444, ""),
            ("*.acme.test", "acme.test", HostMatch::Suffix, 443, ""),
            ("https://*.acme.test/api", "acme.test", HostMatch::Suffix, 443, "/api"),
            (r"regex:.*\.acme\.test", r".*\.acme\.test", HostMatch::Regex, 443, ""),
            ("https://[2001:db8::1]:8443/x", "2001:db8::1", HostMatch::Exact, 8443, "/x"),
            ("https://api.acme.test/a@b:c,d=(e)~f", "api.acme.test", HostMatch::Exact, 443, "/a@b:c,d=(e)~f"),
        ] {
            let expected = Destination { host: host.into(), host_match, port, path_prefix: path_prefix.into() };
            assert_eq!(Destination::parse(entry), Ok(expected), "{entry}");
        }
    }

    #[test]
    fn what_is_no_entry() {
        for entry in [
            "",
            "/",
            "https://",
            "https:///v1",
            "https:/api.acme.test",
            "ftp://api.acme.test",
            "HTTPS://api.acme.test",
            "http://api.acme.test",
            "http://localhost",
            "//api.acme.test",
            "https://user@api.acme.test",
            "https://user:pass@api.acme.test",
            "https://api.acme.test@evil.test",
            "https://api.acme.test\\@evil.test",
            "https://api.acme.test?x",
            "https://api.acme.test#x",
            "https://api.acme.test/x?y",
            "https://api.acme.test/x#y",
            "https://api.acme.test:",
            "https://api.acme.test:0",
            "https://api.acme.test:65536",
            "https://api.acme.test:443x",
            "https://api.acme.test:+443",
            "https://api.acme.test:000443",
            "https://api.acme.test:80:443",
            "https://api.acme.test//v1",
            "https://api.acme.test/v1//",
            "https://api.acme.test/./v1",
            "https://api.acme.test/v1/..",
            "https://api.acme.test/%76",
            "https://api.acme.test/a;b",
            "https://api.acme.test/a b",
            "https://api.acme.test/\u{e9}",
            "https://2001:db8::1",
            "https://[2001:db8::1",
            "https://127.1",
            "https://0x7f000001",
            "*.",
            "*",
            "*acme.test",
            "**.acme.test",
            "*.*.acme.test",
            "api.*.acme.test",
            "https://api.*",
            "{dc}.acme.test",
            "{base_url}/v1",
            "regex:",
            "regex:.*",
            " api.acme.test",
            "api.acme.test ",
            "api.acme.test\n",
        ] {
            assert!(Destination::parse(entry).is_err(), "{entry:?} is taken");
        }
    }
}

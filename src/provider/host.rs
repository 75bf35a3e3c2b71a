//! [`Host`]: the one form in which host names are compared.
//!
//! Everything that decides where a secret goes (definitions, CONNECT, SNI, `Host`) is brought into this form first.
//! What a resolver or another program could read as something else is refused, not repaired.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Octets of a name in its textual form (RFC 1035 section 2.3.4, less the length octets).
const NAME_OCTETS: usize = 253;
/// Octets of one label (RFC 1035 section 2.3.4).
const LABEL_OCTETS: usize = 63;

/// A canonical host: a DNS name in lower-case ASCII without the trailing dot, or an IP literal without brackets.
///
/// Names in another script are taken in their `xn--` form only. Underscores are taken inside labels: they are no
/// host-name characters (RFC 952), but live services have them and every resolver and TLS library accepts them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

/// Why a text is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// Nothing there.
    Empty,
    /// More than 253 octets.
    TooLong,
    /// Two dots in a row, or a dot at the start.
    EmptyLabel,
    /// A label of more than 63 octets.
    LongLabel,
    /// A label that starts or ends with a hyphen.
    Hyphen,
    /// A character that no host has: spaces, ports, paths, `@`, percent escapes, other scripts than ASCII.
    Character,
    /// A number where a name should be, such as `127.1`, `0x7f.1` or `2130706433`: some resolvers read an address there.
    NumericDisguise,
    /// Brackets around something that is no IPv6 address.
    Brackets,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the host is empty",
            Self::TooLong => "the host is longer than 253 characters",
            Self::EmptyLabel => "the host has an empty label",
            Self::LongLabel => "a label of the host is longer than 63 characters",
            Self::Hyphen => "a label of the host starts or ends with a hyphen",
            Self::Character => "the host has a character that host names do not have",
            Self::NumericDisguise => "the host is a number that could be read as an address",
            Self::Brackets => "what stands in the brackets is no IPv6 address",
        })
    }
}

impl std::error::Error for HostError {}

impl Host {
    /// Brings `text` into canonical form. One trailing dot is removed; brackets are taken around IPv6 only.
    ///
    /// # Errors
    /// [`HostError`] for everything that is not a strict DNS name or IP literal.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').and_then(|inner| Ipv6Addr::from_str(inner).ok());
            return address.map(|address| Self(address.to_string())).ok_or(HostError::Brackets);
        }
        if let Ok(address) = Ipv6Addr::from_str(text) {
            return Ok(Self(address.to_string()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        check_name(name)?;
        if has_numeric_end(name) && Ipv4Addr::from_str(name).is_err() {
            return Err(HostError::NumericDisguise);
        }
        Ok(Self(name.to_ascii_lowercase()))
    }

    /// The canonical text. IPv6 stands without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, when this is an IP literal.
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }

    /// Whether this is an IP literal.
    pub fn is_ip(&self) -> bool {
        self.ip().is_some()
    }

    /// Whether the *name* means this machine: `localhost`, names under it, loopback and unspecified addresses.
    pub fn is_loopback_name(&self) -> bool {
        let name = self.0.as_str();
        let is_local_name = name == "localhost" || name.ends_with(".localhost") || name == "localhost.localdomain";
        let is_local = |address: IpAddr| address.is_loopback() || address.is_unspecified();
        is_local_name || self.ip().is_some_and(|address| is_local(address.to_canonical()))
    }

    /// The labels of a name; an IP literal has none.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        let name = if self.is_ip() { "" } else { self.0.as_str() };
        name.split('.').filter(|label| !label.is_empty())
    }

    /// Whether this name stands below `parent` by whole labels. No name is below itself, and no address below a name.
    pub fn is_below(&self, parent: &Self) -> bool {
        let rest = self.0.strip_suffix(parent.as_str()).and_then(|rest| rest.strip_suffix('.'));
        rest.is_some_and(|rest| !rest.is_empty()) && !self.is_ip()
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_name(name: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > NAME_OCTETS {
        return Err(HostError::TooLong);
    }
    name.split('.').try_for_each(check_label)
}

fn check_label(label: &str) -> Result<(), HostError> {
    if label.is_empty() {
        return Err(HostError::EmptyLabel);
    }
    if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        return Err(HostError::Character);
    }
    if label.len() > LABEL_OCTETS {
        return Err(HostError::LongLabel);
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(HostError::Hyphen);
    }
    Ok(())
}

/// Whether the last label is what `inet_aton` and the URL standard read as part of an IPv4 address. No top-level
/// domain is a number, so no name is lost.
fn has_numeric_end(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        let long_label = "a".repeat(63);
        let longest = format!("{0}.{0}.{0}.{1}", long_label, "a".repeat(61));
        for (text, canonical) in [
            ("api.github.com", "api.github.com"),
            ("API.GitHub.COM", "api.github.com"),
            ("api.github.com.", "api.github.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("my_bucket.s3.example", "my_bucket.s3.example"),
            ("_dmarc.example", "_dmarc.example"),
            ("a--b.example", "a--b.example"),
            ("intranet", "intranet"),
            ("1password.com", "1password.com"),
            ("127.0.0.1.nip.io", "127.0.0.1.nip.io"),
            ("0x7f.example", "0x7f.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("10.0.0.1.", "10.0.0.1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
            ("[2001:DB8:0:0::5]", "2001:db8::5"),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
            (longest.as_str(), longest.as_str()),
        ] {
            assert_eq!(Host::parse(text).as_ref().map(Host::as_str), Ok(canonical), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "a".repeat(62));
        for (text, error) in [
            ("", HostError::Empty),
            (".", HostError::Empty),
            ("..", HostError::EmptyLabel),
            (".github.com", HostError::EmptyLabel),
            ("api..github.com", HostError::EmptyLabel),
            ("api.github.com..", HostError::EmptyLabel),
            (&long_label, HostError::LongLabel),
            (&long_name, HostError::TooLong),
            ("-api.github.com", HostError::Hyphen),
            ("api-.github.com", HostError::Hyphen),
            ("api.github.com:443", HostError::Character),
            ("api.github.com/", HostError::Character),
            ("user@api.github.com", HostError::Character),
            ("api.github.com ", HostError::Character),
            (" api.github.com", HostError::Character),
            ("api.github.com\0", HostError::Character),
            ("api.github.com\r\n", HostError::Character),
            ("api%2egithub.com", HostError::Character),
            ("api.github.com%00.evil.test", HostError::Character),
            ("api\u{3002}github\u{ff0e}com", HostError::Character),
            ("bücher.example", HostError::Character),
            ("api.g\u{131}thub.com", HostError::Character),
            ("\u{ff41}pi.github.com", HostError::Character),
            ("*.github.com", HostError::Character),
            ("{dc}.api.mailchimp.com", HostError::Character),
            ("127.1", HostError::NumericDisguise),
            ("127.0.1", HostError::NumericDisguise),
            ("2130706433", HostError::NumericDisguise),
            ("0x7f.1", HostError::NumericDisguise),
            ("0x7f000001", HostError::NumericDisguise),
            ("0X7F.0.0.0X1", HostError::NumericDisguise),
            ("0177.0.0.1", HostError::NumericDisguise),
            ("127.0.0.01", HostError::NumericDisguise),
            ("127.0.0.256", HostError::NumericDisguise),
            ("1.2.3.4.5", HostError::NumericDisguise),
            ("example.0", HostError::NumericDisguise),
            ("example.0x", HostError::NumericDisguise),
            ("[127.0.0.1]", HostError::Brackets),
            ("[::1", HostError::Brackets),
            ("[::1].", HostError::Brackets),
            ("[::1]:443", HostError::Brackets),
            ("[fe80::1%eth0]", HostError::Brackets),
            ("[github.com]", HostError::Brackets),
            ("fe80::1%25eth0", HostError::Character),
        ] {
            assert_eq!(Host::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn loopback_is_known_by_its_names() {
        let is_loopback = |text| Host::parse(text).expect("is a host").is_loopback_name();
        for text in [
            "localhost",
            "LOCALHOST.",
            "x.localhost",
            "localhost.localdomain",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "0.0.0.0",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:7f00:1",
        ] {
            assert!(is_loopback(text), "{text}");
        }
        for text in ["localhost.example", "notlocalhost", "10.0.0.1", "127.0.0.1.nip.io", "2001:db8::1"] {
            assert!(!is_loopback(text), "{text}");
        }
    }

    #[test]
    fn below_means_whole_labels() {
        let below = |text, parent| Host::parse(text).expect("host").is_below(&Host::parse(parent).expect("parent"));
        assert!(below("a.acme.test", "acme.test"));
        assert!(below("a.b.ACME.test", "acme.test."));
        for text in ["acme.test", "evilacme.test", "acme.test.evil.test", "acme-test", "test"] {
            assert!(!below(text, "acme.test"), "{text}");
        }
    }
}

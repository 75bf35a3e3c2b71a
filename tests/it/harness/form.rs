//! `application/x-www-form-urlencoded`, both ways. Shares no code with `src/`.

/// The pairs of a query or a form.
pub(crate) fn decode(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (plain(name), plain(value)))
        .collect()
}

/// The pairs of the query of `url`.
pub(crate) fn query(url: &str) -> Vec<(String, String)> {
    decode(url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query))
}

/// The one value of `name`.
///
/// # Panics
/// When there are more: a parameter that is sent twice is a defect (RFC 6749 section 3.1).
pub(crate) fn value(pairs: &[(String, String)], name: &str) -> Option<String> {
    let mut values = pairs.iter().filter(|(found, _)| found == name).map(|(_, value)| value.clone());
    let first = values.next();
    assert_eq!(values.next(), None, "'{name}' was sent twice");
    first
}

/// The pairs as one line.
pub(crate) fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = pairs.into_iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn plain(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(code)) => {
                plain.push(code);
                at += 2;
            }
            (b'+', _) => plain.push(b' '),
            (other, _) => plain.push(other),
        }
        at += 1;
    }
    String::from_utf8_lossy(&plain).into_owned()
}

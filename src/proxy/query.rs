//! The query of a request target, edited without touching what is not ours.

use crate::percent::{Plus, decode, push_encoded};

/// Splits a target into its path and its query, which may be missing.
pub(super) fn split(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

/// Keeps the parameters that `keep` wants; it gets name and value decoded. The others stay byte for byte.
pub(super) fn retain(target: &str, mut keep: impl FnMut(&[u8], &[u8]) -> bool) -> String {
    let (path, Some(query)) = split(target) else { return target.to_owned() };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            keep(&form(name), &form(value))
        })
        .collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

/// Whether there is a parameter called `name`.
pub(super) fn contains(target: &str, name: &str) -> bool {
    let is_it = |pair: &str| form(pair.split('=').next().unwrap_or_default()) == name.as_bytes();
    split(target).1.is_some_and(|query| query.split('&').any(is_it))
}

/// Adds a parameter at the end.
pub(super) fn push(target: &mut String, name: &str, value: &str) {
    target.reserve(3 * (name.len() + value.len()) + 2); // growing on the way would leave parts of the value behind
    target.push(if split(target).1.is_some() { '&' } else { '?' });
    push_encoded(target, name);
    target.push('=');
    push_encoded(target, value);
}

/// What is no valid escape stays as it is, as servers do it.
fn form(text: &str) -> Vec<u8> {
    decode(text.as_bytes(), Plus::Space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_however_they_are_spelled() {
        for target in ["/p?key=1", "/p?a=1&key=2", "/p?%6bey=1", "/p?k%65y", "/p?a&%6B%65%79=x&b"] {
            assert!(contains(target, "key"), "{target}");
            assert!(!contains(&retain(target, |name, _| name != b"key"), "key"), "{target}");
        }
        for target in ["/p", "/p?", "/p?keys=1", "/p?a=key", "/key=1", "/p?%256bey=1", "/p?KEY=1"] {
            assert!(!contains(target, "key"), "{target}");
        }
    }

    #[test]
    fn what_is_not_ours_stays_byte_for_byte() {
        let target = "/p?b=%7e+x&&c=a=b&d&%zz=%+1";
        assert_eq!(retain(target, |_, _| true), target);
        assert_eq!(retain("/p?a=1&b=2", |name, _| name != b"a"), "/p?b=2");
        assert_eq!(retain("/p?a=1", |_, _| false), "/p");
    }

    #[test]
    fn values_are_encoded() {
        let mut target = "/p".to_owned();
        push(&mut target, "api key", "a/b&c=d+e?#\u{e9}");
        push(&mut target, "x", "y");
        assert_eq!(target, "/p?api%20key=a%2Fb%26c%3Dd%2Be%3F%23%C3%A9&x=y");
        assert!(contains(&target, "api key") && contains(&target, "x"));
    }
}

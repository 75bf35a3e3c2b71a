//! Injection: what leaves a request and what enters it. Pure, on a parsed head.
//!
//! Programs put their dummy key into slots of their own choice, so first everything that holds the placeholder goes,
//! wherever it is, then the provider's slots are emptied, then each is set once.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem;
use zeroize::{Zeroize as _, Zeroizing};

use super::query;
use crate::http1::{RequestHead, is_token, is_valid_value};
use crate::model::{InjectSlot, RunRoute, SlotPlace};

/// What the child's environment holds in place of each credential (`contract/proxy.md` section 2).
pub const PLACEHOLDER: &str = "authsome-proxy-managed";

/// Header fields that frame or route a message. A definition that names one as a slot would break the protocol.
const NOT_A_SLOT: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// A credential that cannot be written into a request; says why. Nothing of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadSlot(pub(super) &'static str);

/// Puts the credential's `slots` into `head`, which goes to `route`.
///
/// # Errors
/// A slot whose name or value would change the meaning of the message. `head` is then half edited: drop it.
pub(super) fn inject(head: &mut RequestHead, route: &RunRoute, slots: &[InjectSlot]) -> Result<(), BadSlot> {
    slots.iter().try_for_each(check)?;
    for slot in &route.strip {
        if slot.place != SlotPlace::Header || is_slot_name(&slot.name) {
            remove(head, slot.place, &slot.name);
        }
    }
    remove_placeholders(head);
    for slot in slots {
        if !slot.only_if_absent {
            remove(head, slot.place, &slot.name);
        }
    }
    for slot in slots {
        if !contains(head, slot.place, &slot.name) {
            set(head, slot);
        }
    }
    for (name, value) in &route.default_headers {
        let is_fit = is_token(name.as_bytes()) && is_valid_value(value.as_bytes()) && is_slot_name(name);
        if is_fit && !head.fields.contains(name) {
            head.fields.push(name, value.as_bytes());
        }
    }
    Ok(())
}

fn check(slot: &InjectSlot) -> Result<(), BadSlot> {
    let value = slot.value.expose().as_bytes();
    if !is_valid_value(value) {
        return Err(BadSlot("its value has a line break or another control character"));
    }
    let is_fit = match slot.place {
        SlotPlace::Header => is_token(slot.name.as_bytes()) && is_slot_name(&slot.name),
        SlotPlace::Query => !slot.name.is_empty(),
        SlotPlace::Cookie if value.contains(&b';') => return Err(BadSlot("its value does not fit into a cookie")),
        SlotPlace::Cookie => is_token(slot.name.as_bytes()),
    };
    if is_fit { Ok(()) } else { Err(BadSlot("the provider's definition names a slot that cannot be set")) }
}

/// Whether a credential may travel in this header field.
fn is_slot_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !NOT_A_SLOT.contains(&name.as_str()) && !name.starts_with("proxy-")
}

/// Wipes a head that a credential was put into.
pub(super) fn wipe(head: &mut RequestHead) {
    head.target.zeroize();
    head.fields.iter_mut().for_each(|(_, value)| value.zeroize());
}

fn contains(head: &RequestHead, place: SlotPlace, name: &str) -> bool {
    match place {
        SlotPlace::Header => head.fields.contains(name),
        SlotPlace::Query => query::contains(&head.target, name),
        SlotPlace::Cookie => {
            head.fields.all("cookie").flat_map(cookies).any(|cookie| cookie_name(cookie) == name.as_bytes())
        }
    }
}

fn remove(head: &mut RequestHead, place: SlotPlace, name: &str) {
    match place {
        SlotPlace::Header => head.fields.remove(name),
        SlotPlace::Query => head.target = query::retain(&head.target, |known, _| known != name.as_bytes()),
        SlotPlace::Cookie => retain_cookies(head, |cookie| cookie_name(cookie) != name.as_bytes()),
    }
}

fn set(head: &mut RequestHead, slot: &InjectSlot) {
    let value = slot.value.expose();
    match slot.place {
        SlotPlace::Header => head.fields.push(&slot.name, value.as_bytes()),
        SlotPlace::Query => query::push(&mut head.target, &slot.name, value),
        SlotPlace::Cookie => {
            let mut all: Vec<&[u8]> = head.fields.all("cookie").flat_map(cookies).collect();
            let ours = Zeroizing::new(format!("{}={value}", slot.name));
            all.push(ours.as_bytes());
            let joined = all.join(&b"; "[..]); // one field: RFC 6265 section 5.4
            head.fields.set("Cookie", joined);
        }
    }
}

/// Removes every field, parameter and cookie that holds the placeholder.
fn remove_placeholders(head: &mut RequestHead) {
    retain_cookies(head, |cookie| !holds_placeholder(cookie));
    head.fields.retain(|name, value| name.eq_ignore_ascii_case("cookie") || !holds_placeholder(value));
    if split_query(&head.target) {
        head.target = query::retain(&head.target, |_, value| !holds_placeholder(value));
    }
}

fn split_query(target: &str) -> bool {
    query::split(target).1.is_some()
}

/// Whether `value` holds the placeholder, as it is or inside base64 (Basic credentials), at any of the three offsets.
pub(super) fn holds_placeholder(value: &[u8]) -> bool {
    static FINDERS: LazyLock<Vec<memmem::Finder<'static>>> = LazyLock::new(|| {
        let encoded = (0..3).map(|offset| {
            let padded = [&[0; 2][..offset], PLACEHOLDER.as_bytes()].concat();
            let text = STANDARD_NO_PAD.encode(&padded);
            // The characters that bytes before and after the placeholder have a part in are not ours.
            let (first, end) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
            memmem::Finder::new(&text.as_bytes()[first..end]).into_owned()
        });
        std::iter::once(memmem::Finder::new(PLACEHOLDER).into_owned()).chain(encoded).collect()
    });
    FINDERS.iter().any(|finder| finder.find(value).is_some())
}

fn retain_cookies(head: &mut RequestHead, mut keep: impl FnMut(&[u8]) -> bool) {
    for (name, value) in head.fields.iter_mut() {
        if name.eq_ignore_ascii_case("cookie") && !cookies(value).all(&mut keep) {
            let kept: Vec<&[u8]> = cookies(value).filter(|cookie| keep(cookie)).collect();
            *value = kept.join(&b"; "[..]);
        }
    }
    head.fields.retain(|name, value| !(name.eq_ignore_ascii_case("cookie") && value.is_empty()));
}

fn cookies(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|cookie| !cookie.is_empty())
}

fn cookie_name(cookie: &[u8]) -> &[u8] {
    cookie.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;
    use crate::http1::{Buffered, read_request};
    use crate::model::SlotName;
    use crate::secret::Secret;

    fn head(text: &str) -> RequestHead {
        let bytes = format!("{}\r\n\r\n", text.replace('\n', "\r\n"));
        read_request(&mut Buffered::new(), &mut bytes.as_bytes()).expect(text)
    }

    fn slot(place: SlotPlace, name: &str, value: &str) -> InjectSlot {
        InjectSlot {
            place,
            name: name.into(),
            value: Secret::new(value.into()),
            only_if_absent: false,
            secrets: vec![],
        }
    }

    fn route() -> RunRoute {
        serde_json::from_str(
            r#"{"provider":"x","connection":"default","host":"api.x.test","match":"exact","port":443}"#,
        )
        .expect("a route")
    }

    fn injected(text: &str, route: &RunRoute, slots: &[InjectSlot]) -> String {
        let mut head = head(text);
        inject(&mut head, route, slots).expect("injects");
        String::from_utf8(head.to_bytes()).expect("UTF-8").replace("\r\n", "\n").trim_end().to_owned()
    }

    #[test]
    fn each_slot_is_set_once_whatever_the_client_sent() {
        let slots = [
            slot(SlotPlace::Header, "Authorization", "Bearer real"),
            slot(SlotPlace::Query, "key", "real/key"),
            slot(SlotPlace::Cookie, "sid", "real"),
        ];
        let text = "GET /p?a=1&%6bey=mine&key=2 HTTP/1.1\nauthorization: Bearer mine\nCookie: a=b; sid=mine\n\
                    AUTHORIZATION: Basic bWluZQ==\ncookie: sid=2;c=d";
        let expected = "GET /p?a=1&key=real%2Fkey HTTP/1.1\nAuthorization: Bearer real\nCookie: a=b; c=d; sid=real";
        assert_eq!(injected(text, &route(), &slots), expected);
        let bare = "GET / HTTP/1.1";
        let expected = "GET /?key=real%2Fkey HTTP/1.1\nAuthorization: Bearer real\nCookie: sid=real";
        assert_eq!(injected(bare, &route(), &slots), expected);
    }

    #[test]
    fn the_placeholder_goes_wherever_it_is() {
        let basic = STANDARD.encode(format!("user:{PLACEHOLDER}"));
        let other = STANDARD.encode(format!("{PLACEHOLDER}:x"));
        let third = URL_SAFE_NO_PAD.encode(format!("ab{PLACEHOLDER}\u{ff}\u{ff}"));
        let text = format!(
            "GET /p?a=1&token={PLACEHOLDER}&b=x%61uthsome-proxy-managed HTTP/1.1\nx-api-key: {PLACEHOLDER}\n\
             Authorization: Basic {basic}\nX-Other: Basic {other}\nX-Third: {third}\nCookie: t={PLACEHOLDER}; keep=1\n\
             X-List: a, Bearer {PLACEHOLDER}, b\nX-Kept: authsome"
        );
        let expected = "GET /p?a=1 HTTP/1.1\nCookie: keep=1\nX-Kept: authsome\nX-Real: real";
        let slots = [slot(SlotPlace::Header, "X-Real", "real")];
        assert_eq!(injected(&text, &route(), &slots), expected);
        let alone = format!("GET /?k={PLACEHOLDER} HTTP/1.1\nCookie: t={PLACEHOLDER}");
        assert_eq!(injected(&alone, &route(), &slots), "GET / HTTP/1.1\nX-Real: real");
    }

    #[test]
    fn strip_lists_and_defaults_and_absent_slots_are_kept_apart() {
        let mut route = route();
        let strip = |place, name: &str| SlotName { place, name: name.into() };
        route.strip =
            vec![strip(SlotPlace::Header, "X-Old"), strip(SlotPlace::Query, "old"), strip(SlotPlace::Cookie, "o")];
        route.strip.push(strip(SlotPlace::Header, "host"));
        route.default_headers.insert("X-Version".into(), "2".into());
        route.default_headers.insert("Content-Length".into(), "9".into());
        route.default_headers.insert("X-Bad".into(), "a\r\nb: c".into());
        let absent = InjectSlot { only_if_absent: true, ..slot(SlotPlace::Header, "X-Team", "default") };
        let slots = [slot(SlotPlace::Header, "X-Key", "real"), absent];
        let theirs = "GET /?old=1&new=2 HTTP/1.1\nHost: a\nx-old: 1\nX-Team: mine\nx-version: 1\nCookie: o=1; n=2";
        let expected = "GET /?new=2 HTTP/1.1\nHost: a\nX-Team: mine\nx-version: 1\nCookie: n=2\nX-Key: real";
        assert_eq!(injected(theirs, &route, &slots), expected);
        let none = format!("GET / HTTP/1.1\nX-Team: {PLACEHOLDER}");
        assert_eq!(
            injected(&none, &route, &slots),
            "GET / HTTP/1.1\nX-Key: real\nX-Team: default\nX-Version: 2",
            "a placeholder is not a value of the client's own"
        );
    }

    #[test]
    fn values_and_names_that_would_change_the_message_are_refused() {
        let bad = [
            slot(SlotPlace::Header, "X-Key", "a\r\nX-Other: b"),
            slot(SlotPlace::Header, "X-Key", "a\nb"),
            slot(SlotPlace::Header, "X-Key", "a\rb"),
            slot(SlotPlace::Header, "X-Key", "a\0b"),
            slot(SlotPlace::Query, "key", "a\nb"),
            slot(SlotPlace::Cookie, "sid", "a\nb"),
            slot(SlotPlace::Cookie, "sid", "a; b=c"),
            slot(SlotPlace::Cookie, "s=d", "a"),
            slot(SlotPlace::Header, "X Key", "a"),
            slot(SlotPlace::Header, "", "a"),
            slot(SlotPlace::Query, "", "a"),
            slot(SlotPlace::Header, "Host", "evil.test"),
            slot(SlotPlace::Header, "content-length", "0"),
            slot(SlotPlace::Header, "Transfer-Encoding", "chunked"),
            slot(SlotPlace::Header, "Connection", "close"),
            slot(SlotPlace::Header, "Proxy-Authorization", "a"),
        ];
        for slot in bad {
            let mut head = head("GET / HTTP/1.1\nHost: api.x.test");
            let before = head.to_bytes();
            assert!(inject(&mut head, &route(), &[slot]).is_err());
            assert_eq!(head.to_bytes(), before, "nothing was written");
        }
    }

    #[test]
    fn the_placeholder_is_found_at_every_base64_offset() {
        for before in 0..7 {
            for after in 0..4 {
                let plain = format!("{}{PLACEHOLDER}{}", "u".repeat(before), "v".repeat(after));
                assert!(holds_placeholder(STANDARD.encode(&plain).as_bytes()), "{plain}");
                assert!(holds_placeholder(URL_SAFE_NO_PAD.encode(&plain).as_bytes()), "{plain}");
            }
        }
        assert!(!holds_placeholder(b"authsome-proxy-manage"));
        assert!(!holds_placeholder(STANDARD.encode("authsome-proxy").as_bytes()));
    }
}

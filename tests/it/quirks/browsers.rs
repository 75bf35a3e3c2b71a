//! Sessions of a browser: cookies in, headers out. What `LinkedIn` and X want of their own web clients is not
//! documented; the forms below are those of independent clients of each.

use authsome::clock::{Clock, Timestamp};
use serde_json::{Value, json};

use super::fake::{Fake, lifetime};

/// Starts a login that wants cookies, and gives these.
fn give(fake: &Fake, given: &Value) -> Value {
    let session = fake.start();
    assert_eq!(session["next_action"]["type"], "browser", "{session:#}");
    fake.resume(session["id"].as_str().expect("an id"), given)
}

/// What goes out, one line a slot: where, name, value.
fn sent(fake: &Fake) -> Vec<String> {
    let inject = fake.headers()["inject"].as_array().expect("a list").clone();
    let text = |slot: &Value, name: &str| slot[name].as_str().expect("a text").to_owned();
    let mut lines: Vec<String> = inject
        .iter()
        .map(|slot| format!("{} {}: {}", text(slot, "in"), text(slot, "name"), text(slot, "value")))
        .collect();
    lines.sort();
    lines
}

/// `JSESSIONID` is stored with quotes around it; `csrf-token` wants it bare, the cookie as it was.
#[test]
fn linkedin() {
    let linkedin = Fake::of("linkedin-browser", &["www.linkedin.com"]);
    let cookies = json!({"li_at": "AQEDAT-value", "JSESSIONID": "\"ajax:0123456789\"", "bcookie": "v=2"});
    assert_eq!(give(&linkedin, &json!({ "credentials": cookies }))["status"], "completed");
    assert_eq!(
        sent(&linkedin),
        ["cookie JSESSIONID: \"ajax:0123456789\"", "cookie li_at: AQEDAT-value", "header csrf-token: ajax:0123456789"],
    );
    let record = linkedin.record();
    let stored = record["credentials"].as_object().expect("cookies");
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["JSESSIONID", "li_at"], "only the cookies that are named");
    assert_eq!(lifetime(&record), Some(24 * 3600), "a day, when nothing is known of the cookie's end");

    let seen = linkedin.is_visited("https://www.linkedin.com/voyager/api/me");
    assert_eq!(seen.header("csrf-token"), Some("ajax:0123456789"));
    let mut cookies: Vec<&str> = seen.header("cookie").unwrap_or_default().split("; ").collect();
    cookies.sort_unstable();
    assert_eq!(cookies, ["JSESSIONID=\"ajax:0123456789\"", "li_at=AQEDAT-value"]);
    let elsewhere = linkedin.is_visited("https://www.linkedin.com/feed/");
    assert_eq!((elsewhere.header("cookie"), elsewhere.header("csrf-token")), (None, None));
    assert_eq!(linkedin.log_out(), json!(null));
}

/// The session ends with the cookie that carries it.
#[test]
fn the_end_of_a_cookie() {
    let linkedin = Fake::of("linkedin-browser", &[]);
    let end = Clock::system().now().plus_seconds(3600);
    let cookies = json!({"li_at": "AQEDAT-value", "JSESSIONID": "ajax:0123456789"});
    let given = json!({"credentials": cookies, "expires": {"li_at": end.unix(), "JSESSIONID": end.unix() - 1800}});
    assert_eq!(give(&linkedin, &given)["status"], "completed");
    let stored = linkedin.record()["expires_at"].as_str().and_then(Timestamp::parse).map(Timestamp::unix);
    assert_eq!(stored, Some(end.unix()));
}

/// The same fixed `Authorization` for everybody, the cookie `ct0` twice, and three headers that say "a signed-in
/// browser".
#[test]
fn x() {
    let x = Fake::of("x-browser", &[]);
    let cookies = json!({"auth_token": "0123abcd", "ct0": "ct0value"});
    assert_eq!(give(&x, &json!({ "credentials": cookies }))["status"], "completed");
    let lines = sent(&x);
    assert!(lines[2].starts_with("header Authorization: Bearer AAAAAAAAAAAAAAAAAAAAA"), "{lines:#?}");
    let others: Vec<&str> = lines.iter().enumerate().filter(|(at, _)| *at != 2).map(|(_, line)| &**line).collect();
    assert_eq!(
        others,
        [
            "cookie auth_token: 0123abcd",
            "cookie ct0: ct0value",
            "header x-csrf-token: ct0value",
            "header x-twitter-active-user: yes",
            "header x-twitter-auth-type: OAuth2Session",
            "header x-twitter-client-language: en",
        ],
    );
    assert_eq!(x.log_out(), json!(null));
}

/// Half a session is none, and a value that would end its header is refused.
#[test]
fn cookies_that_are_missing_or_hostile() {
    let linkedin = Fake::of("linkedin-browser", &[]);
    for cookies in [
        json!({"li_at": "a"}),
        json!({"li_at": "a", "JSESSIONID": ""}),
        json!({"li_at": "a\r\nx: y", "JSESSIONID": "b"}),
        json!({"li_at": "a;b=c", "JSESSIONID": "b"}),
    ] {
        let session = linkedin.start();
        let id = session["id"].as_str().expect("an id");
        linkedin.is_refused(id, &json!({ "credentials": cookies }));
    }
}

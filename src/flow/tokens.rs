//! Token answers (RFC 6749 section 5.1) and the refresh of an access token (section 6).

use super::account::account;
use super::answer::clean;
use super::call::{Call, Method, Shape};
use super::document::{Document, Value};
use super::endpoint::Endpoint;
use super::{AuthServer, FlowError, OAuthClient, Outbound};
use crate::limits::{OAUTH_SCOPES, SECRET_BYTES, TOKEN_LIFETIME_SECONDS};
use crate::model::Account;
use crate::secret::Secret;

/// What a token endpoint gave.
#[derive(Debug)]
pub struct Tokens {
    /// Access token.
    pub access_token: Secret,
    /// Refresh token, when the answer has one.
    pub refresh_token: Option<Secret>,
    /// As the answer said; usually `Bearer`.
    pub token_type: Option<String>,
    /// Life of the access token in seconds; `None`: unknown.
    pub lifetime_seconds: Option<i64>,
    /// Granted scopes, when the answer says so.
    pub scopes: Option<Vec<String>>,
    /// Whose account it is, when the answer says so. Unverified: a name for people.
    pub account: Account,
}

/// Trades a refresh token for new tokens. One call, never repeated here: a rotating refresh token can be spent once.
///
/// # Errors
/// See [`FlowError`].
pub fn refresh(
    outbound: &Outbound,
    server: &AuthServer,
    client: &OAuthClient,
    refresh_token: &Secret,
) -> Result<Tokens, FlowError> {
    let endpoint = server.token_endpoint()?;
    let mut call = token_call(server, &endpoint, "refresh_token");
    call.secret_field("refresh_token", refresh_token);
    call.authenticate(client, server.client_auth(client));
    exchange(outbound, server, &call, Source::Refresh)
}

/// What tokens are traded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A code of any kind.
    Grant,
    /// A refresh token.
    Refresh,
}

/// A request to the token endpoint, in the shape that the definition names.
pub(super) fn token_call<'a>(server: &AuthServer, endpoint: &'a Endpoint, grant_type: &'a str) -> Call<'a> {
    let shape = if server.settings.token_request.as_deref() == Some("json") { Shape::Json } else { Shape::Form };
    let mut call = Call::new(Method::Post, endpoint, shape);
    call.field("grant_type", grant_type);
    call
}

/// Sends `call` and reads the tokens of its answer.
pub(super) fn exchange(
    outbound: &Outbound,
    server: &AuthServer,
    call: &Call<'_>,
    source: Source,
) -> Result<Tokens, FlowError> {
    let answer = outbound.send(call)?;
    let document = answer.success_or_dead_grant(call, &server.settings.dead_grant)?;
    read_tokens(server, &document, source).map_err(|what| answer.unusable(what))
}

/// Reads the tokens of a successful answer.
///
/// # Errors
/// What is wrong with it, to follow "answered with ".
pub(super) fn read_tokens(server: &AuthServer, document: &Document, source: Source) -> Result<Tokens, &'static str> {
    let path = server.settings.token_path.as_deref().unwrap_or("access_token");
    let in_place = document.walk(path).filter(|(parent, name)| parent.get(name).is_some());
    // Slack answers a refresh with the user's token at the top, whatever the first answer looked like.
    let at_top = || (source == Source::Refresh).then_some((document, "access_token"));
    let (beside, name) = in_place.or_else(at_top).ok_or("no access token")?;
    let find = |name: &str| beside.get(name).or_else(|| document.get(name));
    Ok(Tokens {
        access_token: credential(beside.get(name))?.ok_or("no access token")?,
        refresh_token: credential(find("refresh_token"))?,
        token_type: find("token_type").and_then(token_type),
        lifetime_seconds: find("expires_in").and_then(lifetime),
        scopes: find("scope").and_then(|value| scopes(server, value)),
        account: account(document),
    })
}

/// A token that can be stored, and sent in a header field. Empty is none.
pub(super) fn credential(value: Option<&Value>) -> Result<Option<Secret>, &'static str> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text)) if text.is_empty() => Ok(None),
        Some(Value::Text(text)) if text.expose().len() > SECRET_BYTES => Err("a token that is too long"),
        Some(Value::Text(text)) if text.expose().chars().any(char::is_control) => {
            Err("a token with a control character in it")
        }
        Some(Value::Text(text)) => Ok(Some(text.duplicate())),
        Some(Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_)) => {
            Err("a token that is not a text")
        }
    }
}

/// RFC 6749 section 8.1: a name or a URI. What is neither is no use to anybody.
fn token_type(value: &Value) -> Option<String> {
    let Value::Text(text) = value else { return None };
    let text = text.expose();
    let is_name = !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| text.to_owned())
}

/// Whole seconds, rounded down; zero is zero. Unknown: null, negative, not a number, more than ten years.
pub(super) fn lifetime(value: &Value) -> Option<i64> {
    let seconds = match value {
        Value::Number(number) => *number,
        Value::Text(text) => {
            let digits = text.expose().trim();
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'); // not "inf", not "1e3"
            digits.parse().ok().filter(|_| is_plain)?
        }
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_) => return None,
    };
    #[expect(clippy::cast_precision_loss, reason = "ten years are exact")]
    let is_sane = (0.0..=TOKEN_LIFETIME_SECONDS as f64).contains(&seconds);
    #[expect(clippy::cast_possible_truncation, reason = "rounds down, and the range was checked")]
    is_sane.then_some(seconds as i64)
}

/// A text or a list of texts. What nobody could have asked for (RFC 6749 section 3.3) is left out: it would be shown.
fn scopes(server: &AuthServer, value: &Value) -> Option<Vec<String>> {
    let mut scopes: Vec<String> = match value {
        Value::Text(text) => server.split_scopes(text.expose()),
        Value::List(items) => items
            .iter()
            .map(|item| if let Value::Text(text) = item { Some(text.expose().to_owned()) } else { None })
            .collect::<Option<_>>()?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    scopes.retain(|scope| clean(scope) == *scope);
    scopes.truncate(OAUTH_SCOPES);
    Some(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::testing::acme;

    fn read_for(server: &AuthServer, source: Source, answer: &str) -> Result<Tokens, &'static str> {
        read_tokens(server, &Document::parse(None, answer.as_bytes()).expect(answer), source)
    }

    fn read(answer: &str) -> Result<Tokens, &'static str> {
        read_for(&acme("https://x.test/t"), Source::Grant, answer)
    }

    #[test]
    fn a_life_is_a_number_of_seconds_or_unknown() {
        let cases = [
            ("3600", Some(3600)),
            ("\"3600\"", Some(3600)),
            ("\" 3600 \"", Some(3600)),
            ("0", Some(0)),
            ("1.5", Some(1)),
            ("\"1.5\"", Some(1)),
            ("315360000", Some(315_360_000)),
            ("315360001", None),
            ("1e12", None),
            ("1e300", None),
            ("18446744073709551615", None),
            ("-1", None),
            ("\"-1\"", None),
            ("\"abc\"", None),
            ("\"\"", None),
            ("\"inf\"", None),
            ("\"NaN\"", None),
            ("\"1e3\"", None),
            ("\"1.2.3\"", None),
            ("null", None),
            ("true", None),
            ("[3600]", None),
            ("{}", None),
        ];
        for (life, expected) in cases {
            let tokens = read(&format!(r#"{{"access_token":"a","expires_in":{life}}}"#)).expect(life);
            assert_eq!(tokens.lifetime_seconds, expected, "{life}");
        }
        assert_eq!(read("access_token=a&expires_in=60").expect("a form").lifetime_seconds, Some(60));
        assert_eq!(read(r#"{"access_token":"a"}"#).expect("none").lifetime_seconds, None);
    }

    #[test]
    fn tokens_are_texts_that_fit_into_a_header_field() {
        let long = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(SECRET_BYTES + 1));
        let cases = [
            ("{}", "no access token"),
            (r#"{"access_token":null}"#, "no access token"),
            (r#"{"access_token":""}"#, "no access token"),
            (r#"{"Access_Token":"a"}"#, "no access token"),
            (r#"{"access_token":7}"#, "not a text"),
            (r#"{"access_token":["a"]}"#, "not a text"),
            (r#"{"access_token":{"a":"b"}}"#, "not a text"),
            (r#"{"access_token":"a\r\nX: y"}"#, "control character"),
            (r#"{"access_token":"a\u0000"}"#, "control character"),
            (r#"{"access_token":"a","refresh_token":"b\n"}"#, "control character"),
            (r#"{"access_token":"a","refresh_token":false}"#, "not a text"),
            (long.as_str(), "too long"),
        ];
        for (answer, problem) in cases {
            let found = read(answer).expect_err(answer);
            assert!(found.contains(problem), "{answer}: {found}");
        }
        for none in [r#"{"access_token":"a","refresh_token":null}"#, r#"{"access_token":"a","refresh_token":""}"#] {
            assert!(read(none).expect(none).refresh_token.is_none());
        }
    }

    #[test]
    fn scopes_are_split_as_the_provider_joins_them() {
        let split = |separator: Option<&str>, scope: &str| {
            let mut server = acme("https://x.test/t");
            server.settings.scope_separator = separator.map(str::to_owned);
            let answer = format!(r#"{{"access_token":"a","scope":{scope}}}"#);
            read_for(&server, Source::Grant, &answer).expect(scope).scopes.map(|scopes| scopes.join("|"))
        };
        let cases = [
            (None, r#""read write""#, Some("read|write")),
            (None, r#""read  write ""#, Some("read|write")),
            (None, r#""repo,gist""#, Some("repo|gist")),
            (None, r#""a,b c""#, Some("a,b|c")),
            (None, r#""https://x.test/auth/drive""#, Some("https://x.test/auth/drive")),
            (Some(","), r#""a:read,b:write c""#, Some("a:read|b:write|c")),
            (Some("+"), r#""a+b""#, Some("a|b")),
            (Some(""), r#""a b""#, Some("a|b")),
            (None, r#"["a","b c"]"#, Some("a|b c")),
            (None, r#""""#, Some("")),
            (None, "null", None),
            (None, "[1]", None),
            (None, "7", None),
        ];
        for (separator, scope, expected) in cases {
            assert_eq!(split(separator, scope).as_deref(), expected, "{separator:?} {scope}");
        }
    }

    #[test]
    fn a_token_may_stand_deeper_and_brings_what_stands_beside_it() {
        let mut slack = acme("https://x.test/t");
        slack.settings.token_path = Some("authed_user.access_token".to_owned());
        slack.settings.scope_separator = Some(",".to_owned());
        let first = r#"{"ok":true,"access_token":"xoxb-bot","refresh_token":"bot-rt","scope":"bot","expires_in":43200,
            "authed_user":{"id":"U1","scope":"a,b","access_token":"xoxp-user","token_type":"user"},"team":{"name":"T"}}"#;
        let tokens = read_for(&slack, Source::Grant, first).expect("tokens");
        assert_eq!(tokens.access_token.expose(), "xoxp-user");
        assert_eq!(tokens.scopes.expect("scopes"), ["a", "b"]);
        assert_eq!(tokens.lifetime_seconds, Some(43_200), "from the top");
        assert_eq!((tokens.token_type.as_deref(), tokens.account.id.as_deref()), (Some("user"), Some("U1")));
        let refreshed = r#"{"ok":true,"access_token":"xoxp-2","refresh_token":"rt-2","token_type":"user"}"#;
        assert_eq!(read_for(&slack, Source::Refresh, refreshed).expect("tokens").access_token.expose(), "xoxp-2");
        let bot_only = r#"{"ok":true,"access_token":"xoxb-bot","authed_user":{"id":"U1"}}"#;
        assert_eq!(read_for(&slack, Source::Grant, bot_only).expect_err("not the user's"), "no access token");
    }

    #[test]
    fn a_token_type_is_a_name() {
        let cases =
            [("\"bearer\"", Some("bearer")), ("\"a b\"", None), ("\"a\\n\"", None), ("1", None), ("\"\"", None)];
        for (written, expected) in cases {
            let tokens = read(&format!(r#"{{"access_token":"a","token_type":{written}}}"#)).expect(written);
            assert_eq!(tokens.token_type.as_deref(), expected);
        }
    }
}

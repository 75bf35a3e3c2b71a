//! Authorization code with PKCE (RFC 6749 section 4.1, RFC 7636).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::answer::clean;
use super::call::repeats;
use super::endpoint::Endpoint;
use super::tokens::{Source, exchange, token_call};
use super::{AuthServer, FlowError, OAuthClient, Outbound, Tokens};
use crate::percent::{Plus, decode_strictly, push_encoded};
use crate::secret::{Secret, random_bytes};

/// Parameters that are ours alone, sent or not: a definition that sets one of them would undo the protocol.
const PROTOCOL: [&str; 6] =
    ["response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"];

/// A login that a browser is sent to.
#[derive(Debug)]
pub struct Authorization {
    /// Where the browser goes.
    pub url: String,
    /// `state`: what the answer must bring back.
    pub state: Secret,
    /// PKCE code verifier; `None`: the definition says that the server takes no challenge.
    pub verifier: Option<Secret>,
}

/// Makes the authorization request of a login.
///
/// # Errors
/// `Unsupported` when the server has no authorization endpoint, or its URL is none.
pub fn authorize(
    server: &AuthServer,
    client_id: &str,
    redirect_uri: &str,
    scopes: &[String],
) -> Result<Authorization, FlowError> {
    let settings = &server.settings;
    let endpoint = Endpoint::required(settings.authorization_url.as_deref(), "authorization")?;
    let state = random_text::<32>();
    let verifier = (settings.pkce != Some(false)).then(random_text::<64>);
    let challenge = verifier.as_ref().map(challenge);
    let scope = server.join_scopes(scopes);
    let scope_parameter = settings.scope_parameter.as_deref().unwrap_or("scope");

    let mut query = Query::default();
    query.add("response_type", "code");
    query.add("client_id", client_id);
    query.add("redirect_uri", redirect_uri);
    if !scope.is_empty() {
        query.add(scope_parameter, &scope);
    }
    query.add("state", state.expose());
    if let Some(challenge) = &challenge {
        query.add("code_challenge", challenge);
        query.add("code_challenge_method", "S256");
    }
    for (name, value) in &settings.authorization_params {
        query.add_unless_taken(name, value);
    }
    Ok(Authorization { url: query.onto(endpoint.as_str()), state, verifier })
}

/// `N` random bytes in base64url (RFC 7636 section 4.1 wants 43 to 128 characters for a verifier).
fn random_text<const N: usize>() -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(Zeroizing::new(random_bytes::<N>()).as_slice()))
}

/// RFC 7636 section 4.2.
fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()))
}

/// Query parameters, each name once (RFC 6749 section 3.1).
#[derive(Default)]
struct Query(Vec<(String, String)>);

impl Query {
    fn add(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    fn add_unless_taken(&mut self, name: &str, value: &str) {
        if !self.is_taken(name) {
            self.add(name, value);
        }
    }

    fn is_taken(&self, name: &str) -> bool {
        PROTOCOL.contains(&name) || self.0.iter().any(|(known, _)| known == name)
    }

    /// `url` with these parameters after those that it has. What it says about a name of ours gives way.
    fn onto(&self, url: &str) -> String {
        let (base, old) = url.split_once('?').unwrap_or((url, ""));
        let name_of = |pair: &str| decode_strictly(pair.split_once('=').map_or(pair, |(name, _)| name), Plus::Space);
        let is_kept = |pair: &&str| !pair.is_empty() && !name_of(pair).is_some_and(|name| self.is_taken(&name));
        let mut pairs: Vec<String> = old.split('&').filter(is_kept).map(str::to_owned).collect();
        pairs.extend(self.0.iter().map(|(name, value)| {
            let mut pair = String::new();
            push_encoded(&mut pair, name);
            pair.push('=');
            push_encoded(&mut pair, value);
            pair
        }));
        format!("{base}?{}", pairs.join("&"))
    }
}

/// The refusal that an authorization server sends by way of the browser (RFC 6749 section 4.1.2.1): its words, cleaned,
/// unless they repeat one of `secrets`.
pub fn denial(code: &str, description: Option<&str>, secrets: &[&Secret]) -> FlowError {
    let shown = |text: &str| {
        let text = clean(text);
        let is_secret = secrets.iter().any(|secret| repeats(&text, secret.expose()));
        (!text.is_empty() && !is_secret).then_some(text)
    };
    FlowError::Refused {
        code: shown(code).unwrap_or_else(|| "refused".to_owned()),
        description: description.and_then(shown),
    }
}

/// What an authorization code is redeemed with.
#[derive(Debug)]
pub struct Redemption<'a> {
    /// The code.
    pub code: &'a Secret,
    /// The `redirect_uri` of the authorization request.
    pub redirect_uri: &'a str,
    /// The verifier of the authorization request.
    pub verifier: Option<&'a Secret>,
}

/// Trades an authorization code for tokens. One call, never repeated here: a code can be spent once.
///
/// # Errors
/// See [`FlowError`].
pub fn redeem(
    outbound: &Outbound,
    server: &AuthServer,
    client: &OAuthClient,
    redemption: &Redemption<'_>,
) -> Result<Tokens, FlowError> {
    let endpoint = server.token_endpoint()?;
    let mut call = token_call(server, &endpoint, "authorization_code");
    call.secret_field("code", redemption.code);
    call.field("redirect_uri", redemption.redirect_uri);
    if let Some(verifier) = redemption.verifier {
        call.secret_field("code_verifier", verifier);
    }
    call.authenticate(client, server.client_auth(client));
    exchange(outbound, server, &call, Source::Grant)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::flow::testing::acme;
    use crate::model::OAuthSettings;

    fn server(change: impl FnOnce(&mut OAuthSettings)) -> AuthServer {
        let mut server = acme("https://x.test/token");
        server.settings.authorization_url = Some("https://x.test/authorize".to_owned());
        change(&mut server.settings);
        server
    }

    fn authorized(server: &AuthServer, scopes: &[&str]) -> (Authorization, BTreeMap<String, Vec<String>>) {
        let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let made = authorize(server, "my client", "https://d.test/cb?a=b", &scopes).expect("a URL");
        let mut parameters = BTreeMap::<_, Vec<_>>::new();
        let query = made.url.split_once('?').expect("a query").1.to_owned();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let form = |text: &str| decode_strictly(text, Plus::Space).expect(pair);
            parameters.entry(form(name)).or_default().push(form(value));
        }
        (made, parameters)
    }

    fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn an_authorization_request_has_what_the_standards_ask_for() {
        let (made, parameters) = authorized(&server(|_| ()), &["repo", "read:user"]);
        let verifier = made.verifier.expect("a verifier");
        assert_eq!(verifier.expose().len(), 86, "64 bytes; RFC 7636 allows 128 characters");
        assert_eq!(made.state.expose().len(), 43, "32 bytes");
        assert_eq!(
            made.url,
            format!(
                "https://x.test/authorize?response_type=code&client_id=my%20client\
                 &redirect_uri=https%3A%2F%2Fd.test%2Fcb%3Fa%3Db&scope=repo%20read%3Auser&state={}\
                 &code_challenge={}&code_challenge_method=S256",
                made.state.expose(),
                challenge(&verifier)
            )
        );
        assert!(parameters.values().all(|values| values.len() == 1));
        let (again, _) = authorized(&server(|_| ()), &[]);
        assert_ne!(again.state.expose(), made.state.expose());
        assert!(!again.url.contains("scope"), "{}", again.url);
    }

    #[test]
    fn the_challenge_is_the_one_of_rfc_7636() {
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "appendix B");
    }

    #[test]
    fn definitions_have_their_own_words_for_scopes_and_may_take_no_challenge() {
        let slack = server(|settings| {
            settings.scope_parameter = Some("user_scope".to_owned());
            settings.scope_separator = Some(",".to_owned());
            settings.pkce = Some(false);
            settings.authorization_params = params(&[("scope", "bot"), ("code_challenge", "mine")]);
        });
        let (made, parameters) = authorized(&slack, &["channels:read", "chat:write"]);
        assert_eq!(parameters["user_scope"], ["channels:read,chat:write"]);
        assert_eq!(parameters["scope"], ["bot"], "another parameter there");
        assert!(made.verifier.is_none() && !made.url.contains("code_challenge"), "{}", made.url);
    }

    #[test]
    fn further_parameters_are_added_and_never_replace_ours() {
        let hostile = server(|settings| {
            settings.authorization_url =
                Some("https://x.test/authorize?tenant=a%20b&flag&%73tate=fixed&prompt=none&scope=all".to_owned());
            settings.authorization_params = params(&[
                ("access_type", "offline"),
                ("prompt", "consent"),
                ("state", "fixed"),
                ("redirect_uri", "https://evil.test/"),
                ("client_id", "other"),
                ("response_type", "token"),
                ("code_challenge_method", "plain"),
                ("scope", "all"),
                ("weird&name", "a=b"),
            ]);
        });
        let (made, parameters) = authorized(&hostile, &["read"]);
        assert!(made.url.starts_with("https://x.test/authorize?tenant=a%20b&flag&response_type=code&"), "{}", made.url);
        let expected = [
            ("access_type", "offline"),
            ("client_id", "my client"),
            ("code_challenge_method", "S256"),
            ("prompt", "consent"),
            ("redirect_uri", "https://d.test/cb?a=b"),
            ("response_type", "code"),
            ("scope", "read"),
            ("state", made.state.expose()),
            ("weird&name", "a=b"),
        ];
        for (name, value) in expected {
            assert_eq!(parameters[name], [value], "{name}");
        }
    }

    #[test]
    fn without_a_usable_endpoint_there_is_no_request() {
        let cases = [
            (None, "has no authorization endpoint"),
            (Some("not a url"), "is not a URL"),
            (Some("http://x.test/a"), "is not an https URL"),
            (Some("https://x.test/a#b"), "has a fragment"),
            (Some("javascript:alert(1)//https://x.test"), "is not"),
        ];
        for (url, problem) in cases {
            let server = server(|settings| settings.authorization_url = url.map(str::to_owned));
            let error = authorize(&server, "c", "https://d.test/cb", &[]).expect_err(problem);
            assert!(matches!(error, FlowError::Unsupported { .. }) && error.to_string().contains(problem), "{error}");
        }
    }
}

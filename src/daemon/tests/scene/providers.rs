//! The pages of providers: what is found, who changes what, and what a mistake in a form costs.

use serde_json::Value;

use super::Body::{Form, None as Empty};
use super::{Response, Scene, Sender};
use crate::limits::DEFINITION_BYTES;

const ADA: Sender = Sender::Browser("ada");
const BOB: Sender = Sender::Browser("bob");

fn text(answer: &Response) -> &str {
    std::str::from_utf8(&answer.body).expect("is text")
}

fn get(scene: &Scene, sender: Sender, target: &str) -> String {
    let answer = scene.send(sender, "GET", target, Empty);
    assert_eq!(answer.status, 200, "{target}");
    text(&answer).to_owned()
}

/// Sends a form, and gives the status and where it leads to, or the page that shows it again.
fn post(scene: &Scene, target: &str, form: &[(&str, &str)]) -> (u16, String) {
    let pairs: Vec<String> =
        form.iter().map(|(name, value)| format!("{name}={}", crate::percent::encode(value))).collect();
    let answer = scene.send(ADA, "POST", target, Form(Box::leak(pairs.join("&").into_boxed_str())));
    let said = answer.fields.first_str("location").map_or_else(|| text(&answer).to_owned(), str::to_owned);
    (answer.status, said)
}

fn error<'a>(page: &'a str, field: &str) -> &'a str {
    let start = format!("<p class=\"problem\" id=\"field-{field}-error\">");
    page.split_once(&start).and_then(|(_, rest)| rest.split_once("</p>")).map_or("", |(error, _)| error)
}

fn count(page: &str) -> &str {
    let (_, rest) = page.split_once("id=\"found-count\">").expect("a count");
    rest.split('<').next().unwrap_or_default()
}

#[test]
fn a_search_looks_at_names_and_hosts_of_one_kind() {
    let scene = Scene::new();
    let search = |sender, query| count(&get(&scene, sender, &format!("/providers{query}"))).to_owned();
    for (query, found) in [
        ("", "89 providers"),
        ("?q=openai", "1 provider"),
        ("?q=OpenAI", "1 provider"),
        ("?q=api.openai.com", "1 provider"),
        ("?q=++acme+api.+", "1 provider"),
        ("?q=openai+github", "No provider found"),
        ("?q=%3Cscript%3E", "No provider found"),
        ("?kind=browser", "2 providers"),
        ("?kind=custom", "1 provider"),
        ("?kind=custom&q=openai", "No provider found"),
        ("?kind=nonsense", "89 providers"),
        ("?kind=connected", "1 provider"),
    ] {
        assert_eq!(search(BOB, query), found, "{query}");
    }
    assert_eq!(search(Sender::Browser("eve"), "?kind=connected"), "No provider found", "bob's are his own");
    assert!(get(&scene, BOB, "/providers?q=nothing").contains("ask an administrator to define it"));
    assert!(get(&scene, ADA, "/providers?q=nothing").contains("define one"));
}

#[test]
fn a_page_with_everything_is_small() {
    let scene = Scene::new();
    let assets = ["/assets/style.css", "/assets/dashboard.js"].map(|path| get(&scene, ADA, path).len());
    assert!(assets[1] < 4096, "the script has {} bytes", assets[1]);
    for target in ["/providers", "/providers/github", "/new-provider?from=github"] {
        let all = get(&scene, ADA, target).len() + assets.iter().sum::<usize>();
        assert!(all < 60_000, "{target} has {all} bytes");
    }
}

#[test]
fn a_person_sees_their_own_connections_and_no_client() {
    let scene = Scene::new();
    configure(&scene, "client_id=the-client&client_secret=the-secret");
    let (bob, eve, ada) =
        ["bob", "eve", "ada"].map(Sender::Browser).map(|who| get(&scene, who, "/providers/acme")).into();
    assert!(bob.contains("href=\"/connections/acme/default\""));
    assert!(!eve.contains("/connections/acme/") && !ada.contains("href=\"/connections/acme/"));
    assert!(ada.contains("bob@x.test") && !bob.contains("bob@x.test</td>"), "who uses it is for administrators");
    for page in [&bob, &eve] {
        for word in ["/revoke", "/delete", "/edit", "Manage", "Who uses it", "new-provider"] {
            assert!(!page.contains(word), "{word}");
        }
    }
    let [user, admin] = [BOB, ADA].map(|who| get(&scene, who, "/providers/github"));
    assert!(admin.contains("value=\"the-client\"") && !user.contains("the-client"));
    assert!(!admin.contains("the-secret") && !user.contains("the-secret"));
    assert!(user.contains("http://127.0.0.1:7998/api/auth/callback/oauth"));
}

fn configure(scene: &Scene, form: &'static str) {
    let answer = scene.send(ADA, "POST", "/providers/github/client", Form(form));
    assert_eq!(answer.fields.first_str("location"), Some("/providers/github?done=configured"));
}

#[test]
fn who_may_not_bring_a_client_is_told_to_wait_for_one() {
    let scene = Scene::new();
    let connect = "action=\"/api/auth/providers/github/connect\"";
    let page = get(&scene, BOB, "/providers/github");
    assert!(page.contains("An administrator of this server has to store an OAuth client") && !page.contains(connect));
    assert!(get(&scene, ADA, "/providers/github").contains(connect));
    configure(&scene, "client_id=x");
    assert!(get(&scene, BOB, "/providers/github").contains(connect));
    assert!(get(&scene, BOB, "/providers/notion-mcp").contains("/api/auth/providers/notion-mcp/connect"));
}

#[test]
fn a_client_keeps_what_is_left_empty_and_says_what_does_not_fit() {
    let scene = Scene::new();
    let client = "/providers/github/client";
    configure(&scene, "client_id=one&client_secret=the-secret&scopes=repo,+gist");
    assert_eq!(post(&scene, client, &[("client_id", "one")]), (303, "/providers/github?done=unchanged".to_owned()));
    let stored = scene.state.broker.client("github").expect("reads").expect("is there");
    assert_eq!(stored.client_secret.expect("is kept").expose(), "the-secret");
    assert_eq!(stored.scopes.expect("some"), ["repo", "gist"]);
    for (name, value, expected) in [
        ("client_id", "a\nb", "control character"),
        ("client_secret", "a\u{7}b", "control character"),
        ("base_url", "http://git.test", "an https:// address"),
        ("api_url", "*.git.test", "the host of the API"),
    ] {
        let (status, page) = post(&scene, client, &[(name, value), ("client_id", "one")]);
        let found = error(&page, name).to_lowercase();
        assert!(status == 422 && found.contains(&expected.to_lowercase()), "{name}: {status} {found}");
        assert!(!page.contains("the-secret") && page.contains("role=\"alert\""), "{name}");
    }
    let (status, page) = post(&scene, client, &[("base_url", "https://git.test")]);
    assert_eq!(status, 422);
    assert!(error(&page, "client_secret").contains("another server"), "{page}");
    assert!(page.contains("value=\"https://git.test\""), "what was typed is still there");
}

#[test]
fn a_provider_is_defined_in_plain_fields_changed_and_deleted() {
    let scene = Scene::new();
    let fields = [("kind", "query"), ("name", "fresh"), ("api_url", "api.fresh.test"), ("query_name", "key")];
    assert_eq!(post(&scene, "/new-provider", &fields), (303, "/providers/fresh?done=registered".to_owned()));
    let page = get(&scene, BOB, "/providers/fresh?done=registered");
    assert!(page.contains("Query parameter key={api_key}") && page.contains("The provider is there."), "{page}");
    let form = get(&scene, ADA, "/providers/fresh/edit");
    assert!(form.contains("value=\"query\" selected") && form.contains("api.fresh.test"), "{form}");
    let changed = [("kind", "query"), ("name", "fresh"), ("api_url", "api.fresh.test"), ("query_name", "token")];
    assert_eq!(post(&scene, "/providers/fresh/edit", &changed), (303, "/providers/fresh?done=replaced".to_owned()));
    assert!(get(&scene, BOB, "/providers/fresh").contains("Query parameter token={api_key}"));
    assert_eq!(post(&scene, "/providers/fresh/delete", &[]), (303, "/providers?done=deleted".to_owned()));
    assert_eq!(scene.send(ADA, "GET", "/providers/fresh", Empty).status, 404);
}

#[test]
fn every_mistake_stands_at_its_field_with_what_was_typed() {
    let scene = Scene::new();
    let fields = [
        ("kind", "pkce"),
        ("name", "no good"),
        ("api_url", "localhost"),
        ("docs_url", "<script>alert(1)</script>"),
        ("token_url", "http://x.test"),
    ];
    let (status, page) = post(&scene, "/new-provider", &fields);
    assert_eq!(status, 422);
    for (field, expected) in [
        ("name", "Name must be"),
        ("api_url", "register it in your terminal"),
        ("docs_url", "Documentation must be"),
        ("authorization_url", "Authorization URL is missing."),
        ("token_url", "Token URL must be"),
    ] {
        assert!(error(&page, field).contains(expected), "{field}: {}", error(&page, field));
        assert!(page.contains(&format!("<a href=\"#field-{field}\">")), "{field} is in the summary");
    }
    assert_eq!(page.matches("aria-invalid=\"true\"").count(), 5);
    assert!(page.contains("value=\"no good\"") && page.contains("value=\"pkce\" selected"));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert"));
    assert!(scene.state.broker.registry().find("no good").is_none());
}

#[test]
fn a_name_that_is_taken_is_refused_unless_it_is_meant() {
    let scene = Scene::new();
    for name in ["acme", "openai"] {
        let fields = [("kind", "bearer"), ("name", name), ("api_url", "api.fresh.test")];
        let (status, page) = post(&scene, "/new-provider", &fields);
        assert_eq!((status, error(&page, "name")), (422, "A provider is called that already: choose another name."));
        assert!(page.contains("name=\"force\""), "{page}");
        let json = format!(r#"{{"name":"{name}","auth_type":"api_key","flow":"api_key","api_url":"api.fresh.test"}}"#);
        let (status, page) = post(&scene, "/new-provider", &[("as_json", "1"), ("definition", &json)]);
        assert_eq!((status, error(&page, "definition").is_empty()), (422, false));
        let meant = [&fields[..], &[("force", "1")]].concat();
        assert_eq!(post(&scene, "/new-provider", &meant).0, 303);
    }
    let record = scene.state.broker.connection(&scene.actor("bob-agent"), "acme", "default").expect("is there");
    let used = scene.send(
        Sender::Agent("bob-agent"),
        "POST",
        "/api/credentials/resolve",
        super::Body::Json(r#"{"provider":"acme"}"#),
    );
    assert_eq!(used.status, 400, "the key of {} does not go to the new place", record.provider);
}

#[test]
fn a_change_that_would_send_a_secret_elsewhere_is_refused_unless_it_is_meant() {
    let scene = Scene::new();
    let fields = [("kind", "bearer"), ("name", "acme"), ("api_url", "api.evil.test")];
    let (status, page) = post(&scene, "/providers/acme/edit", &fields);
    assert_eq!(status, 422);
    assert!(page.contains("would be sent to another place") && page.contains("name=\"force\""), "{page}");
    assert!(get(&scene, BOB, "/providers/acme").contains("<code>api.acme.test</code>"));
    let meant = [&fields[..], &[("force", "1")]].concat();
    assert_eq!(post(&scene, "/providers/acme/edit", &meant), (303, "/providers/acme?done=replaced".to_owned()));
    assert!(get(&scene, BOB, "/providers/acme").contains("<code>api.evil.test</code>"));
}

#[test]
fn json_that_does_not_fit_says_where() {
    let scene = Scene::new();
    let long = format!("{{{}", " ".repeat(DEFINITION_BYTES));
    for (json, expected) in [
        ("", "line 1 column 0: is no JSON."),
        ("{\"name\": \"hunter2\"", "is no JSON."),
        ("[]", "definition: is no JSON object."),
        (r#"{"name":"x","auth_type":"api_key","flow":"pkce"}"#, "flow: &#39;pkce&#39; does not go with"),
        (r#"{"name":"x","auth_type":"api_key","flow":"api_key","api_url":["a.test","*.com"]}"#, "api_url[1]: "),
        (&long, "definition: is longer than 262144 bytes."),
    ] {
        let (status, page) = post(&scene, "/new-provider", &[("as_json", "1"), ("definition", json)]);
        assert_eq!(status, 422, "{expected}");
        assert!(error(&page, "definition").contains(expected), "{expected}: {}", error(&page, "definition"));
        assert!(page.contains("<details open=\"\"><summary><h2>As JSON"), "what was typed is in view");
        assert!(!page.contains("name=\"force\""), "doing it anyway does not help");
    }
    let good = r#"{"name":"mine", /* a comment */ "auth_type":"api_key","flow":"api_key","api_url":"api.mine.test","key_hint":"^m"}"#;
    let sent = post(&scene, "/new-provider", &[("as_json", "1"), ("definition", good)]);
    assert_eq!(sent, (303, "/providers/mine?done=registered".to_owned()));
    let form = get(&scene, ADA, "/providers/mine/edit");
    assert!(form.contains("says more than plain fields can") && form.contains("&quot;key_hint&quot;"), "{form}");
    let renamed = good.replace("mine\",", "yours\",");
    let (status, page) = post(&scene, "/providers/mine/edit", &[("as_json", "1"), ("definition", &renamed)]);
    assert_eq!((status, error(&page, "definition")), (422, "name: it must stay the same."));
}

#[test]
fn a_copy_starts_from_a_provider_and_can_be_stored_as_it_is() {
    let scene = Scene::new();
    let page = get(&scene, ADA, "/new-provider?from=github");
    assert!(page.contains("&quot;name&quot;: &quot;github-copy&quot;"), "{page}");
    let json = page.split_once("<textarea id=\"field-definition\"").and_then(|(_, rest)| rest.split_once('>'));
    let json = json.and_then(|(_, rest)| rest.split_once("</textarea>")).expect("a text area").0.trim();
    let json = json.replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&");
    let sent = post(&scene, "/new-provider", &[("as_json", "1"), ("definition", &json)]);
    assert_eq!(sent, (303, "/providers/github-copy?done=registered".to_owned()));
    assert_eq!(scene.send(ADA, "GET", "/new-provider?from=nothing", Empty).status, 404);
}

#[test]
fn a_form_is_checked_before_it_is_sent_and_nothing_is_stored() {
    let scene = Scene::new();
    let check = |form: &[(&str, &str)]| -> Value {
        let (status, said) = post(&scene, "/new-provider/check", form);
        assert_eq!(status, 200);
        serde_json::from_str::<Value>(&said).expect("is JSON")["errors"].clone()
    };
    let good = [("kind", "bearer"), ("name", "fresh"), ("api_url", "api.fresh.test")];
    assert_eq!(check(&good), serde_json::json!({}));
    assert!(scene.state.broker.registry().find("fresh").is_none());
    let errors = check(&[("kind", "device"), ("name", "acme")]);
    let fields: Vec<&String> = errors.as_object().expect("an object").keys().collect();
    assert_eq!(fields, ["api_url", "device_authorization_url", "name", "token_url"]);
    let own = [("replaces", "acme"), ("kind", "bearer"), ("name", "acme"), ("api_url", "api.acme.test")];
    assert_eq!(check(&own), serde_json::json!({}), "a provider may keep its name");
    assert!(check(&[("as_json", "1"), ("definition", "{")])["definition"].is_string());
}

#[test]
fn a_local_api_that_was_allowed_may_stay() {
    let scene = Scene::new();
    let local = super::definition("local", "127.0.0.1:9");
    let definition = crate::provider::parse_definition(local.to_string().as_bytes()).expect("parses");
    let options = crate::provider::ValidateOptions { allow_local: true };
    scene.state.broker.register(&scene.actor("ada-agent"), definition, false, options).expect("registers");
    let fields = |host| [("kind", "bearer"), ("name", "local"), ("display_name", "Here"), ("api_url", host)];
    assert_eq!(post(&scene, "/providers/local/edit", &fields("127.0.0.1:9")).0, 303);
    let (status, page) = post(&scene, "/providers/local/edit", &fields("127.0.0.1:10"));
    assert_eq!((status, error(&page, "api_url").contains("--allow-local")), (422, true));
}

#[test]
fn revoking_ends_every_connection_and_only_a_definition_of_ones_own_goes() {
    let scene = Scene::new();
    assert_eq!(post(&scene, "/providers/acme/revoke", &[]), (303, "/providers/acme?done=revoked".to_owned()));
    assert!(scene.state.broker.connection(&scene.actor("bob-agent"), "acme", "default").is_err());
    assert_eq!(post(&scene, "/providers/openai/delete", &[]), (303, "/providers/openai?done=revoked".to_owned()));
    assert_eq!(scene.send(ADA, "GET", "/providers/openai", Empty).status, 200);
}

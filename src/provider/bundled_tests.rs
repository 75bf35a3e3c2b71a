//! The bundled definitions as a whole: complete, valid, collision-free, and never injected at a look-alike host.

use std::collections::{BTreeMap, BTreeSet};

use super::bundled::BUNDLED;
use super::*;
use crate::model::{AuthType, ConnectionRecord, HostMatch, OAuthSettings, ProviderDefinition, RunRoute, SlotPlace};
use crate::secret::Secret;

/// What 0.7.2 ships: `authsome login NAME` must go on working for each.
#[rustfmt::skip]
const NAMES: [&str; 88] = [
    "ahrefs", "anthropic", "apollo", "ashby", "atlassian", "bedrock", "beehiiv", "brave-search-mcp", "brevo",
    "buffer", "calendly", "clearbit", "cloudflare", "cloudflare-mcp", "confluence", "discord", "dub", "fireworks",
    "g2", "github", "github-mcp", "gitlab", "google", "google-admin", "google-analytics", "google-calendar",
    "google-chat", "google-classroom", "google-docs", "google-drive", "google-forms", "google-gmail", "google-meet",
    "google-photos", "google-search-console", "google-sheets", "google-slides", "google-tasks", "google-vertex-ai",
    "google-youtube", "groq", "hubspot", "hunter", "instantly", "intercom", "jira", "keywords-everywhere", "klaviyo",
    "klaviyo-oauth", "lemlist", "linear", "linear-mcp", "linkedin-browser", "livestorm", "mailchimp", "mention-me",
    "microsoft", "microsoft-calendar", "microsoft-outlook", "microsoft-word", "mistral", "notion", "notion-mcp",
    "openai", "openrouter", "optimizely", "perplexity", "postiz", "postmark", "reddit", "resend", "rewardful",
    "savvycal", "semrush", "sendgrid", "sentry-mcp", "slack", "slack-mcp", "stripe-mcp", "todoist", "together",
    "tolt", "typeform", "wistia", "x", "x-browser", "zapier", "zoom",
];

/// Destinations that two providers share on purpose: with both connected, a person says which one is meant.
const SHARED: [&str; 3] = [
    "a.klaviyo.com:443", // a key or an OAuth app
    "api.atlassian.com:443/me",
    "api.atlassian.com:443/oauth/token/accessible-resources", // either token lists its own sites
];

fn all() -> Vec<ProviderDefinition> {
    BUNDLED
        .iter()
        .map(|(name, text)| parse_definition(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}")))
        .collect()
}

fn definition(name: &str) -> ProviderDefinition {
    all().into_iter().find(|definition| definition.name == name).expect("is bundled")
}

/// A connection with every credential that its definition can ask for.
fn connection(definition: &ProviderDefinition, key: &str) -> ConnectionRecord {
    let mut record = ConnectionRecord::new(&definition.name, "default", definition.auth_type);
    let secret = |text: &str| Some(Secret::new(text.to_owned()));
    match definition.auth_type {
        AuthType::ApiKey => record.api_key = secret(key),
        AuthType::Oauth2 => record.access_token = secret(key),
        AuthType::Browser => {
            for cookie in &definition.browser.as_ref().expect("has settings").auth_cookies {
                record.credentials.insert(cookie.clone(), Secret::new(format!("\"{cookie}-{key}\"")));
            }
        }
    }
    record
}

fn routes(definition: &ProviderDefinition) -> Vec<RunRoute> {
    let record = connection(definition, "secret-us1");
    let filling = Filling::of(&record);
    let destinations =
        destinations(definition, &filling).unwrap_or_else(|error| panic!("{}: {error}", definition.name));
    let route = |destination: Destination| RunRoute {
        provider: definition.name.clone(),
        connection: "default".to_owned(),
        host: destination.host,
        host_match: destination.host_match,
        port: destination.port,
        path_prefix: destination.path_prefix,
        auth_endpoints: auth_endpoints(definition, &filling),
        inject: None,
        strip: strip_slots(definition),
        default_headers: definition.default_headers.clone(),
        exports: export_names(definition).into_iter().map(|name| name.env).collect(),
        expires_at: None,
    };
    destinations.into_iter().map(route).collect()
}

fn decide(router: &Router, host: &str, path: &str) -> Decision {
    router.decide(&Host::parse(host).expect("is a host"), 443, path)
}

#[test]
fn the_list_is_the_folder_and_the_88_names() {
    let listed: Vec<&str> = BUNDLED.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, NAMES, "sorted, for the binary search");
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/vendor-providers")).expect("is there");
    let files: BTreeSet<String> =
        folder.map(|entry| entry.expect("is read").file_name().into_string().expect("is UTF-8")).collect();
    assert_eq!(files, NAMES.iter().map(|name| format!("{name}.json")).collect());
}

#[test]
fn every_definition_is_valid_and_whole() {
    for (definition, (name, text)) in all().iter().zip(BUNDLED) {
        validate(definition, ValidateOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(&definition.name, name);
        assert!(text.starts_with("{\n  \"schema_version\": 1,\n  \"name\"") && text.ends_with("\n}\n"), "{name}");
        assert!(!text.contains(['\t', '\r']) && !text.contains("regex:"), "{name}");
        assert!(!definition.display_name.is_empty(), "{name}");
        let description = definition.description.as_deref().unwrap_or_default();
        assert!((20..160).contains(&description.len()) && description.ends_with('.'), "{name}: {description}");
        assert!(!definition.api_url.is_empty() && !export_names(definition).is_empty(), "{name}");
        let env_var = definition.api_key.as_ref().and_then(|settings| settings.env_var.as_deref());
        assert_eq!(env_var.is_some(), definition.auth_type == AuthType::ApiKey, "{name}");
    }
}

/// A misspelt optional field would be kept as an unknown one and do nothing.
#[test]
fn no_field_is_unknown() {
    for definition in all() {
        let oauth = definition.oauth.clone().unwrap_or_default();
        let browser = definition.browser.clone().unwrap_or_default();
        let unknown: Vec<String> = [
            definition.extra,
            oauth.extra,
            oauth.revoke.unwrap_or_default().extra.into_iter().collect(),
            definition.registration.unwrap_or_default().extra,
            definition.api_key.unwrap_or_default().extra,
            browser.extra,
            browser.extract.into_iter().flat_map(|extract| extract.extra).collect(),
        ]
        .into_iter()
        .flat_map(|map| map.into_iter().map(|(key, _)| key))
        .collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", definition.name);
    }
}

/// How a vendor's login works is tested with one of its definitions (`tests/it/quirks`). The others must not differ.
#[test]
fn one_vendor_has_one_login() {
    for (model, family) in
        [("google", "google-"), ("microsoft", "microsoft-"), ("atlassian", "jira"), ("jira", "confluence")]
    {
        let login = |definition: ProviderDefinition| OAuthSettings {
            scopes: Vec::new(),
            device_authorization_url: None,
            supports_device_code: None,
            ..definition.oauth.unwrap_or_default()
        };
        let siblings: Vec<_> = all().into_iter().filter(|definition| definition.name.starts_with(family)).collect();
        assert!(!siblings.is_empty(), "{family}");
        for sibling in siblings {
            let name = sibling.name.clone();
            assert_eq!(login(sibling), login(definition(model)), "{name}");
        }
    }
}

#[test]
fn patterns_only_warn_and_compile() {
    for definition in all() {
        let pattern = definition.api_key.as_ref().and_then(|settings| settings.key_pattern.as_deref());
        for pattern in [pattern, definition.key_hint.as_deref()].into_iter().flatten() {
            regex_lite::Regex::new(pattern).unwrap_or_else(|error| panic!("{}: {error}", definition.name));
        }
    }
    let hex40 = "0123456789abcdef0123456789abcdef01234567";
    for (name, key) in [
        ("cloudflare", hex40),
        ("cloudflare", &format!("cfut_{hex40}01234567")),
        ("cloudflare", "cfk_abc_DEF-0123456789012345678901234567"),
        ("cloudflare-mcp", &format!("cfat_{hex40}01234567")),
        ("github-mcp", &format!("ghs_{}", "aA0.-_".repeat(80))),
        ("github-mcp", &format!("gho_{}", "a".repeat(36))),
        ("github-mcp", hex40),
        ("stripe-mcp", "rk_live_abc"),
        ("stripe-mcp", "sk_org_abc"),
        ("slack-mcp", "xoxp-1-2"),
        ("slack-mcp", "xoxe.xoxp-1-2"),
        ("linear-mcp", "lin_api_abc"),
        ("linear-mcp", "lin_oauth_abc"),
        ("anthropic", "sk-ant-api03-abc"),
        ("anthropic", "sk-ant-oat01-abc"),
        ("bedrock", "ABSKabc"),
        ("openai", "sk-proj-abcdefghijklmnopqrstuvwxyz"),
        ("mailchimp", "0123456789abcdef0123456789abcdef-us21"),
    ] {
        assert_eq!(key_warning(&definition(name), key), None, "{name} {key}");
    }
    for (name, key) in [("slack-mcp", "xoxb-1-2"), ("openai", "pk-abc"), ("cloudflare", "short")] {
        assert!(key_warning(&definition(name), key).is_some(), "{name} {key}");
    }
}

#[test]
fn no_name_is_exported_twice() {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for definition in all() {
        for export in export_names(&definition) {
            let other = owners.insert(export.env.clone(), definition.name.clone());
            assert_eq!(other, None, "{} is exported by {} too", export.env, definition.name);
        }
    }
    for (env, name) in [
        ("GH_TOKEN", "github"),
        ("GITHUB_PERSONAL_ACCESS_TOKEN", "github-mcp"),
        ("NOTION_TOKEN", "notion"),
        ("SLACK_BOT_TOKEN", "slack"),
        ("TODOIST_API_TOKEN", "todoist"),
        ("LINEAR_API_KEY", "linear"),
        ("GITLAB_TOKEN", "gitlab"),
        ("DISCORD_TOKEN", "discord"),
        ("AWS_BEARER_TOKEN_BEDROCK", "bedrock"),
    ] {
        assert_eq!(owners.get(env).map(String::as_str), Some(name), "{env}");
    }
}

#[test]
fn no_two_providers_claim_the_same_place() {
    let mut claims: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for definition in all() {
        for route in routes(&definition) {
            let place = format!("{}:{}{}", route.host, route.port, route.path_prefix);
            claims.entry(place).or_default().insert(route.provider);
        }
    }
    let shared: Vec<String> = claims.into_iter().filter(|(_, names)| names.len() > 1).map(|(place, _)| place).collect();
    assert_eq!(shared, SHARED);
}

#[test]
fn with_everything_connected_each_request_goes_to_its_provider() {
    let router = Router::new(all().iter().flat_map(routes).collect()).expect("routes are good");
    for (host, path, provider) in [
        ("www.googleapis.com", "/drive/v3/files?q=x", "google-drive"),
        ("www.googleapis.com", "/upload/drive/v3/files", "google-drive"),
        ("www.googleapis.com", "/upload/youtube/v3/videos", "google-youtube"),
        ("youtube.googleapis.com", "/youtube/v3/videos", "google-youtube"),
        ("www.googleapis.com", "/calendar/v3/users/me/calendarList", "google-calendar"),
        (
            "www.googleapis.com",
            "/webmasters/v3/sites/https%3A%2F%2Facme.test%2F/searchAnalytics/query",
            "google-search-console",
        ),
        ("gmail.googleapis.com", "/upload/gmail/v1/users/me/messages/send", "google-gmail"),
        ("us-central1-aiplatform.googleapis.com", "/v1/projects/p", "google-vertex-ai"),
        ("aiplatform.googleapis.com", "/v1/projects/p", "google-vertex-ai"),
        ("eu-west1-aiplatform.googleapis.com", "/v1/projects/p", "google"),
        ("people.googleapis.com", "/v1/people/me", "google"),
        ("graph.microsoft.com", "/v1.0/me", "microsoft"),
        ("graph.microsoft.com", "/v1.0/me/events/1", "microsoft-calendar"),
        ("graph.microsoft.com", "/beta/me/sendMail", "microsoft-outlook"),
        ("graph.microsoft.com", "/v1.0/sites/a", "microsoft-word"),
        ("api.atlassian.com", "/ex/jira/1/rest/api/3/issue/A-1", "jira"),
        ("api.atlassian.com", "/ex/confluence/1/wiki/rest/api", "confluence"),
        ("api.atlassian.com", "/admin/v1/orgs", "atlassian"),
        ("api.x.com", "/2/users/me", "x"),
        ("api.x.com", "/graphql/abc/UserTweets", "x-browser"),
        ("x.com", "/i/api/graphql/abc/UserTweets", "x-browser"),
        ("gitlab.com", "/api/v4/projects/group%2Fproject", "gitlab"),
        ("discord.com", "/api/v10/users/@me", "discord"),
        ("slack.com", "/api/chat.postMessage", "slack"),
        ("us1.api.mailchimp.com", "/3.0/lists", "mailchimp"),
        ("bedrock-runtime.us-east-1.amazonaws.com", "/model/anthropic.claude%3A0/invoke", "bedrock"),
        ("docs.mcp.cloudflare.com", "/mcp", "cloudflare-mcp"),
        ("mcp.linear.app", "/mcp", "linear-mcp"),
        ("api.linear.app", "/graphql", "linear"),
        ("api.together.xyz", "/v2/videos", "together"),
    ] {
        match decide(&router, host, path) {
            Decision::Inject { route } => assert_eq!(router.routes()[route].provider, provider, "{host}{path}"),
            other => panic!("{host}{path}: {other:?}"),
        }
    }
    for (host, path) in [
        ("oauth2.googleapis.com", "/token"),
        ("oauth2.googleapis.com", "/revoke"),
        ("api.hubapi.com", "/oauth/2026-03/token"),
        ("discord.com", "/api/oauth2/token"),
        ("slack.com", "/api/oauth.v2.access"),
        ("api.github.com", "/applications/Iv1.0123/token"),
        ("api.notion.com", "/v1/oauth/token"),
        ("mcp.notion.com", "/register"),
        ("api.linear.app", "/oauth/token"),
        ("api.x.com", "/2/oauth2/token"),
        ("a.klaviyo.com", "/oauth/token"),
        ("api.zapier.com", "/v2/authorize"),
        ("api.todoist.com", "/api/v1/revoke"),
    ] {
        assert!(matches!(decide(&router, host, path), Decision::AuthEndpoint { .. }), "{host}{path}");
    }
}

#[test]
fn pages_and_downloads_get_no_token() {
    let router = Router::new(all().iter().flat_map(routes).collect()).expect("routes are good");
    for (host, path) in [
        ("discord.com", "/login"),
        ("discord.com", "/apixyz"),
        ("slack.com", "/signin"),
        ("gitlab.com", "/oauth/token"),
        ("gitlab.com", "/users/sign_in"),
        ("github.com", "/login/oauth/access_token"),
        ("objects.githubusercontent.com", "/github-production-release-asset"),
        ("x.com", "/home"),
        ("twitter.com", "/i/apix"),
        ("www.linkedin.com", "/feed"),
        ("linkedin.com", "/voyager"),
        ("openrouter.ai", "/settings/keys"),
        ("api.todoist.com", "/rest/v2/tasks"),
        ("api.cloudflare.com", "/client/v5"),
        ("mcp.sentry.dev", "/oauth/token"),
        ("linear.app", "/"),
        ("api.us-east-1.amazonaws.com", "/"),
        ("www.google.com", "/"),
        ("accounts.google.com", "/o/oauth2/v2/auth"),
        ("login.microsoftonline.com", "/common/oauth2/v2.0/token"),
    ] {
        assert_eq!(decide(&router, host, path), Decision::NoMatch, "{host}{path}");
    }
}

/// For every provider alone: hosts that somebody else could own, made from each of its own.
#[test]
fn look_alike_hosts_match_no_provider() {
    for definition in all() {
        let router = Router::new(routes(&definition)).expect("routes are good");
        let own_suffix = match definition.name.as_str() {
            "google" => ".googleapis.com",
            "cloudflare-mcp" => ".mcp.cloudflare.com",
            _ => "nothing",
        };
        let is_own = |host: &str| host == &own_suffix[1..] || host.ends_with(own_suffix);
        for route in router.routes() {
            let path = format!("{}/x", route.path_prefix);
            for hostile in look_alikes(&route.host, route.host_match).iter().filter(|host| !is_own(host)) {
                assert_eq!(decide(&router, hostile, &path), Decision::NoMatch, "{}: {hostile}", definition.name);
            }
            let below = if route.host_match == HostMatch::Suffix { "a." } else { "" };
            let real = Host::parse(&format!("{below}{}", route.host)).expect("is a host");
            assert_eq!(router.decide(&real, 8443, &path), Decision::NoMatch, "{}: another port", definition.name);
        }
    }
}

fn look_alikes(host: &str, host_match: HostMatch) -> Vec<String> {
    let (label, parent) = host.split_once('.').expect("has labels");
    let mut hosts = vec![
        format!("evil{host}"),
        format!("evil-{host}"),
        format!("{host}.evil.test"),
        format!("{host}x"),
        format!("{label}-{parent}"),
        format!("{label}.evil{parent}"),
        format!("{}.evil.test", host.replace('.', "-")),
        host.replacen('.', "x", 1),
    ];
    match host_match {
        HostMatch::Suffix => {
            hosts.extend([host.to_owned(), format!("x.evil{host}"), format!("x.{host}.evil.test")]);
        }
        HostMatch::Exact | HostMatch::Regex => {
            hosts.extend([format!("evil.{host}"), format!("{label}.evil.{parent}")]);
        }
    }
    hosts
}

#[test]
fn what_each_kind_of_credential_looks_like() {
    let sent = |name: &str, key: &str, fields: &[(&str, &str)]| -> Vec<String> {
        let definition = definition(name);
        let mut record = connection(&definition, key);
        for (field, value) in fields {
            record.credentials.insert((*field).to_owned(), Secret::new((*value).to_owned()));
        }
        let slots = slots(&definition, &record).unwrap_or_else(|error| panic!("{error}"));
        let place = |place| match place {
            SlotPlace::Header => "",
            SlotPlace::Query => "?",
            SlotPlace::Cookie => "cookie ",
        };
        slots.iter().map(|slot| format!("{}{}: {}", place(slot.place), slot.name, slot.value.expose())).collect()
    };
    for (name, key, expected) in [
        ("openai", "k", &["Authorization: Bearer k"][..]),
        ("google", "k", &["Authorization: Bearer k"]),
        ("ashby", "k", &["Authorization: Basic azo="]),
        ("rewardful", "k", &["Authorization: Basic azo="]),
        ("lemlist", "k", &["Authorization: Basic Oms="]),
        ("mailchimp", "k-us1", &["Authorization: Basic YW55c3RyaW5nOmstdXMx"]),
        ("apollo", "k", &["x-api-key: k"]),
        ("brevo", "k", &["api-key: k"]),
        ("brave-search-mcp", "k", &["X-Subscription-Token: k"]),
        ("livestorm", "k", &["Authorization: k"]),
        ("klaviyo", "k", &["Authorization: Klaviyo-API-Key k"]),
        ("sentry-mcp", "k", &["Authorization: Sentry-Bearer k"]),
        ("postiz", "pos_k", &["Authorization: pos_k"]),
        ("g2", "k", &["Authorization: Bearer k"]),
        ("anthropic", "sk-ant-api03-k", &["x-api-key: sk-ant-api03-k"]),
        ("anthropic", "sk-ant-oat01-k", &["Authorization: Bearer sk-ant-oat01-k", "anthropic-beta: oauth-2025-04-20"]),
        ("cloudflare", "k", &["Authorization: Bearer k"]),
        ("semrush", "k", &["?key: k"]),
        ("postmark", "k", &["X-Postmark-Server-Token: k"]),
        (
            "linkedin-browser",
            "k",
            &["cookie li_at: \"li_at-k\"", "cookie JSESSIONID: \"JSESSIONID-k\"", "csrf-token: JSESSIONID-k"],
        ),
    ] {
        assert_eq!(sent(name, key, &[]), expected, "{name}");
    }
    assert_eq!(sent("semrush", "k", &[("key_version", "4")]), ["Authorization: Apikey k"]);
    assert_eq!(
        sent("cloudflare", "cfk_k", &[("email", "me@acme.test")]),
        ["X-Auth-Key: cfk_k", "X-Auth-Email: me@acme.test"]
    );
    let postmark = sent("postmark", "k", &[("account_token", "a")]);
    assert_eq!(postmark, ["X-Postmark-Server-Token: k", "X-Postmark-Account-Token: a"]);
    let x = sent("x-browser", "k", &[]);
    assert!(
        x.contains(&"x-csrf-token: \"ct0-k\"".to_owned())
            && x.iter().any(|slot| slot.starts_with("Authorization: Bearer AAAA"))
    );
}

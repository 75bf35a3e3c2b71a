//! What every answer has in common, and the resources without an owner.

use super::*;

#[test]
fn health_is_open_and_says_what_the_contract_lists() {
    let daemon = Daemon::local();
    for target in ["/health", "/api/health"] {
        let value = daemon.open("GET", target, "").value();
        assert_eq!(value["status"], "ok");
        for name in ["version", "configured_encryption_mode", "encryption_backend", "store_backend"] {
            assert!(value[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {value}");
        }
        let source = value["effective_encryption_source"].as_str();
        assert!(source.is_some_and(|source| ["env", "file", "keyring", "passphrase"].contains(&source)), "{value}");
    }
}

#[test]
fn ready_tries_the_vault_and_leaves_nothing_in_it() {
    let daemon = Daemon::local();
    let owner = daemon.people().local_owner().expect("an owner");
    let agent = daemon.claimed("calm-fox", &owner, Grants::default());
    let keys = || daemon.state.vault.list("check:").expect("lists").len();
    let value = agent.get("/api/ready").value();
    assert_eq!(value["status"], "ready", "{value}");
    for check in ["spec_version", "store", "identity", "providers", "connections", "vault", "integrity"] {
        assert_eq!(value["checks"][check], "ok", "{value}");
    }
    assert_eq!(value["warnings"], json!(["no active provider connections found"]));
    assert_eq!(keys(), 0);
}

#[test]
fn whoami_is_all_strings() {
    let daemon = Daemon::local();
    let owner = daemon.people().local_owner().expect("an owner");
    let agent = daemon.claimed("calm-fox", &owner, Grants::default());
    let value = agent.get("/api/whoami").value();
    let fields = value.as_object().expect("an object");
    assert!(fields.values().all(Value::is_string), "{value}");
    let names = "version home identity active_identity principal_id vault_id principal_role account_email did \
                 registration_status daemon_url configured_encryption_mode effective_encryption_source encryption_backend";
    for name in names.split_whitespace() {
        assert!(fields[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {value}");
    }
}

#[test]
fn unknown_paths_and_wrong_methods_are_told_apart() {
    let daemon = Daemon::local();
    assert_eq!(daemon.open("GET", "/nope", "").detail(), refusal(404, "Not Found"));
    assert_eq!(daemon.open("POST", "/health", "").detail(), refusal(405, "Method Not Allowed"));
    let answer = daemon.open("BREW", "/api/whoami", "");
    assert_eq!(answer.detail(), refusal(405, "Method Not Allowed"));
    assert_eq!(answer.fields.first_str("allow"), Some("GET, HEAD"));
}

#[test]
fn a_body_that_does_not_fit_is_not_repeated() {
    const LIST: &str = r#"["calm-fox","did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"]"#;
    let daemon = Daemon::local();
    let send = |body: &str| daemon.open("POST", "/api/identities/register", body);
    for body in ["hunter2", r#"{"handle":"hunter2""#, r#"{"handle":["hunter2"],"did":"x"}"#, LIST, "[]", "null"] {
        let answer = send(body);
        assert_eq!(answer.status, 422, "{body}");
        let text = answer.value().to_string();
        assert!(text.contains(r#""loc":["body""#) && text.contains(r#""type":""#), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn other_peoples_names_are_not_served() {
    let daemon = Daemon::hosted();
    let ask = |host: &str| {
        let mut request = request("GET", "/health", "");
        request.fields.set("Host", host);
        daemon.answer(&request).status
    };
    assert_eq!(ask("auth.example.com"), 200);
    assert_eq!(ask("localhost:1"), 200);
    assert_eq!(ask("evil.test:7998"), 421);
}

#[test]
fn every_answer_forbids_caching_and_sniffing_and_no_page_runs_anothers_script() {
    let daemon = Daemon::local();
    let browser = daemon.browser(&daemon.account("a@x.test"));
    for target in ["/health", "/api/whoami", "/nope", "/login", "/", "/claim?token=x", "/auth/success?error=x"] {
        let answer = browser.get(target);
        assert_eq!(answer.fields.first_str("cache-control"), Some("no-store"), "{target}");
        assert_eq!(answer.fields.first_str("x-content-type-options"), Some("nosniff"), "{target}");
        if answer.fields.first_str("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            let policy = answer.fields.first_str("content-security-policy").unwrap_or_default();
            for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"] {
                assert!(policy.contains(part), "{target}: {policy}");
            }
            // Only the dashboard has a script, and that one is a file of ours.
            let scripts = policy.split("; ").find(|part| part.starts_with("script-src"));
            assert_eq!(scripts, (target == "/").then_some("script-src 'self'"), "{target}: {policy}");
            assert!(!policy.contains("unsafe"), "{target}: {policy}");
            let text = String::from_utf8_lossy(&answer.body);
            let without_ours = text.replacen(r#"<script src="/assets/dashboard.js" defer=""></script>"#, "", 1);
            assert!(!without_ours.contains("<script"), "{target}");
        }
    }
}

#[test]
fn words_on_a_page_are_ours_and_not_the_links() {
    let daemon = Daemon::local();
    let page = daemon.open("GET", "/login?error=Call+0900+123&next=%22%3E%3Cscript%3E", "");
    let text = String::from_utf8_lossy(&page.body).into_owned();
    assert_eq!(page.status, 200);
    assert!(!text.contains("0900") && !text.contains("<script"), "{text}");
}

#[test]
fn a_hint_is_for_who_asks() {
    let daemon = Daemon::local();
    let owner = daemon.account("a@x.test");
    let agent = daemon.claimed("calm-fox", &owner, Grants { export: false, ..Grants::default() });
    let refused = |asks: bool| {
        let mut request = agent.signed("POST", "/api/credentials/export", "{}");
        if asks {
            request.fields.push("Authsome-Hints", "1");
        }
        daemon.answer(&request).value()
    };
    assert!(refused(true)["hint"].as_str().is_some_and(|hint| hint.contains("authsome agent grant HANDLE --export")));
    assert_eq!(refused(false).as_object().map(serde_json::Map::len), Some(4), "the shape of 0.7.2");
}

#[test]
fn a_browser_is_refused_with_a_page_and_a_program_with_json() {
    let daemon = Daemon::local();
    let ask = |target: &str, accept: &str| {
        let mut request = request("GET", target, "");
        request.fields.push("Accept", accept);
        daemon.answer(&request)
    };
    let browsers = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = ask("/auth/input?session=sess_000000000000", browsers);
    let text = String::from_utf8_lossy(&page.body);
    assert_eq!(page.status, 404);
    assert!(text.starts_with("<!doctype html>") && text.contains("Auth session not found"), "{text}");
    for (target, accept) in [("/auth/input?session=sess_000000000000", "*/*"), ("/api/whoami", browsers)] {
        let answer = ask(target, accept);
        assert!(answer.value()["detail"].is_string(), "{target}");
    }
}

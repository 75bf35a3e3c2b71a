//! Every page of the dashboard, empty and full, as an administrator and as a user sees it: for every reader, at every
//! width, and light enough.

use serde_json::json;

use super::stage::{Stage, register, routes};
use crate::harness::browser::Page;
use crate::harness::{Caller, KEY, demo_provider};

/// Every page that a person signs in for, and where it is for an administrator with an agent.
const PAGES: &[(&str, &str)] = &[
    ("/", "/"),
    ("/agents", "/agents"),
    ("/agents/{handle}", "/agents/build-server"),
    ("/audit", "/audit?span=14d"),
    ("/connections/{provider}/{connection}", "/connections/demo/default"),
    ("/new-provider", "/new-provider"),
    ("/people", "/people"),
    ("/providers", "/providers"),
    ("/providers/{provider}", "/providers/demo"),
    ("/providers/{provider}/edit", "/providers/demo/edit"),
    ("/settings", "/settings"),
];

/// What a user sees, who has nothing.
const OF_A_USER: &[&str] = &[
    "/",
    "/agents",
    "/audit",
    "/providers",
    "/providers?q=none",
    "/providers/github",
    "/providers/demo",
    "/settings",
    "/docs",
];

#[track_caller]
fn is_sound(page: &Page<'_>, stage: &Stage, who: &str, path: &str) {
    page.go(&stage.at(path)).has_status(200).came_to(&stage.at(path));
    page.is_sound(&format!("every-{who}{}", path.replace(['/', '?', '='], "-")));
}

#[test]
fn every_page_is_sound() {
    let (stage, token) = Stage::hosted();
    let ada = stage.browser.page_with_scripts("ada");
    ada.go(&stage.at("/login"));
    register(&ada, "ada@example.com", "Setup token", &token);
    let agent = Caller::stranger(&stage.world, "build-server");
    ada.go(&agent.claim_url());
    ada.press("Yes, it is mine");

    let mut forgotten: Vec<_> =
        routes(&agent).into_iter().filter(|one| one.is_for_browsers && one.method == "GET").collect();
    forgotten.retain(|route| !PAGES.iter().any(|(pattern, _)| *pattern == route.pattern));
    let forgotten: Vec<_> = forgotten.iter().map(|route| &route.pattern).collect();
    assert!(forgotten.is_empty(), "pages that nobody looks at: {forgotten:?}");

    fill(&agent);
    for (_, path) in PAGES {
        is_sound(&ada, &stage, "ada", path);
    }
    let invitation = agent.post("/api/invitations", &json!({})).json();
    let bob = stage.browser.page_with_scripts("bob");
    bob.go(&stage.at("/login"));
    register(&bob, "bob@example.com", "Invitation", invitation["invitation"].as_str().expect("a token"));
    for path in OF_A_USER {
        is_sound(&bob, &stage, "bob", path);
    }
}

/// Whatever makes pages long: connections, events, names that do not fit on a line.
fn fill(agent: &Caller<'_>) {
    let done = |method: &str, path: &str, body: serde_json::Value| {
        let answer = agent.call(method, path, &body.to_string());
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    };
    let connect = |provider: &str, connection: &str| {
        let session = done("POST", "/api/auth/sessions", json!({"provider": provider, "connection": connection}));
        let resume = format!("/api/auth/sessions/{}/resume", session["id"].as_str().expect("an identifier"));
        done("POST", &resume, json!({"data": {"api_key": KEY}}));
    };
    let long = "a-name-of-a-provider-that-somebody-did-not-keep-short-enough-for";
    let mut definition = demo_provider();
    done("POST", "/api/providers", json!({"definition": definition}));
    definition["name"] = long.into();
    definition["display_name"] = "Aprovidernamethatisonelongwordwithoutanyplacetobreakit".into();
    done("POST", "/api/providers", json!({"definition": definition}));
    for connection in ["default", "work", "personal", long] {
        connect("demo", connection);
    }
    for provider in ["openai", "anthropic", long] {
        connect(provider, "default");
    }
    done("POST", "/api/connections/openai/default/global", json!({}));
    let event = |n: usize| {
        json!({"event": format!("a.rather.long.name.of.an.event.{}", n % 40), "provider": long, "connection": long,
               "status": if n.is_multiple_of(3) { "failed" } else { "success" },
               "metadata": {"path": format!("/{}", "x".repeat(300)), "n": n}})
    };
    done("POST", "/api/audit/events", json!({"events": (0..60).map(event).collect::<Vec<_>>()}));
}

//! The main path without a mouse.

use super::stage::{PASSWORD, Stage, register};
use crate::harness::{Caller, KEY, demo_provider};

#[test]
fn from_the_sign_in_to_a_connection_by_keyboard() {
    let (stage, token) = Stage::hosted();
    let page = stage.browser.page_with_scripts("a");
    page.go(&stage.at("/login"));
    register(&page, "ada@example.com", "Setup token", &token);
    let agent = Caller::stranger(&stage.world, "build-server");
    page.go(&agent.claim_url());
    page.tab_to("button", "Yes, it is mine");
    page.enter().has_status(200);
    assert_eq!(agent.post("/api/providers", &serde_json::json!({"definition": demo_provider()})).status, 200);
    page.tab_to("button", "Sign out");
    page.enter().came_to(&stage.at("/login"));

    page.tab_to("input", "Email");
    page.type_and_enter(&["ada@example.com", PASSWORD]).has_status(200).came_to(&stage.at("/"));
    // The first stop leads past the navigation.
    assert_eq!(page.tab_to("a", "Skip to the content"), 1);
    page.key("Enter");
    assert_eq!(page.tab_to("a", "Connect a provider"), 1);
    page.go(&stage.at("/"));
    page.tab_to("a", "Providers");
    page.enter().came_to(&stage.at("/providers"));
    page.tab_to("input", "Name or host");
    page.type_and_enter(&["demo"]);
    page.tab_to("a", "Demo");
    page.enter().came_to(&stage.at("/providers/demo"));
    page.tab_to("button", "Connect");
    page.enter().says("API key");
    page.type_and_enter(&[KEY]).has_status(200).came_to(&stage.at("/providers/demo")).says("Connected.");
}

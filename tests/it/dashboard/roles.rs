//! What an administrator sees and does, and what a user does not.

use super::stage::{PASSWORD, Stage, register, sign_in};
use crate::harness::{Caller, KEY, demo_provider};

#[test]
fn an_administrator_and_a_user_see_different_things() {
    let (stage, token) = Stage::hosted();
    let ada = stage.browser.page_with_scripts("ada");
    ada.go(&stage.at("/login"));
    register(&ada, "ada@example.com", "Setup token", &token);
    let agent = Caller::stranger(&stage.world, "build-server");
    ada.go(&agent.claim_url());
    ada.press("Yes, it is mine");
    assert_eq!(agent.post("/api/providers", &serde_json::json!({"definition": demo_provider()})).status, 200);
    ada.go(&stage.at("/providers/demo"));
    ada.under("Connect Demo").press("Connect");
    ada.fill("API key", KEY);
    ada.press("Connect").has_status(200);

    // Bob is invited.
    ada.follow("People");
    ada.press("Make an invitation").says("Your invitation");
    ada.is_sound("invitation");
    let invitation = ada.under("Your invitation").text();
    let invitation =
        invitation.split_whitespace().find(|word| word.starts_with("invite_")).expect("a token").to_owned();
    let bob = stage.browser.page_with_scripts("bob");
    bob.go(&stage.at("/login?tab=register"));
    register(&bob, "bob@example.com", "Invitation", &invitation);
    bob.look().has_status(200).says("bob@example.com").does_not_say("ada@example.com");
    ada.go(&stage.at("/people")).says("ada@example.com").says("bob@example.com");

    // Pages, links and forms of administrators.
    assert!(ada.has("link", "People") && !bob.has("link", "People"));
    for path in ["/people", "/new-provider"] {
        ada.go(&stage.at(path)).has_status(200);
        bob.go(&stage.at(path)).has_status(403).does_not_say("ada@example.com");
    }
    bob.is_sound("for-administrators");
    let posts = |place: &str| {
        format!(
            "{{ const form = document.createElement('form'); form.method = 'post'; form.action = '{place}';
                    document.body.append(form); form.submit(); }}"
        )
    };
    for place in ["/people/invite", "/providers/demo/revoke", "/providers/demo/delete", "/new-provider"] {
        bob.go(&stage.at("/"));
        bob.provoke(&posts(place)).has_status(403);
    }
    ada.go(&stage.at("/providers/github")).says("Store the client");
    bob.go(&stage.at("/providers/github"))
        .has_status(200)
        .does_not_say("Store the client")
        .does_not_say("Client secret");
    bob.go(&stage.at("/audit")).has_status(200).does_not_say("ada@example.com").does_not_say("build-server");
    ada.go(&stage.at("/audit")).has_status(200).says("bob@example.com");
    bob.go(&stage.at("/agents/build-server")).has_status(404);
    bob.go(&stage.at("/connections/demo/default")).has_status(404);

    // What is shared is used, not read.
    ada.go(&stage.at("/connections/demo/default"));
    ada.press("Share with everybody").says("Everybody on this server can use this connection now");
    ada.is_sound("connection-shared");
    bob.go(&stage.at("/")).says("Shared with you").says("Demo default").does_not_say(KEY);
    bob.is_sound("overview-shared");
    bob.go(&stage.at("/connections/demo/default")).has_status(404).does_not_say(KEY);

    // Everybody signs in as themselves, also in a browser of somebody else.
    bob.press("Sign out");
    sign_in(&bob, "ada@example.com", PASSWORD);
    bob.go(&stage.at("/settings")).says("ada@example.com").says("2 browsers");
    ada.go(&stage.at("/settings"));
    ada.press("Sign out all but this one").says("All your browsers are signed out, but this one");
    bob.reload().came_to(&stage.at("/login"));
}

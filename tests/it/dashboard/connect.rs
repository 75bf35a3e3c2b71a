//! A person connects providers on the dashboard, and a program uses them.

use serde_json::json;

use super::stage::Stage;
use crate::harness::authorization_server::{self, AuthorizationServer, HABITS, fill_in_client};
use crate::harness::{Caller, KEY, demo_provider};

#[test]
fn an_api_key_from_the_provider_to_the_first_request() {
    let stage = Stage::local();
    stage.world.register(&demo_provider());
    let page = stage.owner("a");
    page.look().says("Nothing is connected yet");

    page.follow("Connect a provider").came_to(&stage.at("/providers"));
    page.fill("Name or host", "demo.test");
    page.until("1 provider");
    page.follow("Demo").came_to(&stage.at("/providers/demo")).does_not_say("Your connections");
    page.under("Connect Demo").press("Connect").says("API key");
    page.is_sound("connect-key");
    page.fill("API key", KEY);
    page.press("Connect").has_status(200).came_to(&stage.at("/providers/demo")).says("Connected.");
    assert!(page.under("Your connections").text().contains("default"));
    page.follow("Overview").says("Everything works").does_not_say(KEY);
    page.under("Your connections").follow("Demo default").came_to(&stage.at("/connections/demo/default"));

    let curl = ["curl", "-sS", "--fail", "https://api.demo.test/v1/echo"];
    stage.world.run(curl).run().succeeds();
    assert_eq!(stage.world.api.only_request().header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    let agent = Caller::active(&stage.world).handle;
    page.reload();
    assert!(page.under("Used lately by").text().contains(&agent));
    page.follow("Overview").says("Run finished");
}

#[test]
fn an_oauth_login_with_a_real_server() {
    let stage = Stage::local();
    let server = AuthorizationServer::start(&stage.world, HABITS);
    stage.world.register(&server.provider());
    let page = stage.owner("a");
    page.go(&stage.at("/providers/demo-oidc")).says("OAuth").says(&stage.at("/api/auth/callback/oauth"));
    page.is_sound("provider-oauth");
    let callback = page.under("Sign-in at the provider");
    callback.click("Copy");
    page.until("Copied");
    assert_eq!(page.evaluate("navigator.clipboard.readText()"), json!(stage.at("/api/auth/callback/oauth")));
    fill_in_client(&page);
    page.press("Store the client").says("The client is stored.");

    page.under("Connect Demo").press("Connect").says("Scopes").does_not_say("Client ID");
    page.press("Continue").came_to(&server.url);
    authorization_server::sign_in(&page);
    page.press("Continue").has_status(200).came_to(&stage.at("/providers/demo-oidc")).says("Connected.");
    page.row("default").follow("default").says("Refreshes itself").says("read").says("write");
    page.is_sound("connection-oauth");

    let answer = Caller::active(&stage.world).get("/api/connections/demo-oidc/default").json();
    let tokens = ["access_token", "refresh_token"].map(|name| answer[name].as_str().expect("a token").to_owned());
    assert!(tokens.iter().all(|token| server.is_active(token)));

    // Somebody who says no at the provider keeps what there was.
    let other = stage.owner("b");
    other.go(&stage.at("/connections/demo-oidc/default"));
    other.press("Log in again").says("Scopes");
    other.press("Continue").came_to(&server.url);
    authorization_server::sign_in(&other);
    other.follow("Cancel").says("not connected");
    other.is_sound("connect-refused");
    page.reload().has_status(200).says("Refreshes itself");

    page.unfold("Log out");
    page.press("Log out of Demo / default").says("The connection is gone.").says("Nothing is connected yet");
    assert!(tokens.iter().all(|token| !server.is_active(token)), "revoked at the provider");
    page.go(&stage.at("/connections/demo-oidc/default")).has_status(404).says("This connection is gone");
    page.is_sound("connection-gone");
    assert_eq!(server.count("server_error"), 0);
}

#[test]
fn secrets_are_shown_to_whoever_knows_the_password() {
    let stage = Stage::connected();
    let page = stage.owner("a");
    let place = stage.at("/connections/demo/default");
    page.go(&place).has_status(200).does_not_say(KEY);
    // The local owner has no password, until one is set.
    page.press("Show the secrets").has_status(200).says(KEY);
    page.is_sound("secrets");
    page.go(&stage.at("/settings"));
    page.fill("New password", "a new password 1");
    page.press("Set a password").says("The password is changed");
    page.is_sound("settings-password-set");

    page.go(&place);
    page.fill("Your password", "no password");
    page.press("Show the secrets").has_status(422).does_not_say(KEY);
    page.minds("Your password", "This is not your password");
    page.is_sound("secrets-refused");
    page.fill("Your password", "a new password 1");
    page.press("Show the secrets").has_status(200).says(KEY);
    page.follow("Back to the connection").does_not_say(KEY);
    page.back().does_not_say(KEY);

    let events = Caller::active(&stage.world).get("/api/audit/events?limit=500").json();
    let count = |name: &str| {
        let entries = events["entries"].as_array().expect("a list").iter();
        entries.filter(|one| one["event"] == name).count()
    };
    assert_eq!((count("credentials.exported"), count("account.login_failed")), (2, 1), "{events:#}");
    assert!(!events.to_string().contains(KEY));
}

#[test]
fn one_of_two_connections_is_the_default() {
    let stage = Stage::connected();
    let page = stage.owner("a");
    page.go(&stage.at("/providers/demo"));
    let form = page.under("Add a connection");
    form.fill("Name of the connection", "work");
    form.press("Connect");
    page.fill("API key", "sk-work");
    page.press("Connect").came_to(&stage.at("/providers/demo"));
    page.go(&stage.at("/connections/demo/work")).says("--connection demo=work");
    page.press("Make it the default").says("This is the default connection now");
    let curl = ["curl", "-sS", "--fail", "https://api.demo.test/v1/echo"];
    stage.world.run(curl).run().succeeds();
    assert_eq!(stage.world.api.only_request().header("authorization"), Some("Bearer sk-work"));
}

//! Discovery and dynamic registration (RFC 8414, RFC 7591): nobody types a client.

use serde_json::json;

use super::scene::{Scene, sign_in, whoami};
use crate::harness::authorization_server::HABITS;

#[test]
fn a_client_is_registered_once_and_used() {
    let scene = Scene::new(HABITS);
    scene.world.register(&json!({
        "name": "demo-dcr",
        "display_name": "Demo DCR",
        "auth_type": "oauth2",
        "flow": "dcr_pkce",
        "api_url": "api.demo.test",
        "oauth": {"base_url": scene.server.url, "supports_dcr": true, "scopes": ["read"]},
    }));
    for connection in ["default", "second"] {
        let login = scene.login("demo-dcr", &["--connection", connection, "--base-url", &scene.server.url]);
        let page = scene.browser.page(connection);
        page.go(&login.url).came_to(&scene.server.url);
        sign_in(&page);
        page.press("Continue").says("Demo DCR is connected").says(connection);
        page.is_sound("registered-success");
        login.ends().succeeds();
    }
    assert!(!scene.server.requests("/.well-known/oauth-authorization-server").is_empty());
    let diary = scene.server.diary();
    let registered: Vec<_> = diary.iter().filter(|one| one["event"] == "registered").collect();
    let [client] = registered.as_slice() else { panic!("not one registration: {registered:#?}") };
    assert_eq!(client["client_name"], "authsome-demo-dcr");
    assert_eq!(client["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(client["token_endpoint_auth_method"], "client_secret_post");
    let redirect = format!("http://127.0.0.1:{}/api/auth/callback/oauth", scene.world.daemon().port);
    assert_eq!(client["redirect_uris"], json!([redirect]));
    let codes = scene.server.grants("authorization_code");
    assert!(codes.len() == 2 && codes.iter().all(|one| one["client_id"] == client["client_id"]), "{codes:#?}");
    whoami(&scene.world);
}

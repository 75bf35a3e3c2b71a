//! Postiz. Documented: "Authentication" of its command line (<https://docs.postiz.com/cli/authentication>) and the
//! source of the server behind it (gitroomhq/postiz-agent, `server/index.ts`): a device flow in JSON that knows no
//! clients. The token goes to the API without a scheme ("OAuth", <https://docs.postiz.com/public-api/oauth>) and has no
//! end.

use serde_json::{Value, json};

use super::fake::{Fake, lifetime};
use super::request::post;
use crate::harness::eventually;

const TOKEN: &str = "https://cli-auth.postiz.com/device/token";

fn start(postiz: &Fake) -> Value {
    let codes = json!({
        "device_code": "5f2b9c", "user_code": "ABCD-2345",
        "verification_uri": "https://cli-auth.postiz.com/device/verify",
        "expires_in": 900, "interval": 1, // 5 in truth; one second is the least
    });
    postiz.answers("/device/code", "200 OK", &codes);
    let session = postiz.start();
    assert_eq!(session["status"], "waiting_for_user", "nothing is asked for: {session:#}");
    assert_eq!(session["user_code"], "ABCD-2345");
    assert_eq!(session["verification_uri"], "https://cli-auth.postiz.com/device/verify");
    assert_eq!(postiz.asked(), post("https://cli-auth.postiz.com/device/code").form(&[]), "there is no client to name");
    session
}

fn end(postiz: &Fake, session: &Value) -> Value {
    eventually("the end of the login", || {
        let session = postiz.session(session["id"].as_str().expect("an id"));
        let is_over = session["status"] != "waiting_for_user" && session["status"] != "processing";
        is_over.then_some(session)
    })
}

#[test]
fn a_device_login_without_a_client() {
    let postiz = Fake::of("postiz", &["cli-auth.postiz.com"]);
    postiz.answers("/device/token", "400 Bad Request", &json!({"error": "authorization_pending"}));
    let tokens = json!({
        "access_token": "pos_abc", "api_url": "https://api.postiz.com", "organization_id": "3f2c",
    });
    postiz.answers("/device/token", "200 OK", &tokens);
    let session = start(&postiz);
    assert_eq!(end(&postiz, &session)["status"], "completed");
    for _ in 0..2 {
        assert_eq!(postiz.asked(), post(TOKEN).json(&[("device_code", "5f2b9c")]));
    }
    let record = postiz.record();
    assert_eq!((lifetime(&record), &record["refresh_token"], &record["api_url"]), (None, &json!(null), &json!(null)));
    assert_eq!(postiz.header(), "pos_abc", "no scheme");
    assert_eq!(postiz.log_out(), json!(null));
}

#[test]
fn a_code_that_nobody_typed() {
    let postiz = Fake::of("postiz", &["cli-auth.postiz.com"]);
    postiz.answers("/device/token", "400 Bad Request", &json!({"error": "expired_token"}));
    let session = start(&postiz);
    let ended = end(&postiz, &session);
    assert!(["failed", "expired"].contains(&ended["status"].as_str().unwrap_or_default()), "{ended:#}");
    assert_eq!(postiz.asked(), post(TOKEN).json(&[("device_code", "5f2b9c")]));
}

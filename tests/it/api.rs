//! The daemon's HTTP API as `contract/http.md` promises it to other clients: shapes, statuses, who may do what.

use serde_json::{Value, json};

use crate::harness::{Caller, KEY, World, demo_provider};

/// The fields of an object, sorted.
fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("not an object: {value}")).keys().map(String::as_str).collect()
}

#[track_caller]
fn assert_fields(value: &Value, expected: &str) {
    let found = fields(value);
    let missing: Vec<&str> = expected.split_whitespace().filter(|name| !found.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} missing in {value:#}");
}

#[test]
fn who_and_how_it_is() {
    let world = World::connected();
    let caller = Caller::active(&world);
    let who = caller.get("/api/whoami").json();
    assert_fields(
        &who,
        "version home identity active_identity principal_id vault_id principal_role account_email did \
         registration_status daemon_url configured_encryption_mode effective_encryption_source encryption_backend",
    );
    assert_eq!((who["identity"].as_str(), who["did"].as_str()), (Some(&*caller.handle), Some(&*caller.did())));
    let ready = caller.get("/api/ready").json();
    assert_eq!(ready["status"], "ready", "{ready:#}");
    assert_fields(&ready["checks"], "spec_version store identity providers connections vault integrity");
    let health = caller.get("/health").json();
    assert_fields(
        &health,
        "status version configured_encryption_mode effective_encryption_source encryption_backend store_backend",
    );
    assert_eq!(health["effective_encryption_source"], "file");
}

#[test]
fn resolve_gives_the_header_in_both_schemas() {
    let world = World::connected();
    let caller = Caller::active(&world);
    let header = format!("Bearer {KEY}");
    let old = caller.post("/api/credentials/resolve", &json!({"provider": "demo"})).json();
    assert_eq!(old["headers"], json!({"Authorization": header}));
    assert_eq!((&old["connection"], &old["source"]), (&json!("default"), &json!("local")));
    assert!(old.get("inject").is_none(), "only when asked for: {old:#}");
    let new = caller.post("/api/credentials/resolve", &json!({"provider": "demo", "v": 2})).json();
    assert_eq!(new["inject"][0]["in"], "header");
    assert_eq!(new["inject"][0]["value"], header);
    let missing = caller.post("/api/credentials/resolve", &json!({"provider": "demo", "connection": "work"}));
    assert_eq!(missing.status, 404);
    let missing = missing.json();
    assert_eq!(missing["error"], "ConnectionNotFoundError");
    let text = missing["message"].as_str().unwrap_or_default();
    assert!(text.starts_with("[demo] Connection 'work' not found for provider 'demo' in identity '"), "{text}");
}

#[test]
fn a_run_gets_its_plan_in_one_call() {
    let world = World::connected();
    let caller = Caller::active(&world);
    let plan = caller.post("/api/run", &json!({"scope": "connected"})).json();
    let route = &plan["routes"][0];
    assert_fields(
        route,
        "provider connection host match port path_prefix auth_endpoints inject strip default_headers exports expires_at",
    );
    assert_eq!(
        (&route["host"], &route["match"], &route["port"]),
        (&json!("api.demo.test"), &json!("exact"), &json!(443))
    );
    assert_eq!(route["exports"], json!(["DEMO_API_KEY"]));
    assert_eq!(route["inject"][0]["value"], format!("Bearer {KEY}"));
    let routes = caller.get("/api/proxy/routes?scope=connected").json();
    assert_fields(&routes["routes"][0], "provider connection api_url auth_endpoint_paths");
    assert_eq!(caller.get("/api/proxy/routes?scope=sideways").status, 422);
    let configured = caller.get("/api/proxy/routes?scope=configured").json();
    assert!(configured["routes"].as_array().is_some_and(|routes| routes.len() > 50));
}

#[test]
fn a_login_is_a_session() {
    let world = World::onboarded();
    world.register(&demo_provider());
    let caller = Caller::active(&world);
    let session = caller.post("/api/auth/sessions", &json!({"provider": "demo"})).json();
    assert_fields(&session, "id provider connection status message error created_at expires_at next_action");
    let id = session["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("sess_") && id.len() == 17, "{id}");
    assert_eq!(session["status"], "waiting_for_user");
    let input = caller.get(&format!("/api/auth/sessions/{id}/input")).json();
    assert_eq!(input["fields"][0]["name"], "api_key");
    assert_fields(&input["fields"][0], "name label secret default required");
    assert_eq!(caller.post(&format!("/api/auth/sessions/{id}/resume"), &json!({"data": {}})).status / 100, 4);
    let done = caller.post(&format!("/api/auth/sessions/{id}/resume"), &json!({"data": {"api_key": KEY}})).json();
    assert_eq!(done["status"], "completed", "{done:#}");
    assert!(!done.to_string().contains(KEY), "{done:#}");
    let again = caller.post("/api/auth/sessions", &json!({"provider": "demo"})).json();
    assert_eq!((&again["status"], &again["message"]), (&json!("completed"), &json!("Already connected")));
    assert_eq!(caller.get("/api/auth/sessions/sess_000000000000").status, 404);
    let unknown = caller.post("/api/auth/sessions", &json!({"provider": "nosuch"}));
    assert_eq!((unknown.status, &unknown.json()["error"]), (404, &json!("ProviderNotFoundError")));
}

#[test]
fn records_and_lists() {
    let world = World::connected();
    let caller = Caller::active(&world);
    let record = caller.get("/api/connections/demo/default").json();
    assert_eq!((&record["api_key"], &record["status"]), (&json!(KEY), &json!("connected")));
    let masked = caller.get("/api/connections/demo/default?redact=1").text();
    assert!(!masked.contains(KEY), "{masked}");
    let list = caller.get("/api/connections").json();
    assert_fields(&list, "connections global_connections provider_connection_counts by_source");
    let connection = &list["connections"][0]["connections"][0];
    assert_fields(connection, "connection_name is_default auth_type status scopes base_url api_url expires_at");
    let detail = caller.get("/api/connections/demo/default/detail").json();
    assert_fields(
        &detail,
        "provider connection_name principal_id identity vault_id status auth_type secrets is_global",
    );
    let providers = caller.get("/api/providers").json();
    let bundled = providers["bundled"].as_array().map_or(0, Vec::len);
    assert!(bundled >= 88, "{bundled} bundled providers");
    assert_eq!(providers["custom"][0]["name"], "demo");
    assert_eq!(caller.get("/api/providers/nosuch").status, 404);
}

#[test]
fn a_global_connection_serves_and_is_taken_back() {
    let world = World::connected();
    let caller = Caller::active(&world);
    let set = caller.post("/api/connections/demo/default/global", &json!({})).json();
    assert_eq!((&set["status"], &set["connection_name"]), (&json!("ok"), &json!("default")));
    let list = caller.get("/api/connections").json();
    assert_eq!(list["global_connections"][0]["source"], "global", "{list:#}");
    let unset = caller.call("DELETE", "/api/connections/demo/global", "").json();
    assert_eq!(unset["deleted"], true);
}

#[test]
fn strangers_are_told_apart() {
    let world = World::connected();
    let stranger = Caller::stranger(&world, "calm-newly-here-0001");
    let unknown = stranger.get("/api/connections");
    assert_eq!((unknown.status, &unknown.json()["detail"]), (401, &json!("Unknown identity handle")));

    let registered = stranger.register().json();
    assert_eq!(
        (&registered["status"], &registered["registration_status"]),
        (&json!("registered"), &json!("claim_required"))
    );
    assert_eq!(stranger.register().status, 200, "the same pair again");
    let thief = Caller::stranger(&world, &stranger.handle);
    assert_eq!(thief.register().status, 409, "a handle that is taken");
    assert_eq!(thief.get("/api/connections").status, 401, "another key under the same handle");

    let unclaimed = stranger.get("/api/connections");
    assert_eq!(unclaimed.status, 403, "{}", unclaimed.text());
    assert_eq!(stranger.post("/api/run", &json!({"scope": "connected"})).status, 403);
    let found = stranger.get(&format!("/api/identities/by-did/{}", stranger.did())).json();
    assert_eq!(found["identity"], stranger.handle);

    let claim = format!("/api/identities/{}/claim", stranger.handle);
    assert_eq!(stranger.post(&claim, &json!({"bootstrap_token": "wrong"})).status, 403);
    let token = std::fs::read_to_string(world.home().join("server/bootstrap.token")).expect("a token");
    let claimed = stranger.post(&claim, &json!({"bootstrap_token": token.trim()})).json();
    assert_eq!(claimed["registration_status"], "claimed", "{claimed:#}");
    assert_eq!(stranger.get("/api/connections").status, 200);
}

#[test]
fn bad_handles_and_keys_are_refused() {
    let world = World::onboarded();
    for handle in ["", "a", "-a-", "UPPER", "with space", "default", "../x", &"a".repeat(500)] {
        let answer = Caller::stranger(&world, handle).register();
        assert!((400..500).contains(&answer.status), "{handle}: {answer:?}");
    }
    let caller = Caller::active(&world);
    let bodies =
        [json!([]), json!({}), json!({"handle": "calm-fox"}), json!({"handle": "calm-fox", "did": "did:key:z"})];
    for body in bodies {
        let answer = caller.post("/api/identities/register", &body);
        assert!(matches!(answer.status, 400 | 422), "{body}: {answer:?}");
    }
    assert_eq!(caller.call("POST", "/api/credentials/resolve", "{").status, 422);
    assert_eq!(caller.call("POST", "/api/credentials/resolve", "[1]").status, 422);
}

#[test]
fn export_is_a_permission_of_its_own() {
    let world = World::connected();
    let caller = Caller::active(&world);
    let export = || caller.post("/api/credentials/export", &json!({"provider": "demo", "format": "env"}));
    assert_eq!(export().json()["output"].as_str().map(str::trim_end), Some(format!("DEMO_API_KEY={KEY}").as_str()));
    let grants = format!("/api/identities/{}/grants", caller.handle);
    let taken = caller.call("PUT", &grants, &json!({"use": true, "export": false}).to_string());
    assert_eq!(taken.status, 200, "{}", taken.text());
    let refused = export();
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("OperationNotAllowedError")));
    let record = caller.get("/api/connections/demo/default").text();
    assert!(!record.contains(KEY), "{record}");
    world.authsome(["export", "demo"]).run().exits(4);
    let plan = caller.post("/api/run", &json!({"scope": "connected"}));
    assert_eq!(plan.status, 200, "using is not exporting");
}

#[test]
fn audit_tells_what_happened_and_no_secret() {
    let world = World::connected();
    let caller = Caller::active(&world);
    let event =
        json!({"event": {"event": "proxy_deny", "provider": "demo", "metadata": {"host": "x.test", "event": "y"}}});
    let written = caller.post("/api/audit/events", &event).json();
    assert!(written["event_id"].as_str().is_some_and(|id| id.starts_with("audit_") && id.len() == 38), "{written:#}");
    let list = caller.get("/api/audit/events?limit=100").json();
    let newest = &list["entries"][0];
    assert_eq!((&newest["event"], &newest["source"]), (&json!("proxy_deny"), &json!("external")));
    assert_eq!((&newest["host"], &newest["identity"]), (&json!("x.test"), &json!(caller.handle)));
    let names: Vec<&str> =
        list["entries"].as_array().expect("a list").iter().filter_map(|one| one["event"].as_str()).collect();
    for name in ["identity.created", "identity.claimed", "provider.registered", "provider.login"] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
    assert!(!list.to_string().contains(KEY));
    let page = caller.get("/api/audit/events?limit=1").json();
    let next =
        caller.get(&format!("/api/audit/events?limit=1&cursor={}", page["next_cursor"].as_str().expect("more"))).json();
    assert_eq!(next["entries"][0]["event_id"], list["entries"][1]["event_id"]);
    assert_eq!(caller.get("/api/audit/events?cursor=nonsense").status, 422);
}

#[test]
fn a_provider_lives_and_dies() {
    let world = World::onboarded();
    let caller = Caller::active(&world);
    let register = |force: bool| caller.post("/api/providers", &json!({"definition": demo_provider(), "force": force}));
    assert_eq!(register(false).json(), json!({"status": "ok", "provider": "demo"}));
    let twice = register(false);
    assert_eq!((twice.status, &twice.json()["error"]), (400, &json!("ProviderAlreadyRegisteredError")));
    assert_eq!(register(true).status, 200);
    world.login("demo", KEY);
    assert_eq!(caller.call("DELETE", "/api/providers/demo", "").status, 200);
    assert_eq!(caller.get("/api/providers/demo").status, 404);
    assert_eq!(caller.get("/api/connections/demo/default").status, 404);
    assert_eq!(caller.call("DELETE", "/api/providers/openai", "").status, 200, "a bundled one is only revoked");
    assert_eq!(caller.get("/api/providers/openai").status, 200);
}

#[test]
fn a_changed_destination_unbinds_until_the_owner_confirms() {
    let world = World::connected();
    let caller = Caller::active(&world);
    let mut moved = demo_provider();
    moved["api_url"] = json!("other.demo.test");
    let refused = caller.post("/api/providers", &json!({"definition": moved, "force": false}));
    assert_eq!(refused.status / 100, 4);
    let forced = caller.post("/api/providers", &json!({"definition": moved, "force": true}));
    assert_eq!(forced.status, 200, "{}", forced.text());
    let unbound = caller.post("/api/credentials/resolve", &json!({"provider": "demo"}));
    assert!(unbound.status >= 400 && !unbound.text().contains(KEY), "{}", unbound.text());
    world.authsome(["connections", "rebind", "demo", "default", "--yes"]).run().succeeds();
    assert_eq!(caller.post("/api/credentials/resolve", &json!({"provider": "demo"})).status, 200);
}

#[test]
fn what_the_description_lists_is_there() {
    let world = World::onboarded();
    let caller = Caller::active(&world);
    let description = caller.get("/openapi.json").json();
    assert_eq!(
        (&description["openapi"], &description["info"]["version"]),
        (&json!("3.1.0"), &json!(env!("CARGO_PKG_VERSION")))
    );
    let page = caller.get("/docs").text();
    let mut listed = 0;
    for (path, operations) in description["paths"].as_object().expect("paths") {
        for method in fields(operations).iter().map(|method| method.to_uppercase()) {
            assert!(page.contains(&format!("<code>{method} {path}</code>")), "{method} {path} is not on the page");
            let answer = caller.call(&method, &path.replace(['{', '}'], ""), "");
            let is_unknown = answer.status == 404 && answer.text() == r#"{"detail":"Not Found"}"#;
            assert!(!is_unknown && answer.status != 405, "{method} {path}: {}", answer.status);
            let documented = &operations[method.to_lowercase()]["responses"];
            assert!(documented.get(answer.status.to_string()).is_some(), "{method} {path}: {}", answer.status);
            listed += 1;
        }
    }
    assert!(listed > 60, "{listed}");
}

//! The lifecycle over a real vault in a scratch home.

mod sessions;

use std::collections::BTreeMap;

use super::*;
use crate::model::{AuditEntry, ConnectionStatus, ProviderDefinition, SessionStatus};
use crate::paths::{Home, hex};
use crate::provider::ValidateOptions;
use crate::secret::{Secret, SecretBuffer, random_bytes};
use crate::store::open_embedded;
use crate::vault::{KeySettings, MasterKey};

pub(super) struct Scene {
    pub(super) broker: Broker,
    clock: Clock,
    home: Home,
}

impl Scene {
    pub(super) fn new() -> Self {
        let home = Home::new(std::env::temp_dir().join(format!("authsome-broker-{}", hex(&random_bytes::<8>()))));
        let clock = Clock::system();
        let store = open_embedded(&home.store(), clock.clone()).expect("a store");
        let key = MasterKey::load(&home, &KeySettings::default()).expect("a key");
        let vault = Arc::new(Vault::open(store, &key).expect("a vault"));
        let registry = Arc::new(Registry::open(&home));
        let broker = Broker::new(vault, registry, clock.clone(), BrokerOptions::default()).expect("a broker");
        Self { broker, clock, home }
    }

    pub(super) fn register(&self, definition: Value, force: bool) -> Result<()> {
        let definition: ProviderDefinition = serde_json::from_value(definition).expect("a definition");
        self.broker.register(&admin(), definition, force, ValidateOptions::default())
    }

    pub(super) fn connect(&self, actor: &Actor, provider: &str, connection: &str, key: &str) -> Result<Vec<String>> {
        let login = ApiKeyLogin {
            provider,
            connection,
            key: Secret::new(key.to_owned()),
            fields: BTreeMap::new(),
            base_url: None,
            api_url: None,
            force: false,
        };
        self.broker.connect_api_key(actor, login).map(|(_, warnings)| warnings)
    }

    /// The next daemon over the same store.
    pub(super) fn restarted(&self) -> Broker {
        let registry = Arc::new(Registry::open(&self.home));
        Broker::new(Arc::clone(&self.broker.vault), registry, self.clock.clone(), BrokerOptions::default())
            .expect("opens")
    }

    /// So many seconds pass.
    pub(super) fn pass(&self, seconds: i64) {
        self.clock.test_only_advance(seconds);
    }

    pub(super) fn events(&self) -> Vec<AuditEntry> {
        self.broker.audit().page(&AuditQuery { limit: 100, ..AuditQuery::default() }).expect("a page").0
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.home.dir());
    }
}

fn actor(name: &str, role: Role) -> Actor {
    Actor {
        identity: Some(format!("{name}-agent")),
        principal_id: format!("principal_{name}"),
        vault_id: format!("vault_{name}"),
        role,
        grants: Grants::default(),
    }
}

pub(super) fn admin() -> Actor {
    actor("ada", Role::Admin)
}

pub(super) fn user() -> Actor {
    actor("bob", Role::User)
}

fn acme(host: &str) -> Value {
    serde_json::json!({
        "name": "acme", "auth_type": "api_key", "flow": "api_key", "api_url": host,
        "api_key": {"env_var": "ACME_KEY", "key_pattern": "^ak_"},
        "export": {"ACME_KEY": "API_TOKEN"},
    })
}

#[test]
fn a_key_goes_in_and_comes_out_where_it_belongs() {
    let scene = Scene::new();
    scene.register(acme("api.acme.test"), false).expect("registers");
    assert!(scene.connect(&admin(), "acme", "default", " ak_1\n").expect("connects").is_empty());
    let resolved = scene.broker.resolve(&admin(), "acme", None, Demand::Use).expect("resolves");
    assert_eq!(resolved.headers["Authorization"].expose(), "Bearer ak_1");
    assert_eq!(resolved.source, "local");
    let plan = scene.broker.run_plan(&admin(), &everything()).expect("plans");
    let route = plan.routes.iter().find(|route| route.provider == "acme").expect("a route");
    assert_eq!((route.host.as_str(), route.port), ("api.acme.test", 443));
    let place = &resolved.destinations.expect("says where")[0];
    assert_eq!((&place.host, place.host_match, place.port), (&route.host, route.host_match, route.port));
    assert_eq!(place.path_prefix, route.path_prefix);
    assert_eq!(route.inject.as_ref().expect("fresh")[0].value.expose(), "Bearer ak_1");
    assert_eq!(route.exports, ["ACME_KEY"]);
    assert!(
        matches!(
            scene.broker.resolve(&user(), "acme", None, Demand::Use),
            Err(AuthsomeError::ConnectionNotFound { .. })
        ),
        "another principal has nothing"
    );
}

fn everything() -> RunRequest {
    RunRequest { scope: Scope::Connected, providers: None, connections: BTreeMap::new() }
}

#[test]
fn an_odd_key_is_stored_with_a_warning_and_a_broken_one_is_not() {
    let scene = Scene::new();
    scene.register(acme("api.acme.test"), false).expect("registers");
    let error = scene.connect(&admin(), "acme", "default", "ak_1\nak_2").expect_err("refused");
    assert_eq!(error.name().as_str(), "AuthsomeError");
    assert!(matches!(
        scene.broker.connection(&admin(), "acme", "default"),
        Err(AuthsomeError::ConnectionNotFound { .. })
    ));
    assert_eq!(scene.connect(&admin(), "acme", "default", "zz_1").expect("stored").len(), 1);
    assert!(matches!(
        scene.connect(&admin(), "acme", "default", "ak_2"),
        Err(AuthsomeError::ConnectionAlreadyExists { .. })
    ));
}

#[test]
fn further_fields_are_asked_for_and_optional_ones_may_be_left_empty() {
    let scene = Scene::new();
    let mut definition = acme("api.acme.test");
    definition["fields"] = serde_json::json!([
        {"name": "user"}, {"name": "team", "optional": true}, {"name": "region", "default": "eu"},
    ]);
    definition["inject"] = serde_json::json!([{"in": "basic", "value": "{user}:{api_key}"}]);
    scene.register(definition, false).expect("registers");
    let connect = |fields: &[(&str, &str)]| {
        let login = ApiKeyLogin {
            provider: "acme",
            connection: "default",
            key: Secret::new("ak_1".to_owned()),
            fields: fields.iter().map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned()))).collect(),
            base_url: None,
            api_url: None,
            force: true,
        };
        scene.broker.connect_api_key(&admin(), login)
    };
    assert!(matches!(connect(&[("team", "t")]), Err(AuthsomeError::CredentialMissing { .. })));
    assert!(matches!(connect(&[("user", " ")]), Err(AuthsomeError::CredentialMissing { .. })));
    let (record, _) = connect(&[("user", "ann"), ("team", "")]).expect("connects");
    assert_eq!(record.credentials.keys().map(String::as_str).collect::<Vec<_>>(), ["region", "user"]);
    let resolved = scene.broker.resolve(&admin(), "acme", None, Demand::Use).expect("resolves");
    assert_eq!(resolved.headers["Authorization"].expose(), "Basic YW5uOmFrXzE=");
}

#[test]
fn the_default_follows_its_connection() {
    let scene = Scene::new();
    scene.register(acme("api.acme.test"), false).expect("registers");
    for name in ["work", "home", "zoo"] {
        scene.connect(&admin(), "acme", name, &format!("ak_{name}")).expect("connects");
    }
    let default = || scene.broker.resolve(&admin(), "acme", None, Demand::Use).expect("resolves").connection;
    assert_eq!(default(), "work", "the first one");
    scene.broker.set_default(&admin(), "acme", "zoo").expect("sets");
    assert_eq!(default(), "zoo");
    assert!(scene.broker.set_default(&admin(), "acme", "nope").is_err());
    scene.broker.logout(&admin(), &admin().vault_id, "acme", "home").expect("removes");
    assert_eq!(default(), "zoo", "removing another changes nothing");
    scene.broker.logout(&admin(), &admin().vault_id, "acme", "zoo").expect("removes");
    assert_eq!(default(), "work", "an heir");
    assert!(scene.broker.logout(&admin(), &admin().vault_id, "acme", "zoo").expect("again").is_none());
    scene.broker.logout(&admin(), &admin().vault_id, "acme", "work").expect("removes");
    assert!(scene.broker.resolve(&admin(), "acme", None, Demand::Use).is_err());
}

/// Many at once on one provider: whatever the order, the default is one that is there, and there is one.
#[test]
fn pointers_stay_true_when_many_work_at_once() {
    let scene = Scene::new();
    scene.register(acme("api.acme.test"), false).expect("registers");
    let names = ["a", "b", "c", "d"];
    let work = |name: &str, round: usize| {
        let _ = scene.connect(&admin(), "acme", name, "ak_1");
        let _ = scene.broker.set_default(&admin(), "acme", name);
        let _ = scene.broker.set_global(&admin(), "acme", name);
        if (name == "a") == round.is_multiple_of(2) || round.is_multiple_of(3) {
            let _ = scene.broker.logout(&admin(), &admin().vault_id, "acme", name);
        }
    };
    for round in 0..25 {
        std::thread::scope(|threads| {
            for name in names.iter().chain(&names) {
                threads.spawn(move || work(name, round));
            }
        });
        let listing = scene.broker.listing(&admin()).expect("lists");
        let of = listing.providers.first();
        let there: Vec<&str> = of.iter().flat_map(|of| &of.records).map(|record| &*record.connection_name).collect();
        let default = of.and_then(|of| of.default_connection.as_deref());
        assert_eq!(there.is_empty(), default.is_none(), "round {round}: {there:?} but {default:?}");
        assert!(default.is_none_or(|name| there.contains(&name)), "round {round}: {there:?} but {default:?}");
        let pointer = scene.broker.vault.get("server:global:acme").expect("reads");
        assert_eq!(pointer.is_some(), scene.broker.global("acme").expect("reads").is_some(), "round {round}");
    }
}

#[test]
fn a_global_connection_is_used_but_not_read() {
    let scene = Scene::new();
    scene.register(acme("api.acme.test"), false).expect("registers");
    scene.connect(&admin(), "acme", "shared", "ak_shared").expect("connects");
    scene.broker.set_global(&admin(), "acme", "shared").expect("shares");
    for asked in [None, Some("default")] {
        let resolved = scene.broker.resolve(&user(), "acme", asked, Demand::Use).expect("resolves");
        assert_eq!((resolved.source.as_str(), resolved.connection.as_str()), ("global", "shared"));
    }
    assert!(scene.broker.resolve(&user(), "acme", Some("shared"), Demand::Use).is_err(), "a name is one's own");
    let refused = scene.broker.export(&user(), Some("acme"), "default", ExportFormat::Env).expect_err("not read");
    assert!(matches!(refused, AuthsomeError::OperationNotAllowed { .. }));
    assert!(scene.broker.export(&user(), None, "default", ExportFormat::Env).expect("own").expose_bytes().is_empty());
    assert_eq!(scene.broker.run_plan(&user(), &everything()).expect("plans").routes.len(), 1);
    scene.broker.logout(&admin(), &admin().vault_id, "acme", "shared").expect("removes");
    assert!(scene.broker.globals().expect("lists").is_empty(), "the pointer went with it");
}

#[test]
fn a_changed_destination_unbinds_until_the_owner_accepts_it() {
    let scene = Scene::new();
    scene.register(acme("api.acme.test"), false).expect("registers");
    scene.connect(&admin(), "acme", "default", "ak_1").expect("connects");
    let refused = scene.register(acme("api.evil.test"), false).expect_err("the name is taken");
    assert!(matches!(refused, AuthsomeError::ProviderAlreadyRegistered { .. }));
    scene.register(acme("api.evil.test"), true).expect("forced");
    assert!(matches!(
        scene.broker.resolve(&admin(), "acme", None, Demand::Use),
        Err(AuthsomeError::OperationNotAllowed { .. })
    ));
    let plan = scene.broker.run_plan(&admin(), &everything()).expect("plans");
    assert!(plan.routes.iter().all(|route| route.inject.is_none()), "nothing is handed out");
    assert!(scene.broker.export(&admin(), Some("acme"), "default", ExportFormat::Env).is_err());
    scene.broker.rebind(&admin(), "acme", "default").expect("accepts");
    assert!(scene.broker.resolve(&admin(), "acme", None, Demand::Use).is_ok());
}

#[test]
fn shadowing_a_bundled_provider_does_not_get_its_key() {
    let scene = Scene::new();
    scene.connect(&admin(), "openai", "default", "sk-0123456789012345678901").expect("connects");
    let shadow = serde_json::json!({
        "name": "openai", "auth_type": "api_key", "flow": "api_key", "api_url": "api.evil.test",
    });
    assert!(scene.register(shadow.clone(), false).is_err());
    scene.register(shadow, true).expect("forced");
    assert!(scene.broker.resolve(&admin(), "openai", None, Demand::Use).is_err());
    assert_eq!(scene.broker.remove_provider(&admin(), "openai").expect("removes"), Removal::Removed);
    assert!(scene.broker.resolve(&admin(), "openai", None, Demand::Use).is_err(), "removal revokes");
    assert_eq!(scene.broker.remove_provider(&admin(), "openai").expect("removes"), Removal::RevokedOnly);
}

#[test]
fn export_names_never_collide_and_shell_output_is_inert() {
    let scene = Scene::new();
    scene.register(acme("api.acme.test"), false).expect("registers");
    scene.connect(&admin(), "acme", "default", "ak_1").expect("connects");
    scene.connect(&admin(), "acme", "my-2", "ak'; rm -rf \"$HOME\"").expect("connects");
    let env = scene.broker.export(&admin(), None, "default", ExportFormat::Env).expect("exports");
    assert_eq!(text(&env), "ACME_KEY=ak_1\nACME_KEY_ACME_MY_2=ak'; rm -rf \"$HOME\"");
    let shell = scene.broker.export(&admin(), Some("acme"), "my-2", ExportFormat::Shell).expect("exports");
    assert_eq!(text(&shell), r#"export ACME_KEY='ak'\''; rm -rf "$HOME"'"#);
    let json = scene.broker.export(&admin(), Some("acme"), "default", ExportFormat::Json).expect("exports");
    assert_eq!(text(&json), r#"{"ACME_KEY":"ak_1"}"#);
    let mut no_export = admin();
    no_export.grants.export = false;
    assert!(scene.broker.export(&no_export, None, "default", ExportFormat::Env).is_err());
    assert_eq!(scene.events().iter().filter(|entry| entry.event == "credentials.exported").count(), 4);
}

fn text(buffer: &SecretBuffer) -> String {
    String::from_utf8(buffer.expose_bytes().to_vec()).expect("UTF-8")
}

/// The daemon's address.
pub(super) const HERE: &str = "http://127.0.0.1:1";

#[test]
fn of_two_registrations_of_one_name_one_counts() {
    let scene = Scene::new();
    for round in 0..20 {
        let name = format!("acme-{round}");
        let register = |host: String| {
            let mut definition = acme(&host);
            definition["name"] = name.clone().into();
            scene.register(definition, false).is_ok()
        };
        let done = std::thread::scope(|threads| {
            let started: Vec<_> =
                (0..4).map(|at| threads.spawn(move || register(format!("api{at}.acme.test")))).collect();
            started.into_iter().map(|thread| thread.join().expect("ends")).filter(|done| *done).count()
        });
        assert_eq!(done, 1, "round {round}");
        let stored = scene.broker.vault.get(&format!("server:definition:{name}")).expect("reads").expect("there");
        let stored: ProviderDefinition = serde_json::from_slice(&stored).expect("parses");
        assert_eq!(*scene.broker.entry(&name).expect("known").definition, stored, "memory is what the store is");
    }
}

#[test]
fn a_stored_definition_is_checked_like_any_other() {
    let scene = Scene::new();
    scene.register(acme("api.acme.test"), false).expect("registers");
    let put = |name: &str, definition: Value| {
        scene.broker.vault.put(&format!("server:definition:{name}"), definition.to_string().as_bytes()).expect("puts");
    };
    let mut wide = acme("*.com");
    wide["name"] = "wide".into();
    put("wide", wide);
    put("other", acme("api.evil.test"));
    put("broken", serde_json::json!({"name": "broken"}));
    let again = scene.restarted();
    assert_eq!(again.entry("acme").expect("known").definition.api_url.as_slice(), ["api.acme.test"]);
    for name in ["wide", "other", "broken"] {
        assert!(again.entry(name).is_err(), "{name}");
        assert!(again.problems().iter().any(|problem| problem.contains(name)), "{name} is told");
    }
}

#[test]
fn one_connection_that_cannot_be_sent_does_not_end_a_run() {
    let scene = Scene::new();
    scene.register(acme("api.acme.test"), false).expect("registers");
    scene.connect(&admin(), "acme", "default", "ak_1").expect("connects");
    scene.connect(&admin(), "openai", "default", "sk-0123456789012345678901").expect("connects");
    let mut changed = acme("api.acme.test");
    changed["fields"] = serde_json::json!([{"name": "user"}]);
    changed["inject"] = serde_json::json!([{"in": "basic", "value": "{user}:{api_key}"}]);
    scene.register(changed, true).expect("replaces");
    let plan = scene.broker.run_plan(&admin(), &everything()).expect("plans");
    let injects = |provider: &str| plan.routes.iter().any(|route| route.provider == provider && route.inject.is_some());
    assert!(injects("openai") && !injects("acme"));
    let refused = scene.broker.resolve(&admin(), "acme", None, Demand::Use).expect_err("says why");
    assert!(matches!(refused, AuthsomeError::CredentialMissing { .. }), "{refused}");
}

#[test]
fn placeholders_stand_for_secrets_only() {
    let scene = Scene::new();
    let mut definition = acme("api.acme.test");
    definition["export"] = serde_json::json!({"ACME_KEY": "API_TOKEN", "ACME_URL": "API_URL", "ACME_BASE": "BASE_URL"});
    scene.register(definition, false).expect("registers");
    scene.connect(&admin(), "acme", "default", "ak_1").expect("connects");
    let plan = scene.broker.run_plan(&admin(), &everything()).expect("plans");
    assert_eq!(plan.routes[0].exports, ["ACME_KEY"]);
    let output = scene.broker.export(&admin(), Some("acme"), "default", ExportFormat::Env).expect("exports");
    assert_eq!(text(&output), "ACME_KEY=ak_1\nACME_URL=api.acme.test");
}

#[test]
fn audit_pages_are_stable_and_private() {
    let scene = Scene::new();
    for number in 0..7 {
        let who = if number % 2 == 0 { admin() } else { user() };
        let mut noted = event("test", "acme", None);
        noted.metadata.insert("number".into(), number.into());
        noted.metadata.insert("event_id".into(), "forged".into());
        scene.broker.note(Some(&who), noted).expect("writes");
    }
    let page = |principal: Option<&str>, cursor: Option<Cursor>| {
        let query =
            AuditQuery { limit: 3, cursor, principal_id: principal.map(str::to_owned), ..AuditQuery::default() };
        scene.broker.audit().page(&query).expect("a page")
    };
    let numbers = |entries: &[AuditEntry]| -> Vec<i64> {
        entries.iter().map(|entry| entry.metadata["number"].as_i64().expect("a number")).collect()
    };
    let (first, cursor) = page(None, None);
    assert_eq!(numbers(&first), [6, 5, 4]);
    assert!(first[0].event_id.starts_with("audit_"), "metadata never covers a fixed field");
    let cursor = Cursor::parse(&cursor.expect("more").to_string()).expect("round trip");
    scene.broker.note(None, with_fact(event("test", "x", None), "number", 99)).expect("writes");
    let (second, cursor) = page(None, Some(cursor));
    assert_eq!(numbers(&second), [3, 2, 1], "a new entry moves nothing");
    assert_eq!(numbers(&page(None, cursor).0), [0]);
    assert_eq!(numbers(&page(Some("principal_bob"), None).0), [5, 3, 1]);
    assert!(Cursor::parse("nonsense").is_none());
}

//! The overview and the page of a connection: what they show to whom, and what their forms do.

use super::super::authorization::SENDERS;
use super::super::{Body, KEY, PORT, Response, Scene, Sender, definition};
use super::{Empty, Form, post, see};
use crate::broker::AuditQuery;
use crate::model::AuditEntry;
use crate::provider::{ValidateOptions, parse_definition};
use crate::secret::Secret;

const PAGE: &str = "/connections/acme/default";
const REVEAL: &str = "/connections/acme/default/reveal";
const BOB: Sender = Sender::Browser("bob");
const ADA: Sender = Sender::Browser("ada");
const EVE: Sender = Sender::Browser("eve");

fn text(answer: &Response) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn get(scene: &Scene, sender: Sender, target: &str) -> (u16, String) {
    let answer = scene.send(sender, "GET", target, Empty);
    (answer.status, text(&answer))
}

fn noted(scene: &Scene, event: &str) -> Vec<AuditEntry> {
    let query = AuditQuery { limit: 500, ..AuditQuery::default() };
    let (entries, _) = scene.state.broker.audit().page(&query).expect("a page");
    entries.into_iter().filter(|entry| entry.event == event).collect()
}

/// Gives Bob a password, and a session to go with it.
fn with_password(scene: &mut Scene) {
    let bob = scene.principals["bob"].clone();
    let (none, password) = (Secret::new(String::new()), Secret::new("correct horse".to_owned()));
    let handle = scene.state.people.change_password(&bob, (&none, &password), None, PORT);
    scene.cookies.insert("bob", handle.expect("changes"));
}

/// Acme's definition as it is from now on.
fn redefine(scene: &Scene, host: &str) {
    let definition = parse_definition(definition("acme", host).to_string().as_bytes()).expect("parses");
    let actor = scene.actor("ada-agent");
    scene.state.broker.register(&actor, definition, true, ValidateOptions::default()).expect("registers");
}

#[test]
fn a_secret_is_shown_to_its_owner_in_one_answer_and_noted() {
    let scene = Scene::new();
    assert!(!see(&scene, "bob", PAGE).contains(KEY));
    let shown = scene.send(BOB, "POST", REVEAL, Form(""));
    assert_eq!((shown.status, shown.fields.first_str("cache-control")), (200, Some("no-store")));
    assert!(text(&shown).contains(KEY), "an account without a password is asked for none");
    let noted = noted(&scene, "credentials.exported");
    let [entry] = noted.as_slice() else { panic!("{noted:?}") };
    assert_eq!((entry.connection.as_deref(), entry.identity.as_deref()), (Some("default"), None));
    assert_eq!(entry.principal_id.as_deref(), Some("principal_bob"));
}

#[test]
fn nobody_sees_the_secret_of_another_person() {
    let scene = Scene::new();
    for sender in SENDERS.into_iter().filter(|sender| *sender != BOB) {
        for target in [REVEAL, "/connections/acme/default/reveal?principal={bob}"] {
            let answer = scene.send(sender, "POST", target, Form(""));
            assert!(matches!(answer.status, 303 | 404) && !text(&answer).contains(KEY), "{sender:?} {target}");
        }
    }
    assert!(noted(&scene, "credentials.exported").is_empty());
}

#[test]
fn looking_reveals_nothing_and_neither_does_another_site() {
    let scene = Scene::new();
    for method in ["GET", "HEAD", "PUT"] {
        let answer = scene.send(BOB, method, REVEAL, Empty);
        assert!(answer.status == 405 && !text(&answer).contains(KEY), "{method}");
    }
    for field in [("Origin", "https://evil.test"), ("Origin", "null"), ("Sec-Fetch-Site", "same-site")] {
        let answer = scene.send_with(BOB, "POST", REVEAL, Form(""), &[field]);
        assert!(answer.status == 403 && !text(&answer).contains(KEY), "{field:?}");
    }
    assert!(noted(&scene, "credentials.exported").is_empty());
}

#[test]
fn who_has_a_password_must_say_it_again() {
    let mut scene = Scene::new();
    with_password(&mut scene);
    let reveal = |form: Body| {
        let answer = scene.send(BOB, "POST", REVEAL, form);
        (answer.status, text(&answer))
    };
    for form in [Empty, Form(""), Form("password="), Form("password=wrong+horse")] {
        let (status, page) = reveal(form);
        assert!(status == 422 && !page.contains(KEY), "{form:?}: {status}");
        assert!(page.contains("This is not your password") && page.contains(r#"aria-invalid="true""#), "{page}");
        assert!(!page.contains("wrong horse"), "what was typed is not repeated");
    }
    assert_eq!(noted(&scene, "account.login_failed").len(), 4);
    let (status, page) = reveal(Form("password=correct+horse"));
    assert!(status == 200 && page.contains(KEY), "{status}");
    let statuses: Vec<u16> = (0..8).map(|_| reveal(Form("password=guess")).0).collect();
    assert!(statuses.starts_with(&[422]) && statuses.ends_with(&[429]), "{statuses:?}");
    let (status, page) = reveal(Form("password=correct+horse"));
    assert!(status == 429 && !page.contains(KEY), "guessing is slowed for the right one, too: {status}");
}

#[test]
fn an_administrator_sees_a_connection_of_others_and_ends_it_but_no_more() {
    let scene = Scene::new();
    let theirs = "/connections/acme/default?principal={bob}";
    let (status, page) = get(&scene, ADA, theirs);
    assert!(status == 200 && page.contains("belongs to bob@x.test"), "{page}");
    for act in ["default/reveal", "default/default", "default/rebind", "/api/auth/providers"] {
        assert!(!page.contains(act), "{act} is the owner's");
    }
    assert_eq!(get(&scene, EVE, theirs).0, 403);
    let out = post(&scene, "ada", "/connections/acme/default/logout?principal={bob}", "");
    assert_eq!(out, (303, "/?done=logged_out".to_owned()));
    assert!(see(&scene, "ada", "/?done=logged_out").contains("The connection is gone."));
    let (status, page) = get(&scene, BOB, PAGE);
    assert!(status == 404 && page.contains("This connection is gone") && page.contains(r#"href="/""#), "{page}");
}

#[test]
fn a_connection_is_shared_with_everybody_and_taken_back() {
    let scene = Scene::new();
    let global = "/connections/acme/default/global";
    let is_shared = || see(&scene, "eve", "/").contains("Shared with you");
    scene.connect("ada-agent", "default", "ak_of_ada_0123");
    assert!(!is_shared());
    assert_eq!(post(&scene, "ada", global, "share=1"), (303, format!("{PAGE}?done=global_set")));
    assert!(is_shared() && see(&scene, "ada", "/").contains(">Shared<"));
    assert!(!see(&scene, "eve", "/").contains(PAGE), "who may only use it is not led to a page of it");
    let other = post(&scene, "ada", "/connections/acme/default/global?principal={bob}", "share=0");
    assert!(other.0 == 303 && is_shared(), "another connection than the shared one takes nothing back: {other:?}");
    assert_eq!(post(&scene, "ada", global, "share=0"), (303, format!("{PAGE}?done=global_unset")));
    assert!(!is_shared());
}

#[test]
fn a_changed_destination_is_shown_and_accepted() {
    let scene = Scene::new();
    redefine(&scene, "api.elsewhere.test");
    for target in ["/", PAGE] {
        assert!(see(&scene, "bob", target).contains("Destination changed"), "{target}");
    }
    let page = see(&scene, "bob", PAGE);
    let (gone, new) = page.split_once("Newly sent to").expect("both are named");
    assert!(gone.contains("https://api.acme.test<") && new.contains("https://api.elsewhere.test<"), "{page}");
    let accept = |page: &str| {
        let (_, seal) = page.split_once(r#"name="seen" value=""#).expect("what was seen");
        let form = format!("seen={}", seal.split('"').next().expect("a value"));
        post(&scene, "bob", "/connections/acme/default/rebind", form.leak())
    };
    redefine(&scene, "api.evil.test");
    assert_eq!(accept(&page).0, 400, "this is not what was looked at");
    let page = see(&scene, "bob", PAGE);
    assert!(page.contains("Destination changed") && page.contains("https://api.evil.test<"), "{page}");
    let accepted = accept(&page);
    assert_eq!(accepted, (303, format!("{PAGE}?done=rebound")));
    assert!(!see(&scene, "bob", PAGE).contains("Destination changed"));
}

#[test]
fn the_default_is_marked_where_there_is_a_choice() {
    let scene = Scene::new();
    assert!(!see(&scene, "bob", "/").contains(">Default<"));
    scene.connect("bob-agent", "second", "ak_second_0123");
    let marked = |name: &str| {
        let page = see(&scene, "bob", &format!("/connections/acme/{name}"));
        (page.contains(">Default<"), page.contains("Make it the default"))
    };
    assert_eq!((marked("default"), marked("second")), ((true, false), (false, true)));
    let made = post(&scene, "bob", "/connections/acme/second/default", "");
    assert_eq!(made, (303, "/connections/acme/second?done=default_set".to_owned()));
    assert_eq!((marked("default"), marked("second")), ((false, true), (true, false)));
}

#[test]
fn forms_for_a_connection_that_is_gone_lead_back() {
    let scene = Scene::new();
    for act in ["default", "rebind", "reveal"] {
        let answer = scene.send(BOB, "POST", &format!("/connections/acme/nosuch/{act}"), Form(""));
        let page = text(&answer);
        assert!(answer.status == 404 && page.contains(r#"<a href="/">"#), "{act}: {page}");
        assert!(!page.contains("principal_bob") && !page.contains("terminal"), "{act}: {page}");
    }
}

#[test]
fn the_overview_counts_what_happened_and_says_the_next_step() {
    let mut scene = Scene::new();
    let empty = see(&scene, "eve", "/");
    assert!(empty.contains("authsome login openai") && empty.contains(r#"href="/providers""#), "{empty}");
    let body = Body::Json(
        r#"{"events":[{"event":"run.started","metadata":{"run_id":"r1"}},
        {"event":"proxy.request","provider":"acme","connection":"default"},{"event":"proxy_deny"},
        {"event":"run.finished","metadata":{"run_id":"r1","requests":2}},{"event":"provider.logout","provider":"acme"}]}"#,
    );
    assert_eq!(scene.send(Sender::Agent("bob-agent"), "POST", "/api/audit/events", body).status, 200);
    let page = see(&scene, "bob", "/");
    assert!(page.contains("<dt>requests in 24 hours</dt><dd>2</dd>"), "{page}");
    assert!(page.contains("<dt>without a credential</dt><dd>1</dd>"), "{page}");
    assert!(page.contains("Run finished: 2 requests") && !page.contains("Run started"), "a run is told once: {page}");
    assert!(!page.contains("Disconnected"), "what a client says of us is not told as what happened: {page}");
    let used = see(&scene, "bob", PAGE);
    assert!(used.contains(r#"<a href="/agents/bob-agent">"#) && used.contains("1 time"), "{used}");
    scene.state.clock.test_only_advance(25 * 3600);
    let handle = scene.state.people.test_only_session(&scene.principals["bob"], PORT);
    scene.cookies.insert("bob", handle);
    assert!(see(&scene, "bob", "/").contains("<dt>requests in 24 hours</dt><dd>0</dd>"));
}

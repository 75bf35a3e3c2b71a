//! `/agents`

use super::super::{Scene, Sender};
use super::{plain, post, see, write};
use crate::daemon::tests::scene::Body::{Json, None as Empty};
use crate::model::Grants;

fn grants(scene: &Scene, agent: &str) -> (bool, bool) {
    let Grants { r#use, export } = scene.actor(agent).grants;
    (r#use, export)
}

#[test]
fn the_switches_do_at_once_what_they_say() {
    let scene = Scene::new();
    let export = || {
        let body = Json(r#"{"provider":"acme"}"#);
        scene.send(Sender::Agent("bob-agent"), "POST", "/api/credentials/export", body).status
    };
    assert_eq!(export(), 200);
    let (status, place) = post(&scene, "bob", "/agents/bob-agent/grants", "use=1");
    assert_eq!((status, place.as_str()), (303, "/agents/bob-agent?done=granted"));
    assert_eq!(grants(&scene, "bob-agent"), (true, false));
    assert_eq!(export(), 400);
    let page = see(&scene, "bob", &place);
    assert!(page.contains("What this agent may do is changed."), "{page}");
    assert_eq!(page.matches(r#"checked="""#).count(), 1, "one switch is on");
    post(&scene, "bob", "/agents/bob-agent/grants", "");
    assert_eq!(grants(&scene, "bob-agent"), (false, false));
    assert!(plain(&see(&scene, "bob", "/agents")).contains("|nothing|"));
    post(&scene, "bob", "/agents/bob-agent/grants", "use=1&export=1");
    assert_eq!((grants(&scene, "bob-agent"), export()), ((true, true), 200));
}

#[test]
fn only_its_owner_and_an_administrator_change_or_forget_an_agent() {
    let scene = Scene::new();
    for target in ["/agents/bob-agent/grants", "/agents/bob-agent/forget"] {
        assert_eq!(post(&scene, "eve", target, "").0, 404, "{target}");
    }
    assert_eq!(grants(&scene, "bob-agent"), (true, true));
    assert_eq!(post(&scene, "ada", "/agents/bob-agent/grants", "export=1").0, 303);
    assert_eq!(grants(&scene, "bob-agent"), (false, true));
    assert_eq!(post(&scene, "ada", "/agents/bob-agent/grants", "use=1").0, 403, "it is not hers to give");
    let given =
        scene.send(Sender::Agent("ada-agent"), "PUT", "/api/identities/bob-agent/grants", Json(r#"{"use":true}"#));
    assert_eq!((given.status, grants(&scene, "bob-agent")), (403, (false, true)));
    assert_eq!(post(&scene, "ada", "/agents/bob-agent/forget", ""), (303, "/agents?done=forgotten".to_owned()));
    assert!(scene.state.people.known("bob-agent").expect("reads").is_none());
}

#[test]
fn a_forgotten_agent_is_out_at_once_and_the_page_says_the_next_step() {
    let scene = Scene::new();
    assert!(see(&scene, "bob", "/agents/bob-agent").contains("claimed anew"), "it is said before");
    let (status, place) = post(&scene, "bob", "/agents/bob-agent/forget", "");
    assert_eq!(status, 303);
    assert_eq!(scene.send(Sender::Agent("bob-agent"), "GET", "/api/whoami", Empty).status, 401);
    let page = see(&scene, "bob", &place);
    assert!(page.contains("The agent is forgotten.") && page.contains("authsome onboard"), "{page}");
    assert_eq!(scene.send(Sender::Browser("bob"), "GET", "/agents/bob-agent", Empty).status, 404);
}

#[test]
fn a_person_sees_their_own_agents_and_an_administrator_everybodys() {
    let scene = Scene::new();
    let page = see(&scene, "bob", "/agents");
    assert!(page.contains("/agents/bob-agent") && !page.contains("eve-agent") && !page.contains("other people"));
    let page = see(&scene, "ada", "/agents");
    let (own, others) = page.split_once("Agents of other people").expect("two lists");
    assert!(own.contains("ada-agent") && !own.contains("bob-agent"), "{own}");
    for part in ["/agents/bob-agent", "bob@x.test", "/agents/eve-agent", "eve@x.test"] {
        assert!(others.contains(part), "{part}: {others}");
    }
    let page = see(&scene, "ada", "/agents?q=EVE%40x.test");
    assert!(page.contains("eve-agent") && !page.contains("bob-agent"), "{page}");
    let page = see(&scene, "ada", "/agents/bob-agent");
    assert!(page.contains("bob@x.test") && page.contains(&scene.agents["bob-agent"].did()), "{page}");
    let page = see(&scene, "ada", "/agents/new-agent");
    assert!(page.contains("not claimed yet") && !page.contains("/agents/new-agent/grants"), "{page}");
}

#[test]
fn an_agent_shows_what_it_did_last_and_nothing_of_who_had_its_name_before() {
    let scene = Scene::new();
    write(&scene, "bob-agent", "secret.habit", "acme", "success", 1);
    assert!(see(&scene, "bob", "/agents/bob-agent").contains("secret.habit"));
    post(&scene, "bob", "/agents/bob-agent/forget", "");
    let people = &scene.state.people;
    let did = crate::identity::SigningKey::generate().did();
    let known = people.register("bob-agent", &did, None).expect("registers");
    people.claim(&known, &scene.principals["eve"], Grants::default()).expect("claims");
    write(&scene, "bob-agent", "new.habit", "acme", "success", 12);
    for person in ["eve", "ada"] {
        let page = see(&scene, person, "/agents/bob-agent");
        assert!(page.contains("new.habit") && !page.contains("secret.habit"), "{person}: {page}");
        assert_eq!(page.matches("data-label=\"Event\"").count(), 8, "the last ones");
        assert!(page.contains("/audit?identity=bob-agent"));
    }
}

//! Whose an identity is, and who may say so.

use super::*;

impl Scene {
    /// The same daemon after a restart: what is only in memory is gone.
    fn restarted(self) -> Self {
        Self { people: People::new(Arc::clone(&self.people.vault), self.clock.clone()), clock: self.clock }
    }

    fn owner_of(&self, handle: &str) -> Option<String> {
        let known = self.people.known(handle).expect("reads").expect("is registered");
        known.principal.as_ref().map(|principal| principal.email.clone())
    }
}

#[test]
fn no_way_leads_from_one_owner_to_another() {
    let scene = Scene::new();
    let (ada, bob) = (scene.account("a@x.test", None, true), scene.account("b@x.test", None, true));
    let (ada, bob) = (ada.expect("an account"), bob.expect("an account"));
    let known = scene.people.register("calm-fox", "did:1", None).expect("registers");
    let link = || {
        scene.clock.test_only_advance(CLAIM_TOKEN_REUSE_SECONDS);
        scene.people.new_claim_token("did:1").expect("a token")
    };
    let links = [link(), link()];
    scene.people.claim(&known, &ada, Grants::default()).expect("claims");

    let scene = scene.restarted();
    let again = scene.people.register("calm-fox", "did:1", None).expect("the same pair");
    let owner = scene.people.local_owner().expect("an owner");
    for other in [&bob, &owner] {
        assert!(scene.people.claim(&known, other, Grants::default()).is_err(), "what was known before");
        assert!(scene.people.claim(&again, other, Grants::default()).is_err(), "what is known now");
    }
    assert!(scene.people.claim_by_token(&links[0], &bob, Grants::default()).is_err(), "an older link");
    let fresh = scene.people.new_claim_token("did:1").expect("a token");
    assert!(scene.people.claim_by_token(&fresh, &bob, Grants::default()).is_err(), "a newer link");
    assert_eq!(scene.owner_of("calm-fox").as_deref(), Some("a@x.test"));

    let reduced = Grants { r#use: true, export: false };
    scene.people.change_grants(&again, &Actor::person(&ada), |_| Ok::<_, AuthsomeError>(reduced)).expect("changes");
    let mine = scene.people.claim_by_token(&links[1], &ada, Grants::default()).expect("works").expect("is hers");
    assert_eq!(mine.claim.as_ref().expect("claimed").grants, reduced, "to claim again gives nothing back");
}

#[test]
fn who_was_forgotten_comes_back_as_a_stranger() {
    let scene = Scene::new();
    let ada = scene.account("a@x.test", None, true).expect("an account");
    let bob = scene.account("b@x.test", None, true).expect("an account");
    let known = scene.people.register("calm-fox", "did:1", None).expect("registers");
    let link = scene.people.new_claim_token("did:1").expect("a token");
    let known = scene.people.claim(&known, &ada, Grants::default()).expect("claims");
    scene.people.forget(&known, &Actor::person(&ada)).expect("forgets");

    let scene = scene.restarted();
    assert!(scene.people.claim_by_token(&link, &ada, Grants::default()).expect("works").is_none(), "nobody is there");
    let back = scene.people.register("calm-fox", "did:1", None).expect("registers");
    assert_eq!(back.status(), ClaimStatus::ClaimRequired);
    scene.people.claim(&back, &bob, Grants::default()).expect("whoever claims it now");
    assert_eq!(scene.owner_of("calm-fox").as_deref(), Some("b@x.test"));
}

#[test]
fn of_two_who_claim_at_once_one_owns() {
    let scene = Scene::new();
    let people: Vec<_> =
        (0..4).map(|number| scene.account(&format!("{number}@x.test"), None, true).expect("an account")).collect();
    let known = scene.people.register("calm-fox", "did:1", None).expect("registers");
    let claims = std::thread::scope(|scope| {
        let claim = |person| scene.people.claim(&known, person, Grants::default()).is_ok();
        let threads: Vec<_> = people.iter().map(|person| scope.spawn(move || claim(person))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).filter(|claimed| *claimed).count()
    });
    assert_eq!(claims, 1);
}

#[test]
fn of_many_with_one_setup_token_or_invitation_one_gets_an_account() {
    let scene = Scene::new();
    let setup = scene.people.new_setup_token().expect("works").expect("the first start");
    let race = |token: &Secret, domain: &str| {
        std::thread::scope(|scope| {
            let register = |number| scene.account(&format!("{number}@{domain}"), Some(token), false);
            let threads: Vec<_> = (0..4).map(|number| scope.spawn(move || register(number))).collect();
            let made = threads.into_iter().map(|thread| thread.join().expect("no panic"));
            made.filter_map(Result::ok).map(|principal| principal.role).collect::<Vec<_>>()
        })
    };
    assert_eq!(race(&setup, "x.test"), [Role::Admin]);
    let admin = scene.people.principals().expect("reads").remove(0);
    let invitation = scene.people.invite(&Actor::person(&admin)).expect("an invitation");
    assert_eq!(race(&invitation, "y.test"), [Role::User]);
    assert_eq!(scene.people.principals().expect("reads").len(), 2);
    assert!(scene.people.new_setup_token().expect("works").is_none(), "there is somebody");
}

#[test]
fn an_invitation_ends_after_a_week_and_a_restart_ends_nothing() {
    let scene = Scene::new();
    let setup = scene.people.new_setup_token().expect("works").expect("the first start");
    let scene = scene.restarted();
    assert!(scene.people.new_setup_token().expect("works").is_none(), "it was shown once");
    let admin = scene.account("a@x.test", Some(&setup), false).expect("the first");
    let invite = || scene.people.invite(&Actor::person(&admin)).expect("an invitation");
    let (soon, late) = (invite(), invite());
    let scene = scene.restarted();
    scene.clock.test_only_advance(7 * 24 * 3600 - 1);
    assert!(scene.account("b@x.test", Some(&soon), false).is_ok());
    scene.clock.test_only_advance(1);
    assert!(matches!(scene.account("c@x.test", Some(&late), false), Err(AccountError::Refused)));
}

#[test]
fn a_session_survives_a_restart_and_stays_with_its_port() {
    let scene = Scene::new();
    let person = scene.account("a@x.test", None, true).expect("an account");
    let handle = scene.people.test_only_session(&person, 7998);
    scene.clock.test_only_advance(UI_SESSION_SECONDS - 1);
    let scene = scene.restarted();
    let who = |port| scene.people.browser_session(&handle, port).expect("reads");
    assert_eq!((who(7998), who(7999)), (Some(person), None));
    scene.clock.test_only_advance(1);
    assert_eq!(who(7998), None, "an hour from its beginning, restarted or not");
}

//! Registration, claims, sessions and passwords over an in-memory vault.

mod ownership;

use super::*;
use crate::limits::{
    CLAIM_TOKEN_REUSE_SECONDS, CLAIM_TOKEN_SECONDS, UI_SESSION_SECONDS, UI_SESSIONS_EACH, UNCLAIMED_REGISTRATIONS,
    UNCLAIMED_SECONDS,
};
use crate::model::{Grants, Role};
use crate::secret::Secret;
use crate::store::open_in_memory;
use crate::vault::MasterKey;

struct Scene {
    people: People,
    clock: Clock,
}

impl Scene {
    fn new() -> Self {
        let clock = Clock::system();
        let store = open_in_memory(clock.clone()).expect("a store");
        let vault = Arc::new(Vault::open(store, &MasterKey::generate()).expect("a vault"));
        Self { people: People::new(vault, clock.clone()), clock }
    }

    fn account(&self, email: &str, token: Option<&Secret>, is_open: bool) -> Result<Principal, AccountError> {
        let new = NewAccount {
            email: email.to_owned(),
            password: secret("correct horse"),
            token: token.map(Secret::duplicate),
            is_open,
        };
        self.people.make_account(&new, Some("address 1"))
    }
}

impl Scene {
    fn set_grants(&self, known: &Known, grants: Grants) -> Result<Grants> {
        let owner = self.people.local_owner()?;
        self.people.change_grants(known, &Actor::person(&owner), |_| Ok(grants))
    }

    fn claimed(&self, handle: &str, did: &str) -> Arc<Known> {
        let owner = self.people.local_owner().expect("an owner");
        let known = self.people.register(handle, did, None).expect("registers");
        self.people.claim(&known, &owner, Grants::default()).expect("claims")
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

#[test]
fn a_pair_registers_once_and_keeps_its_name() {
    let scene = Scene::new();
    let register = |handle, did| scene.people.register(handle, did, None);
    let first = register("calm-fox", "did:1").expect("registers");
    scene.clock.test_only_advance(1);
    assert_eq!(register("calm-fox", "did:1").expect("again").record.created_at, first.record.created_at);
    assert!(register("calm-fox", "did:2").is_err(), "the handle is taken");
    assert!(register("other-fox", "did:1").is_err(), "the key is taken");
    assert_eq!(scene.people.handle_of("did:1").expect("reads").as_deref(), Some("calm-fox"));
    scene.clock.test_only_advance(UNCLAIMED_SECONDS + 1);
    assert!(scene.people.known("calm-fox").expect("reads").is_none(), "nobody claimed it in time");
    assert!(register("calm-fox", "did:2").is_ok());
}

#[test]
fn a_stranger_who_takes_every_place_loses_their_own() {
    let scene = Scene::new();
    let register =
        |name: &str, from: &str| scene.people.register(name, &format!("did:{name}"), Some(from)).expect("registers");
    let is_there = |name: &str| scene.people.known(name).expect("reads").is_some();
    for number in 0..UNCLAIMED_REGISTRATIONS {
        register(&format!("flood-{number}"), "198.51.100.1");
    }
    register("calm-fox", "203.0.113.1");
    for number in 0..20 {
        register(&format!("more-{number}"), "198.51.100.1");
    }
    assert!(is_there("calm-fox") && is_there("more-19") && is_there("flood-30"));
    assert!(!is_there("flood-0") && !is_there("flood-20"), "the oldest gave way");
    assert_eq!(scene.people.vault.list(UNCLAIMED).expect("lists").len(), UNCLAIMED_REGISTRATIONS);
    assert!(scene.people.handle_of("did:flood-0").expect("reads").is_none());
    let noted = scene.people.vault.list("audit:").expect("lists").len();
    assert_eq!(noted, UNCLAIMED_REGISTRATIONS, "nobody fills the log");
}

#[test]
fn a_claimed_identity_stays_with_its_owner() {
    let scene = Scene::new();
    let owner = scene.people.local_owner().expect("an owner");
    assert_eq!((owner.role, owner.email.as_str()), (Role::Admin, "owner@localhost"));
    assert_eq!(scene.people.local_owner().expect("the same"), owner);
    let known = scene.people.register("calm-fox", "did:1", None).expect("registers");
    let claimed = scene.people.claim(&known, &owner, Grants::default()).expect("claims");
    assert_eq!(claimed.status(), ClaimStatus::Claimed);
    let other = scene.account("b@x.test", None, true).expect("an account");
    assert!(scene.people.claim(&known, &other, Grants::default()).is_err(), "not another's");
    assert!(scene.people.claim(&known, &owner, Grants::default()).is_ok(), "again is fine");
    scene.clock.test_only_advance(UNCLAIMED_SECONDS * 100);
    let later = scene.people.known("calm-fox").expect("reads").expect("stays");
    assert_eq!(later.principal.as_ref(), Some(&owner));
    assert_eq!(scene.people.identities_of(&owner.principal_id).expect("lists").len(), 1);
    assert!(scene.people.identities_of(&other.principal_id).expect("lists").is_empty());
    scene.set_grants(&later, Grants { r#use: true, export: false }).expect("changes");
    let later = scene.people.known("calm-fox").expect("reads").expect("there");
    assert!(!later.claim.as_ref().expect("claimed").grants.export, "the memory is not stale");
    scene.people.forget(&later, &Actor::person(&owner)).expect("forgets");
    assert!(scene.people.known("calm-fox").expect("reads").is_none());
}

#[test]
fn a_claim_link_is_good_once_and_for_five_minutes() {
    let scene = Scene::new();
    let owner = scene.people.local_owner().expect("an owner");
    scene.people.register("calm-fox", "did:1", None).expect("registers");
    let token = scene.people.new_claim_token("did:1").expect("a token");
    assert_eq!(token.len(), "claim_".len() + 32);
    let claim = |token: &str| scene.people.claim_by_token(token, &owner, Grants::default()).expect("works");
    assert!(claim("claim_unknown").is_none());
    assert!(claim(&token).is_some());
    assert!(claim(&token).is_none(), "used");
    scene.people.register("other-fox", "did:2", None).expect("registers");
    let late = scene.people.new_claim_token("did:2").expect("a token");
    assert_eq!(scene.people.new_claim_token("did:2").expect("a token"), late, "who asks again gets no second one");
    scene.clock.test_only_advance(CLAIM_TOKEN_REUSE_SECONDS);
    assert_ne!(scene.people.new_claim_token("did:2").expect("a token"), late);
    assert!(scene.people.claimant(&late).expect("reads").is_some(), "and the first one stays good");
    scene.clock.test_only_advance(CLAIM_TOKEN_SECONDS);
    assert!(scene.people.claimant(&late).expect("reads").is_none(), "over");
}

#[test]
fn the_first_account_needs_the_setup_token_and_later_ones_an_invitation() {
    let scene = Scene::new();
    let token = scene.people.new_setup_token().expect("works").expect("the first start");
    assert!(scene.people.new_setup_token().expect("works").is_none(), "shown once");
    assert!(matches!(scene.account("a@x.test", None, false), Err(AccountError::Refused)));
    assert!(matches!(scene.account("a@x.test", Some(&secret("guess")), false), Err(AccountError::Refused)));
    let first = scene.account(" A@X.test ", Some(&token), false).expect("the first");
    assert_eq!((first.role, first.email.as_str()), (Role::Admin, "a@x.test"));
    assert!(matches!(scene.account("b@x.test", Some(&token), false), Err(AccountError::Refused)), "used up");
    let invitation = scene.people.invite(&Actor::person(&first)).expect("an invitation");
    assert_eq!(scene.account("b@x.test", Some(&invitation), false).expect("invited").role, Role::User);
    assert!(matches!(scene.account("c@x.test", Some(&invitation), false), Err(AccountError::Refused)), "once");
    assert!(matches!(scene.account("b@x.test", None, true), Err(AccountError::Refused)), "taken");
    for bad in ["", "@", "a@", "@b", "a@b@c", "a b@c"] {
        assert!(matches!(scene.account(bad, None, true), Err(AccountError::BadEmail)), "{bad}");
    }
}

#[test]
fn guessing_gets_slow_and_looks_the_same_for_everybody() {
    let scene = Scene::new();
    scene.account("a@x.test", None, true).expect("an account");
    let sign_in = |email: &str, password: &str| scene.people.sign_in(email, &secret(password), Some("address 1"));
    assert!(sign_in("A@x.test", "correct horse").is_ok());
    for email in ["a@x.test", "nobody@x.test"] {
        assert!(matches!(sign_in(email, "wrong"), Err(AccountError::WrongCredentials)));
    }
    for _ in 0..6 {
        let _ = sign_in("a@x.test", "wrong");
    }
    assert!(matches!(sign_in("a@x.test", "correct horse"), Err(AccountError::SlowDown)));
    scene.clock.test_only_advance(3600);
    assert!(sign_in("a@x.test", "correct horse").is_ok());
}

#[test]
fn a_session_is_one_ports_and_ends() {
    let scene = Scene::new();
    let person = scene.account("a@x.test", None, true).expect("an account");
    let handle = scene.people.test_only_session(&person, 7998);
    let who = |handle: &str, port| scene.people.browser_session(handle, port).expect("reads");
    assert_eq!(who(&handle, 7998), Some(person.clone()));
    assert_eq!(who(&handle, 8000), None, "cookies know no ports");
    assert_eq!(who("", 7998), None);
    assert_eq!(who(&"x".repeat(10_000), 7998), None);
    scene.people.close_session(&handle).expect("closes");
    assert_eq!(who(&handle, 7998), None);
    let handle = scene.people.test_only_session(&person, 7998);
    let changed =
        scene.people.change_password(&person, (&secret("correct horse"), &secret("battery staple")), None, 7998);
    assert_eq!(who(&handle, 7998), None, "a new password ends all sessions");
    let person = who(&changed.expect("changes"), 7998).expect("but begins one");
    let handle = scene.people.test_only_session(&person, 7998);
    scene.clock.test_only_advance(UI_SESSION_SECONDS);
    assert_eq!(who(&handle, 7998), None);
}

#[test]
fn who_signed_in_with_the_old_password_a_moment_ago_gets_no_session() {
    let scene = Scene::new();
    let person = scene.account("a@x.test", None, true).expect("an account");
    let signed_in = scene.people.sign_in("a@x.test", &secret("correct horse"), None).expect("signs in");
    let change = |to: &str| scene.people.change_password(&person, (&secret("correct horse"), &secret(to)), None, 7998);
    assert!(change("battery staple").is_ok());
    let opened = scene.people.open_session(&signed_in, 7998, None, (AuditEvent::success("account.login"), None));
    assert_eq!(opened.expect("works"), None);
    assert!(matches!(change("another one"), Err(AccountError::WrongCredentials)), "nor does the second change count");
}

#[test]
fn a_sign_in_ends_what_its_browser_had_before() {
    let scene = Scene::new();
    let (ada, bob) = (scene.account("a@x.test", None, true), scene.account("b@x.test", None, true));
    let (ada, bob) = (ada.expect("an account"), bob.expect("an account"));
    let planted = scene.people.test_only_session(&ada, 7998);
    let opened = scene.people.open_session(&bob, 7998, Some(&planted), (AuditEvent::success("account.login"), None));
    let handle = opened.expect("works").expect("a session");
    assert_ne!(handle, planted);
    assert_eq!(scene.people.browser_session(&planted, 7998).expect("reads"), None);
    assert_eq!(scene.people.browser_session(&handle, 7998).expect("reads"), Some(bob));
}

#[test]
fn who_signs_in_again_and_again_ends_their_oldest_sessions_and_nobody_elses() {
    let scene = Scene::new();
    let (ada, bob) = (scene.account("a@x.test", None, true), scene.account("b@x.test", None, true));
    let (ada, bob) = (ada.expect("an account"), bob.expect("an account"));
    let is_open = |handle: &String| scene.people.browser_session(handle, 7998).expect("reads").is_some();
    let of_bob = scene.people.test_only_session(&bob, 7998);
    let open = |_| {
        scene.clock.test_only_advance(1);
        scene.people.test_only_session(&ada, 7998)
    };
    let opened: Vec<String> = (0..UI_SESSIONS_EACH + 3).map(open).collect();
    assert_eq!(scene.people.open_sessions(&ada.principal_id).expect("reads"), UI_SESSIONS_EACH);
    assert!(!opened[..3].iter().any(is_open) && opened[3..].iter().all(is_open) && is_open(&of_bob));
}

#[test]
fn signing_out_elsewhere_keeps_this_browser_and_other_people() {
    let scene = Scene::new();
    let (ada, bob) = (scene.account("a@x.test", None, true), scene.account("b@x.test", None, true));
    let (ada, bob) = (ada.expect("an account"), bob.expect("an account"));
    let open = |person: &Principal| scene.people.test_only_session(person, 7998);
    let is_open = |handle: &str| scene.people.browser_session(handle, 7998).expect("reads").is_some();
    let (here, there, of_bob) = (open(&ada), open(&ada), open(&bob));
    assert_eq!(scene.people.open_sessions(&ada.principal_id).expect("counts"), 2);
    assert_eq!(scene.people.close_other_sessions(&Actor::person(&ada), Some(&here)).expect("closes"), 1);
    assert!(is_open(&here) && !is_open(&there) && is_open(&of_bob));
    assert_eq!(scene.people.close_other_sessions(&Actor::person(&ada), None).expect("closes"), 1);
    assert!(!is_open(&here) && is_open(&of_bob));
}

#[test]
fn a_password_that_is_asked_once_more_is_guessed_as_slowly() {
    let scene = Scene::new();
    let person = scene.account("a@x.test", None, true).expect("an account");
    let check = |text: &str| scene.people.check_password(&person, &secret(text), None);
    assert!(check("correct horse").is_ok());
    assert!(matches!(check("wrong"), Err(AccountError::WrongCredentials)));
    let slow = (0..8).find(|_| matches!(check("wrong"), Err(AccountError::SlowDown)));
    assert!(slow.is_some() && matches!(check("correct horse"), Err(AccountError::SlowDown)));
    let owner = scene.people.local_owner().expect("an owner");
    assert!(scene.people.check_password(&owner, &secret(""), None).is_ok(), "there is none to ask for");
}

#[test]
fn a_claim_link_is_for_one_key_and_not_for_whoever_has_its_handle_now() {
    let scene = Scene::new();
    scene.people.register("calm-fox", "did:1", None).expect("registers");
    scene.clock.test_only_advance(UNCLAIMED_SECONDS - 10);
    let token = scene.people.new_claim_token("did:1").expect("a token");
    scene.clock.test_only_advance(20);
    scene.people.register("calm-fox", "did:thief", None).expect("the handle is free again");
    assert!(scene.people.claimant(&token).expect("reads").is_none());
    let owner = scene.people.local_owner().expect("an owner");
    assert!(scene.people.claim_by_token(&token, &owner, Grants::default()).expect("reads").is_none());
    assert_eq!(scene.people.known("calm-fox").expect("reads").expect("there").status(), ClaimStatus::ClaimRequired);
}

#[test]
fn what_was_known_a_while_ago_changes_nobody_else() {
    let scene = Scene::new();
    let owner = scene.people.local_owner().expect("an owner");
    let old = scene.claimed("calm-fox", "did:1");
    scene.people.forget(&old, &Actor::person(&owner)).expect("forgets");
    assert!(scene.set_grants(&old, Grants::default()).is_err(), "its claim does not come back");
    let thief = scene.people.register("calm-fox", "did:thief", None).expect("the handle is free again");
    assert_eq!(thief.status(), ClaimStatus::ClaimRequired);
    assert!(scene.people.claim(&old, &owner, Grants::default()).is_err(), "nor does its key");
    assert!(scene.set_grants(&old, Grants::default()).is_err());
    scene.people.forget(&old, &Actor::person(&owner)).expect("nothing to do");
    let there = scene.people.known("calm-fox").expect("reads").expect("there");
    assert_eq!((there.record.did.as_str(), there.status()), ("did:thief", ClaimStatus::ClaimRequired));
}

#[test]
fn a_registration_starts_without_a_claim() {
    let scene = Scene::new();
    let owner = scene.people.local_owner().expect("an owner");
    let orphan = Claim {
        handle: "calm-fox".to_owned(),
        principal_id: owner.principal_id,
        status: ClaimStatus::Claimed,
        claimed_at: scene.clock.now(),
        grants: Grants::default(),
    };
    scene.people.vault.put("claim:calm-fox", &to_json(&orphan)).expect("puts");
    scene.people.register("calm-fox", "did:1", None).expect("registers");
    assert_eq!(scene.people.known("calm-fox").expect("reads").expect("there").status(), ClaimStatus::ClaimRequired);
}

#[test]
fn a_reader_that_was_overtaken_remembers_nothing() {
    let scene = Scene::new();
    let known = scene.claimed("calm-fox", "did:1");
    let before = scene.people.generation();
    scene.set_grants(&known, Grants { r#use: true, export: false }).expect("changes");
    scene.people.remember(before, &known);
    let there = scene.people.known("calm-fox").expect("reads").expect("there");
    assert!(!there.claim.as_ref().expect("claimed").grants.export, "the old grants are not back");
}

#[test]
fn nobody_can_become_the_owner_of_this_machine_by_form() {
    let scene = Scene::new();
    assert!(matches!(scene.account(" Owner@localhost", None, true), Err(AccountError::Refused)));
    assert!(scene.people.local_owner().expect("an owner").password_hash.is_none());
}

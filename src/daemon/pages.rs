//! The pages of the daemon: server-rendered, one design. Pure functions from facts to HTML.
//!
//! Every value goes through [`Html`], which escapes by construction. The pages work without scripts, which
//! only sharpen the dashboard, from a 360 px phone to a wide desktop, light and dark, by keyboard and by screen reader.

mod activity;
mod agents;
mod audit;
mod connection;
mod events;
mod found;
mod html;
mod layout;
mod login;
mod overview;
mod parts;
mod people;
mod provider;
mod provider_form;
mod providers;
mod reference;
mod settings;
mod state;

pub(super) use activity::{Activity, Span};
pub(super) use agents::{AgentFacts, AgentPage, AgentsFacts, agent, agents, place as agent_place};
pub(super) use audit::{AuditFacts, Choices, audit};
pub(super) use connection::{Change, ConnectionFacts, Place, User, connection, no_connection, secret_name, secrets};
pub(super) use found::Found;
pub(super) use html::Html;
pub(super) use layout::{
    CONTENT_SECURITY_POLICY, Frame, SCRIPT, SCRIPT_PATH, STYLE, STYLE_PATH, Section, dashboard, page,
};
pub(super) use login::{DevicePage, NextStep, device, failure, input, success, waiting};
pub(super) use overview::{Lately, OverviewFacts, ProviderCount, overview};
pub(super) use parts::Note;
pub(super) use people::{Invitation, PeopleFacts, PersonFacts, people};
pub(super) use provider::{AdminFacts, ClientForm, ProviderFacts, provider};
pub(super) use provider_form::{DEFINITION, DefinitionForm, Draft, DraftKind, FIELDS, KIND, Problem, provider_form};
pub(super) use providers::{ProviderKind, ProviderRow, ProvidersFacts, providers};
pub(super) use reference::reference;
pub(super) use settings::{ServerFacts, SettingsFacts, settings};
pub(super) use state::{ConnectionRow, Ends, State};

use self::parts::{button, note};
use crate::secret::Secret;

/// What the sign-in page needs.
#[derive(Debug)]
pub(super) struct SignIn<'a> {
    /// Where to go afterwards; checked to be local.
    pub(super) next: &'a str,
    /// What went wrong before.
    pub(super) error: Option<&'a str>,
    /// Whether the form to register shows first.
    pub(super) register_first: bool,
    /// Whether somebody may register, and what it takes.
    pub(super) registration: Registration,
    /// Whether this is the person's own machine.
    pub(super) is_local: bool,
}

/// What it takes to make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registration {
    /// The setup token of a new server.
    SetupToken,
    /// An invitation.
    Invitation,
    /// Nothing.
    Open,
}

/// What the claim page needs.
#[derive(Debug)]
pub(super) struct ClaimPage<'a> {
    /// The claim's token.
    pub(super) token: &'a str,
    /// The identity that asks.
    pub(super) handle: &'a str,
    /// Its key.
    pub(super) did: &'a str,
    /// Who is signed in.
    pub(super) email: &'a str,
    /// Whether raw secrets are allowed when nothing is changed.
    pub(super) export_by_default: bool,
}

/// The forms to sign in and to make an account.
pub(super) fn sign_in(facts: &SignIn<'_>) -> Html {
    let mut body = Html::new();
    body.element("h1", &[], |html| html.text("Sign in"));
    if let Some(error) = facts.error {
        note(&mut body, Note::Bad(error));
    }
    if facts.is_local {
        body.element("p", &[], |html| {
            html.text("On this machine, run ");
            html.element("code", &[], |html| html.text("authsome ui"));
            html.text(" in a terminal: it signs this browser in, without a password.");
        });
    }
    let mut forms = [Html::new(), Html::new()];
    sign_in_form(&mut forms[0], facts);
    register_form(&mut forms[1], facts);
    if facts.register_first {
        forms.reverse();
    }
    for form in &forms {
        body.append(form);
    }
    page("Sign in", None, &body)
}

fn sign_in_form(html: &mut Html, facts: &SignIn<'_>) {
    html.element("section", &[("aria-label", "Sign in")], |html| {
        html.element("h2", &[], |html| html.text("I have an account"));
        html.element("form", &[("method", "post"), ("action", "/api/auth/login")], |html| {
            html.void("input", &[("type", "hidden"), ("name", "next"), ("value", facts.next)]);
            credentials(html, "login", "current-password");
            button(html, "Sign in");
        });
    });
}

fn register_form(html: &mut Html, facts: &SignIn<'_>) {
    html.element("section", &[("aria-label", "Make an account")], |html| {
        html.element("h2", &[], |html| html.text("I am new here"));
        html.element("form", &[("method", "post"), ("action", "/api/auth/register")], |html| {
            html.void("input", &[("type", "hidden"), ("name", "next"), ("value", facts.next)]);
            credentials(html, "register", "new-password");
            let (name, label) = match facts.registration {
                Registration::SetupToken | Registration::Invitation if facts.is_local => {
                    ("setup_token", "Token (the line in server/bootstrap.token of the home)")
                }
                Registration::SetupToken => ("setup_token", "Setup token (the daemon printed it at its first start)"),
                Registration::Invitation => ("invitation", "Invitation (ask an administrator of this server)"),
                Registration::Open => ("", ""),
            };
            if !name.is_empty() {
                html.element("label", &[("for", name)], |html| html.text(label));
                let attributes =
                    [("id", name), ("name", name), ("type", "text"), ("autocomplete", "off"), ("required", "")];
                html.void("input", &attributes);
            }
            button(html, "Make an account");
        });
    });
}

fn credentials(html: &mut Html, form: &str, autocomplete: &str) {
    let email = format!("{form}-email");
    html.element("label", &[("for", &email)], |html| html.text("Email"));
    let attributes =
        [("id", email.as_str()), ("name", "email"), ("type", "email"), ("autocomplete", "username"), ("required", "")];
    html.void("input", &attributes);
    let password = format!("{form}-password");
    html.element("label", &[("for", &password)], |html| html.text("Password (at least 8 characters)"));
    let attributes = [
        ("id", password.as_str()),
        ("name", "password"),
        ("type", "password"),
        ("autocomplete", autocomplete),
        ("minlength", "8"),
        ("required", ""),
    ];
    html.void("input", &attributes);
}

/// The question whether an identity belongs to the person who is signed in.
pub(super) fn claim(facts: &ClaimPage<'_>) -> Html {
    let mut body = Html::new();
    body.element("h1", &[], |html| html.text("Is this agent yours?"));
    body.element("p", &[], |html| {
        html.text("The agent ");
        html.element("strong", &[], |html| html.text(facts.handle));
        html.text(" asks to act for ");
        html.element("strong", &[], |html| html.text(facts.email));
        html.text(". Claim it only if you started it yourself a moment ago.");
    });
    body.element("p", &[("class", "quiet")], |html| {
        html.text("Its key: ");
        html.element("code", &[], |html| html.text(facts.did));
    });
    let action = format!("/api/claim/{}/confirm", facts.token);
    body.element("form", &[("method", "post"), ("action", &action)], |html| {
        html.void("input", &[("type", "hidden"), ("name", "permissions"), ("value", "1")]);
        html.element("label", &[("class", "choice")], |html| {
            let mut attributes = vec![("type", "checkbox"), ("name", "export"), ("value", "1")];
            if facts.export_by_default {
                attributes.push(("checked", ""));
            }
            html.void("input", &attributes);
            html.text(" It may also read raw secrets (for authsome export)");
        });
        button(html, "Yes, it is mine");
    });
    page("Is this agent yours?", Some(facts.email), &body)
}

/// The question whether a browser shall be signed in by a link that something else than its person has opened.
pub(super) fn confirm_sign_in(token: &Secret, email: &str) -> Html {
    let mut body = Html::new();
    body.element("h1", &[], |html| html.text("Sign in?"));
    body.element("p", &[], |html| {
        html.text("This link signs your browser in as ");
        html.element("strong", &[], |html| html.text(email));
        html.text(". Go on only if you asked for it yourself a moment ago, with authsome ui.");
    });
    body.element("form", &[("method", "post"), ("action", "/signin")], |html| {
        html.void("input", &[("type", "hidden"), ("name", "token"), ("value", token.expose())]);
        button(html, "Sign in");
    });
    page("Sign in?", None, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::InputPage;
    use crate::model::{FlowType, InputField};

    fn form() -> InputPage {
        InputPage {
            session_id: "sess_1".to_owned(),
            provider: "x".to_owned(),
            display_name: "X".to_owned(),
            docs_url: None,
            fields: Vec::new(),
            callback_url: None,
            warning: None,
            flow: FlowType::Pkce,
        }
    }

    pub(super) const HOSTILE: &str = "\"><script>alert(1)</script>&'`";

    pub(super) fn is_inert(html: &Html) {
        let text = html.as_str();
        assert!(!text.contains("<script"), "{text}");
        assert!(!text.contains(HOSTILE), "{text}");
        assert!(text.contains("&lt;script&gt;"), "the value is shown as text: {text}");
    }

    #[test]
    fn no_value_becomes_markup() {
        let form = InputPage {
            session_id: HOSTILE.to_owned(),
            provider: HOSTILE.to_owned(),
            display_name: HOSTILE.to_owned(),
            docs_url: Some(format!("https://x.test/{HOSTILE}")),
            fields: vec![InputField {
                name: HOSTILE.to_owned(),
                label: HOSTILE.to_owned(),
                secret: false,
                default: Some(HOSTILE.to_owned()),
                required: true,
                pattern: None,
                pattern_hint: Some(HOSTILE.to_owned()),
            }],
            callback_url: Some(HOSTILE.to_owned()),
            warning: Some(HOSTILE.to_owned()),
            ..form()
        };
        is_inert(&input(&form, Some(HOSTILE), Some(HOSTILE)));
        is_inert(&success(HOSTILE, HOSTILE, Some(HOSTILE), None));
        is_inert(&success(HOSTILE, HOSTILE, Some(HOSTILE), Some(HOSTILE)));
        is_inert(&failure(HOSTILE, HOSTILE, NextStep::Do(HOSTILE)));
        is_inert(&failure(HOSTILE, HOSTILE, NextStep::Visit(HOSTILE)));
        is_inert(&waiting(HOSTILE, HOSTILE, Some(&format!("https://{HOSTILE}"))));
        is_inert(&device(&DevicePage {
            provider: HOSTILE,
            user_code: HOSTILE,
            uri: HOSTILE,
            complete_uri: Some(&format!("https://{HOSTILE}")),
            minutes_left: 5,
        }));
        for registration in [Registration::SetupToken, Registration::Invitation, Registration::Open] {
            let facts =
                SignIn { next: HOSTILE, error: Some(HOSTILE), register_first: true, registration, is_local: true };
            is_inert(&sign_in(&facts));
        }
        let facts =
            ClaimPage { token: HOSTILE, handle: HOSTILE, did: HOSTILE, email: HOSTILE, export_by_default: true };
        is_inert(&claim(&facts));
        is_inert(&confirm_sign_in(&Secret::new(HOSTILE.to_owned()), HOSTILE));
    }

    #[test]
    fn a_script_link_of_a_definition_is_not_shown() {
        let form = InputPage { docs_url: Some("javascript:alert(1)".to_owned()), ..form() };
        assert!(!input(&form, None, None).as_str().contains("javascript:"));
        let facts = |uri| DevicePage { provider: "X", user_code: "A-B", uri, complete_uri: None, minutes_left: 1 };
        let link = |uri| device(&facts(uri)).as_str().contains("href=\"javascript:");
        assert!(!link("javascript:alert(1)"));
        assert!(device(&facts("https://x.test/device")).as_str().contains("href=\"https://x.test/device\""));
    }

    #[test]
    fn a_secret_field_never_repeats_a_value() {
        let form = InputPage {
            fields: vec![InputField {
                name: "api_key".to_owned(),
                label: "Key".to_owned(),
                secret: true,
                default: Some("sk-hidden".to_owned()),
                required: true,
                pattern: None,
                pattern_hint: None,
            }],
            ..form()
        };
        assert!(!input(&form, None, None).as_str().contains("sk-hidden"));
    }
}

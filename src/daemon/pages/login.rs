//! The pages of a login: the form, the code of a device login, and how it ended.

use super::Html;
use super::layout::{page, page_that_reloads};
use super::parts::{Note, button, note};
use crate::broker::InputPage;
use crate::model::{FlowType, InputField};

/// The form that asks for what a login needs; `person`: for whom, where that could be somebody else than the reader.
pub(in crate::daemon) fn input(form: &InputPage, person: Option<&str>, problem: Option<&str>) -> Html {
    let mut body = Html::new();
    body.element("h1", &[], |html| html.text(&format!("Connect {}", form.display_name)));
    introduction(&mut body, form, person, problem);
    let action = format!("/auth/input?session={}", form.session_id);
    body.element("form", &[("method", "post"), ("action", &action), ("autocomplete", "off")], |html| {
        for (index, field) in form.fields.iter().enumerate() {
            input_field(html, field, index == 0);
        }
        button(html, if form.leads_to_provider() { "Continue" } else { "Connect" });
    });
    body.element("p", &[("class", "quiet")], |html| html.text(promise(form.flow)));
    page(&format!("Connect {}", form.display_name), None, &body)
}

/// What to know before filling it in.
fn introduction(body: &mut Html, form: &InputPage, person: Option<&str>, problem: Option<&str>) {
    if let Some(problem) = problem {
        note(body, Note::Bad(problem));
    }
    if let Some(person) = person {
        body.element("p", &[], |html| {
            html.text("What you connect here is used by ");
            html.element("strong", &[], |html| html.text(person));
            html.text(". If that is not you, close this page.");
        });
    }
    if let Some(warning) = &form.warning {
        note(body, Note::Bad(warning));
    }
    if let Some(url) = form.docs_url.as_deref().filter(|url| url.starts_with("https://")) {
        body.element("p", &[], |html| {
            html.text(if form.leads_to_provider() { "Where to make a client: " } else { "Where to get it: " });
            html.element("a", &[("href", url), ("rel", "noreferrer noopener")], |html| html.text(url));
        });
    }
    if let Some(url) = &form.callback_url {
        body.element("p", &[], |html| {
            html.text("Register this redirect address with the provider first:");
        });
        body.element("pre", &[("class", "wrap")], |html| html.text(url));
        body.element("p", &[], |html| {
            html.text("Then copy the client that you get there into this form.");
        });
    }
}

fn input_field(html: &mut Html, field: &InputField, first: bool) {
    let id = format!("field-{}", field.name);
    let hint_id = format!("{id}-hint");
    html.element("label", &[("for", &id)], |html| {
        html.text(&field.label);
        if !field.required {
            html.element("span", &[("class", "quiet")], |html| html.text(" (optional)"));
        }
    });
    let kind = if field.secret { "password" } else { "text" };
    let mut attributes = vec![
        ("id", id.as_str()),
        ("name", field.name.as_str()),
        ("type", kind),
        ("spellcheck", "false"),
        ("autocapitalize", "off"),
        ("autocomplete", "off"),
    ];
    if let Some(default) = field.default.as_deref().filter(|_| !field.secret) {
        attributes.push(("value", default));
    }
    if field.required {
        attributes.push(("required", ""));
    }
    if first {
        attributes.push(("autofocus", ""));
    }
    if field.pattern_hint.is_some() {
        attributes.push(("aria-describedby", &hint_id));
    }
    html.void("input", &attributes);
    if let Some(hint) = &field.pattern_hint {
        html.element("p", &[("class", "quiet"), ("id", &hint_id)], |html| html.text(hint));
    }
}

/// The end of a login that went well; `back`: where it was begun, in a browser.
pub(in crate::daemon) fn success(provider: &str, connection: &str, message: Option<&str>, back: Option<&str>) -> Html {
    let mut body = Html::new();
    body.element("h1", &[], |html| html.text(&format!("{provider} is connected")));
    // The heading says that already.
    if let Some(message) = message.filter(|message| *message != "Connected") {
        note(&mut body, Note::Good(message));
    }
    body.element("p", &[], |html| {
        html.text("The connection is called ");
        html.element("strong", &[], |html| html.text(connection));
        html.text(if back.is_some() { "." } else { ". You can close this page and go back to your terminal." });
    });
    match back {
        Some(back) => body.element("p", &[], |html| go_on(html, back)),
        None => body.element("pre", &[], |html| html.text("authsome run -- YOUR COMMAND")),
    }
    page(&format!("{provider} is connected"), None, &body)
}

/// What somebody can do after something that did not go well.
#[derive(Clone, Copy, Debug)]
pub(in crate::daemon) enum NextStep<'a> {
    /// What these words say.
    Do(&'a str),
    /// Go on at this page of ours.
    Visit(&'a str),
}

/// The end of something that did not go well.
pub(in crate::daemon) fn failure(title: &str, what: &str, next: NextStep<'_>) -> Html {
    let mut body = Html::new();
    body.element("h1", &[], |html| html.text(title));
    note(&mut body, Note::Bad(what));
    body.element("p", &[], |html| match next {
        NextStep::Do(words) => html.text(words),
        NextStep::Visit(path) => go_on(html, path),
    });
    page(title, None, &body)
}

fn go_on(html: &mut Html, path: &str) {
    html.element("a", &[("href", path), ("class", "button")], |html| html.text("Back to the dashboard"));
}

/// What the form promises.
fn promise(flow: FlowType) -> &'static str {
    match flow {
        FlowType::ApiKey | FlowType::Browser => {
            "It is sealed in the vault of this daemon and sent only to the hosts of this provider."
        }
        FlowType::Pkce | FlowType::DcrPkce | FlowType::DeviceCode => {
            "The client is sealed in the vault of this daemon and sent only to this provider. Next you sign in there."
        }
    }
}

/// What the page of a device login shows.
#[derive(Debug)]
pub(in crate::daemon) struct DevicePage<'a> {
    /// Provider name for people.
    pub(in crate::daemon) provider: &'a str,
    /// What to type.
    pub(in crate::daemon) user_code: &'a str,
    /// Where to type it.
    pub(in crate::daemon) uri: &'a str,
    /// Both in one link.
    pub(in crate::daemon) complete_uri: Option<&'a str>,
    /// How long the code lives.
    pub(in crate::daemon) minutes_left: i64,
}

/// Seconds until a page that waits looks again.
const LOOK_AGAIN: &str = "5";

/// A login that goes on at another device. It looks again by itself, without a script.
pub(in crate::daemon) fn device(facts: &DevicePage<'_>) -> Html {
    let mut body = Html::new();
    body.element("h1", &[], |html| html.text(&format!("Connect {}", facts.provider)));
    body.element("p", &[], |html| html.text("Enter this code at the provider:"));
    body.element("p", &[("class", "code")], |html| html.text(facts.user_code));
    let target = facts.complete_uri.unwrap_or(facts.uri);
    if is_web_page(target) {
        body.element("p", &[], |html| {
            let attributes =
                [("href", target), ("rel", "noreferrer noopener"), ("target", "_blank"), ("class", "button")];
            html.element("a", &attributes, |html| html.text(&format!("Open {}", facts.provider)));
        });
    }
    body.element("p", &[("class", "quiet")], |html| {
        html.text("Or on any other device: ");
        html.element("span", &[("class", "address")], |html| html.text(facts.uri));
    });
    body.element("p", &[("role", "status")], |html| {
        let minutes =
            if facts.minutes_left == 1 { "1 minute".to_owned() } else { format!("{} minutes", facts.minutes_left) };
        html.text(&format!("Waiting for you there. The code is good for {minutes}; this page looks again by itself."));
    });
    page_that_reloads(&format!("Connect {}", facts.provider), &body, LOOK_AGAIN)
}

/// Other schemes would start other programs, and the address is the provider's.
fn is_web_page(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// A login that still waits, and where it goes on: who came here by a second click has not been there.
pub(in crate::daemon) fn waiting(provider: &str, message: &str, next: Option<&str>) -> Html {
    let mut body = Html::new();
    body.element("h1", &[], |html| html.text(&format!("Connecting {provider}")));
    body.element("p", &[("role", "status")], |html| html.text(message));
    if let Some(next) = next.filter(|next| is_web_page(next)) {
        body.element("p", &[], |html| {
            let attributes = [("href", next), ("rel", "noreferrer noopener"), ("class", "button")];
            html.element("a", &attributes, |html| html.text("Continue"));
        });
    }
    page_that_reloads(&format!("Connecting {provider}"), &body, LOOK_AGAIN)
}

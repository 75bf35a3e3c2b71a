//! The OAuth client of a provider, for administrators.

use super::super::parts::{Field, Kind, button, counted, field, paragraph, post, section};
use super::Html;
use crate::model::ProviderDefinition;
use crate::percent::encode;

/// What the form of a client holds. The secret is no part of it: it is never shown again.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct ClientForm<'a> {
    /// Whether there are settings already.
    pub(in crate::daemon) is_stored: bool,
    /// Whether they have a secret.
    pub(in crate::daemon) has_secret: bool,
    /// Client identifier.
    pub(in crate::daemon) client_id: String,
    /// Where the provider's own server is, for those that have one.
    pub(in crate::daemon) base_url: String,
    /// The API of that server.
    pub(in crate::daemon) api_url: String,
    /// Scopes, with commas between them.
    pub(in crate::daemon) scopes: String,
    /// The field that was refused, and why.
    pub(in crate::daemon) problem: Option<(&'a str, String)>,
}

/// The form; `connections`: how many a change would end.
pub(super) fn client(html: &mut Html, definition: &ProviderDefinition, form: &ClientForm<'_>, connections: u64) {
    section(html, "OAuth client", |html| {
        paragraph(
            html,
            if form.is_stored {
                "Everybody on this server logs in with this client. A field that you leave empty keeps its value."
            } else {
                "Register an application with the provider, then store its client here for everybody on this server."
            },
        );
        if connections > 0 {
            let ended = counted(connections, "connection");
            let warning = format!("A change ends {ended}: they were made with the client of now.");
            html.element("p", &[("class", "note bad")], |html| html.text(&warning));
        }
        post(html, &format!("/providers/{}/client", encode(&definition.name)), |html| {
            inputs(html, definition, form);
            button(html, "Store the client");
        });
    });
}

fn inputs(html: &mut Html, definition: &ProviderDefinition, form: &ClientForm<'_>) {
    let oauth = definition.oauth.clone().unwrap_or_default();
    let write = |html: &mut Html, shown: Field<'_>| {
        let problem = form.problem.as_ref().filter(|(name, _)| *name == shown.name);
        let error = problem.map(|(_, text)| text.as_str());
        field(html, &Field { error, focused: error.is_some(), ..shown });
    };
    let plain = |name, label, value| Field { name, label, value, ..Field::default() };
    write(html, Field { required: !form.is_stored, ..plain("client_id", "Client ID", &form.client_id) });
    let secret =
        Field { kind: Kind::Password, autocomplete: "new-password", ..plain("client_secret", "Client secret", "") };
    let is_needed = oauth.client_type.as_deref() == Some("confidential") && !form.has_secret;
    let hint = if form.has_secret { "One is stored. Leave this empty to keep it." } else { "It is stored sealed." };
    write(html, Field { hint: Some(hint), required: is_needed, ..secret });
    if let Some(base_url) = &oauth.base_url {
        let usual = format!("The provider's own server, where it is not {base_url}.");
        write(html, Field { hint: Some(&usual), ..plain("base_url", "Base URL", &form.base_url) });
        write(html, Field { hint: Some("Host of that server's API."), ..plain("api_url", "API URL", &form.api_url) });
    }
    let usual = format!("With commas between them. Usual: {}", oauth.scopes.join(", "));
    let hint = if oauth.scopes.is_empty() { "With commas between them." } else { usual.as_str() };
    write(html, Field { hint: Some(hint), ..plain("scopes", "Scopes", &form.scopes) });
}

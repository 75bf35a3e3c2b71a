//! The OAuth client of a provider: what administrators see of it, and how they change it.

use super::{draft, page_of, place};
use crate::broker::{Broker, ClientSettings};
use crate::daemon::dashboard::{done, person};
use crate::daemon::form::Form;
use crate::daemon::pages::ClientForm;
use crate::daemon::{Context, Failure, Outcome};
use crate::error::{AuthsomeError, Result};
use crate::model::{AuthType, ProviderDefinition};

/// The form of the client as it is stored, or with what was just refused.
pub(super) fn form<'a>(
    broker: &Broker,
    definition: &ProviderDefinition,
    refused: Option<ClientForm<'a>>,
) -> Result<Option<ClientForm<'a>>> {
    if definition.auth_type != AuthType::Oauth2 {
        return Ok(None);
    }
    let stored = broker.client(&definition.name)?;
    let (is_stored, stored) = (stored.is_some(), stored.unwrap_or_default());
    let form = ClientForm {
        is_stored,
        has_secret: stored.client_secret.is_some(),
        client_id: stored.client_id.unwrap_or_default(),
        base_url: stored.base_url.unwrap_or_default(),
        api_url: stored.api_url.unwrap_or_default(),
        scopes: stored.scopes.unwrap_or_default().join(", "),
        problem: None,
    };
    Ok(Some(match refused {
        None => form,
        Some(sent) => ClientForm { is_stored, has_secret: form.has_secret, ..sent },
    }))
}

/// `POST /providers/{provider}/client`
pub(in crate::daemon) fn configure(context: &Context<'_>) -> Outcome {
    let (_, actor) = person(context)?;
    let form = Form::of(context)?;
    let text = |name: &str| Some(form.text(name).to_owned()).filter(|text| !text.trim().is_empty());
    let scopes: Vec<String> = draft::words(form.text("scopes")).map(str::to_owned).collect();
    let settings = ClientSettings {
        client_id: text("client_id"),
        client_secret: text("client_secret").map(|_| form.secret("client_secret")),
        base_url: text("base_url"),
        api_url: text("api_url"),
        scopes: Some(scopes).filter(|scopes| !scopes.is_empty()),
        ..ClientSettings::default()
    };
    match context.broker().configure(&actor, context.param("provider"), settings) {
        Ok(true) => Ok(done(&place(context), "configured")),
        Ok(false) => Ok(done(&place(context), "unchanged")),
        Err(error) => {
            let problem = client_problem(error)?;
            let sent = |name: &str| form.text(name).to_owned();
            let form = ClientForm {
                client_id: sent("client_id"),
                base_url: sent("base_url"),
                api_url: sent("api_url"),
                scopes: sent("scopes"),
                problem: Some(problem),
                ..ClientForm::default()
            };
            page_of(context, Some(form))
        }
    }
}

/// The field that a refusal is about, and a sentence. What is no mistake of the form stays an error.
fn client_problem(error: AuthsomeError) -> Result<(&'static str, String), Failure> {
    let (field, text) = match &error {
        AuthsomeError::InvalidInput { what, reason } => {
            let field = match *what {
                "client ID" => "client_id",
                "API URL" => "api_url",
                "URL" => "base_url",
                "scopes" => "scopes",
                _ => "client_secret",
            };
            (field, reason.clone())
        }
        AuthsomeError::OperationNotAllowed { reason, hint, .. } => {
            ("client_secret", hint.map_or_else(|| reason.clone(), |hint| format!("{reason}: {hint}")))
        }
        _ => return Err(error.into()),
    };
    Ok((field, format!("{}.", draft::capital(&text))))
}

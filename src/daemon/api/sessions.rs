//! `/api/auth/sessions` and the pages of a login.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::shapes;
use crate::broker::{SessionRequest, StoredSession};
use crate::daemon::{Context, Failure, Outcome, Refusal, Response, pages};
use crate::error::AuthsomeError;
use crate::model::{FlowType, SessionStatus};
use crate::secret::Secret;

#[derive(Deserialize)]
struct StartBody {
    provider: String,
    #[serde(default = "default_connection")]
    connection: String,
    #[serde(default)]
    flow: Option<FlowType>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    base_url: Option<String>,
    #[serde(default)]
    force: bool,
}

fn default_connection() -> String {
    "default".to_owned()
}

pub(in crate::daemon) fn start(context: &Context<'_>) -> Outcome {
    let body: StartBody = context.json()?;
    let request = SessionRequest {
        provider: body.provider,
        connection: body.connection,
        flow: body.flow,
        scopes: body.scopes,
        base_url: body.base_url,
        force: body.force,
        from_dashboard: false,
    };
    let session = context.broker().start_session(&context.actor()?, request, context.base_url())?;
    Ok(Response::json(&session))
}

pub(in crate::daemon) fn get(context: &Context<'_>) -> Outcome {
    let session = own(context)?;
    Ok(Response::json(&session.public))
}

fn own(context: &Context<'_>) -> Result<StoredSession, Failure> {
    let found = context.broker().own_session(&context.actor()?, context.param("id"))?;
    Ok(found.ok_or_else(no_session)?)
}

fn no_session() -> Refusal {
    Refusal::new(404, "Auth session not found")
}

#[derive(Deserialize)]
struct ResumeBody {
    #[serde(default)]
    data: BTreeMap<String, ResumeValue>,
}

/// A value, or the named cookies of a browser.
#[derive(Deserialize)]
#[serde(untagged)]
enum ResumeValue {
    Text(Secret),
    Named(BTreeMap<String, Secret>),
}

pub(in crate::daemon) fn resume(context: &Context<'_>) -> Outcome {
    let body: ResumeBody = context.json()?;
    let session = own(context)?;
    let mut values = BTreeMap::new();
    for (name, value) in body.data {
        match value {
            ResumeValue::Text(text) => drop(values.insert(name, text)),
            ResumeValue::Named(named) => values.extend(named),
        }
    }
    Ok(Response::json(&context.broker().submit(session, values)?))
}

/// A session for a page: of a browser's own principal when it was started there, else whoever holds its link.
fn for_page(context: &Context<'_>, id: &str) -> Result<StoredSession, Failure> {
    let session = context.broker().session(id)?.ok_or_else(no_session)?;
    if session.from_dashboard {
        let is_owner = context.browser_principal()?.as_deref() == Some(session.principal_id.as_str());
        if !is_owner {
            return Err(Failure::redirect("/login"));
        }
    }
    Ok(session)
}

pub(in crate::daemon) fn input_json(context: &Context<'_>) -> Outcome {
    let session = for_page(context, context.param("id"))?;
    Ok(Response::json(&context.broker().input_page(&session)?))
}

pub(in crate::daemon) fn status_json(context: &Context<'_>) -> Outcome {
    let public = for_page(context, context.param("id"))?.public;
    Ok(Response::json(&json!({
        "id": public.id,
        "provider": public.provider,
        "connection": public.connection,
        "status": public.status,
        "message": public.message,
        "error": public.error,
    })))
}

pub(in crate::daemon) fn device_json(context: &Context<'_>) -> Outcome {
    let session = for_page(context, context.param("id"))?;
    let public = session.public;
    if public.user_code.is_none() {
        return Err(Refusal::new(400, "This login has no device code").into());
    }
    Ok(Response::json(&json!({
        "session_id": public.id,
        "display_name": shapes::display_name(context.broker(), &public.provider),
        "user_code": public.user_code,
        "verification_uri": public.verification_uri,
        "verification_uri_complete": public.verification_uri_complete,
    })))
}

/// `GET /auth/input?session=`: the form, from now on tied to this browser.
pub(in crate::daemon) fn input_page(context: &Context<'_>) -> Outcome {
    let mut session = for_page(context, &session_id(context))?;
    if session.public.status.is_final() || session.public.status == SessionStatus::Processing {
        return Ok(Response::redirect(&format!("/auth/success?session={}", session.public.id)));
    }
    let (handle, is_new) = context.login_handle();
    // A link checker that only looks does not take the page away from its person.
    let only_looks = context.request.method == "HEAD";
    if !only_looks && !context.broker().bind_browser(&mut session, &handle.hash())? {
        return Err(other_browser());
    }
    let page = context.broker().input_page(&session)?;
    let mut response = Response::html(200, &pages::input(&page, None));
    if is_new {
        response.set_cookie(&handle.cookie());
    }
    Ok(response)
}

fn session_id(context: &Context<'_>) -> String {
    context.query("session").unwrap_or_default()
}

fn other_browser() -> Failure {
    Refusal::new(403, "This login was opened in another browser").into()
}

/// The form's answer. Errors are JSON on the API path and a page on the other.
pub(in crate::daemon) fn input_form(context: &Context<'_>) -> Outcome {
    submit_form(context, context.param("id"))
}

/// `POST /auth/input?session=`
pub(in crate::daemon) fn input_page_form(context: &Context<'_>) -> Outcome {
    submit_form(context, &session_id(context))
}

fn submit_form(context: &Context<'_>, id: &str) -> Outcome {
    let session = for_page(context, id)?;
    if let Some(bound) = &session.browser {
        let (handle, is_new) = context.login_handle();
        if is_new || handle.hash() != *bound {
            return Err(other_browser());
        }
    }
    let values = context.form()?.into_iter().collect();
    let again = session.clone();
    match context.broker().submit(session, values) {
        Ok(_) => Ok(Response::redirect(&format!("/auth/success?session={id}"))),
        Err(error @ AuthsomeError::InvalidInput { .. }) if context.wants_html() => {
            let page = context.broker().input_page(&again)?;
            Ok(Response::html(422, &pages::input(&page, Some(&error.message()))))
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /auth/success?session=`: how it ended.
pub(in crate::daemon) fn success_page(context: &Context<'_>) -> Outcome {
    if context.query("error").is_some() {
        let page =
            pages::failure("Login not finished", "The login was not recognised.", "Start it again from your terminal.");
        return Ok(Response::html(400, &page));
    }
    let session = for_page(context, &session_id(context))?;
    let title = shapes::display_name(context.broker(), &session.public.provider);
    let public = session.public;
    let page = match public.status {
        SessionStatus::Completed => pages::success(&title, &public.connection, public.message.as_deref()),
        SessionStatus::Pending | SessionStatus::WaitingForUser | SessionStatus::Processing => {
            pages::waiting(&title, public.message.as_deref().unwrap_or("Waiting"))
        }
        SessionStatus::Failed | SessionStatus::Expired | SessionStatus::Cancelled => {
            let what = public.error.or(public.message).unwrap_or_else(|| public.status.as_str().to_owned());
            pages::failure(&format!("{title} is not connected"), &what, "Start the login again from your terminal.")
        }
    };
    Ok(Response::html(200, &page))
}

/// `POST /api/auth/providers/{p}/connect`: a login that a person starts in the browser.
pub(in crate::daemon) fn connect_form(context: &Context<'_>) -> Outcome {
    let form: BTreeMap<String, Secret> = context.form()?.into_iter().collect();
    let said = |name: &str| form.get(name).map_or("", Secret::expose);
    let request = SessionRequest {
        provider: context.param("provider").to_owned(),
        connection: Some(said("connection").to_owned())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(default_connection),
        flow: None,
        scopes: None,
        base_url: None,
        force: matches!(said("force"), "1" | "true" | "on"),
        from_dashboard: true,
    };
    let session = context.broker().start_session(&context.actor()?, request, context.base_url())?;
    if session.status.is_final() {
        return Ok(Response::redirect(&format!("/auth/success?session={}", session.id)));
    }
    Ok(Response::redirect(&format!("/auth/input?session={}", session.id)))
}

//! `/api/auth/sessions` and the pages of a login.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::accounts::{in_query, local_place};
use super::shapes;
use crate::broker::{CallbackAnswer, Input, InputPage, SessionRequest, StoredSession};
use crate::daemon::pages::NextStep;
use crate::daemon::{Context, Failure, Outcome, Refusal, Response, dashboard, pages};
use crate::error::AuthsomeError;
use crate::model::{AuthSession, FlowType, NextAction, SessionStatus};
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
        return_to: None,
    };
    let session = context.broker().start_session(&context.actor()?, request, context.base_url())?;
    Ok(Response::json(&context.state.pollers.watch(session)?))
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

/// A value, the named cookies of a browser, or when those end.
#[derive(Deserialize)]
#[serde(untagged)]
enum ResumeValue {
    Text(Secret),
    Named(BTreeMap<String, Secret>),
    Times(BTreeMap<String, f64>),
    Nothing(()),
}

pub(in crate::daemon) fn resume(context: &Context<'_>) -> Outcome {
    let body: ResumeBody = context.json()?;
    context.actor()?.check_use("login")?; // it may have been taken away since the login began
    let session = own(context)?;
    let mut input = Input::default();
    for (name, value) in body.data {
        match value {
            ResumeValue::Text(text) => drop(input.values.insert(name, text)),
            ResumeValue::Named(named) => input.values.extend(named),
            #[allow(clippy::cast_possible_truncation)] // a cast of a float stops at the ends
            ResumeValue::Times(times) => {
                input.expires.extend(times.into_iter().map(|(name, seconds)| (name, seconds as i64)));
            }
            ResumeValue::Nothing(()) => {}
        }
    }
    let leads_to_provider = !matches!(session.flow, FlowType::ApiKey | FlowType::Browser);
    let callback = if leads_to_provider { take_callback(&mut input.values) } else { None };
    let session = match callback {
        Some((state, answer)) => pasted_callback(context, &session, &state, answer)?,
        None => context.broker().submit(session, input, context.base_url())?,
    };
    Ok(Response::json(&context.state.pollers.watch(session)?))
}

/// What was pasted from the address of the page that a browser could not reach.
fn take_callback(values: &mut BTreeMap<String, Secret>) -> Option<(Secret, CallbackAnswer)> {
    let has = |name| values.contains_key(name);
    if !(has("code") || has("error") && has("state")) {
        return None;
    }
    let mut text = |name: &str| values.remove(name).map(|value| value.expose().to_owned());
    let (error, error_description, iss) = (text("error"), text("error_description"), text("iss"));
    let state = values.remove("state").unwrap_or_else(|| Secret::new(String::new()));
    Some((state, CallbackAnswer { code: values.remove("code"), error, error_description, iss }))
}

fn pasted_callback(
    context: &Context<'_>,
    session: &StoredSession,
    state: &Secret,
    answer: CallbackAnswer,
) -> Result<AuthSession, Failure> {
    let found = context.broker().session_of_state(state.expose())?;
    match found.filter(|found| found.public.id == session.public.id) {
        Some(found) => Ok(context.broker().callback(found, state.expose(), answer)?),
        None => Err(Refusal::new(400, "The state does not belong to this login").into()),
    }
}

pub(in crate::daemon) fn cancel(context: &Context<'_>) -> Outcome {
    let session = own(context)?;
    let cancelled = context.broker().cancel(session)?;
    context.state.pollers.forget(&cancelled.id);
    Ok(Response::json(&cancelled))
}

/// A session for a page: of a browser's own principal when it was started there, else whoever holds its link.
fn for_page(context: &Context<'_>, id: &str) -> Result<StoredSession, Failure> {
    let session = context.broker().session(id)?.ok_or_else(no_session)?;
    if session.return_to.is_some() {
        let is_owner = context.browser_principal()?.as_deref() == Some(session.principal_id.as_str());
        if !is_owner {
            return Err(Failure::redirect("/login"));
        }
    }
    Ok(session)
}

pub(in crate::daemon) fn input_json(context: &Context<'_>) -> Outcome {
    let session = for_page(context, context.param("id"))?;
    Ok(Response::json(&context.broker().input_page(&session, context.base_url())?))
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
    let session = for_page(context, &session_id(context))?;
    if session.public.status.is_final() || session.public.status == SessionStatus::Processing {
        return Ok(Response::redirect(&format!("/auth/success?session={}", session.public.id)));
    }
    let page = context.broker().input_page(&session, context.base_url())?;
    let person = person(context, &session)?;
    bound(context, session, |_| form_page(200, &page, person.as_deref(), None))
}

/// Whose login it is, where that is not known without saying it.
fn person(context: &Context<'_>, session: &StoredSession) -> Result<Option<String>, Failure> {
    if context.state.settings.is_local {
        return Ok(None);
    }
    let Some(principal) = context.principal(&session.principal_id)? else { return Ok(None) };
    Ok(Some(match &session.identity {
        Some(identity) => format!("{} (asked for by the agent {identity})", principal.email),
        None => principal.email,
    }))
}

fn form_page(status: u16, page: &InputPage, person: Option<&str>, problem: Option<&str>) -> Response {
    let html = pages::input(page, person, problem);
    if page.leads_to_provider() { Response::form_to_provider(status, &html) } else { Response::html(status, &html) }
}

/// Ties the pages of `session` to this browser, then shows one of them.
fn bound(context: &Context<'_>, mut session: StoredSession, show: impl FnOnce(&StoredSession) -> Response) -> Outcome {
    let (handle, is_new) = context.login_handle();
    // A link checker that only looks does not take the page away from its person.
    let only_looks = context.request.method == "HEAD";
    if !only_looks && !context.broker().bind_browser(&mut session, &handle.hash())? {
        return Err(other_browser());
    }
    let mut response = show(&session);
    if is_new {
        response.set_cookie(&handle.cookie());
    }
    Ok(response)
}

/// Refuses another browser than the one that opened a page of `session`.
fn check_browser(context: &Context<'_>, session: &StoredSession) -> Result<(), Failure> {
    let Some(bound) = &session.browser else { return Ok(()) };
    let (handle, is_new) = context.login_handle();
    if is_new || handle.hash() != *bound { Err(other_browser()) } else { Ok(()) }
}

/// Refuses everybody's browser but that of the person whose login it is, on a daemon for many: who sends the address of
/// his own login to somebody else would get that person's tokens, in one click where the provider asks nothing. On one's
/// own machine there is nobody else.
fn check_person(context: &Context<'_>, session: &StoredSession) -> Result<(), Failure> {
    let settings = &context.state.settings;
    if settings.is_local || settings.compat {
        return Ok(());
    }
    match context.browser_principal()? {
        Some(principal_id) if principal_id == session.principal_id => Ok(()),
        Some(_) => Err(Refusal::new(403, "This login was started by somebody else").into()),
        None => Err(Failure::redirect(&format!("/login?next={}", in_query(&context.request.target)))),
    }
}

/// `GET /auth/device?session=`: the code, the link, and how it goes; reloads itself.
pub(in crate::daemon) fn device_page(context: &Context<'_>) -> Outcome {
    let session = for_page(context, &session_id(context))?;
    if session.public.status.is_final() || session.public.status == SessionStatus::Processing {
        return Ok(Response::redirect(&format!("/auth/success?session={}", session.public.id)));
    }
    if session.public.user_code.is_none() {
        return Ok(Response::redirect(&format!("/auth/input?session={}", session.public.id)));
    }
    let title = shapes::display_name(context.broker(), &session.public.provider);
    let left = session.public.expires_at.unix() - context.state.clock.now().unix();
    bound(context, session, |session| {
        let public = &session.public;
        Response::html(
            200,
            &pages::device(&pages::DevicePage {
                provider: &title,
                user_code: public.user_code.as_deref().unwrap_or_default(),
                uri: public.verification_uri.as_deref().unwrap_or_default(),
                complete_uri: public.verification_uri_complete.as_deref(),
                minutes_left: (left.max(0) + 59) / 60,
            }),
        )
    })
}

/// `GET /api/auth/callback/oauth` and `/auth/callback/oauth`: the browser comes back from the provider.
pub(in crate::daemon) fn callback(context: &Context<'_>) -> Outcome {
    let broken = |reason: &str| Ok(Response::redirect(&format!("/auth/success?error={reason}")));
    let Some(state) = context.query("state").filter(|state| !state.is_empty()) else {
        return broken("missing_state");
    };
    let Some(session) = context.broker().session_of_state(&state)? else { return broken("session_expired") };
    let session = for_page(context, &session.public.id)?;
    check_browser(context, &session)?;
    check_person(context, &session)?;
    let id = session.public.id.clone();
    if context.request.method == "HEAD" {
        return Ok(Response::redirect(&format!("/auth/success?session={id}"))); // who only looks spends no code
    }
    let answer = CallbackAnswer {
        code: context.query("code").map(Secret::new),
        error: context.query("error"),
        error_description: context.query("error_description"),
        iss: context.query("iss"),
    };
    let over = Ok(Response::redirect(&format!("/auth/success?session={id}")));
    match context.broker().callback(session, &state, answer) {
        Ok(_) | Err(AuthsomeError::OperationNotAllowed { .. }) => over,
        // How it ended is in the session, unless that could not be written.
        Err(_) if context.broker().session(&id)?.is_some_and(|now| now.public.status.is_final()) => over,
        Err(error) => Err(error.into()),
    }
}

fn session_id(context: &Context<'_>) -> String {
    context.query("session").unwrap_or_default()
}

fn other_browser() -> Failure {
    Refusal::new(403, "This login was opened in another browser: go on there").into()
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
    check_browser(context, &session)?;
    let input = context.form()?.into_iter().collect::<BTreeMap<_, _>>().into();
    let again = session.clone();
    match context.broker().submit(session, input, context.base_url()) {
        Ok(public) => {
            let public = context.state.pollers.watch(public)?;
            Ok(Response::redirect(&next_page(&public)))
        }
        Err(error) if context.request.wants_html() => refused_form(context, &again, error),
        Err(error) => Err(error.into()),
    }
}

/// The form once more, with what is wrong with it. What was sent twice, by a second click or a page that was loaded again,
/// is no mistake: the first one counts.
fn refused_form(context: &Context<'_>, session: &StoredSession, error: AuthsomeError) -> Outcome {
    let is_mistake = matches!(
        error,
        AuthsomeError::InvalidInput { .. }
            | AuthsomeError::CredentialMissing { .. }
            | AuthsomeError::OperationNotAllowed { .. }
    );
    if !is_mistake {
        return Err(error.into());
    }
    let now = context.broker().session(&session.public.id)?.ok_or_else(no_session)?;
    if now.public.status.is_final() || now.public.status == SessionStatus::Processing {
        return Ok(Response::redirect(&format!("/auth/success?session={}", now.public.id)));
    }
    let page = context.broker().input_page(session, context.base_url())?;
    Ok(form_page(422, &page, person(context, session)?.as_deref(), Some(&error.message())))
}

/// Where the browser goes after the form.
fn next_page(session: &AuthSession) -> String {
    match &session.next_action {
        NextAction::OpenUrl { url } if session.status == SessionStatus::WaitingForUser => url.clone(),
        NextAction::OpenUrl { .. } | NextAction::Browser { .. } | NextAction::None => {
            format!("/auth/success?session={}", session.id)
        }
    }
}

/// `GET /auth/success?session=`: how it ended.
pub(in crate::daemon) fn success_page(context: &Context<'_>) -> Outcome {
    if let Some(error) = context.query("error") {
        let what = match error.as_str() {
            "missing_state" => "The provider sent the browser back without saying for which login.",
            "session_expired" => "This login has ended already, was begun anew, or nobody finished it in time.",
            _ => "The login was not recognised.",
        };
        return Ok(Response::html(400, &pages::failure("This login is over", what, context.request.next_step())));
    }
    let session = for_page(context, &session_id(context))?;
    let title = shapes::display_name(context.broker(), &session.public.provider);
    let is_own = check_browser(context, &session).is_ok();
    let (public, back) = (session.public, session.return_to.as_deref());
    let page = match (public.status, back) {
        // What there is to know besides, as of a key that looks odd, is worth a page.
        (SessionStatus::Completed, Some(back)) if public.message.as_deref() == Some("Connected") => {
            return Ok(dashboard::done(back, "connected"));
        }
        (SessionStatus::Completed, _) => pages::success(&title, &public.connection, public.message.as_deref(), back),
        (SessionStatus::Pending | SessionStatus::WaitingForUser | SessionStatus::Processing, _) => {
            let next = match &public.next_action {
                NextAction::OpenUrl { url } if is_own && public.status == SessionStatus::WaitingForUser => {
                    Some(url.as_str())
                }
                _ => None,
            };
            pages::waiting(&title, public.message.as_deref().unwrap_or("Waiting"), next)
        }
        (SessionStatus::Failed | SessionStatus::Expired | SessionStatus::Cancelled, _) => {
            let what = public.error.or(public.message).unwrap_or_else(|| public.status.as_str().to_owned());
            let next = back.map_or(NextStep::Do("Start the login again from your terminal."), NextStep::Visit);
            pages::failure(&format!("{title} is not connected"), &what, next)
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
        return_to: Some(local_place(said("return_url").split('#').next().unwrap_or_default()).to_owned()),
    };
    let session = context.broker().start_session(&context.actor()?, request, context.base_url())?;
    if session.status.is_final() {
        return Ok(Response::redirect(&format!("/auth/success?session={}", session.id)));
    }
    Ok(Response::redirect(&format!("/auth/input?session={}", session.id)))
}

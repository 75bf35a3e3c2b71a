//! `/connections/{provider}/{connection}`: one connection, and what its owner does with it.

use std::collections::BTreeMap;

use super::overview::recent;
use super::{done, person, show, show_with};
use crate::broker::{Actor, Binding, RefreshFailure};
use crate::daemon::api::connections::owner;
use crate::daemon::api::{accounts, shapes};
use crate::daemon::form::Form;
use crate::daemon::pages::{self, Change, ConnectionFacts, ConnectionRow, Ends, Note, Place, Section, State, User};
use crate::daemon::people::AccountError;
use crate::daemon::{Context, Failure, Outcome};
use crate::error::{AuthsomeError, Result};
use crate::model::{AuditEvent, AuditSource, ConnectionRecord, Principal};
use crate::percent::encode;

/// Agents that are named on a page.
const USERS: usize = 5;

/// A connection as a list shows it. What only its list or its owner can say is left open.
pub(super) fn row(context: &Context<'_>, record: &ConnectionRecord) -> ConnectionRow {
    let broker = context.broker();
    let (binding, failure) = (broker.binding(record), RefreshFailure::of(record));
    ConnectionRow {
        provider: record.provider.clone(),
        title: shapes::display_name(broker, &record.provider),
        name: record.connection_name.clone(),
        owner: None,
        account: record.account.label.clone().or_else(|| record.account.id.clone()),
        is_default: false,
        has_siblings: false,
        is_global: false,
        state: State::of(record, &binding, failure.as_ref(), context.state.clock.now()),
        ends: Ends::of(record),
    }
}

/// `GET /connections/{provider}/{connection}?principal=`
pub(in crate::daemon) fn page(context: &Context<'_>) -> Outcome {
    or_gone(context, |_, record, facts| {
        show(context, Section::Overview, &title_of(context, record), &pages::connection(&facts))
    })
}

/// What `act` makes of the connection that a request names; a page that leads on when it is not there.
fn or_gone(context: &Context<'_>, act: impl FnOnce(&Actor, &ConnectionRecord, ConnectionFacts) -> Outcome) -> Outcome {
    let (principal, actor) = person(context)?;
    let owner = owner(context, &actor)?;
    match context.broker().connection(&owner, context.param("provider"), context.param("connection")) {
        Ok(record) => {
            let facts = facts(context, principal, &actor, &owner, &record)?;
            act(&actor, &record, facts)
        }
        Err(error) => gone(context, error.into()),
    }
}

/// A page for a connection that is not there, where that is what `failure` says.
fn gone(context: &Context<'_>, failure: Failure) -> Outcome {
    match failure {
        Failure::Domain(AuthsomeError::ConnectionNotFound { .. }) => {
            show_with(context, Section::Overview, "This connection is gone", None, 404, &pages::no_connection())
        }
        other => Err(other),
    }
}

fn title_of(context: &Context<'_>, record: &ConnectionRecord) -> String {
    format!("{} / {}", shapes::display_name(context.broker(), &record.provider), record.connection_name)
}

/// Everything that the page shows of `record`.
fn facts(
    context: &Context<'_>,
    principal: &Principal,
    actor: &Actor,
    owner: &Actor,
    record: &ConnectionRecord,
) -> Result<ConnectionFacts> {
    let broker = context.broker();
    let is_own = owner.principal_id == actor.principal_id;
    let owner_email = if is_own { None } else { context.principal(&owner.principal_id)?.map(|owner| owner.email) };
    let (default, siblings) = broker.default_among(owner, &record.provider)?;
    let change = match broker.binding(record) {
        Binding::Moved { before, now, seal } => Some(change(&before, &now, seal)),
        Binding::Kept | Binding::Unclear(_) | Binding::Undefined => None,
    };
    Ok(ConnectionFacts {
        row: ConnectionRow {
            owner: (!is_own).then(|| owner.principal_id.clone()),
            is_default: default.as_deref() == Some(&record.connection_name),
            has_siblings: siblings > 1,
            is_global: broker.is_global(record)?,
            ..row(context, record)
        },
        owner_email,
        is_admin: actor.is_admin(),
        shared_instead: if actor.is_admin() { shared_instead(context, record)? } else { None },
        auth_type: record.auth_type,
        scopes: record.scopes.clone().unwrap_or_default(),
        base_url: record.base_url.clone(),
        api_url: record.api_url.clone(),
        obtained_at: record.obtained_at,
        made_by: record.identity.clone(),
        failure: RefreshFailure::of(record),
        destinations: broker.destinations(record).iter().map(|line| Place::parse(line)).collect(),
        change,
        exports: broker.exported_names(record),
        secrets: record.secrets().map(|(name, _)| pages::secret_name(name).to_owned()).collect(),
        users: users(context, owner, record)?,
        password_of: principal.password_hash.is_some().then(|| principal.email.clone()),
        refusal: None,
        now: context.state.clock.now(),
    })
}

/// The global connection of the provider of `record`, where that is another one.
fn shared_instead(context: &Context<'_>, record: &ConnectionRecord) -> Result<Option<String>> {
    let is_other = |other: &ConnectionRecord| {
        other.provider == record.provider
            && (&other.vault_id, &other.connection_name) != (&record.vault_id, &record.connection_name)
    };
    let globals = context.broker().globals()?;
    let Some(other) = globals.into_iter().map(|global| global.record).find(is_other) else { return Ok(None) };
    let is_elses = other.principal_id != record.principal_id;
    let owner = if is_elses { context.principal(&other.principal_id)? } else { None };
    let owner = owner.map(|owner| format!(" of {}", owner.email)).unwrap_or_default();
    Ok(Some(format!("the connection {}{owner}", other.connection_name)))
}

fn change(before: &[String], now: &[String], seal: String) -> Change {
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|line| !those.contains(line)).map(|line| Place::parse(line)).collect()
    };
    Change { gone: only(before, now), new: only(now, before), seal }
}

/// The agents that used or read `record`, the last one first.
fn users(context: &Context<'_>, owner: &Actor, record: &ConnectionRecord) -> Result<Vec<User>> {
    let mut users: BTreeMap<String, User> = BTreeMap::new();
    for entry in recent(context, &owner.principal_id, &mut false)? {
        let is_use = match entry.event.as_str() {
            "proxy.request" => true,
            "credentials.exported" => entry.source == AuditSource::Internal, // from a client it is only its word
            _ => false,
        };
        let is_this = entry.provider.as_deref() == Some(&record.provider)
            && entry.connection.as_deref() == Some(&record.connection_name);
        let Some(handle) = entry.identity.filter(|_| is_use && is_this) else { continue };
        let user = User { handle: handle.clone(), times: 0, last: entry.timestamp };
        users.entry(handle).or_insert(user).times += 1;
    }
    let mut users: Vec<User> = users.into_values().collect();
    users.sort_by_key(|user| std::cmp::Reverse(user.last));
    users.truncate(USERS);
    Ok(users)
}

/// The page of the connection that a form was about.
fn place(context: &Context<'_>) -> String {
    let place = format!("/connections/{}/{}", encode(context.param("provider")), encode(context.param("connection")));
    match context.query("principal") {
        Some(principal) => format!("{place}?principal={}", encode(&principal)),
        None => place,
    }
}

/// 303 to the page of the connection after `act`; a page that leads on when the connection is gone.
fn change_it(
    context: &Context<'_>,
    word: &str,
    act: impl FnOnce(&Actor, &str, &str) -> Result<(), Failure>,
) -> Outcome {
    let (_, actor) = person(context)?;
    match act(&actor, context.param("provider"), context.param("connection")) {
        Ok(()) => Ok(done(&place(context), word)),
        Err(failure) => gone(context, failure),
    }
}

/// `POST /connections/{provider}/{connection}/default`
pub(in crate::daemon) fn set_default(context: &Context<'_>) -> Outcome {
    change_it(context, "default_set", |actor, provider, name| {
        Ok(context.broker().set_default(actor, provider, name)?)
    })
}

/// `POST /connections/{provider}/{connection}/rebind`
pub(in crate::daemon) fn rebind(context: &Context<'_>) -> Outcome {
    let form = Form::of(context)?;
    change_it(context, "rebound", |actor, provider, name| {
        context.broker().rebind_as_seen(actor, provider, name, form.text("seen"))?;
        Ok(())
    })
}

/// `POST /connections/{provider}/{connection}/global?principal=`: `share` is `1` or `0`. To share is the owner's, to take
/// back any administrator's.
pub(in crate::daemon) fn set_global(context: &Context<'_>) -> Outcome {
    let shares = Form::of(context)?.is_on("share");
    let broker = context.broker();
    if shares {
        return change_it(context, "global_set", |actor, provider, name| Ok(broker.set_global(actor, provider, name)?));
    }
    change_it(context, "global_unset", |actor, provider, name| {
        let record = broker.connection(&owner(context, actor)?, provider, name)?;
        // Meanwhile the pointer may name another one, which nobody asked to take back.
        if broker.is_global(&record)? {
            broker.unset_global(actor, provider)?;
        }
        Ok(())
    })
}

/// `POST /connections/{provider}/{connection}/logout?principal=`
pub(in crate::daemon) fn logout(context: &Context<'_>) -> Outcome {
    let (_, actor) = person(context)?;
    let owner = owner(context, &actor)?;
    context.broker().logout(&actor, &owner.vault_id, context.param("provider"), context.param("connection"))?;
    Ok(done("/", "logged_out"))
}

/// `POST /connections/{provider}/{connection}/reveal`: the secrets of one's own connection, in this answer and nowhere
/// else. Whoever finds a browser unattended lacks the password.
pub(in crate::daemon) fn reveal(context: &Context<'_>) -> Outcome {
    let (principal, actor) = person(context)?;
    let (provider, name) = (context.param("provider"), context.param("connection"));
    let record = match context.broker().connection(&actor, provider, name) {
        Ok(record) => record,
        Err(error) => return gone(context, error.into()),
    };
    if let Err(error) = confirm_person(context, principal) {
        return refused(context, principal, &actor, &record, error);
    }
    let record = context.broker().reveal(&actor, provider, name)?;
    let row = row(context, &record);
    let title = format!("Secrets of {}", row.full_title());
    show_with(context, Section::Overview, &title, None, 200, &pages::secrets(&row, record.secrets()))
}

/// Asks for the password again, where there is one.
fn confirm_person(context: &Context<'_>, principal: &Principal) -> Result<(), AccountError> {
    let form = Form::of(context).map_err(|_| AccountError::WrongCredentials)?;
    let peer = accounts::peer(context);
    context.people().check_password(principal, &form.secret("password"), peer.as_deref())
}

/// The page again, with what was wrong.
fn refused(
    context: &Context<'_>,
    principal: &Principal,
    actor: &Actor,
    record: &ConnectionRecord,
    error: AccountError,
) -> Outcome {
    let (status, why) = match error {
        AccountError::Inside(error) => return Err(error.into()),
        AccountError::SlowDown => (429, AccountError::SlowDown.text()),
        _ => (422, "This is not your password, so nothing is shown"),
    };
    if status == 422 {
        let failed = AuditEvent::success("account.login_failed");
        context.broker().note(Some(actor), AuditEvent { status: Some("failed".to_owned()), ..failed })?;
    }
    let shown = ConnectionFacts { refusal: Some(why), ..facts(context, principal, actor, actor, record)? };
    let title = title_of(context, record);
    show_with(context, Section::Overview, &title, Some(Note::Bad(why)), status, &pages::connection(&shown))
}

//! `/agents`: the identities of a person, and what they may do.

use std::collections::HashMap;
use std::sync::Arc;

use super::{done, person, show};
use crate::broker::{Actor, AuditQuery};
use crate::clock::Timestamp;
use crate::daemon::api::audit::given;
use crate::daemon::api::identities::{change_own_grants, find_own, forget_own};
use crate::daemon::form::Form;
use crate::daemon::pages::{self, AgentFacts, AgentPage, AgentsFacts, Found, Section, agent_place};
use crate::daemon::people::Known;
use crate::daemon::{Context, Outcome};
use crate::error::Result;
use crate::model::Grants;

/// Events on the page of one agent.
const LAST_EVENTS: usize = 8;

/// `GET /agents`
pub(in crate::daemon) fn list(context: &Context<'_>) -> Outcome {
    let (principal, actor) = person(context)?;
    let seen = last_seen(context, &actor)?;
    let sought = given(context, "q").unwrap_or_default();
    let (own, others): (Vec<_>, Vec<_>) =
        context.people().identities()?.into_iter().partition(|known| known.is_of(&principal.principal_id));
    let found = |known: Vec<Arc<Known>>| {
        let mut agents: Vec<_> = known
            .into_iter()
            .map(|known| AgentFacts { last_seen: seen.get(&known.record.handle).copied(), known })
            .collect();
        // Who was busy last comes first; who was not, by the time of the claim.
        agents.sort_by_key(|agent| {
            std::cmp::Reverse((agent.last_seen, agent.known.claim.as_ref().map(|claim| claim.claimed_at)))
        });
        Found::of(agents, &sought, AgentFacts::words)
    };
    let settings = &context.state.settings;
    let onboard = if settings.is_local {
        "authsome onboard".to_owned()
    } else {
        format!("authsome onboard --base-url {} --browser", settings.base_url)
    };
    let facts = AgentsFacts {
        own: found(own),
        others: actor.is_admin().then(|| found(others)),
        sought: &sought,
        onboard: &onboard,
        now: context.state.clock.now(),
    };
    show(context, Section::Agents, "Agents", &pages::agents(&facts))
}

/// When each agent did something last, of those that did lately.
fn last_seen(context: &Context<'_>, actor: &Actor) -> Result<HashMap<String, Timestamp>> {
    let mut seen = HashMap::new();
    let principal_id = (!actor.is_admin()).then_some(actor.principal_id.as_str());
    context.broker().audit().glance(principal_id, |glance| {
        if let Some(handle) = glance.identity {
            seen.entry(handle).or_insert(glance.timestamp);
        }
    })?;
    Ok(seen)
}

/// `GET /agents/{handle}`
pub(in crate::daemon) fn page(context: &Context<'_>) -> Outcome {
    let (principal, actor) = person(context)?;
    let known = find_own(context, &actor)?;
    // A handle may have been somebody else's before: only what was done for its owner of today.
    let owner = known.claim.as_ref().map_or(&actor.principal_id, |claim| &claim.principal_id);
    let query = AuditQuery {
        limit: LAST_EVENTS,
        principal_id: Some(owner.clone()),
        identity: Some(known.record.handle.clone()),
        ..AuditQuery::default()
    };
    let (events, _) = context.broker().audit().page(&query)?;
    let is_own = known.is_of(&principal.principal_id);
    let agent = AgentFacts { last_seen: events.first().map(|entry| entry.timestamp), known };
    let facts = AgentPage { agent, is_own, events, now: context.state.clock.now() };
    show(context, Section::Agents, &facts.agent.known.record.handle, &pages::agent(&facts))
}

/// `POST /agents/{handle}/grants`
pub(in crate::daemon) fn grants(context: &Context<'_>) -> Outcome {
    let (_, actor) = person(context)?;
    let form = Form::of(context)?;
    let wanted = Grants { r#use: form.is_on("use"), export: form.is_on("export") };
    let (known, _) = change_own_grants(context, &actor, |_| wanted)?;
    Ok(done(&agent_place(&known.record.handle), "granted"))
}

/// `POST /agents/{handle}/forget`
pub(in crate::daemon) fn forget(context: &Context<'_>) -> Outcome {
    let (_, actor) = person(context)?;
    forget_own(context, &actor)?;
    Ok(done("/agents", "forgotten"))
}

//! `/people`: the accounts of this server, for administrators.

use std::collections::HashMap;

use super::{person, show};
use crate::daemon::api::accounts::new_invitation;
use crate::daemon::api::audit::given;
use crate::daemon::pages::{self, Found, Invitation, PeopleFacts, PersonFacts, Section};
use crate::daemon::{Context, Outcome};

/// `GET /people`
pub(in crate::daemon) fn page(context: &Context<'_>) -> Outcome {
    page_with(context, None)
}

/// `POST /people/invite`: the answer itself shows the invitation, which is kept nowhere.
pub(in crate::daemon) fn invite(context: &Context<'_>) -> Outcome {
    let (_, actor) = person(context)?;
    let (token, url) = new_invitation(context, &actor)?;
    page_with(context, Some(Invitation { token, url }))
}

fn page_with(context: &Context<'_>, invitation: Option<Invitation>) -> Outcome {
    let mut agents = HashMap::<String, usize>::new();
    for known in context.people().identities()? {
        if let Some(claim) = &known.claim {
            *agents.entry(claim.principal_id.clone()).or_default() += 1;
        }
    }
    let connections = context.broker().vault_counts()?;
    let mut people = context.people().principals()?;
    people.sort_by_key(|principal| principal.created_at);
    let people = people.into_iter().map(|principal| PersonFacts {
        agents: agents.get(&principal.principal_id).copied().unwrap_or_default(),
        connections: connections.get(&principal.vault_id).copied().unwrap_or_default(),
        principal,
    });
    let sought = given(context, "q").unwrap_or_default();
    let people = Found::of(people.collect(), &sought, |person| person.principal.email.clone());
    let facts = PeopleFacts { people, sought: &sought, invitation, now: context.state.clock.now() };
    show(context, Section::People, "People", &pages::people(&facts))
}

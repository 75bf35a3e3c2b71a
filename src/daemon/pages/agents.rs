//! The identities of a person, and what they may do.

use std::sync::Arc;

use super::Html;
use super::audit::event_table;
use super::found::{Found, search};
use super::parts::{
    Tone, badge, button, columns, confirm, copyable, empty, facts, lead, link, paragraph, post, section, switch, table,
    time,
};
use crate::clock::Timestamp;
use crate::daemon::people::Known;
use crate::model::{AuditEntry, ClaimStatus, Grants};
use crate::percent::encode;

/// An agent in a list.
pub(in crate::daemon) struct AgentFacts {
    /// Key, claim and owner.
    pub(in crate::daemon) known: Arc<Known>,
    /// Its last event, as far as was looked.
    pub(in crate::daemon) last_seen: Option<Timestamp>,
}

impl AgentFacts {
    fn handle(&self) -> &str {
        &self.known.record.handle
    }

    fn place(&self) -> String {
        place(self.handle())
    }

    fn owner(&self) -> &str {
        self.known.principal.as_ref().map_or("nobody", |owner| &owner.email)
    }

    fn grants(&self) -> Option<Grants> {
        self.known.claim.as_ref().map(|claim| claim.grants)
    }

    /// What a search looks at.
    pub(in crate::daemon) fn words(&self) -> String {
        format!("{} {}", self.handle(), self.owner())
    }
}

/// The page of the agent called `handle`.
pub(in crate::daemon) fn place(handle: &str) -> String {
    format!("/agents/{}", encode(handle))
}

/// All agents that a person may see.
pub(in crate::daemon) struct AgentsFacts<'a> {
    /// Their own.
    pub(in crate::daemon) own: Found<AgentFacts>,
    /// Those of other people, for an administrator.
    pub(in crate::daemon) others: Option<Found<AgentFacts>>,
    /// What was searched for.
    pub(in crate::daemon) sought: &'a str,
    /// What makes an agent here.
    pub(in crate::daemon) onboard: &'a str,
    /// Now.
    pub(in crate::daemon) now: Timestamp,
}

/// The list of agents.
pub(in crate::daemon) fn agents(shown: &AgentsFacts<'_>) -> Html {
    let mut body = Html::new();
    lead(&mut body, |html| {
        html.text("Programs that act for you. Each has a key of its own, and may do no more than you let it.");
    });
    let others = shown.others.as_ref();
    if !shown.sought.is_empty() || shown.own.is_cut() || others.is_some_and(Found::is_cut) {
        search(&mut body, "/agents", "Name of an agent, or email of its owner", shown.sought);
    }
    section(&mut body, "Your agents", |html| {
        if !shown.own.rows.is_empty() {
            return list(html, "Your agents", &shown.own, false, shown.now);
        }
        if shown.sought.is_empty() {
            return empty(html, "No agent is yours yet. Make one in a terminal, and claim it:", Some(shown.onboard));
        }
        empty(html, "None of your agents is called so.", None);
    });
    if let Some(others) = others.filter(|others| !others.rows.is_empty()) {
        section(&mut body, "Agents of other people", |html| {
            list(html, "Agents of other people", others, true, shown.now);
        });
    }
    body
}

fn list(html: &mut Html, caption: &str, agents: &Found<AgentFacts>, has_owner: bool, now: Timestamp) {
    let mut columns = vec!["Agent", "Owner", "State", "May", "Claimed", "Last seen"];
    columns.retain(|column| has_owner || *column != "Owner");
    table(html, caption, &columns, |rows| {
        for agent in &agents.rows {
            rows.row(|cells| {
                cells.cell(|html| link(html, &agent.place(), agent.handle()));
                if has_owner {
                    cells.text(agent.owner());
                }
                cells.cell(|html| state(html, &agent.known));
                cells.cell(|html| permissions(html, agent.grants()));
                cells.cell(|html| moment(html, agent.known.claim.as_ref().map(|claim| claim.claimed_at), now));
                cells.cell(|html| moment(html, agent.last_seen, now));
            });
        }
    });
    agents.say_what_is_missing(html);
}

fn state(html: &mut Html, known: &Known) {
    let (tone, text) = match known.status() {
        ClaimStatus::Claimed => (Tone::Good, "claimed"),
        ClaimStatus::ClaimRequired => (Tone::Warn, "not claimed yet"),
        ClaimStatus::Pending => (Tone::Warn, "waits for approval"),
        ClaimStatus::Rejected => (Tone::Bad, "rejected"),
    };
    badge(html, tone, text);
}

fn permissions(html: &mut Html, grants: Option<Grants>) {
    let grants = grants.unwrap_or(Grants { r#use: false, export: false });
    html.element("span", &[("class", "badges")], |html| {
        for (is_on, name) in [(grants.r#use, "use"), (grants.export, "export")] {
            if is_on {
                badge(html, Tone::Plain, name);
            }
        }
        if !grants.r#use && !grants.export {
            badge(html, Tone::Bad, "nothing");
        }
    });
}

fn moment(html: &mut Html, at: Option<Timestamp>, now: Timestamp) {
    match at {
        Some(at) => time(html, at, now),
        None => html.text("–"),
    }
}

/// One agent.
pub(in crate::daemon) struct AgentPage {
    /// Who it is.
    pub(in crate::daemon) agent: AgentFacts,
    /// Whether it is the person's own.
    pub(in crate::daemon) is_own: bool,
    /// Its last events, newest first.
    pub(in crate::daemon) events: Vec<AuditEntry>,
    /// Now.
    pub(in crate::daemon) now: Timestamp,
}

/// The page of one agent.
pub(in crate::daemon) fn agent(shown: &AgentPage) -> Html {
    let mut body = Html::new();
    columns(
        &mut body,
        |html| {
            section(html, "What it may do", |html| grants(html, &shown.agent));
            section(html, "Its key", |html| {
                paragraph(html, "Only the program that holds the private half of this key can act as this agent.");
                copyable(html, &shown.agent.known.record.did);
            });
        },
        |html| {
            section(html, "About", |html| about(html, shown));
            section(html, "Forget it", |html| forget(html, &shown.agent));
        },
    );
    section(&mut body, "Last events", |html| {
        if shown.events.is_empty() {
            return paragraph(html, "It did nothing lately.");
        }
        event_table(html, "Last events", &shown.events, shown.now, None);
        html.element("p", &[("class", "after")], |html| {
            link(html, &format!("/audit?identity={}", encode(shown.agent.handle())), "All its events");
        });
    });
    body
}

fn grants(html: &mut Html, agent: &AgentFacts) {
    let Some(grants) = agent.grants() else {
        return paragraph(
            html,
            "Nothing, because nobody has claimed it. A registration that is not claimed ends by itself.",
        );
    };
    post(html, &format!("{}/grants", agent.place()), |html| {
        let hint =
            "Its requests through authsome run get the credentials of their owner's connections. It never sees them.";
        switch(html, "use", "Use connections through the proxy", hint, grants.r#use);
        let hint = "It may take keys and tokens as they are, with authsome export. What has left cannot be taken back.";
        switch(html, "export", "Read raw secrets", hint, grants.export);
        button(html, "Save");
    });
}

fn about(html: &mut Html, shown: &AgentPage) {
    let AgentFacts { known, last_seen } = &shown.agent;
    facts(html, |facts| {
        facts.fact("State", |html| state(html, known));
        if !shown.is_own {
            facts.text("Owner", Some(shown.agent.owner()));
        }
        facts.fact("Registered", |html| time(html, known.record.created_at, shown.now));
        if let Some(claim) = &known.claim {
            facts.fact("Claimed", |html| time(html, claim.claimed_at, shown.now));
        }
        if let Some(at) = last_seen {
            facts.fact("Last seen", |html| time(html, *at, shown.now));
        }
    });
}

fn forget(html: &mut Html, agent: &AgentFacts) {
    paragraph(html, "When its key is lost, or it has nothing to do any more.");
    let what =
        "It is refused from now on. To come back, its key must be registered and claimed anew. Connections stay.";
    confirm(
        html,
        "Forget this agent",
        what,
        &format!("{}/forget", agent.place()),
        &format!("Forget {}", agent.handle()),
    );
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, is_inert};
    use super::*;
    use crate::model::{Claim, IdentityRecord, Principal, Role};

    fn now() -> Timestamp {
        Timestamp::from_unix(1_800_000_000).expect("in range")
    }

    fn agent_of(email: &str) -> AgentFacts {
        let principal = Principal {
            principal_id: HOSTILE.to_owned(),
            vault_id: HOSTILE.to_owned(),
            email: email.to_owned(),
            role: Role::User,
            password_hash: None,
            created_at: now(),
        };
        let (handle, did) = (HOSTILE.to_owned(), HOSTILE.to_owned());
        let claim = Claim {
            handle: handle.clone(),
            principal_id: HOSTILE.to_owned(),
            status: ClaimStatus::Claimed,
            claimed_at: now(),
            grants: Grants::default(),
        };
        let record = IdentityRecord { handle, did, created_at: now(), updated_at: now() };
        let known = Known { record, claim: Some(claim), principal: Some(principal) };
        AgentFacts { known: Arc::new(known), last_seen: Some(now()) }
    }

    #[test]
    fn no_value_becomes_markup() {
        let found = || Found::of((0..60).map(|_| agent_of(HOSTILE)).collect(), "", AgentFacts::words);
        is_inert(&agents(&AgentsFacts {
            own: found(),
            others: Some(found()),
            sought: HOSTILE,
            onboard: HOSTILE,
            now: now(),
        }));
        is_inert(&agent(&AgentPage { agent: agent_of(HOSTILE), is_own: false, events: Vec::new(), now: now() }));
    }

    #[test]
    fn a_full_list_is_a_light_page() {
        let found = || Found::of((0..60).map(|_| agent_of("somebody@example.com")).collect(), "", AgentFacts::words);
        let facts = AgentsFacts { own: found(), others: Some(found()), sought: "", onboard: "", now: now() };
        let size = agents(&facts).as_str().len();
        assert!(size < 58_000, "{size} bytes");
    }
}

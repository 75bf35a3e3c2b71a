//! `/new-provider` and `/providers/{provider}/edit`: a person defines a provider, in plain fields or as JSON.

use std::collections::BTreeMap;

use serde_json::json;

use super::draft::{definition_of, draft_of, draft_problem, draft_problems, json_problem};
use crate::broker::Actor;
use crate::daemon::dashboard::{done, person, show, show_with};
use crate::daemon::form::Form;
use crate::daemon::pages::{self, DEFINITION, DefinitionForm, Draft, DraftKind, FIELDS, KIND, Problem, Section};
use crate::daemon::{Context, Failure, Outcome, Refusal, Response};
use crate::error::{AuthsomeError, Result};
use crate::model::ProviderDefinition;
use crate::percent::encode;
use crate::provider::{Origin, Registry, ValidateOptions, parse_definition, validate};

/// What a person typed.
enum Typed {
    Plain(Draft),
    Json(String),
}

/// A form that was sent.
struct Sent {
    typed: Typed,
    /// The provider that is changed; `None`: a new one.
    replaces: Option<String>,
    force: bool,
    options: ValidateOptions,
}

/// `GET /new-provider`, or with `?from=` a copy of another one.
pub(in crate::daemon) fn page(context: &Context<'_>) -> Outcome {
    let from = context.query("from");
    let copy = match &from {
        Some(name) => Some(copy_of(&context.broker().entry(name)?.definition)),
        None => None,
    };
    let draft = copy.as_ref().and_then(draft_of).unwrap_or_else(blank);
    let form = DefinitionForm {
        replaces: None,
        draft: Some(&draft),
        json: &copy.as_ref().map(pretty).unwrap_or_default(),
        json_first: copy.is_some(),
        problems: &[],
        force: None,
        examples: &examples(),
        example: from.as_deref().unwrap_or_default(),
    };
    show(context, Section::Providers, NEW, &pages::provider_form(&form))
}

/// Another provider of the same kind: a name belongs to one.
fn copy_of(definition: &ProviderDefinition) -> ProviderDefinition {
    let mut copy = definition.clone();
    copy.display_name = format!("{} (copy)", definition.title());
    copy.name.push_str("-copy");
    copy
}

const NEW: &str = "Define a provider";

fn examples() -> Vec<&'static str> {
    Registry::bundled_names().collect()
}

/// A draft with what is usual in it.
fn blank() -> Draft {
    let mut draft = Draft::default();
    draft.set("header_name", "Authorization");
    draft.set("basic_value", "{api_key}:");
    draft
}

fn pretty(definition: &ProviderDefinition) -> String {
    serde_json::to_string_pretty(definition).unwrap_or_default()
}

/// `GET /providers/{provider}/edit`
pub(in crate::daemon) fn edit_page(context: &Context<'_>) -> Outcome {
    let definition = registered(context)?;
    let draft = draft_of(&definition);
    let form = DefinitionForm {
        replaces: Some(&definition.name),
        draft: draft.as_ref(),
        json: &pretty(&definition),
        json_first: false,
        problems: &[],
        force: None,
        examples: &[],
        example: "",
    };
    show(context, Section::Providers, &edit_title(&definition), &pages::provider_form(&form))
}

fn edit_title(definition: &ProviderDefinition) -> String {
    format!("Edit {}", definition.title())
}

/// The definition that the address names, when it can be changed here.
fn registered(context: &Context<'_>) -> Result<ProviderDefinition, Failure> {
    let entry = context.broker().entry(context.param("provider"))?;
    if entry.origin == Origin::Registered {
        return Ok((*entry.definition).clone());
    }
    Err(Refusal::new(404, "Only a provider that was defined on this server can be edited here").into())
}

/// `POST /new-provider`
pub(in crate::daemon) fn create(context: &Context<'_>) -> Outcome {
    submit(context, &Sent::read(context, None)?, None, NEW)
}

/// `POST /providers/{provider}/edit`
pub(in crate::daemon) fn edit(context: &Context<'_>) -> Outcome {
    let today = registered(context)?;
    submit(context, &Sent::read(context, Some(&today))?, Some(&today), &edit_title(&today))
}

/// `POST /new-provider/check`: what is wrong with a form that is being filled in, by field.
pub(in crate::daemon) fn check(context: &Context<'_>) -> Outcome {
    let replaces = Form::of(context)?.text("replaces").to_owned();
    let today = context.broker().registry().find(&replaces).filter(|entry| entry.origin == Origin::Registered);
    let sent = Sent::read(context, today.as_ref().map(|entry| &*entry.definition))?;
    let problems = sent.problems(context.broker().registry());
    let errors: BTreeMap<&str, &str> =
        problems.iter().filter_map(|problem| Some((problem.field?, problem.text.as_str()))).collect();
    Ok(Response::json(&json!({"errors": errors})))
}

impl Sent {
    fn read(context: &Context<'_>, replaces: Option<&ProviderDefinition>) -> Result<Self, Failure> {
        let form = Form::of(context)?;
        let typed = if form.is_on("as_json") {
            Typed::Json(form.text(DEFINITION).to_owned())
        } else {
            Typed::Plain(draft(&form))
        };
        let mut sent = Self {
            typed,
            replaces: replaces.map(|today| today.name.clone()),
            force: form.is_on("force"),
            options: ValidateOptions::default(),
        };
        // Whoever allowed the API of today to be on this machine did so where that takes a word of its own; it may stay.
        sent.options.allow_local = match (replaces, sent.definition()) {
            (Some(today), Ok(new)) => today.api_url.as_slice() == new.api_url.as_slice(),
            _ => false,
        };
        Ok(sent)
    }

    fn definition(&self) -> Result<ProviderDefinition> {
        match &self.typed {
            Typed::Plain(draft) => definition_of(draft),
            Typed::Json(text) => parse_definition(text.as_bytes()),
        }
    }

    /// The field for a mistake in the name.
    fn name_field(&self) -> &'static str {
        if matches!(self.typed, Typed::Plain(_)) { "name" } else { DEFINITION }
    }

    /// Everything that can be seen without doing it.
    fn problems(&self, registry: &Registry) -> Vec<Problem> {
        let mut found = match &self.typed {
            Typed::Plain(draft) => draft_problems(draft, self.options),
            Typed::Json(_) => {
                let checked = self.definition().and_then(|definition| validate(&definition, self.options));
                checked.err().map(|error| json_problem(&error)).into_iter().collect()
            }
        };
        let field = self.name_field();
        let name = self.definition().ok().map(|definition| definition.name).filter(|_| !self.force);
        let is_taken = name.is_some_and(|name| self.replaces.as_ref() != Some(&name) && registry.find(&name).is_some());
        if is_taken && !found.iter().any(|problem| problem.field == Some(field)) {
            found.insert(0, taken(field));
        }
        found
    }

    fn store(&self, context: &Context<'_>, actor: &Actor) -> Result<String> {
        let definition = self.definition()?;
        let name = definition.name.clone();
        match &self.replaces {
            Some(today) if !self.force || *today != name => {
                context.broker().replace_definition(actor, today, definition, self.options)?;
            }
            _ => context.broker().register(actor, definition, self.force, self.options)?,
        }
        Ok(name)
    }

    /// The problem that a refusal tells of. What is no mistake of the form stays an error.
    fn refused(&self, error: AuthsomeError) -> Result<Problem> {
        match error {
            AuthsomeError::InvalidProviderSchema { .. } => Ok(match &self.typed {
                Typed::Plain(draft) => draft_problem(draft, &error),
                Typed::Json(_) => json_problem(&error),
            }),
            AuthsomeError::ProviderAlreadyRegistered { .. } => Ok(taken(self.name_field())),
            AuthsomeError::OperationNotAllowed { .. } => {
                Ok(Problem { field: None, text: format!("{}.", error.message()) })
            }
            other => Err(other),
        }
    }
}

fn taken(field: &'static str) -> Problem {
    Problem { field: Some(field), text: "A provider is called that already: choose another name.".to_owned() }
}

fn draft(form: &Form) -> Draft {
    let mut draft = Draft::new(DraftKind::of(form.text(KIND)));
    for field in &FIELDS {
        draft.set(field.name, form.text(field.name));
    }
    draft
}

/// Does what was asked for, or shows the form again with what was typed and what is wrong with it. What was not typed into
/// is as it was: as the definition of `today`, where there is one.
fn submit(context: &Context<'_>, sent: &Sent, today: Option<&ProviderDefinition>, title: &str) -> Outcome {
    let (_, actor) = person(context)?;
    let mut problems = sent.problems(context.broker().registry());
    // What does not fit by itself is not helped by doing it anyway.
    let mut force_helps = problems == [taken(sent.name_field())];
    if problems.is_empty() {
        match sent.store(context, &actor) {
            Ok(name) => {
                let word = if today.is_some() { "replaced" } else { "registered" };
                return Ok(done(&format!("/providers/{}", encode(&name)), word));
            }
            Err(error) => {
                force_helps = !matches!(error, AuthsomeError::InvalidProviderSchema { .. });
                problems.push(sent.refused(error)?);
            }
        }
    }
    let (draft, json) = match &sent.typed {
        Typed::Plain(draft) => (Some(draft.clone()), today.map(pretty).unwrap_or_default()),
        Typed::Json(text) => (today.map_or_else(|| Some(blank()), draft_of), text.clone()),
    };
    let examples = examples();
    let form = DefinitionForm {
        replaces: sent.replaces.as_deref(),
        draft: draft.as_ref(),
        json: &json,
        json_first: matches!(sent.typed, Typed::Json(_)),
        problems: &problems,
        force: (force_helps || sent.force).then_some(sent.force),
        examples: if today.is_some() { &[] } else { &examples },
        example: "",
    };
    show_with(context, Section::Providers, title, None, 422, &pages::provider_form(&form))
}

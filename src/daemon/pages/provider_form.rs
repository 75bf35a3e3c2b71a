//! The form that defines a provider: plain fields for the usual cases, JSON for everything.

mod fields;

pub(in crate::daemon) use fields::{Draft, DraftKind, FIELDS, KIND};
use fields::{DraftField, SHARED_FIELDS};

use super::Html;
use super::parts::{Field, Kind, button, checkbox, field, hidden, paragraph, plain_button, select};

/// The field that holds a definition as JSON.
pub(in crate::daemon) const DEFINITION: &str = "definition";

/// What is wrong with a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct Problem {
    /// The field; `None`: the whole.
    pub(in crate::daemon) field: Option<&'static str>,
    /// A sentence.
    pub(in crate::daemon) text: String,
}

/// What the form shows.
pub(in crate::daemon) struct DefinitionForm<'a> {
    /// The provider that is changed; `None`: a new one.
    pub(in crate::daemon) replaces: Option<&'a str>,
    /// The plain fields; `None`: they cannot say all of the definition.
    pub(in crate::daemon) draft: Option<&'a Draft>,
    /// The definition as JSON.
    pub(in crate::daemon) json: &'a str,
    /// Whether the JSON is what is worked on.
    pub(in crate::daemon) json_first: bool,
    /// What is wrong, in the order of the fields.
    pub(in crate::daemon) problems: &'a [Problem],
    /// Whether it helps to replace what is there, whatever was connected to it; and whether that was ticked.
    pub(in crate::daemon) force: Option<bool>,
    /// The providers that one can start from; empty: none.
    pub(in crate::daemon) examples: &'a [&'a str],
    /// The one that was started from.
    pub(in crate::daemon) example: &'a str,
}

impl DefinitionForm<'_> {
    fn action(&self) -> String {
        match self.replaces {
            Some(name) => format!("/providers/{}/edit", crate::percent::encode(name)),
            None => "/new-provider".to_owned(),
        }
    }

    fn is_first_problem(&self, field: &str) -> bool {
        self.problems.iter().find_map(|problem| problem.field) == Some(field)
    }

    fn problem(&self, field: &str) -> Option<&str> {
        self.problems.iter().find(|problem| problem.field == Some(field)).map(|problem| problem.text.as_str())
    }
}

/// The page to define a provider, or to change one.
pub(in crate::daemon) fn provider_form(shown: &DefinitionForm<'_>) -> Html {
    let mut body = Html::new();
    summary(&mut body, shown.problems);
    if let Some(draft) = shown.draft {
        either(&mut body, "plain", "In plain fields", !shown.json_first, |html| plain_form(html, shown, draft));
    }
    let is_json = shown.json_first || shown.draft.is_none();
    either(&mut body, "json", "As JSON", is_json, |html| json_form(html, shown));
    body
}

/// One of the two ways: open, or with its heading alone until it is asked for.
fn either(html: &mut Html, id: &str, heading: &str, is_open: bool, content: impl FnOnce(&mut Html)) {
    html.element("section", &[("id", id)], |html| {
        let attributes: &[_] = if is_open { &[("open", "")] } else { &[] };
        html.element("details", attributes, |html| {
            html.element("summary", &[], |html| html.element("h2", &[], |html| html.text(heading)));
            content(html);
        });
    });
}

/// All that is wrong, at the top, with links to the fields.
fn summary(html: &mut Html, problems: &[Problem]) {
    if problems.is_empty() {
        return;
    }
    html.element("div", &[("class", "note bad"), ("role", "alert")], |html| {
        html.element("p", &[], |html| html.text("Nothing is stored yet. Please correct this:"));
        html.element("ul", &[], |html| {
            for problem in problems {
                html.element("li", &[], |html| match problem.field {
                    Some(field) => {
                        let href = format!("#field-{field}");
                        html.element("a", &[("href", &href)], |html| html.text(&problem.text));
                    }
                    None => html.text(&problem.text),
                });
            }
        });
    });
}

/// A form that the server checks, and a script while it is filled in. Browsers do not: their words are not ours, and they
/// stop at fields that another kind hides.
fn checked_form(html: &mut Html, shown: &DefinitionForm<'_>, content: impl FnOnce(&mut Html)) {
    let action = shown.action();
    let attributes =
        [("method", "post"), ("action", action.as_str()), ("novalidate", ""), ("data-check", "/new-provider/check")];
    html.element("form", &attributes, |html| {
        content(html);
        if let Some(name) = shown.replaces {
            hidden(html, "replaces", name);
        }
        if let Some(is_ticked) = shown.force {
            let what = "Do it anyway: connections that would send their secret elsewhere are not used until their owners \
                        agree, and a client that would be told to another server is removed";
            checkbox(html, "force", what, is_ticked);
        }
        button(html, if shown.replaces.is_some() { "Store the changes" } else { "Define the provider" });
    });
}

fn plain_form(html: &mut Html, shown: &DefinitionForm<'_>, draft: &Draft) {
    checked_form(html, shown, |html| {
        for (index, spec) in FIELDS.iter().enumerate() {
            if index == SHARED_FIELDS {
                let options = DraftKind::ALL.map(|(_, word, text)| (word, text));
                select(html, KIND, "Kind of credential", &options, draft.kind.word());
            }
            // Its name is what connections, grants and audit know a provider by.
            if spec.name == "name" && shown.replaces.is_some() {
                hidden(html, "name", draft.text("name"));
                continue;
            }
            let kinds = spec.words_of_kinds();
            let attributes: &[_] = if kinds.is_empty() { &[] } else { &[("data-kinds", kinds.as_str())] };
            html.element("div", attributes, |html| draft_field(html, shown, draft, spec));
        }
    });
}

fn draft_field(html: &mut Html, shown: &DefinitionForm<'_>, draft: &Draft, spec: &DraftField) {
    field(
        html,
        &Field {
            name: spec.name,
            label: spec.label,
            hint: Some(spec.hint).filter(|hint| !hint.is_empty()),
            error: shown.problem(spec.name),
            kind: if spec.name == "api_url" { Kind::Lines } else { Kind::Text },
            value: draft.typed(spec.name),
            required: spec.required,
            focused: shown.is_first_problem(spec.name),
            ..Field::default()
        },
    );
}

fn json_form(html: &mut Html, shown: &DefinitionForm<'_>) {
    if shown.draft.is_none() {
        paragraph(html, "This definition says more than plain fields can.");
    }
    if !shown.examples.is_empty() {
        html.element("form", &[("action", "/new-provider"), ("class", "filters")], |html| {
            html.element("div", &[], |html| {
                let options: Vec<(&str, &str)> = shown.examples.iter().map(|name| (*name, *name)).collect();
                select(html, "from", "Start from", &options, shown.example);
            });
            plain_button(html, "Load");
        });
    }
    checked_form(html, shown, |html| {
        hidden(html, "as_json", "1");
        field(
            html,
            &Field {
                name: DEFINITION,
                label: "Definition",
                hint: Some("One JSON object; comments are allowed."),
                error: shown.problem(DEFINITION),
                kind: Kind::Area,
                value: shown.json,
                required: true,
                focused: shown.is_first_problem(DEFINITION),
                ..Field::default()
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HOSTILE, is_inert};
    use super::*;

    fn problem(field: Option<&'static str>, text: &str) -> Problem {
        Problem { field, text: text.to_owned() }
    }

    fn form<'a>(draft: &'a Draft, problems: &'a [Problem]) -> DefinitionForm<'a> {
        let (replaces, json, force) = (None, "", None);
        let draft = Some(draft);
        DefinitionForm { replaces, draft, json, json_first: false, problems, force, examples: &["a"], example: "" }
    }

    #[test]
    fn no_value_becomes_markup() {
        let mut draft = Draft::default();
        for field in &FIELDS {
            draft.set(field.name, HOSTILE);
        }
        let mut problems: Vec<_> = FIELDS.iter().map(|field| problem(Some(field.name), HOSTILE)).collect();
        problems.extend([problem(Some(DEFINITION), HOSTILE), problem(None, HOSTILE)]);
        let new = DefinitionForm { json: HOSTILE, force: Some(true), ..form(&draft, &problems) };
        is_inert(&provider_form(&new));
        let old = DefinitionForm { replaces: Some(HOSTILE), draft: None, json: HOSTILE, ..form(&draft, &problems) };
        is_inert(&provider_form(&old));
    }

    #[test]
    fn every_problem_leads_to_its_field() {
        let (draft, problems) = (Draft::default(), [problem(Some("name"), "Bad name."), problem(None, "Bad day.")]);
        let page = provider_form(&form(&draft, &problems));
        let text = page.as_str();
        assert!(text.contains(r##"<a href="#field-name">Bad name.</a>"##), "{text}");
        assert!(text.contains(r#"<p class="problem" id="field-name-error">Bad name.</p>"#), "{text}");
        assert!(text.contains("<li>Bad day.</li>"), "{text}");
        assert_eq!(text.matches(" autofocus").count(), 1);
    }

    #[test]
    fn every_kind_hides_what_others_need() {
        let style = super::super::STYLE;
        for (_, word, _) in DraftKind::ALL {
            assert!(style.contains(&format!("form:has(option[value={word}]:checked) [data-kinds]")), "{word}");
        }
        assert!(FIELDS[..SHARED_FIELDS].iter().all(|field| field.words_of_kinds().is_empty()));
        assert!(FIELDS[SHARED_FIELDS..].iter().all(|field| !field.words_of_kinds().is_empty()));
    }
}

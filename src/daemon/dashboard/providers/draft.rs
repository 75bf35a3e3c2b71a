//! Between plain fields and a definition, and between the errors of a definition and plain fields.

use serde_json::{Map, Value, json};

use crate::daemon::pages::{DEFINITION, Draft, DraftKind, FIELDS, Problem};
use crate::error::{AuthsomeError, Result};
use crate::model::{ApiUrls, ProviderDefinition};
use crate::provider::{ValidateOptions, parse_definition, validate};

/// The definition that a draft stands for. It goes through the same reader as a file, with the same limits.
pub(super) fn definition_of(draft: &Draft) -> Result<ProviderDefinition> {
    let text = |name: &str| Some(draft.text(name)).filter(|text| !text.is_empty());
    let (auth_type, flow) = match draft.kind {
        DraftKind::Bearer | DraftKind::Header | DraftKind::Query | DraftKind::Basic => ("api_key", "api_key"),
        DraftKind::Code => ("oauth2", "pkce"),
        DraftKind::Device => ("oauth2", "device_code"),
        DraftKind::Registering => ("oauth2", "dcr_pkce"),
    };
    let hosts: Vec<&str> = lines(draft.text("api_url")).collect();
    let mut definition = json!({
        "name": draft.text("name"),
        "display_name": text("display_name"),
        "description": text("description"),
        "auth_type": auth_type,
        "flow": flow,
        "api_url": if let [one] = hosts.as_slice() { json!(one) } else { json!(hosts) },
        "docs_url": text("docs_url"),
    });
    if auth_type == "oauth2" {
        definition["oauth"] = oauth(draft);
    } else {
        definition["api_key"] = api_key(draft);
    }
    match draft.kind {
        DraftKind::Query => {
            definition["inject"] = json!([{"in": "query", "name": draft.text("query_name"), "value": "{api_key}"}]);
        }
        DraftKind::Basic => definition["inject"] = json!([{"in": "basic", "value": draft.text("basic_value")}]),
        _ => {}
    }
    if let Some(variable) = text("env_name") {
        let source = if auth_type == "oauth2" { "ACCESS_TOKEN" } else { "API_TOKEN" };
        definition["export"] = Value::Object(Map::from_iter([(variable.to_owned(), json!(source))]));
    }
    parse_definition(definition.to_string().as_bytes())
}

fn api_key(draft: &Draft) -> Value {
    let mut settings = Map::new();
    if draft.kind == DraftKind::Header {
        settings.insert("header_name".to_owned(), json!(draft.text("header_name")));
        settings.insert("header_prefix".to_owned(), json!(draft.text("header_prefix")));
    }
    if !draft.text("env_name").is_empty() {
        settings.insert("env_var".to_owned(), json!(draft.text("env_name")));
    }
    if settings.is_empty() { Value::Null } else { Value::Object(settings) }
}

fn oauth(draft: &Draft) -> Value {
    let mut settings = Map::new();
    for field in FIELDS.iter().filter(|field| field.is_for(draft.kind)) {
        let url = field.name.ends_with("_url").then(|| draft.text(field.name));
        if let Some((url, path)) = url.zip(field.paths.first().and_then(|path| path.strip_prefix("oauth."))) {
            settings.insert(path.to_owned(), json!(url));
        }
    }
    let scopes: Vec<&str> = words(draft.text("scopes")).collect();
    settings.insert("scopes".to_owned(), json!(scopes));
    Value::Object(settings)
}

/// The draft that stands for a definition; `None` when plain fields cannot say all of it.
pub(super) fn draft_of(definition: &ProviderDefinition) -> Option<Draft> {
    let mut draft = Draft::default();
    let key = definition.api_key.clone().unwrap_or_default();
    let oauth = definition.oauth.clone().unwrap_or_default();
    let slot = definition.inject.first();
    let export = definition.export.as_ref().and_then(|export| export.keys().next());
    for (field, text) in [
        ("name", Some(definition.name.as_str())),
        ("display_name", Some(definition.display_name.as_str())),
        ("description", definition.description.as_deref()),
        ("api_url", Some(definition.api_url.as_slice().join("\n").as_str())),
        ("docs_url", definition.docs_url.as_deref()),
        ("env_name", export.map(String::as_str)),
        ("header_name", Some(key.header())),
        ("header_prefix", Some(key.prefix())),
        ("query_name", slot.and_then(|slot| slot.name.as_deref())),
        ("basic_value", Some(slot.map_or("{api_key}:", |slot| &slot.value))),
        ("authorization_url", oauth.authorization_url.as_deref()),
        ("device_authorization_url", oauth.device_authorization_url.as_deref()),
        ("token_url", oauth.token_url.as_deref()),
        ("base_url", oauth.base_url.as_deref()),
        ("scopes", Some(oauth.scopes.join(", ").as_str())),
    ] {
        draft.set(field, text.unwrap_or_default());
    }
    let mut plain = definition.clone();
    if let [one] = plain.api_url.as_slice() {
        plain.api_url = ApiUrls::One(one.clone());
    }
    let drafts = DraftKind::ALL.iter().map(|(kind, ..)| draft.with_kind(*kind));
    drafts.into_iter().find(|draft| definition_of(draft).is_ok_and(|made| made == plain))
}

/// Everything that is wrong with a draft. A check ends at the first mistake; what stands there is replaced by what fits,
/// and the rest is checked again.
pub(super) fn draft_problems(draft: &Draft, options: ValidateOptions) -> Vec<Problem> {
    let (mut trial, mut found) = (draft.clone(), Vec::new());
    for field in FIELDS.iter().filter(|field| field.is_for(draft.kind)) {
        if field.required && draft.text(field.name).is_empty() {
            found.push(Problem { field: Some(field.name), text: sentence(field.label, "is missing") });
            trial.set(field.name, field.sample);
        }
    }
    while let Err(error) = definition_of(&trial).and_then(|definition| validate(&definition, options)) {
        let problem = draft_problem(&trial, &error);
        let field = FIELDS.iter().find(|field| Some(field.name) == problem.field);
        let is_known = found.iter().any(|known| known.field == problem.field);
        // Without a field, or where even what fits does not fit, there is nothing to go on with.
        let Some(field) = field.filter(|_| !is_known) else {
            if !is_known {
                found.push(problem);
            }
            break;
        };
        found.push(problem);
        trial.set(field.name, field.sample);
    }
    found.sort_by_key(|problem| FIELDS.iter().position(|field| Some(field.name) == problem.field));
    found
}

/// The error of a definition at the plain field that it is about.
pub(super) fn draft_problem(draft: &Draft, error: &AuthsomeError) -> Problem {
    let AuthsomeError::InvalidProviderSchema { field: path, reason, .. } = error else { return general(error) };
    let is_about =
        |known: &&str| path.strip_prefix(*known).is_some_and(|rest| rest.is_empty() || ".[".contains(&rest[..1]));
    let mut fields = FIELDS.iter().filter(|field| field.is_for(draft.kind));
    let Some(field) = fields.find(|field| field.paths.iter().any(is_about)) else {
        return general(error);
    };
    let entries: Vec<&str> = if field.name == "api_url" { lines(draft.text("api_url")).collect() } else { Vec::new() };
    let index = path.strip_prefix("api_url[").and_then(|rest| rest.strip_suffix(']')?.parse::<usize>().ok());
    let entry = index.and_then(|index| entries.get(index)).filter(|_| entries.len() > 1);
    let text = match entry {
        Some(entry) if !wants_subject(reason) => sentence(field.label, &format!("{entry}: {reason}")),
        Some(entry) => sentence(entry, reason),
        None => sentence(field.label, reason),
    };
    Problem { field: Some(field.name), text }
}

/// What is wrong with a definition in JSON: the first mistake, with its path.
pub(super) fn json_problem(error: &AuthsomeError) -> Problem {
    match error {
        AuthsomeError::InvalidProviderSchema { field, reason, .. } => {
            Problem { field: Some(DEFINITION), text: format!("{field}: {reason}.") }
        }
        error => general(error),
    }
}

fn general(error: &AuthsomeError) -> Problem {
    let hint = error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
    Problem { field: None, text: format!("{}{hint}.", capital(&error.message())) }
}

/// `is missing` becomes `Token URL is missing.`, and what has a subject of its own stays.
fn sentence(subject: &str, reason: &str) -> String {
    let said = if wants_subject(reason) { format!("{subject} {reason}") } else { capital(reason) };
    let rest = if reason.contains("--allow-local") { ": register it in your terminal" } else { "" };
    format!("{said}{rest}.")
}

fn wants_subject(reason: &str) -> bool {
    ["is ", "has ", "must ", "names ", "stands "].iter().any(|verb| reason.starts_with(verb))
}

pub(super) fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// Scopes as people write them.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| character == ',' || character.is_whitespace()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(kind: DraftKind, fields: &[(&'static str, &str)]) -> Draft {
        let mut draft = Draft::new(kind);
        let usual = [("name", "acme"), ("api_url", "api.acme.com"), ("header_name", "X-Key"), ("query_name", "key")];
        let urls = ["authorization_url", "device_authorization_url", "token_url", "base_url"];
        let urls = urls.map(|name| (name, "https://acme.com/oauth"));
        for (name, text) in usual.iter().chain(&[("basic_value", "{api_key}:")]).chain(&urls).chain(fields) {
            draft.set(name, text);
        }
        draft
    }

    fn said(draft: &Draft) -> Vec<(&'static str, String)> {
        let problems = draft_problems(draft, ValidateOptions::default());
        problems.into_iter().map(|problem| (problem.field.unwrap_or_default(), problem.text)).collect()
    }

    #[test]
    fn every_kind_is_a_definition_and_comes_back_as_it_was() {
        let more = [
            ("display_name", "Acme"),
            ("description", "An API."),
            ("docs_url", "https://acme.com/docs"),
            ("api_url", " api.acme.com \n\n*.acme.com/v1\n"),
            ("env_name", "ACME_KEY"),
            ("scopes", "a, b c"),
        ];
        for (kind, word, _) in DraftKind::ALL {
            for fields in [&[][..], &more] {
                let draft = draft(kind, fields);
                assert_eq!(said(&draft), [], "{word}");
                let definition = definition_of(&draft).expect("a definition");
                let back = draft_of(&definition).expect("plain");
                assert_eq!(back.kind, kind, "{word}");
                assert_eq!(definition_of(&back).expect("a definition"), definition, "{word}");
            }
        }
    }

    #[test]
    fn what_plain_fields_cannot_say_stays_json() {
        let base = r#""name":"acme","auth_type":"api_key","flow":"api_key","api_url":"acme.com""#;
        let plain = |rest: &str| draft_of(&parse_definition(format!("{{{base}{rest}}}").as_bytes()).expect("parses"));
        assert!(plain("").is_some());
        for rest in [
            r#","key_hint":"^a""#,
            r#","future":1"#,
            r#","type":"llm""#,
            r#","export":{"A":"API_TOKEN","B":"API_TOKEN"}"#,
            r#","inject":[{"in":"query","name":"k","value":"x{api_key}"}]"#,
            r#","inject":[{"in":"cookie","name":"k","value":"{api_key}"}]"#,
            r#","fields":[{"name":"a"}]"#,
        ] {
            assert!(plain(rest).is_none(), "{rest}");
        }
    }

    #[test]
    fn every_mistake_is_found_at_its_field() {
        let fields = [
            ("name", "no good"),
            ("display_name", "a\u{202e}b"),
            ("description", "a\u{7}b"),
            ("api_url", "api.acme.com\n*.com\nlocalhost"),
            ("docs_url", "ftp://acme.com"),
            ("env_name", "PATH"),
        ];
        let shared = ["name", "display_name", "description", "api_url", "docs_url", "env_name"];
        for (kind, own, bad) in [
            (DraftKind::Bearer, &[][..], ""),
            (DraftKind::Header, &["header_name"], "no header"),
            (DraftKind::Header, &["header_name", "header_prefix"], "{"),
            (DraftKind::Query, &["query_name"], "a b"),
            (DraftKind::Basic, &["basic_value"], "{nothing}"),
            (DraftKind::Code, &["authorization_url", "token_url"], "http://acme.com"),
            (DraftKind::Device, &["device_authorization_url", "token_url"], "acme.com"),
            (DraftKind::Registering, &["base_url"], "https://a@b"),
        ] {
            let mut draft = draft(kind, &fields);
            for name in own {
                draft.set(name, bad);
            }
            let found = said(&draft);
            let named: Vec<_> = found.iter().map(|(field, _)| *field).collect();
            assert_eq!(named, [&shared, own].concat(), "{found:?}");
            assert!(found.iter().all(|(_, text)| text.ends_with('.') && text.len() > 10), "{found:?}");
        }
    }

    #[test]
    fn mistakes_read_as_sentences() {
        let found =
            said(&draft(DraftKind::Code, &[("api_url", "ok.acme.com\n*.com"), ("token_url", "x"), ("name", "")]));
        assert_eq!(
            found,
            [
                ("name", "Name is missing.".to_owned()),
                ("api_url", "*.com: a name without a domain needs --allow-local, and a suffix needs at least two labels: register it in your terminal.".to_owned()),
                ("token_url", "Token URL must be an https URL.".to_owned()),
            ]
        );
        let http = said(&draft(DraftKind::Bearer, &[("api_url", "ok.acme.com\nhttp://b.acme.com")]));
        assert_eq!(http, [("api_url", "http://b.acme.com must be https.".to_owned())]);
    }

    #[test]
    fn what_no_field_is_to_blame_for_is_said_at_the_top() {
        let found = said(&draft(DraftKind::Bearer, &[("description", &"x".repeat(300 * 1024))]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "", "{found:?}");
    }
}

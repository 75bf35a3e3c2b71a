//! Definitions from text: JSON with `//` and `/* */` comments. Errors name the field and never quote the file.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::validate::is_provider_name;
use crate::error::{AuthsomeError, Result};
use crate::limits::DEFINITION_BYTES;
use crate::model::{
    ApiKeySettings, BrowserExtract, BrowserSettings, FieldSpec, InjectSpec, OAuthSettings, ProviderDefinition,
    Registration, RevokeSpec, StripSpec,
};

/// Reads a definition. It is not validated yet.
///
/// # Errors
/// `InvalidProviderSchema` that names the field, or the line of a syntax error.
pub fn parse_definition(text: &[u8]) -> Result<ProviderDefinition> {
    if text.len() > DEFINITION_BYTES {
        return Err(unreadable("definition", format!("is longer than {DEFINITION_BYTES} bytes")));
    }
    let text = std::str::from_utf8(text).map_err(|_| unreadable("definition", "is not UTF-8"))?;
    let json = without_comments(text.strip_prefix('\u{feff}').unwrap_or(text));
    serde_json::from_str(&json).map_err(|error| explain(&json, &error))
}

/// The same text with every comment replaced by spaces, so that line and column of what remains stay true.
fn without_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['"', '/']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let length = token_length(from);
        let (token, behind) = from.split_at(length);
        if token.starts_with('/') && length > 1 {
            plain.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            plain.push_str(token);
        }
        rest = behind;
    }
    plain.push_str(rest);
    plain
}

/// Length of the string, comment or lone slash that `text` starts with. What is not closed runs to the end.
fn token_length(text: &str) -> usize {
    let end = match text.as_bytes() {
        [b'"', ..] => return string_length(text),
        [b'/', b'/', ..] => text.find('\n'),
        [b'/', b'*', ..] => text[2..].find("*/").map(|at| at + 4),
        _ => Some(1),
    };
    end.unwrap_or(text.len())
}

fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn unreadable(field: &str, reason: impl Into<String>) -> AuthsomeError {
    AuthsomeError::InvalidProviderSchema { provider: None, field: field.to_owned(), reason: reason.into() }
}

/// Says which field `serde_json` stumbled over. Its own text is not used: it quotes values.
fn explain(json: &str, error: &serde_json::Error) -> AuthsomeError {
    let place = || format!("line {} column {}", error.line(), error.column());
    let text = error.to_string();
    if let Some((field, _)) = text.strip_prefix("duplicate field `").and_then(|rest| rest.split_once('`')) {
        return unreadable(field, format!("stands there twice ({})", place()));
    }
    let Ok(value) = serde_json::from_str::<Value>(json) else {
        return unreadable(&place(), "is no JSON");
    };
    let Some(object) = value.as_object() else { return unreadable("definition", "is no JSON object") };
    let (field, reason) =
        culprit(object).unwrap_or_else(|| ("definition".into(), "has a value of the wrong kind".into()));
    let name = object.get("name").and_then(Value::as_str).filter(|name| is_provider_name(name));
    AuthsomeError::InvalidProviderSchema { provider: name.map(str::to_owned), field, reason }
}

/// The first field that does not fit, found by reading each one alone.
fn culprit(object: &Map<String, Value>) -> Option<(String, String)> {
    let mut required = Map::new();
    for (field, sample) in [("name", "x"), ("auth_type", "api_key"), ("flow", "api_key")] {
        if !object.contains_key(field) {
            return Some((field.to_owned(), "is missing".to_owned()));
        }
        required.insert(field.to_owned(), Value::from(sample));
    }
    let field = misfit::<ProviderDefinition>(object, &required)?;
    let inner = match (field.as_str(), &object[&field]) {
        ("oauth", Value::Object(inner)) => oauth_culprit(inner),
        ("registration", Value::Object(inner)) => misfit::<Registration>(inner, &Map::new()),
        ("api_key", Value::Object(inner)) => misfit::<ApiKeySettings>(inner, &Map::new()),
        ("browser", Value::Object(inner)) => browser_culprit(inner),
        ("inject", Value::Array(items)) => bad_item::<InjectSpec>(items),
        ("fields", Value::Array(items)) => bad_item::<FieldSpec>(items),
        ("strip", Value::Array(items)) => bad_item::<StripSpec>(items),
        _ => None,
    };
    let path = match inner {
        Some(index) if index.starts_with('[') => format!("{field}{index}"),
        Some(inner) => format!("{field}.{inner}"),
        None => field,
    };
    let reason = expectation(&path);
    Some((path, reason.to_owned()))
}

fn oauth_culprit(object: &Map<String, Value>) -> Option<String> {
    let field = misfit::<OAuthSettings>(object, &Map::new())?;
    match (field.as_str(), &object[&field]) {
        ("revoke", Value::Object(inner)) => {
            Some(misfit::<RevokeSpec>(inner, &Map::new()).map_or(field, |inner| format!("revoke.{inner}")))
        }
        _ => Some(field),
    }
}

fn browser_culprit(object: &Map<String, Value>) -> Option<String> {
    let field = misfit::<BrowserSettings>(object, &Map::new())?;
    match (field.as_str(), &object[&field]) {
        ("extract", Value::Array(items)) => {
            Some(bad_item::<BrowserExtract>(items).map_or(field, |index| format!("extract{index}")))
        }
        _ => Some(field),
    }
}

/// The first field of `object` that `T` does not take beside the `required` ones.
fn misfit<T: DeserializeOwned>(object: &Map<String, Value>, required: &Map<String, Value>) -> Option<String> {
    let fits = |field: &str, value: &Value| {
        let mut alone = required.clone();
        alone.insert(field.to_owned(), value.clone());
        serde_json::from_value::<T>(Value::Object(alone)).is_ok()
    };
    object.iter().find(|(field, value)| !fits(field, value)).map(|(field, _)| field.clone())
}

fn bad_item<T: DeserializeOwned>(items: &[Value]) -> Option<String> {
    let index = items.iter().position(|item| serde_json::from_value::<T>(item.clone()).is_err())?;
    Some(format!("[{index}]"))
}

/// What a field may hold, in words.
fn expectation(path: &str) -> &'static str {
    match path.split('[').next().unwrap_or_default() {
        "type" => "must be app, llm, mcp or browser",
        "auth_type" => "must be oauth2, api_key or browser",
        "flow" => "must be pkce, device_code, dcr_pkce, api_key or browser",
        "api_url" => "must be a string or a list of strings",
        "inject" => {
            "must be an object with in (header, query, cookie or basic), name, value, only_if_absent, when {field, prefix[], not_prefix[]} and nothing else"
        }
        "fields" => {
            "must be an object with name, label, secret, env_var, default, optional, format (host), derive {from, after_last} and nothing else"
        }
        "strip" => "must be an object with in (header, query, cookie or basic), name and nothing else",
        "browser.extract" => "must be an object with cookie, header, prefix and trim",
        _ => "has a value of the wrong kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse_definition(text.as_bytes()).expect_err("is refused").to_string()
    }

    #[test]
    fn comments_are_taken_and_strings_are_left_alone() {
        let text = "\u{feff}// a \"comment\"\n{ /* two\nlines */ \"name\": \"a\", // end\n\"auth_type\":\"api_key\",\"flow\":\"api_key\",
            \"docs_url\":\"https://a.test/*x*/\", \"description\": \"quote \\\" // not a comment \\\\\", \"future\": {\"x\": [1]} } // last";
        let definition = parse_definition(text.as_bytes()).expect("parses");
        assert_eq!(definition.docs_url.as_deref(), Some("https://a.test/*x*/"));
        assert_eq!(definition.description.as_deref(), Some("quote \" // not a comment \\"));
        assert_eq!(definition.extra["future"]["x"][0], 1);
        assert_eq!(without_comments("a/*\u{e9}\n*/b").lines().count(), 2);
    }

    #[test]
    fn a_null_is_nothing_said() {
        let text =
            br#"{"name":"acme","display_name":null,"type":null,"auth_type":"api_key","flow":"api_key","api_url":null,
            "logo":null,"oauth":{"scopes":null,"pkce":null,"authorization_params":null},"registration":null,
            "api_key":{"header_name":null,"header_prefix":null,"env_var":null},"browser":null,"export":null,
            "metadata":null,"docs_url":null}"#;
        let definition = parse_definition(text).expect("as 0.7.2 writes it");
        let settings = definition.api_key.expect("there");
        assert_eq!((settings.header(), settings.prefix()), ("Authorization", ""), "a null prefix is a bare key");
    }

    #[test]
    fn errors_name_the_field_and_quote_nothing() {
        let base = r#""name":"acme","auth_type":"api_key","flow":"api_key""#;
        for (text, expected) in [
            ("", "line 1 column 0: is no JSON"),
            ("{", "line 1 column 1: is no JSON"),
            ("{\n/* hunter2", "line 2 column 10: is no JSON"),
            ("{\"name\": \"hunter2}", "line 1 column 18: is no JSON"),
            ("[]", "definition: is no JSON object"),
            (r#"{"auth_type":"api_key","flow":"api_key"}"#, "name: is missing"),
            (r#"{"name":"acme","flow":"api_key"}"#, "auth_type: is missing"),
            (r#"{"name":7,"auth_type":"api_key","flow":"api_key"}"#, "name: has a value of the wrong kind"),
            (r#"{"name":"acme","auth_type":"hunter2","flow":"pkce"}"#, "auth_type: must be oauth2, api_key or browser"),
            (&format!(r#"{{{base},"type":"hunter2"}}"#), "type: must be app, llm, mcp or browser"),
            (&format!(r#"{{{base},"api_url":{{"hunter2":1}}}}"#), "api_url: must be a string or a list of strings"),
            (&format!(r#"{{{base},"oauth":{{"scopes":"hunter2"}}}}"#), "oauth.scopes: has a value of the wrong kind"),
            (
                &format!(r#"{{{base},"oauth":{{"revoke":{{"method":["hunter2"]}}}}}}"#),
                "oauth.revoke.method: has a value",
            ),
            (&format!(r#"{{{base},"api_key":{{"header_name":["hunter2"]}}}}"#), "api_key.header_name: has a value"),
            (
                &format!(r#"{{{base},"browser":{{"extract":[{{"cookie":"a"}}]}}}}"#),
                "browser.extract[0]: must be an object",
            ),
            (
                &format!(r#"{{{base},"inject":[{{"in":"header","value":"x"}},{{"in":"hunter2"}}]}}"#),
                "inject[1]: must be",
            ),
            (
                &format!(r#"{{{base},"inject":[{{"in":"header","value":"x","only_on":"hunter2"}}]}}"#),
                "inject[0]: must be",
            ),
            (&format!(r#"{{{base},"fields":[{{"name":"a","format":"hunter2"}}]}}"#), "fields[0]: must be"),
            (&format!(r#"{{{base},"strip":[{{"in":"header"}}]}}"#), "strip[0]: must be"),
            (&format!(r#"{{{base},"api_url":"good.test","api_url":"hunter2.test"}}"#), "api_url: stands there twice"),
        ] {
            let message = refusal(text);
            let tail = message.split("Invalid provider schema: ").nth(1).expect("has the prefix");
            assert!(tail.starts_with(expected), "{text}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
        assert!(refusal(&format!(r#"{{{base},"type":1}}"#)).starts_with("[acme] "));
        assert!(parse_definition(b"\xff\xfe").is_err());
        assert!(parse_definition(&vec![b' '; DEFINITION_BYTES + 1]).is_err());
        assert!(parse_definition("[".repeat(10_000).as_bytes()).is_err());
    }
}

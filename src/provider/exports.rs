//! Under which environment names a connection's values are exported (`contract/http.md`, credentials/export).

use serde_json::Value;

use crate::model::{AuthType, ProviderDefinition};

/// One exported variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportName {
    /// Environment name.
    pub env: String,
    /// What it holds.
    pub source: ExportSource,
}

/// Where the value of an exported variable comes from. Absent values are left out of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportSource {
    /// The access token of an OAuth connection.
    AccessToken,
    /// The refresh token of an OAuth connection.
    RefreshToken,
    /// The key of an API-key connection.
    ApiKey,
    /// The connection's base URL, else the definition's.
    BaseUrl,
    /// The connection's API URL, else the first entry of `api_url`.
    ApiUrl,
    /// A further field or a cookie, by name.
    Field(String),
}

impl ExportSource {
    /// Reads a source of `ENV_NAME: SOURCE` or a field of `env: {FIELD: ENV_NAME}`. Known names are taken in any case.
    pub fn parse(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "access_token" => Self::AccessToken,
            "refresh_token" => Self::RefreshToken,
            "api_key" | "api_token" => Self::ApiKey,
            "base_url" => Self::BaseUrl,
            "api_url" => Self::ApiUrl,
            _ => Self::Field(text.to_owned()),
        }
    }
}

/// The exported names of a provider: those of its definition, else `PROVIDER_ACCESS_TOKEN`, `PROVIDER_REFRESH_TOKEN`,
/// `PROVIDER_API_KEY`, or `PROVIDER_COOKIE` for each cookie, and the `env_var` of each further secret. Names that no
/// shell takes are left out.
pub fn export_names(definition: &ProviderDefinition) -> Vec<ExportName> {
    let declared = declared(definition);
    let mut names = if declared.is_empty() { defaults(definition) } else { declared };
    names.retain(|name| is_env_name(&name.env));
    names
}

/// Whether a shell takes `name` as the name of a variable.
pub fn is_env_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_word) && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// Upper-case words joined by `_`, as an environment name: `linkedin-browser` gives `LINKEDIN_BROWSER`.
pub fn env_word(text: &str) -> String {
    let word: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if word.starts_with(|first: char| first.is_ascii_digit()) { format!("_{word}") } else { word }
}

/// Both forms of `export` may stand together: `env: {FIELD: ENV_NAME}` and `ENV_NAME: SOURCE` pairs.
fn declared(definition: &ProviderDefinition) -> Vec<ExportName> {
    let mut names = Vec::new();
    for (key, value) in definition.export.iter().flatten() {
        match value {
            Value::String(source) => names.push(ExportName { env: key.clone(), source: ExportSource::parse(source) }),
            Value::Object(fields) if key == "env" => names.extend(fields.iter().filter_map(|(field, env)| {
                Some(ExportName { env: env.as_str()?.to_owned(), source: ExportSource::parse(field) })
            })),
            _ => {}
        }
    }
    names
}

fn defaults(definition: &ProviderDefinition) -> Vec<ExportName> {
    let provider = env_word(&definition.name);
    let name = |suffix: &str, source| ExportName { env: format!("{provider}_{suffix}"), source };
    let mut names = match definition.auth_type {
        AuthType::Oauth2 => {
            vec![name("ACCESS_TOKEN", ExportSource::AccessToken), name("REFRESH_TOKEN", ExportSource::RefreshToken)]
        }
        AuthType::ApiKey => vec![name("API_KEY", ExportSource::ApiKey)],
        AuthType::Browser => {
            let cookies = definition.browser.iter().flat_map(|browser| &browser.auth_cookies);
            cookies.map(|cookie| name(&env_word(cookie), ExportSource::Field(cookie.clone()))).collect()
        }
    };
    // A plain field (a region, an account name) stays what the environment says.
    names.extend(definition.fields.iter().filter(|field| field.secret).filter_map(|field| {
        Some(ExportName { env: field.env_var.clone()?, source: ExportSource::Field(field.name.clone()) })
    }));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::parse_definition;

    fn names(rest: &str) -> Vec<(String, ExportSource)> {
        let text = format!(r#"{{"name":"acme-2.x",{rest}}}"#);
        let definition = parse_definition(text.as_bytes()).expect("parses");
        export_names(&definition).into_iter().map(|name| (name.env, name.source)).collect()
    }

    fn pair(env: &str, source: ExportSource) -> (String, ExportSource) {
        (env.to_owned(), source)
    }

    #[test]
    fn both_forms_stand_together() {
        let found = names(
            r#""auth_type":"oauth2","flow":"pkce","export":{"env":{"access_token":"A","refresh_token":"R","api_key":"K"},
                "B":"base_url","U":"API_URL","T":"Access_Token","L":"li_at","bad name":"ACCESS_TOKEN","N":7}"#,
        );
        assert_eq!(
            found,
            [
                pair("B", ExportSource::BaseUrl),
                pair("L", ExportSource::Field("li_at".into())),
                pair("T", ExportSource::AccessToken),
                pair("U", ExportSource::ApiUrl),
                pair("A", ExportSource::AccessToken),
                pair("K", ExportSource::ApiKey),
                pair("R", ExportSource::RefreshToken),
            ]
        );
    }

    #[test]
    fn defaults_come_from_the_name() {
        let oauth = names(r#""auth_type":"oauth2","flow":"pkce""#);
        let expected = [
            pair("ACME_2_X_ACCESS_TOKEN", ExportSource::AccessToken),
            pair("ACME_2_X_REFRESH_TOKEN", ExportSource::RefreshToken),
        ];
        assert_eq!(oauth, expected);
        let fields =
            r#""fields":[{"name":"app","secret":true,"env_var":"ACME_APP"},{"name":"dc","env_var":"ACME_DC"}]"#;
        let key = names(&format!(r#""auth_type":"api_key","flow":"api_key","export":{{}},{fields}"#));
        assert_eq!(
            key,
            [pair("ACME_2_X_API_KEY", ExportSource::ApiKey), pair("ACME_APP", ExportSource::Field("app".into()))]
        );
        let browser = names(r#""auth_type":"browser","flow":"browser","browser":{"auth_cookies":["li_at","JS-ID"]}"#);
        assert_eq!(
            browser,
            [
                pair("ACME_2_X_LI_AT", ExportSource::Field("li_at".into())),
                pair("ACME_2_X_JS_ID", ExportSource::Field("JS-ID".into()))
            ]
        );
        assert_eq!(env_word("1password"), "_1PASSWORD");
        for bad in ["", "1A", "A-B", "A B", "A=B", "\u{c4}"] {
            assert!(!is_env_name(bad), "{bad}");
        }
    }
}

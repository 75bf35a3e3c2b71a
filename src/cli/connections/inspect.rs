//! `authsome connections inspect`

use argh::{ArgsInfo, FromArgs};

use super::Listing;
use crate::cli::context::Context;
use crate::cli::json::Json;
use crate::client::segment;
use crate::error::{AuthsomeError, Result};
use crate::model::MASK;

/// Fields of a record that hold one secret.
const SECRET_FIELDS: [&str; 5] = ["access_token", "refresh_token", "api_key", "client_secret", "id_token"];
/// The field that holds several, by name.
const SECRET_MAP: &str = "credentials";

/// Show one connection; secrets are masked unless asked for.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "inspect",
    example = "authsome connections inspect openai",
    example = "authsome connections inspect openai --field status"
)]
pub(super) struct Inspect {
    /// provider name
    #[argh(positional)]
    provider: String,

    /// which connection (default: the provider's default one)
    #[argh(option, arg_name = "name")]
    connection: Option<String>,

    /// print this field only
    #[argh(option, arg_name = "field")]
    field: Option<String>,

    /// do not mask secrets
    #[argh(switch)]
    show_secret: bool,
}

impl Inspect {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        let client = ctx.client()?;
        let connection = match self.connection {
            Some(connection) => connection,
            None => Listing::fetch(&client)?.default_of(&self.provider).unwrap_or("default").to_owned(),
        };
        // Our daemon masks when asked; one of 0.7.2 does not know the question, so we mask as well.
        let query = if self.show_secret { "" } else { "?redact=1" };
        let path = format!("/api/connections/{}/{}{query}", segment(&self.provider), segment(&connection));
        let mut record: Json = client.get(&path)?.parse()?;
        if !self.show_secret {
            mask(&mut record);
        }
        match &self.field {
            Some(field) => print_field(ctx, record, field),
            None if ctx.out.json => ctx.out.object(record),
            None => print_facts(ctx, &record),
        }
    }
}

fn print_field(ctx: &Context, record: Json, name: &str) -> Result<()> {
    let Json::Object(fields) = record else {
        return Err(AuthsomeError::DaemonUnavailable { reason: "the daemon's answer is no record".to_owned() });
    };
    let known: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
    let Some((_, value)) = fields.into_iter().find(|(known, _)| known == name) else {
        let reason = format!("there is none of this name; there are {}", known.join(", "));
        return Err(AuthsomeError::InvalidInput { what: "field", reason });
    };
    if ctx.out.json {
        return ctx.out.object(Json::object([(name, value)]));
    }
    let mut text = zeroize::Zeroizing::new(value.to_cell());
    text.push('\n');
    ctx.out.bytes(text.as_bytes())
}

fn print_facts(ctx: &Context, record: &Json) -> Result<()> {
    let Json::Object(fields) = record else { return ctx.out.pretty(record) };
    let facts: Vec<(&str, String)> = fields
        .iter()
        .filter(|(_, value)| !matches!(value, Json::Object(inner) if inner.iter().all(|(_, one)| *one == Json::Null)))
        .map(|(name, value)| (name.as_str(), value.to_cell()))
        .collect();
    ctx.out.facts(&facts)
}

/// Hides every secret of a record that is there.
fn mask(record: &mut Json) {
    let Json::Object(fields) = record else { return };
    for (name, value) in fields.iter_mut() {
        match value {
            Json::Object(secrets) if name == SECRET_MAP => {
                for (_, secret) in secrets {
                    *secret = MASK.into();
                }
            }
            Json::Null => {}
            other if SECRET_FIELDS.contains(&name.as_str()) || name == SECRET_MAP => *other = MASK.into(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking_hides_secrets_and_nothing_else() {
        let text = r#"{"provider":"x","access_token":"hunter2","refresh_token":null,"api_key":["hunter2"],
            "credentials":{"a":"hunter2","b":{"c":"hunter2"}},"scopes":["read"],"metadata":{}}"#;
        let mut record: Json = serde_json::from_str(text).expect("parses");
        mask(&mut record);
        let masked = serde_json::to_string(&record).expect("writes");
        assert!(!masked.contains("hunter2"), "{masked}");
        assert!(masked.contains(r#""refresh_token":null"#) && masked.contains(r#""scopes":["read"]"#), "{masked}");
        assert_eq!(masked.matches(MASK).count(), 4);
    }
}

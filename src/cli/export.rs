//! `authsome export`

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::str::FromStr;

use argh::{ArgsInfo, FromArgs};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::args::shown;
use super::context::Context;
use super::json::{Json, inert_json};
use super::quote;
use crate::error::{AuthsomeError, Result};
use crate::paths;
use crate::secret::{Secret, SecretBuffer};

/// Print credentials for tools that cannot use a proxy.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "export",
    example = "eval \"$(authsome export openai)\"",
    example = "authsome export --format github",
    note = "These are the real credentials. `authsome run` keeps them out of programs."
)]
pub(super) struct Export {
    /// provider name (default: all)
    #[argh(positional)]
    provider: Option<String>,

    /// which connection (default: default)
    #[argh(option, arg_name = "name")]
    connection: Option<String>,

    /// env, shell, dotenv, json or github (default: env)
    #[argh(option, arg_name = "format", default = "Format::Env")]
    format: Format,
}

/// How credentials are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `export NAME=value` lines for a shell; `shell` is another name for it.
    Env,
    /// `NAME=value` lines for readers of dotenv files.
    Dotenv,
    /// One object.
    Json,
    /// Masks for the log and lines for `$GITHUB_ENV`.
    Github,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "env" | "shell" => Ok(Self::Env),
            "dotenv" => Ok(Self::Dotenv),
            "json" => Ok(Self::Json),
            "github" => Ok(Self::Github),
            _ => Err(format!("there is no format{}; there are env, shell, dotenv, json and github", shown(text))),
        }
    }
}

impl Export {
    pub(super) fn run(self, ctx: &Context) -> Result<()> {
        // Found out before anything secret is fetched.
        let github_env = if self.format == Format::Github { Some(github_env()?) } else { None };
        let variables = self.fetch(ctx)?;
        if let Some(path) = github_env {
            write_github(ctx, &variables, &path)?;
        } else {
            let mut text = SecretBuffer::new();
            write(&mut text, &variables, self.format)?;
            if ctx.out.json {
                let text = String::from_utf8_lossy(text.expose_bytes()).into_owned();
                let object = Json::object([("output", text.into())]).versioned();
                ctx.out.bytes(inert_json(&object).expose_bytes())?;
            } else {
                ctx.out.bytes(text.expose_bytes())?;
            }
        }
        if variables.0.is_empty() {
            ctx.out.note("note: there is nothing to export");
        } else {
            ctx.out.note("note: these are real credentials; `authsome run` keeps them out of programs");
        }
        Ok(())
    }

    /// The variables, those left out that a shell would obey rather than hold.
    fn fetch(&self, ctx: &Context) -> Result<Variables> {
        #[derive(Serialize)]
        struct Request<'a> {
            provider: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            connection: Option<&'a str>,
            format: &'a str,
        }
        #[derive(Deserialize)]
        struct Exported {
            output: Secret,
        }
        // JSON whatever is printed: the quoting is ours then, with any daemon.
        let request =
            Request { provider: self.provider.as_deref(), connection: self.connection.as_deref(), format: "json" };
        let answer: Exported = ctx.client()?.post("/api/credentials/export", &request)?.parse()?;
        let mut variables: Variables =
            serde_json::from_str(answer.output.expose()).map_err(|error| AuthsomeError::DaemonUnavailable {
                reason: format!("the daemon's export is not understood (column {})", error.column()),
            })?;
        variables.0.retain(|(name, _)| {
            let keep = quote::is_exportable(name);
            if !keep {
                ctx.out.warn(&format!("{name} is left out: a credential must not have this name"));
            }
            keep
        });
        Ok(variables)
    }
}

/// Names and values in the daemon's order.
struct Variables(Vec<(String, Secret)>);

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Variables;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variables, A::Error> {
                let mut variables = Vec::new();
                while let Some(variable) = map.next_entry()? {
                    variables.push(variable);
                }
                Ok(Variables(variables))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Serialize for Variables {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value.expose())))
    }
}

fn write(out: &mut SecretBuffer, variables: &Variables, format: Format) -> Result<()> {
    match format {
        Format::Env => variables.0.iter().for_each(|(name, value)| quote::shell_line(out, name, value)),
        Format::Dotenv => variables.0.iter().for_each(|(name, value)| quote::dotenv_line(out, name, value)),
        Format::Github => variables.0.iter().for_each(|(name, value)| quote::github_lines(out, name, value)),
        Format::Json => out.write_all(inert_json(variables).expose_bytes())?,
    }
    Ok(())
}

/// Masks first: what is masked before it is set never shows in the log.
fn write_github(ctx: &Context, variables: &Variables, path: &PathBuf) -> Result<()> {
    let mut masks = SecretBuffer::new();
    variables.0.iter().for_each(|(_, value)| quote::github_mask(&mut masks, value));
    ctx.out.bytes(masks.expose_bytes())?;
    let mut lines = SecretBuffer::new();
    // Whoever wrote there before may have left its last line open.
    lines.write_all(b"\n")?;
    write(&mut lines, variables, Format::Github)?;
    let file = OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(lines.expose_bytes()));
    Ok(written.map_err(|error| paths::with_path(&error, "write", path))?)
}

fn github_env() -> Result<PathBuf> {
    let path = std::env::var_os("GITHUB_ENV").filter(|value| !value.is_empty());
    path.map(PathBuf::from).ok_or_else(|| AuthsomeError::Usage {
        reason: "GITHUB_ENV is not set: this does not run in a GitHub workflow".to_owned(),
        hint: Some("elsewhere, use --format env or --format dotenv".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_have_names() {
        assert_eq!("shell".parse(), Ok(Format::Env));
        assert!("xml".parse::<Format>().expect_err("unknown").contains("xml"));
        assert!(!"sk-Hunter2".parse::<Format>().expect_err("unknown").contains("Hunter2"));
    }

    #[test]
    fn a_shell_finds_nothing_to_run_in_json() {
        let dir = crate::client::testing::Scratch::new();
        let mark = dir.0.dir().display().to_string();
        let value = format!("x$(touch {mark})`touch {mark}`\"$(touch {mark})\\\"`touch {mark}`");
        let json = inert_json(&Json::object([("output", format!("export A='{value}'\n").into())]).versioned());
        let text = std::str::from_utf8(json.expose_bytes()).expect("UTF-8");
        let read: serde_json::Value = serde_json::from_str(text).expect("still JSON");
        assert_eq!(read["output"], format!("export A='{value}'\n"));
        for shell in ["sh", "bash"] {
            let eval = std::process::Command::new(shell).args(["-c", "eval \"$1\"", "sh", text]).output();
            eval.expect("a shell");
            assert!(!std::path::Path::new(&mark).exists(), "{shell} ran something");
        }
    }

    #[test]
    fn variables_keep_the_daemons_order() {
        let variables: Variables = serde_json::from_str(r#"{"B":"1","A":"it's"}"#).expect("parses");
        let mut out = SecretBuffer::new();
        write(&mut out, &variables, Format::Env).expect("writes");
        assert_eq!(out.expose_bytes(), b"export B=1\nexport A='it'\\''s'\n");
        let mut out = SecretBuffer::new();
        write(&mut out, &variables, Format::Json).expect("writes");
        assert_eq!(out.expose_bytes(), b"{\n  \"B\": \"1\",\n  \"A\": \"it's\"\n}\n");
    }
}

//! Whose account a token answer is about, where the answer plainly says so.
//!
//! A name for people and nothing else: the ID token is not verified, so nothing may be decided by it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::answer::clean;
use super::document::Document;
use crate::model::Account;

/// Where identifiers and names stand: OpenID Connect's claims, and what Slack and Notion have in their answers.
const IDS: [&str; 3] = ["sub", "authed_user.id", "workspace_id"];
const LABELS: [&str; 5] = ["email", "preferred_username", "name", "team.name", "workspace_name"];

/// The account of a token answer.
pub(super) fn account(answer: &Document) -> Account {
    let claims = answer.text("id_token").and_then(claims);
    let find = |paths: &[&str]| {
        let sources = claims.iter().chain([answer]);
        sources.flat_map(|source| paths.iter().filter_map(|path| text_at(source, path))).next()
    };
    Account { id: find(&IDS), label: find(&LABELS) }
}

/// The middle part of a JWT (RFC 7519 section 7.2), unverified.
fn claims(token: &str) -> Option<Document> {
    let payload = token.split('.').nth(1)?;
    let json = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
    Document::parse(Some("application/json"), &json).ok()
}

fn text_at(document: &Document, path: &str) -> Option<String> {
    let (parent, name) = document.walk(path)?;
    parent.text(name).map(clean).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &serde_json::Value) -> (Option<String>, Option<String>) {
        let document = Document::parse(None, answer.to_string().as_bytes()).expect("JSON");
        let Account { id, label } = account(&document);
        (id, label)
    }

    #[test]
    fn accounts_are_named_where_the_answer_names_them() {
        let jwt = |claims: &str| format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
        let cases = [
            (serde_json::json!({"access_token": "a"}), (None, None)),
            (
                serde_json::json!({"authed_user": {"id": "U1"}, "team": {"id": "T1", "name": "Acme"}}),
                (Some("U1"), Some("Acme")),
            ),
            (
                serde_json::json!({"workspace_id": "w1", "workspace_name": "Home\u{1b}[31m"}),
                (Some("w1"), Some("Home [31m")),
            ),
            (
                serde_json::json!({"id_token": jwt(r#"{"sub":"42","email":"a@x.test"}"#)}),
                (Some("42"), Some("a@x.test")),
            ),
            (serde_json::json!({"id_token": jwt(r#"{"sub":42}"#)}), (None, None)),
            (serde_json::json!({"id_token": "not.a%.jwt"}), (None, None)),
            (serde_json::json!({"id_token": "x", "workspace_id": 7}), (None, None)),
        ];
        for (answer, (id, label)) in cases {
            assert_eq!(read(&answer), (id.map(str::to_owned), label.map(str::to_owned)), "{answer}");
        }
    }
}

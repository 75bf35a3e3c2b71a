//! API keys: cleaning and judging what a person pasted (`contract/oauth.md`).

use crate::error::{AuthsomeError, Result};
use crate::limits::SECRET_BYTES;
use crate::model::ProviderDefinition;
use crate::secret::Secret;

/// Trims `pasted` and refuses what could never be a key, or what would break the header it is sent in.
///
/// # Errors
/// `InvalidInput`: empty, too long, or with a control character (a line break in the middle, a NUL). The text never
/// holds any of the key.
pub fn clean(pasted: &Secret) -> Result<Secret> {
    let key = pasted.expose().trim();
    let refuse = |reason: String| Err(AuthsomeError::InvalidInput { what: "key", reason });
    if key.is_empty() {
        return refuse("it is empty".to_owned());
    }
    if key.len() > SECRET_BYTES {
        return refuse(format!("longer than {SECRET_BYTES} bytes"));
    }
    if key.chars().any(|character| matches!(character, '\r' | '\n')) {
        return refuse("there is a line break in it; was more than the key copied?".to_owned());
    }
    if key.chars().any(char::is_control) {
        return refuse("there is a control character in it".to_owned());
    }
    Ok(Secret::new(key.to_owned()))
}

/// What looks wrong with `key`, for people. It never decides: vendors change formats without notice.
pub fn warnings(definition: &ProviderDefinition, key: &Secret) -> Vec<String> {
    let mut warnings = Vec::new();
    if key.expose().chars().any(char::is_whitespace) {
        warnings.push("there is white space inside the key".to_owned());
    }
    let settings = definition.api_key.as_ref();
    let pattern = settings.and_then(|settings| settings.key_pattern.as_deref()).or(definition.key_hint.as_deref());
    if pattern.is_some_and(|pattern| !matches(pattern, key)) {
        let hint = settings.and_then(|settings| settings.key_pattern_hint.clone());
        warnings.push(hint.unwrap_or_else(|| {
            format!("this does not look like a key of {}; its keys usually have another form", definition.title())
        }));
    }
    warnings
}

/// A pattern that does not compile here (a look-around, say) proves nothing against a key.
fn matches(pattern: &str, key: &Secret) -> bool {
    regex_lite::RegexBuilder::new(pattern)
        .size_limit(64 * 1024)
        .build()
        .map_or(true, |pattern| pattern.is_match(key.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(pattern: &str) -> ProviderDefinition {
        let text = serde_json::json!({
            "name": "acme", "auth_type": "api_key", "flow": "api_key",
            "api_key": {"key_pattern": pattern, "key_pattern_hint": "Acme keys start with ak_"},
        });
        serde_json::from_value(text).expect("a definition")
    }

    #[test]
    fn keys_are_trimmed_and_line_breaks_are_refused_without_being_shown() {
        let clean = |text: &str| clean(&Secret::new(text.to_owned()));
        assert_eq!(clean("  ak_1\r\n").expect("trimmed").expose(), "ak_1");
        assert_eq!(clean("schlüssel").expect("UTF-8 is sent as bytes").expose(), "schlüssel");
        for bad in ["", " \n", "ak\n_hidden", "ak\r_hidden", "ak\0_hidden", "ak\u{7f}_hidden"] {
            let error = clean(bad).expect_err("refused").to_string();
            assert!(!error.contains("hidden"), "{error}");
        }
        assert!(clean(&"k".repeat(SECRET_BYTES + 1)).is_err());
    }

    #[test]
    fn a_pattern_only_warns() {
        let key = Secret::new("zz_1".to_owned());
        assert_eq!(warnings(&definition("^ak_"), &key), ["Acme keys start with ak_"]);
        assert!(warnings(&definition("^zz_"), &key).is_empty());
        assert!(warnings(&definition("(?=unsupported)"), &key).is_empty());
        assert_eq!(warnings(&definition(".*"), &Secret::new("a b".to_owned())).len(), 1);
    }
}

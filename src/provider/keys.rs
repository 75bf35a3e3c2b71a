//! What is odd about a key that a person gave. It only ever warns: vendors change the shape of their keys, and a
//! pattern must never lock a user out (`contract/oauth.md`).

use regex_lite::RegexBuilder;

use crate::model::ProviderDefinition;

/// Memory of one compiled pattern.
const COMPILED_BYTES: usize = 256 * 1024;

/// Why `key` does not look like a key of this provider, in words that do not repeat it; `None` when nothing is odd.
/// A pattern that our engine does not take (those of 0.7.2 are Python's) says nothing.
pub fn key_warning(definition: &ProviderDefinition, key: &str) -> Option<String> {
    let settings = definition.api_key.as_ref();
    let pattern = settings.and_then(|settings| settings.key_pattern.as_deref());
    let hint = settings.and_then(|settings| settings.key_pattern_hint.as_deref());
    let misses = |pattern: Option<&str>| pattern.is_some_and(|pattern| matches(pattern, key) == Some(false));
    if misses(pattern) || misses(definition.key_hint.as_deref()) {
        let hint = hint.map(|hint| format!(": {hint}")).unwrap_or_default();
        return Some(format!("this does not look like a key of {}{hint}", definition.title()));
    }
    key.contains(char::is_whitespace).then(|| "the key has a space in it".to_owned())
}

fn matches(pattern: &str, key: &str) -> Option<bool> {
    let compiled = RegexBuilder::new(pattern).size_limit(COMPILED_BYTES).build().ok()?;
    Some(compiled.is_match(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::parse_definition;

    #[test]
    fn odd_keys_are_warned_about_and_not_repeated() {
        let text = r#"{"name":"acme","auth_type":"api_key","flow":"api_key","key_hint":"^ak_[0-9]+$",
            "api_key":{"key_pattern":"^ak_","key_pattern_hint":"Keys start with ak_."}}"#;
        let mut definition = parse_definition(text.as_bytes()).expect("parses");
        assert_eq!(key_warning(&definition, "ak_1"), None);
        for key in ["hunter2", "ak_hunter2"] {
            let warning = key_warning(&definition, key).expect("warns");
            assert!(warning.ends_with("a key of acme: Keys start with ak_.") && !warning.contains(key), "{warning}");
        }
        definition.key_hint = None;
        assert!(key_warning(&definition, "ak_1 2").expect("warns").contains("space"));
        definition.api_key = None;
        definition.key_hint = Some("^(?=.*[0-9])x".into()); // Python's, not ours
        assert_eq!(key_warning(&definition, "hunter2"), None);
    }
}

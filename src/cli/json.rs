//! JSON that keeps the order of its fields, so that `--json` shows them as the daemon sent them.

use std::fmt;
use std::io::Write as _;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Number;
use zeroize::Zeroizing;

use super::output::steers;
use crate::secret::SecretBuffer;

/// A JSON value. Texts are wiped when dropped: some are credentials that the user asked to see.
#[derive(PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(Zeroizing<String>),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    /// An object with these fields, in this order.
    pub(super) fn object<const N: usize>(fields: [(&str, Self); N]) -> Self {
        Self::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// An array of what an iterator gives.
    pub(super) fn array(values: impl IntoIterator<Item = Self>) -> Self {
        Self::Array(values.into_iter().collect())
    }

    /// A second owner of the same value. Not `Clone`, so that each copy is a visible decision.
    pub(super) fn duplicate(&self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Bool(value) => Self::Bool(*value),
            Self::Number(value) => Self::Number(value.clone()),
            Self::Text(text) => Self::Text(text.clone()),
            Self::Array(values) => Self::array(values.iter().map(Self::duplicate)),
            Self::Object(fields) => {
                Self::Object(fields.iter().map(|(name, value)| (name.clone(), value.duplicate())).collect())
            }
        }
    }

    /// A field of an object.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(known, _)| known == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text of a field; empty when there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.field(name).and_then(Self::as_str).unwrap_or_default()
    }

    /// This value, when it is a text.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members of an array; nothing for anything else.
    pub(super) fn members(&self) -> &[Self] {
        match self {
            Self::Array(values) => values,
            _ => &[],
        }
    }

    /// The members of a field that is an array.
    pub(super) fn list(&self, name: &str) -> &[Self] {
        self.field(name).map(Self::members).unwrap_or_default()
    }

    /// One line for a table cell: texts bare, lists with commas, nothing for null.
    pub(super) fn to_cell(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Text(text) => text.to_string(),
            Self::Array(values) => values.iter().map(Self::to_cell).collect::<Vec<_>>().join(", "),
            Self::Bool(_) | Self::Number(_) | Self::Object(_) => serde_json::to_string(self).unwrap_or_default(),
        }
    }

    /// The object that `--json` prints: `"v": 1` before everything else. What is no object becomes its `result`.
    pub(super) fn versioned(self) -> Self {
        let fields = match self {
            Self::Object(fields) => fields,
            other => vec![("result".to_owned(), other)],
        };
        let version = ("v".to_owned(), Self::from(1));
        Self::Object(std::iter::once(version).chain(fields.into_iter().filter(|(name, _)| name != "v")).collect())
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json(••••)")
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(Zeroizing::new(text.to_owned()))
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(Zeroizing::new(text))
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Number(value.into())
    }
}

impl From<i32> for Json {
    fn from(value: i32) -> Self {
        Self::Number(value.into())
    }
}

impl<T: Into<Self>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(values) => {
                let mut sequence = serializer.serialize_seq(Some(values.len()))?;
                values.iter().try_for_each(|value| sequence.serialize_element(value))?;
                sequence.end()
            }
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

/// Two-space indented JSON and a line end. What steers a terminal and JSON lets pass (DEL, C1, direction) is
/// escaped.
pub(super) fn printable_json<T: Serialize>(value: &T) -> SecretBuffer {
    rewritten(value, steers)
}

/// The same, in which a shell finds nothing to expand: what somebody's `eval "$(authsome export ...)"` reads when
/// `AUTHSOME_JSON=1` is set by mistake.
pub(super) fn inert_json<T: Serialize>(value: &T) -> SecretBuffer {
    rewritten(value, |c| steers(c) || matches!(c, '$' | '`'))
}

/// Escapes characters of strings (RFC 8259 section 7). Outside of strings there is none of those, but line ends.
fn rewritten<T: Serialize>(value: &T, is_escaped: impl Fn(char) -> bool) -> SecretBuffer {
    let mut plain = SecretBuffer::new();
    serde_json::to_writer_pretty(&mut plain, value).expect("values are JSON");
    let text = std::str::from_utf8(plain.expose_bytes()).expect("JSON is UTF-8");
    let mut out = SecretBuffer::new();
    let mut put = |bytes: &[u8]| out.write_all(bytes).expect("a buffer in memory takes everything");
    for c in text.chars() {
        if c != '\n' && is_escaped(c) {
            put(format!("\\u{:04x}", u32::from(c)).as_bytes());
        } else {
            put(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    put(b"\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pretty(json: &Json) -> String {
        serde_json::to_string_pretty(json).expect("writes")
    }

    #[test]
    fn order_numbers_and_texts_survive() {
        let text = "{\n  \"z\": 1,\n  \"a\": [\n    -2,\n    0.5,\n    null,\n    true\n  ],\n  \"é\\u0001\": \"\\\"\",\n  \"m\": {}\n}";
        let json: Json = serde_json::from_str(text).expect("parses");
        assert_eq!(pretty(&json), text);
        assert_eq!(
            pretty(&serde_json::from_str::<Json>("18446744073709551615").expect("parses")),
            "18446744073709551615"
        );
    }

    #[test]
    fn what_steers_a_terminal_or_a_shell_is_escaped_and_stays_json() {
        let json = Json::object([("a", "\u{9b}31m\u{7f}\u{1b}\u{202e}\n$x`y`é".into())]);
        let text = |buffer: &SecretBuffer| String::from_utf8(buffer.expose_bytes().to_vec()).expect("UTF-8");
        assert_eq!(text(&printable_json(&json)), "{\n  \"a\": \"\\u009b31m\\u007f\\u001b\\u202e\\n$x`y`é\"\n}\n");
        let inert = text(&inert_json(&json));
        assert!(!inert.contains(['$', '`']), "{inert}");
        assert!(serde_json::from_str::<Json>(&inert).expect("JSON") == json);
    }

    #[test]
    fn the_version_comes_first_and_once() {
        let json: Json = serde_json::from_str(r#"{"b":1,"v":9,"a":2}"#).expect("parses");
        assert_eq!(pretty(&json.versioned()), "{\n  \"v\": 1,\n  \"b\": 1,\n  \"a\": 2\n}");
        assert_eq!(pretty(&Json::array([Json::Null]).versioned()), "{\n  \"v\": 1,\n  \"result\": [\n    null\n  ]\n}");
    }

    #[test]
    fn cells_are_short() {
        let json: Json = serde_json::from_str(r#"{"a":["x","y"],"b":null,"c":true,"d":7}"#).expect("parses");
        let cells: Vec<_> = ["a", "b", "c", "d"].iter().map(|name| json.field(name).expect(name).to_cell()).collect();
        assert_eq!(cells, ["x, y", "", "true", "7"]);
        assert!(!format!("{json:?}").contains('x'));
    }
}

//! What a server answered, as data: JSON or a form, read strictly and without leaving copies of secrets behind.
//!
//! `serde_json::Value` would keep tokens in strings that nobody wipes, and would take the last of two members with one
//! name. Which of two `access_token`s is meant cannot be known: two readers that choose differently are how one of them
//! is fooled (RFC 8259 section 4), so such an answer is refused.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::limits::OAUTH_VALUES;
use crate::percent::{Plus, decode_strictly};
use crate::secret::Secret;

/// One JSON value. Every text may be a secret.
#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(Secret),
    List(Vec<Value>),
    Object(Document),
}

/// The members of a JSON object, or the fields of a form.
#[derive(Debug, Default)]
pub(super) struct Document(BTreeMap<String, Value>);

impl Document {
    /// Reads a body. What it is, its content type says; where that is wrong, its shape does.
    ///
    /// # Errors
    /// What came instead, to follow "answered with ".
    pub(super) fn parse(content_type: Option<&str>, body: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(body).map_err(|_| "something that is not text")?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let says_form = content_type.is_some_and(|it| it.to_ascii_lowercase().contains("x-www-form-urlencoded"));
        match text.as_bytes().first() {
            None => Err("nothing"),
            Some(b'{') => Self::from_json(text),
            Some(_) if says_form || looks_like_form(text) => Self::from_form(text),
            Some(b'<') => Err("a web page"),
            Some(_) => Err("something that is neither JSON nor a form"),
        }
    }

    fn from_json(text: &str) -> Result<Self, &'static str> {
        let left = Cell::new(OAUTH_VALUES);
        let mut json = serde_json::Deserializer::from_str(text);
        match Reader(&left).deserialize(&mut json).and_then(|value| json.end().map(|()| value)) {
            Ok(Value::Object(document)) => Ok(document),
            Ok(_) => Err("JSON that is no object"),
            Err(_) if left.get() == 0 => Err("more values than anybody needs"),
            Err(error) if error.is_data() => Err("JSON that has one member twice"),
            Err(_) => Err("broken JSON"),
        }
    }

    /// RFC 6749 appendix B. Parameters must not come twice (section 3.2).
    fn from_form(text: &str) -> Result<Self, &'static str> {
        let mut members = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let form = |text| decode_strictly(text, Plus::Space);
            let (Some(name), Some(value)) = (form(name), form(value)) else { return Err("a broken form") };
            if members.len() == OAUTH_VALUES {
                return Err("more values than anybody needs");
            }
            if members.insert(name, Value::Text(Secret::new(value))).is_some() {
                return Err("a form that has one field twice");
            }
        }
        Ok(Self(members))
    }

    /// The value called `name`; null is none.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !matches!(value, Value::Null))
    }

    /// The text called `name`, when it is a text and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text.expose()),
            _ => None,
        }
    }

    /// The object called `name`.
    pub(super) fn object(&self, name: &str) -> Option<&Self> {
        if let Some(Value::Object(object)) = self.get(name) { Some(object) } else { None }
    }

    /// Whether one of `facts` (a member and its value) is there. A number counts as its digits.
    pub(super) fn has_one_of(&self, facts: &BTreeMap<String, String>) -> bool {
        facts.iter().any(|(name, expected)| match self.get(name) {
            Some(Value::Text(text)) => text.expose() == expected,
            Some(Value::Number(number)) => number.to_string() == *expected,
            _ => false,
        })
    }

    /// The object that a dotted path leads into, and the last name of the path.
    pub(super) fn walk<'a, 'b>(&'a self, path: &'b str) -> Option<(&'a Self, &'b str)> {
        let Some((parents, last)) = path.rsplit_once('.') else { return Some((self, path)) };
        parents.split('.').try_fold(self, |object, name| object.object(name)).map(|parent| (parent, last))
    }
}

/// `name=value` pairs and nothing else: no white space, no markup.
fn looks_like_form(text: &str) -> bool {
    let is_form_byte = |byte: u8| byte.is_ascii_graphic() && !b"<>\"{}[]".contains(&byte);
    text.contains('=') && text.bytes().all(is_form_byte)
}

/// Reads one value. Counts down how many may still come: eight bytes of JSON can take 700 of memory.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.0.get().checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        self.0.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers here are seconds; those beyond 2^53 are absurd anyway")]
    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "as above")]
    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(Secret::new(value.to_owned())))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(Secret::new(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some(name) = entries.next_key::<String>()? {
            if members.insert(name, entries.next_value_seed(self)?).is_some() {
                return Err(A::Error::custom("one member twice"));
            }
        }
        Ok(Value::Object(Document(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some("application/json; charset=utf-8");
    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

    #[test]
    fn bodies_are_read_by_type_and_by_shape() {
        let cases = [
            (JSON, r#"{"a":"1","b":null}"#),
            (JSON, "\u{feff} {\"a\":\"1\"}\n"),
            (JSON, "a=1&b="),
            (FORM, "a=1&&c=d%26"),
            (FORM, r#"{"a":"1"}"#),
            (FORM, "a=1&flag"),
            (None, "a=1"),
            (Some("text/html"), r#"{"a":"1"}"#),
            (Some("text/plain"), "a=1&b=2"),
        ];
        for (content_type, body) in cases {
            let document = Document::parse(content_type, body.as_bytes()).expect(body);
            assert_eq!((document.text("a"), document.text("b")), (Some("1"), document.text("b")), "{body}");
        }
    }

    #[test]
    fn what_cannot_be_understood_in_one_way_only_is_refused() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        let cases = [
            (JSON, "", "nothing"),
            (JSON, "  \n", "nothing"),
            (JSON, "<html>a=1</html>", "a web page"),
            (JSON, "Bad gateway", "neither"),
            (JSON, "[1]", "neither"),
            (JSON, "\"a=1\"", "neither"),
            (JSON, r#"{"a":"1""#, "broken JSON"),
            (JSON, r#"{"a":"1"} {"a":"2"}"#, "broken JSON"),
            (JSON, r#"{"a":1e999}"#, "broken JSON"),
            (JSON, r#"{"a":"1","a":"1"}"#, "twice"),
            (JSON, r#"{"a":"1","\u0061":"2"}"#, "twice"),
            (JSON, r#"{"b":{"c":[{"a":1,"a":2}]}}"#, "twice"),
            (JSON, deep.as_str(), "broken JSON"),
            (FORM, "a=1&a=2", "twice"),
            (FORM, "a=1&%61=2", "twice"),
            (FORM, "a=%f", "a broken form"),
        ];
        for (content_type, body, expected) in cases {
            let problem = Document::parse(content_type, body.as_bytes()).expect_err(body);
            assert!(problem.contains(expected), "{body}: {problem}");
        }
        assert_eq!(Document::parse(JSON, b"\xff\xfe{}").expect_err("UTF-16"), "something that is not text");
    }

    #[test]
    fn an_answer_of_the_allowed_size_does_not_take_a_hundred_times_as_much_memory() {
        let list = |count: usize| format!(r#"{{"a":[{}]}}"#, vec![r#"{"":0}"#; count].join(","));
        let form = |count: usize| (0..count).map(|number| format!("{number}=")).collect::<Vec<_>>().join("&");
        let few = OAUTH_VALUES / 2 - 1; // an object and a number each, in a list in an object
        assert!(Document::parse(JSON, list(few).as_bytes()).is_ok());
        assert!(Document::parse(FORM, form(OAUTH_VALUES).as_bytes()).is_ok());
        for (content_type, body) in [(JSON, list(few + 1)), (JSON, list(130_000)), (FORM, form(OAUTH_VALUES + 1))] {
            let problem = Document::parse(content_type, body.as_bytes()).expect_err("too many");
            assert!(problem.contains("more values"), "{problem}");
        }
    }

    #[test]
    fn paths_lead_into_objects() {
        let document =
            Document::parse(JSON, br#"{"user":{"inner":{"token":"t"}},"token":"top","n":1.5}"#).expect("JSON");
        let found = |path: &str| document.walk(path).and_then(|(parent, name)| parent.text(name).map(str::to_owned));
        assert_eq!(found("user.inner.token").as_deref(), Some("t"));
        assert_eq!(found("token").as_deref(), Some("top"));
        for missing in ["user.token", "user.inner.token.x", "token.x", "no.token", "", ".", "n"] {
            assert_eq!(found(missing), None, "{missing}");
        }
        assert!(matches!(document.get("n"), Some(Value::Number(number)) if (*number - 1.5).abs() < f64::EPSILON));
        assert!(!format!("{document:?}").contains("top"), "texts are not shown");
    }
}

//! Templates such as `Token {api_key}`: literal text with placeholders for a connection's fields.

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

/// One part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text that stands for itself.
    Literal(String),
    /// The value of this field.
    Field(String),
}

impl Template {
    /// Reads `text`. There is no escape for braces: no header, query or cookie value of a provider needs one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, behind)) = rest.split_once('{') {
            push_literal(&mut pieces, literal)?;
            let (field, behind) = behind.split_once('}').ok_or("a placeholder has no closing brace")?;
            if !is_field_name(field) {
                return Err("a placeholder is no field name".into());
            }
            pieces.push(Piece::Field(field.to_owned()));
            rest = behind;
        }
        push_literal(&mut pieces, rest)?;
        Ok(Self { pieces })
    }

    /// The parts in order. No two literals follow each other, and none is empty.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The names of the placeholders in order.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Field(name) => Some(name.as_str()),
            Piece::Literal(_) => None,
        })
    }

    /// The text with every placeholder replaced by what `value` says. It is built in one allocation, so that growth
    /// leaves no copy of a secret behind.
    pub(super) fn fill<'a, E>(&'a self, mut value: impl FnMut(&str) -> Result<&'a str, E>) -> Result<String, E> {
        let parts = self.pieces.iter().map(|piece| match piece {
            Piece::Literal(text) => Ok(text.as_str()),
            Piece::Field(name) => value(name),
        });
        Ok(parts.collect::<Result<Vec<_>, E>>()?.concat())
    }
}

/// Whether `name` can be the name of a field: letters, digits, `_`, `-` and `.`, as cookies have them.
pub(super) fn is_field_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

fn push_literal(pieces: &mut Vec<Piece>, literal: &str) -> Result<(), String> {
    if literal.contains('}') {
        return Err("a closing brace belongs to no placeholder".into());
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_place() {
        let template = Template::parse("{user}:{pass_word}@x").expect("is a template");
        assert_eq!(template.fields().collect::<Vec<_>>(), ["user", "pass_word"]);
        let filled = template.fill(|name| if name == "user" { Ok("me") } else { Err(name.to_owned()) });
        assert_eq!(filled, Err("pass_word".to_owned()));
        // A value that looks like a placeholder stays what it is.
        assert_eq!(template.fill(|_| Ok::<_, ()>("{user}")), Ok("{user}:{user}@x".to_owned()));
    }

    #[test]
    fn broken_templates_are_refused() {
        for text in ["{", "}", "{}", "a}b", "{a", "{a b}", "{{a}}", "{a{b}}", "{a}}", "{\u{e9}}", "{a:b}", "{\r\n}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        assert!(Template::parse(&format!("{{{}}}", "a".repeat(65))).is_err());
    }
}

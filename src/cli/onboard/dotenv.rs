//! Reads `.env` files as their usual readers do, well enough to find keys in them. Values are never shown.

use crate::secret::Secret;

/// A variable of a file.
#[derive(Debug)]
pub(super) struct Variable {
    /// Line of its name, from 1.
    pub(super) line: usize,
    /// Name.
    pub(super) name: String,
    /// Value, without quotes.
    pub(super) value: Secret,
}

/// The variables of a file in order. Lines that are none are passed over.
pub(super) fn parse(text: &str) -> Vec<Variable> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut line = 1;
    while !rest.is_empty() {
        let (name, value) = match rest.split_once('\n').map_or(rest, |(first, _)| first).split_once('=') {
            Some((name, _)) => (variable_name(name), name.len() + 1),
            None => (None, 0),
        };
        let Some(name) = name else {
            (rest, line) = next_line(rest, 0, line);
            continue;
        };
        let (value, used) = read_value(&rest[value..], value);
        found.push(Variable { line, name, value });
        (rest, line) = next_line(rest, used, line);
    }
    found
}

/// `NAME` or `export NAME`.
fn variable_name(text: &str) -> Option<String> {
    let text = text.trim();
    let name = text.strip_prefix("export ").map_or(text, str::trim_start);
    let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte));
    fits.then(|| name.to_owned())
}

/// What follows the line in which the first `used` bytes end, and its number.
fn next_line(text: &str, used: usize, line: usize) -> (&str, usize) {
    let end = text[used..].find('\n').map_or(text.len(), |at| used + at + 1);
    (&text[end..], line + text[..end].matches('\n').count())
}

/// The value at the start of `text`; how many bytes of the whole it used, `before` included.
fn read_value(text: &str, before: usize) -> (Secret, usize) {
    let line_end = text.find('\n').unwrap_or(text.len());
    let indent = text[..line_end].len() - text[..line_end].trim_start().len();
    let inside = &text[indent..];
    let quoted = match inside.chars().next() {
        Some(quote @ ('\'' | '"' | '`')) => read_quoted(&inside[1..], quote),
        _ => None,
    };
    if let Some((value, length)) = quoted {
        return (value, before + indent + 1 + length);
    }
    let bare = &text[..line_end];
    let end = bare.find(" #").or_else(|| bare.find("\t#")).unwrap_or(bare.len());
    (Secret::new(bare[..end].trim().to_owned()), before)
}

/// The text up to `quote`, escapes undone in double quotes; `None` when the quote is not closed.
fn read_quoted(text: &str, quote: char) -> Option<(Secret, usize)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            _ if c == quote => return Some((Secret::new(value), at + 1)),
            '\\' if quote == '"' => match characters.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                other => value.push(other),
            },
            _ => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, String, String)> {
        parse(text).into_iter().map(|found| (found.line, found.name, found.value.expose().to_owned())).collect()
    }

    #[track_caller]
    fn one(text: &str, value: &str) {
        let found = read(text);
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        assert_eq!((found[0].1.as_str(), found[0].2.as_str()), ("A", value), "{text:?}");
    }

    #[test]
    fn the_usual_forms() {
        for (text, value) in [
            ("A=sk-1", "sk-1"),
            ("export A=sk-1\r\n", "sk-1"),
            ("  A = sk-1  ", "sk-1"),
            ("A='a b # c'", "a b # c"),
            ("A=\"a\\\"b\\n\" # note", "a\"b\n"),
            ("A=sk-1 # note", "sk-1"),
            ("A=sk#1", "sk#1"),
            ("A=", ""),
            ("A=a=b==", "a=b=="),
            ("A='open", "'open"),
            ("\u{feff}A=1", "1"),
            ("A=`x`", "x"),
        ] {
            one(text, value);
        }
    }

    #[test]
    fn lines_are_counted_over_comments_and_values_of_several_lines() {
        let text = "# first\n\nA=1\nnot a variable\nB=\"two\nlines\"\n-C=3\nD='4' E=5\nF=6";
        let found = read(text);
        let places: Vec<(usize, &str)> = found.iter().map(|(line, name, _)| (*line, name.as_str())).collect();
        assert_eq!(places, [(3, "A"), (5, "B"), (8, "D"), (9, "F")]);
        assert_eq!(found[1].2, "two\nlines");
    }

    #[test]
    fn any_text_ends() {
        for text in ["=", "=\n=", "A=\"\\", "'", "\n\n\n", "A='\n'\n'", "é=1\nA=é"] {
            let _ = read(text);
        }
        one("é=1\nA=é", "é");
    }
}

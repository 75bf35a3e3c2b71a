//! A writer for HTML that cannot forget to escape: tags and attribute names are literals, everything else is a value.
//!
//! A page may hold a secret (a form that signs in, a secret that its owner asked to see), so every page is wiped when it
//! is dropped, and so is each buffer that it grew out of.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

/// HTML under construction.
#[derive(Default)]
pub(in crate::daemon) struct Html(Zeroizing<String>);

impl Html {
    /// Nothing yet.
    pub(in crate::daemon) fn new() -> Self {
        Self::default()
    }

    /// Text, escaped.
    pub(in crate::daemon) fn text(&mut self, text: &str) {
        let mut plain = 0;
        for (at, character) in text.char_indices() {
            let Some(escaped) = escape(character) else { continue };
            self.push(&text[plain..at]);
            self.push(escaped);
            plain = at + character.len_utf8();
        }
        self.push(&text[plain..]);
    }

    /// An element with attributes and what `content` writes into it.
    pub(in crate::daemon) fn element(
        &mut self,
        tag: &'static str,
        attributes: &[(&'static str, &str)],
        content: impl FnOnce(&mut Self),
    ) {
        self.void(tag, attributes);
        content(self);
        self.push("</");
        self.push(tag);
        self.push(">");
    }

    /// An element that has no content and no end tag.
    pub(in crate::daemon) fn void(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) {
        self.push("<");
        self.push(tag);
        for (name, value) in attributes {
            self.push(" ");
            self.push(name);
            self.push("=\"");
            self.text(value);
            self.push("\"");
        }
        self.push(">");
    }

    /// HTML that was built the same way.
    pub(in crate::daemon) fn append(&mut self, other: &Self) {
        self.push(&other.0);
    }

    /// A piece of markup from the program's own text, such as the document type.
    pub(in crate::daemon) fn literal(&mut self, markup: &'static str) {
        self.push(markup);
    }

    /// The markup.
    pub(in crate::daemon) fn as_str(&self) -> &str {
        &self.0
    }

    /// `String` would free the old allocation without wiping it.
    fn push(&mut self, markup: &str) {
        let needed = self.0.len() + markup.len();
        if needed > self.0.capacity() {
            let mut larger = String::with_capacity(needed.next_power_of_two().max(1024));
            larger.push_str(&self.0);
            self.0.zeroize();
            self.0 = Zeroizing::new(larger);
        }
        self.0.push_str(markup);
    }
}

impl fmt::Debug for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Html({} bytes)", self.0.len())
    }
}

/// What stands for a character that could end a text or an attribute.
fn escape(character: char) -> Option<&'static str> {
    Some(match character {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#39;",
        '`' => "&#96;",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_could_end_a_text_or_an_attribute_is_escaped_and_nothing_else() {
        let mut html = Html::new();
        html.element("p", &[("title", "\"'`ü")], |html| html.text("a<b>&c — ü<"));
        let expected = "<p title=\"&quot;&#39;&#96;ü\">a&lt;b&gt;&amp;c — ü&lt;</p>";
        assert_eq!(html.as_str(), expected);
    }

    #[test]
    fn a_page_keeps_what_was_written_across_growth() {
        let mut html = Html::new();
        (0..5_000).for_each(|number| html.text(&format!("{number},")));
        assert!(html.as_str().starts_with("0,1,2,") && html.as_str().ends_with(",4998,4999,"));
    }

    #[test]
    fn a_page_never_prints_itself() {
        let mut html = Html::new();
        html.text("hunter2");
        assert!(!format!("{html:?}").contains("hunter2"));
    }
}

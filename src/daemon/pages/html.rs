//! A writer for HTML that cannot forget to escape: tags and attribute names are literals, everything else is a value.

/// HTML under construction.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Html(String);

impl Html {
    /// Nothing yet.
    pub(in crate::daemon) fn new() -> Self {
        Self::default()
    }

    /// Text, escaped.
    pub(in crate::daemon) fn text(&mut self, text: &str) {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '`' => self.0.push_str("&#96;"),
                other => self.0.push(other),
            }
        }
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
        self.0.push_str("</");
        self.0.push_str(tag);
        self.0.push('>');
    }

    /// An element that has no content and no end tag.
    pub(in crate::daemon) fn void(&mut self, tag: &'static str, attributes: &[(&'static str, &str)]) {
        self.0.push('<');
        self.0.push_str(tag);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.text(value);
            self.0.push('"');
        }
        self.0.push('>');
    }

    /// HTML that was built the same way.
    pub(in crate::daemon) fn append(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// A piece of markup from the program's own text, such as the document type.
    pub(in crate::daemon) fn literal(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// The markup.
    pub(in crate::daemon) fn as_str(&self) -> &str {
        &self.0
    }
}

//! Forms and their fields.

use super::{Html, paragraph};

/// A form that changes something: it is posted to `action`.
pub(in crate::daemon) fn post(html: &mut Html, action: &str, content: impl FnOnce(&mut Html)) {
    html.element("form", &[("method", "post"), ("action", action)], content);
}

/// A value that a form sends along.
pub(in crate::daemon) fn hidden(html: &mut Html, name: &str, value: &str) {
    html.void("input", &[("type", "hidden"), ("name", name), ("value", value)]);
}

/// A question before something that cannot be taken back: closed until it is asked for, without a script.
pub(in crate::daemon) fn confirm(html: &mut Html, label: &str, what_happens: &str, action: &str, yes: &str) {
    html.element("details", &[("class", "confirm")], |html| {
        html.element("summary", &[], |html| html.text(label));
        paragraph(html, what_happens);
        post(html, action, |html| {
            html.element("button", &[("type", "submit"), ("class", "danger")], |html| html.text(yes));
        });
    });
}

/// A field of a form, with its label, its hint and what is wrong with it.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::daemon) struct Field<'a> {
    /// Name in the form; its `id` is `field-` and this.
    pub(in crate::daemon) name: &'a str,
    /// Name for people.
    pub(in crate::daemon) label: &'a str,
    /// What to know before filling it in.
    pub(in crate::daemon) hint: Option<&'a str>,
    /// What is wrong with its value.
    pub(in crate::daemon) error: Option<&'a str>,
    /// `type` of the input.
    pub(in crate::daemon) kind: Kind,
    /// What stands in it. Never that of a password.
    pub(in crate::daemon) value: &'a str,
    /// `autocomplete` of the input; empty: off.
    pub(in crate::daemon) autocomplete: &'a str,
    /// It must be filled in.
    pub(in crate::daemon) required: bool,
    /// It cannot be changed.
    pub(in crate::daemon) fixed: bool,
    /// The cursor stands in it at first.
    pub(in crate::daemon) focused: bool,
}

/// Whose password a form asks for: nothing for people to see, but a password manager then knows which one it is.
pub(in crate::daemon) fn username(html: &mut Html, email: &str) {
    let attributes =
        [("type", "text"), ("autocomplete", "username"), ("value", email), ("readonly", ""), ("hidden", "")];
    html.void("input", &attributes);
}

/// What a field takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) enum Kind {
    /// A line of text.
    #[default]
    Text,
    /// A secret.
    Password,
    /// A search word.
    Search,
    /// A few lines.
    Lines,
    /// Many lines.
    Area,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Text | Self::Lines | Self::Area => "text",
            Self::Password => "password",
            Self::Search => "search",
        }
    }
}

/// Writes a field.
pub(in crate::daemon) fn field(html: &mut Html, field: &Field<'_>) {
    let id = format!("field-{}", field.name);
    let (hint_id, error_id) = (format!("{id}-hint"), format!("{id}-error"));
    html.element("label", &[("for", &id)], |html| {
        html.text(field.label);
        if !field.required && field.kind != Kind::Search {
            html.element("span", &[("class", "quiet")], |html| html.text(" (optional)"));
        }
    });
    let described = [field.hint.map(|_| hint_id.as_str()), field.error.map(|_| error_id.as_str())];
    let described: Vec<&str> = described.into_iter().flatten().collect();
    let described = described.join(" ");
    let autocomplete = if field.autocomplete.is_empty() { "off" } else { field.autocomplete };
    let mut attributes = vec![
        ("id", id.as_str()),
        ("name", field.name),
        ("autocomplete", autocomplete),
        ("spellcheck", "false"),
        ("autocapitalize", "off"),
    ];
    if !described.is_empty() {
        attributes.push(("aria-describedby", &described));
    }
    if field.error.is_some() {
        attributes.push(("aria-invalid", "true"));
    }
    if field.required {
        attributes.push(("required", ""));
    }
    if field.fixed {
        attributes.push(("readonly", ""));
    }
    if field.focused {
        attributes.push(("autofocus", ""));
    }
    if matches!(field.kind, Kind::Lines | Kind::Area) {
        attributes.push(("rows", if field.kind == Kind::Lines { "3" } else { "18" }));
        // The first line break of a text area is not part of it.
        html.element("textarea", &attributes, |html| {
            html.literal("\n");
            html.text(field.value);
        });
    } else {
        attributes.push(("type", field.kind.name()));
        if field.kind != Kind::Password {
            attributes.push(("value", field.value));
        }
        html.void("input", &attributes);
    }
    if let Some(hint) = field.hint {
        html.element("p", &[("class", "quiet hint"), ("id", &hint_id)], |html| html.text(hint));
    }
    if let Some(error) = field.error {
        html.element("p", &[("class", "problem"), ("id", &error_id)], |html| html.text(error));
    }
}

/// A choice of one; `options`: value and what people read.
pub(in crate::daemon) fn select(html: &mut Html, name: &str, label: &str, options: &[(&str, &str)], chosen: &str) {
    let id = format!("field-{name}");
    html.element("label", &[("for", &id)], |html| html.text(label));
    html.element("select", &[("id", &id), ("name", name)], |html| {
        for (value, text) in options {
            let mut attributes = Vec::new();
            if value != text {
                attributes.push(("value", *value)); // else the text is the value
            }
            if *value == chosen {
                attributes.push(("selected", ""));
            }
            html.element("option", &attributes, |html| html.text(text));
        }
    });
}

/// A yes or no.
pub(in crate::daemon) fn checkbox(html: &mut Html, name: &str, label: &str, is_on: bool) {
    html.element("label", &[("class", "choice")], |html| {
        let mut attributes = vec![("type", "checkbox"), ("name", name), ("value", "1")];
        if is_on {
            attributes.push(("checked", ""));
        }
        html.void("input", &attributes);
        html.text(" ");
        html.text(label);
    });
}

/// A yes or no with a line that says what it means.
pub(in crate::daemon) fn switch(html: &mut Html, name: &str, label: &str, hint: &str, is_on: bool) {
    let hint_id = format!("field-{name}-hint");
    html.element("label", &[("class", "choice")], |html| {
        let mut attributes =
            vec![("type", "checkbox"), ("name", name), ("value", "1"), ("aria-describedby", hint_id.as_str())];
        if is_on {
            attributes.push(("checked", ""));
        }
        html.void("input", &attributes);
        html.element("strong", &[], |html| html.text(label));
    });
    html.element("p", &[("class", "quiet hint"), ("id", &hint_id)], |html| html.text(hint));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_field_never_repeats_what_was_typed() {
        let mut html = Html::new();
        let shown = Field { name: "p", label: "P", kind: Kind::Password, value: "hunter2", ..Field::default() };
        field(&mut html, &shown);
        assert!(!html.as_str().contains("hunter2"));
    }

    #[test]
    fn what_is_wrong_belongs_to_its_field() {
        let mut html = Html::new();
        let shown = Field { name: "n", label: "N", hint: Some("h"), error: Some("e"), ..Field::default() };
        field(&mut html, &shown);
        let text = html.as_str();
        assert!(text.contains(r#"aria-describedby="field-n-hint field-n-error""#), "{text}");
        assert!(text.contains(r#"aria-invalid="true""#), "{text}");
    }
}

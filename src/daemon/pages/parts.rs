//! The pieces that pages are made of. Each is accessible by itself: labels belong to their fields, problems are
//! announced, tables have captions, and on a phone a row turns into a card.

mod forms;

pub(in crate::daemon) use forms::{Field, Kind, checkbox, confirm, field, hidden, post, select, switch, username};

use super::Html;
use crate::clock::Timestamp;
use crate::secret::Secret;

/// A note at the top of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Note<'a> {
    /// It went well.
    Good(&'a str),
    /// It went wrong, or could.
    Bad(&'a str),
}

/// What a badge says by its colour; its text says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Tone {
    /// As it should be.
    Good,
    /// Soon not.
    Warn,
    /// Something must be done.
    Bad,
    /// No judgement.
    Plain,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "badge good",
            Self::Warn => "badge warn",
            Self::Bad => "badge bad",
            Self::Plain => "badge",
        }
    }
}

/// One line that announces itself.
pub(in crate::daemon) fn note(html: &mut Html, note: Note<'_>) {
    let (class, role, text) = match note {
        Note::Good(text) => ("note good", "status", text),
        Note::Bad(text) => ("note bad", "alert", text),
    };
    html.element("p", &[("class", class), ("role", role)], |html| html.text(text));
}

/// The button that sends a form.
pub(in crate::daemon) fn button(html: &mut Html, label: &str) {
    html.element("button", &[("type", "submit")], |html| html.text(label));
}

/// The same for what is not the page's main act.
pub(in crate::daemon) fn plain_button(html: &mut Html, label: &str) {
    html.element("button", &[("type", "submit"), ("class", "plain")], |html| html.text(label));
}

/// A link that looks like a button.
pub(in crate::daemon) fn button_link(html: &mut Html, href: &str, label: &str) {
    html.element("a", &[("href", href), ("class", "button")], |html| html.text(label));
}

/// The same for what is not the page's main act.
pub(in crate::daemon) fn plain_button_link(html: &mut Html, href: &str, label: &str) {
    html.element("a", &[("href", href), ("class", "button plain")], |html| html.text(label));
}

/// A link.
pub(in crate::daemon) fn link(html: &mut Html, href: &str, label: &str) {
    html.element("a", &[("href", href)], |html| html.text(label));
}

/// A paragraph of plain text.
pub(in crate::daemon) fn paragraph(html: &mut Html, text: &str) {
    html.element("p", &[], |html| html.text(text));
}

/// A word on a coloured ground.
pub(in crate::daemon) fn badge(html: &mut Html, tone: Tone, text: &str) {
    html.element("span", &[("class", tone.class())], |html| html.text(text));
}

/// A part of a page under its own heading.
pub(in crate::daemon) fn section(html: &mut Html, heading: &str, content: impl FnOnce(&mut Html)) {
    html.element("section", &[], |html| {
        html.element("h2", &[], |html| html.text(heading));
        content(html);
    });
}

/// A part of a page that asks its reader to do something.
pub(in crate::daemon) fn attention(html: &mut Html, content: impl FnOnce(&mut Html)) {
    html.element("section", &[("class", "care")], |html| {
        html.element("h2", &[], |html| html.text("Needs care"));
        content(html);
    });
}

/// What stands where there is nothing yet: why, and the next step as a command.
pub(in crate::daemon) fn empty(html: &mut Html, why: &str, command: Option<&str>) {
    html.element("div", &[("class", "empty")], |html| {
        paragraph(html, why);
        if let Some(command) = command {
            html.element("pre", &[], |html| html.text(command));
        }
    });
}

/// A table whose columns are called `columns`; `rows` writes them.
pub(in crate::daemon) fn table(html: &mut Html, caption: &str, columns: &[&str], rows: impl FnOnce(&mut Rows<'_>)) {
    html.element("table", &[], |html| {
        html.element("caption", &[("class", "for-readers")], |html| html.text(caption));
        html.element("thead", &[], |html| {
            html.element("tr", &[], |html| {
                for column in columns {
                    html.element("th", &[("scope", "col")], |html| html.text(column));
                }
            });
        });
        html.element("tbody", &[], |html| rows(&mut Rows { html, columns }));
    });
}

/// The body of a table.
pub(in crate::daemon) struct Rows<'a> {
    html: &'a mut Html,
    columns: &'a [&'a str],
}

impl Rows<'_> {
    /// One row; `cells` writes as many cells as there are columns.
    pub(in crate::daemon) fn row(&mut self, cells: impl FnOnce(&mut Cells<'_>)) {
        let columns = self.columns;
        self.html.element("tr", &[], |html| cells(&mut Cells { html, columns }));
    }
}

/// The cells of a row, from left to right.
pub(in crate::daemon) struct Cells<'a> {
    html: &'a mut Html,
    columns: &'a [&'a str],
}

impl Cells<'_> {
    /// The next cell. On a phone its column's name stands beside it.
    pub(in crate::daemon) fn cell(&mut self, content: impl FnOnce(&mut Html)) {
        let (label, rest) = self.columns.split_first().map_or(("", self.columns), |(label, rest)| (*label, rest));
        self.columns = rest;
        self.html.element("td", &[("data-label", label)], content);
    }

    /// The next cell, plain text. On a phone there is nothing of it where it is empty.
    pub(in crate::daemon) fn text(&mut self, text: &str) {
        if text.is_empty() { self.skip() } else { self.cell(|html| html.text(text)) }
    }

    /// The next cell, empty.
    pub(in crate::daemon) fn skip(&mut self) {
        self.columns = self.columns.split_first().map_or(self.columns, |(_, rest)| rest);
        self.html.literal("<td></td>");
    }
}

/// A list of names and values.
pub(in crate::daemon) fn facts(html: &mut Html, content: impl FnOnce(&mut Facts<'_>)) {
    html.element("dl", &[], |html| content(&mut Facts { html }));
}

/// The rows of [`facts`].
pub(in crate::daemon) struct Facts<'a> {
    html: &'a mut Html,
}

impl Facts<'_> {
    /// One fact.
    pub(in crate::daemon) fn fact(&mut self, name: &str, value: impl FnOnce(&mut Html)) {
        self.html.element("dt", &[], |html| html.text(name));
        self.html.element("dd", &[], value);
    }

    /// One fact of plain text; nothing where there is none.
    pub(in crate::daemon) fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.fact(name, |html| html.text(value));
        }
    }
}

/// A text to take elsewhere: one click selects all of it, and a script, where there is one, adds a button.
pub(in crate::daemon) fn copyable(html: &mut Html, text: &str) {
    copyable_with(html, &[], text);
}

/// The same for a secret, which a script, where there is one, takes away when its reader leaves the page.
pub(in crate::daemon) fn copyable_secret(html: &mut Html, secret: &Secret) {
    copyable_with(html, &[("data-secret", "")], secret.expose());
}

fn copyable_with(html: &mut Html, more: &[(&'static str, &str)], text: &str) {
    let attributes = [&[("class", "wrap"), ("data-copy", "")], more].concat();
    html.element("div", &[("class", "copyable")], |html| {
        html.element("pre", &attributes, |html| html.text(text));
    });
}

/// The line under a page's heading: what it is about, and at its end the page's main act as a [`button_link`].
pub(in crate::daemon) fn lead(html: &mut Html, content: impl FnOnce(&mut Html)) {
    html.element("div", &[("class", "lead")], content);
}

/// Two columns where there is room: what the page is about, and what goes with it.
pub(in crate::daemon) fn columns(html: &mut Html, main: impl FnOnce(&mut Html), aside: impl FnOnce(&mut Html)) {
    html.element("div", &[("class", "columns")], |html| {
        html.element("div", &[], main);
        html.element("div", &[], aside);
    });
}

/// Numbers at a glance: how many, of what.
pub(in crate::daemon) fn stats(html: &mut Html, numbers: &[(String, &str)]) {
    html.element("dl", &[("class", "stats")], |html| {
        for (number, what) in numbers {
            html.element("div", &[], |html| {
                html.element("dt", &[], |html| html.text(what));
                html.element("dd", &[], |html| html.text(number));
            });
        }
    });
}

/// A list of which each item has some lines of its own.
pub(in crate::daemon) fn rows<T>(html: &mut Html, items: &[T], mut row: impl FnMut(&mut Html, &T)) {
    html.element("ul", &[("class", "rows")], |html| {
        for item in items {
            html.element("li", &[], |html| row(html, item));
        }
    });
}

/// Short names side by side, such as scopes.
pub(in crate::daemon) fn tags(html: &mut Html, names: &[&str]) {
    html.element("ul", &[("class", "tags")], |html| {
        for name in names {
            html.element("li", &[], |html| html.text(name));
        }
    });
}

/// The first letter of `name` on a ground of its own colour: what the eye finds in a list. Readers have the name.
pub(in crate::daemon) fn monogram(html: &mut Html, name: &str) {
    const HUES: [&str; 6] =
        ["monogram", "monogram hue1", "monogram hue2", "monogram hue3", "monogram hue4", "monogram hue5"];
    let hue = name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte))) % HUES.len();
    let letter = name.chars().find(|character| character.is_alphanumeric()).unwrap_or('?');
    html.element("span", &[("class", HUES[hue]), ("aria-hidden", "true")], |html| {
        html.text(&letter.to_uppercase().to_string());
    });
}

/// A moment: how far it is from `now` for people, exactly for machines and on hovering.
pub(in crate::daemon) fn time(html: &mut Html, at: Timestamp, now: Timestamp) {
    let exact = at.to_string();
    html.element("time", &[("datetime", &exact), ("title", &exact)], |html| html.text(&distance(at, now)));
}

/// `in 3 hours`, `5 minutes ago`, `just now`.
fn distance(at: Timestamp, now: Timestamp) -> String {
    const UNITS: [(i64, &str); 5] =
        [(365 * 86_400, "year"), (30 * 86_400, "month"), (86_400, "day"), (3600, "hour"), (60, "minute")];
    let seconds = at.unix() - now.unix();
    let far = seconds.abs();
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| far >= *unit) else { return "just now".to_owned() };
    let count = far / unit;
    let many = if count == 1 { "" } else { "s" };
    if seconds > 0 { format!("in {count} {name}{many}") } else { format!("{count} {name}{many} ago") }
}

/// `1 request`, `2 requests`.
pub(in crate::daemon) fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// `12,345`.
pub(in crate::daemon) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (count, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(count), expected);
        }
        assert_eq!((counted(1, "run"), counted(0, "run")), ("1 run".to_owned(), "0 runs".to_owned()));
    }

    #[test]
    fn times_read_as_people_say_them() {
        let now = Timestamp::from_unix(1_800_000_000).expect("in range");
        for (seconds, expected) in [
            (0, "just now"),
            (59, "just now"),
            (-59, "just now"),
            (60, "in 1 minute"),
            (-7_200, "2 hours ago"),
            (90_000, "in 1 day"),
            (-40 * 86_400, "1 month ago"),
            (800 * 86_400, "in 2 years"),
        ] {
            assert_eq!(distance(now.plus_seconds(seconds), now), expected, "{seconds}");
        }
    }

    #[test]
    fn every_cell_knows_its_column() {
        let mut html = Html::new();
        table(&mut html, "Table", &["A", "B", "C"], |rows| {
            rows.row(|cells| {
                cells.text("1");
                cells.text("");
                cells.text("3");
            });
        });
        let expected = r#"<td data-label="A">1</td><td></td><td data-label="C">3</td>"#;
        assert!(html.as_str().contains(expected), "{}", html.as_str());
    }
}

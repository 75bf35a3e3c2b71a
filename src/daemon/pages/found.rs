//! Lists that may be long: as many rows as a page shows, and a search for the others.

use super::Html;
use super::parts::{Field, Kind, field, link, plain_button};

/// Rows that somebody searched for, as many as a page shows.
pub(in crate::daemon) struct Found<T> {
    /// The first ones.
    pub(in crate::daemon) rows: Vec<T>,
    total: usize,
}

impl<T> Found<T> {
    /// A page has an end.
    const MOST: usize = 40;

    /// Those of `all` in whose `words` the text `sought` occurs; upper and lower case are the same.
    pub(in crate::daemon) fn of(mut all: Vec<T>, sought: &str, words: impl Fn(&T) -> String) -> Self {
        let sought = sought.trim().to_lowercase();
        all.retain(|one| words(one).to_lowercase().contains(&sought));
        let total = all.len();
        all.truncate(Self::MOST);
        Self { rows: all, total }
    }

    /// Whether there are more than the page shows.
    pub(in crate::daemon) fn is_cut(&self) -> bool {
        self.total > self.rows.len()
    }

    /// A line under the rows, where some are missing.
    pub(in crate::daemon) fn say_what_is_missing(&self, html: &mut Html) {
        if self.is_cut() {
            let text = format!("{} of {} are shown. Search for the others.", self.rows.len(), self.total);
            html.element("p", &[("class", "quiet after")], |html| html.text(&text));
        }
    }
}

/// A search on the page `action`.
pub(in crate::daemon) fn search(html: &mut Html, action: &str, label: &str, sought: &str) {
    html.element("form", &[("method", "get"), ("action", action), ("class", "filters"), ("role", "search")], |html| {
        html.element("div", &[], |html| {
            field(
                html,
                &Field { name: "q", label, kind: Kind::Search, value: sought, required: true, ..Field::default() },
            );
        });
        plain_button(html, "Search");
        if !sought.is_empty() {
            link(html, action, "Show all");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let all: Vec<String> = (0..100).map(|number| format!("Agent-{number}")).collect();
        let found = Found::of(all.clone(), "", String::clone);
        let mut html = Html::new();
        found.say_what_is_missing(&mut html);
        assert_eq!((found.rows.len(), found.is_cut()), (40, true));
        assert!(html.as_str().contains("40 of 100 are shown"), "{}", html.as_str());
        let found = Found::of(all, " agent-9 ", String::clone);
        assert!(!found.is_cut());
        assert_eq!(found.rows.first().map(String::as_str), Some("Agent-9"));
        assert_eq!(found.rows.len(), 11, "9 and 90 to 99");
    }
}

//! The frame around every page, and its one style sheet.

use super::Html;

/// Where the style sheet is served.
pub(in crate::daemon) const STYLE_PATH: &str = "/assets/style.css";

/// Nothing but our own style sheet and forms to ourselves: no script, no frame, no picture from elsewhere.
pub(in crate::daemon) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The style sheet.
pub(in crate::daemon) const STYLE: &str = include_str!("style.css");

/// A whole page around `body`; `email`: who is signed in.
pub(in crate::daemon) fn page(title: &str, email: Option<&str>, body: &Html) -> Html {
    frame(title, email, body, None)
}

/// The same, loaded again after so many `seconds`: a page that waits needs no script for that.
pub(in crate::daemon) fn page_that_reloads(title: &str, body: &Html, seconds: &str) -> Html {
    frame(title, None, body, Some(seconds))
}

fn frame(title: &str, email: Option<&str>, body: &Html, reload_after: Option<&str>) -> Html {
    let mut html = Html::new();
    html.literal("<!doctype html>");
    html.element("html", &[("lang", "en")], |html| {
        html.element("head", &[], |html| {
            html.void("meta", &[("charset", "utf-8")]);
            html.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            html.void("meta", &[("name", "color-scheme"), ("content", "light dark")]);
            if let Some(seconds) = reload_after {
                html.void("meta", &[("http-equiv", "refresh"), ("content", seconds)]);
            }
            html.void("link", &[("rel", "icon"), ("href", "data:,")]);
            html.void("link", &[("rel", "stylesheet"), ("href", STYLE_PATH)]);
            html.element("title", &[], |html| html.text(&format!("{title} · authsome")));
        });
        html.element("body", &[], |html| {
            header(html, email);
            html.element("main", &[], |html| html.append(body));
        });
    });
    html
}

fn header(html: &mut Html, email: Option<&str>) {
    html.element("header", &[], |html| {
        html.element("a", &[("href", "/"), ("class", "brand")], |html| html.text("authsome"));
        let Some(email) = email else { return };
        html.element("form", &[("method", "post"), ("action", "/api/logout")], |html| {
            html.element("span", &[], |html| html.text(email));
            html.void("input", &[("type", "hidden"), ("name", "return_url"), ("value", "/login")]);
            html.element("button", &[("type", "submit"), ("class", "plain")], |html| html.text("Sign out"));
        });
    });
}

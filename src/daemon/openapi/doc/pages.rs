//! The pages of the dashboard: the same for all of them.

use super::*;

/// A page of the dashboard.
pub(in crate::daemon) static PAGE: Doc = Doc::new("A page of the dashboard", &[html(200)]).refuses(&[400, 403, 404]);

/// A form of the dashboard: on to a page, or a page that says what is wrong or shows what was asked for.
pub(in crate::daemon) static FORM: Doc = Doc::new("A form of the dashboard", &[SEE_OTHER, html(200), html(422)])
    .takes_form(&[])
    .refuses(&[400, 401, 403, 404, 409]);

pub(in crate::daemon) static CHECK_PROVIDER: Doc = Doc::new(
    "What is wrong with the form of a definition, for its script",
    &[json(Object(&[need("errors", Map(&Text)).means("By field.")]))],
)
.takes_form(&[])
.refuses(&[400]);

pub(in crate::daemon) static STYLE: Doc =
    Doc::new("The style sheet", &[Answer { status: 200, content: Content::Asset("text/css") }]);

pub(in crate::daemon) static SCRIPT: Doc =
    Doc::new("The script of the dashboard", &[Answer { status: 200, content: Content::Asset("text/javascript") }]);

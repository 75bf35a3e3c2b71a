//! A form that a browser sent.

use super::{Context, Failure};
use crate::secret::Secret;

/// A form whose values are found by name. Any of them may be a password or a key.
pub(super) struct Form(Vec<(String, Secret)>);

impl Form {
    /// The body of a request as a form.
    pub(super) fn of(context: &Context<'_>) -> Result<Self, Failure> {
        context.form().map(Self)
    }

    /// The first value called `name`; empty where there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.expose())
    }

    /// The same as a secret.
    pub(super) fn secret(&self, name: &str) -> Secret {
        Secret::new(self.text(name).to_owned())
    }

    /// Whether a box called `name` is ticked.
    pub(super) fn is_on(&self, name: &str) -> bool {
        matches!(self.text(name), "1" | "true" | "on")
    }
}

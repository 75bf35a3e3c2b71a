//! `/health`, `/api/ready`, `/api/whoami`, and this description itself.

use super::*;

pub(in crate::daemon) static HEALTH: Doc = Doc::new("Whether the daemon is up", &[json(Named(&shared::HEALTH))]);

pub(in crate::daemon) static READY: Doc =
    Doc::new("Whether the daemon can serve; tries the vault", &[json(Named(&shared::READINESS))]);

pub(in crate::daemon) static WHOAMI: Doc = Doc::new("Who the caller is", &[json(Named(&shared::WHOAMI))]);

pub(in crate::daemon) static OPENAPI: Doc = Doc::new("This description", &[json(Map(&Any))]);

pub(in crate::daemon) static DOCS: Doc = Doc::new("This description as a page", &[html(200)]);

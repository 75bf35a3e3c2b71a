//! `/openapi.json` and `/docs`: the API as it is.

use crate::daemon::router::ROUTES;
use crate::daemon::{Context, Outcome, Response, openapi, pages};

/// `GET /openapi.json`
pub(in crate::daemon) fn openapi(_: &Context<'_>) -> Outcome {
    Ok(Response::json(&openapi::document(ROUTES)))
}

/// `GET /docs`
pub(in crate::daemon) fn docs(context: &Context<'_>) -> Outcome {
    Ok(Response::html(200, &pages::reference(ROUTES, context.base_url())))
}

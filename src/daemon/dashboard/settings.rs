//! `/settings`: the account, its security, and the daemon.

use super::{done, person, show};
use crate::daemon::api::accounts::{error_text, registration};
use crate::daemon::api::health::ENCRYPTION_MODE;
use crate::daemon::pages::{self, Registration, Section, ServerFacts, SettingsFacts};
use crate::daemon::people::UI_COOKIE;
use crate::daemon::{Context, Outcome};

/// `GET /settings?password_changed=&password_error=`
pub(in crate::daemon) fn page(context: &Context<'_>) -> Outcome {
    let (principal, actor) = person(context)?;
    let settings = &context.state.settings;
    // Who serves everybody shows the machine's own names to its administrators only.
    let may_see_files = settings.is_local || actor.is_admin();
    let server = ServerFacts {
        version: env!("CARGO_PKG_VERSION"),
        base_url: &settings.base_url,
        port: settings.port,
        is_local: settings.is_local,
        cipher: ENCRYPTION_MODE,
        key_source: context.state.encryption.source,
        key: &context.state.encryption.backend,
        store: context.state.vault.store().describe(),
        file: may_see_files.then(|| context.state.home.store().display().to_string()),
        export_by_default: settings.export_by_default,
        registration: match registration(context)? {
            Registration::Open => "open to everybody",
            Registration::SetupToken => "with the setup token",
            Registration::Invitation => "by invitation",
        },
    };
    let browsers = context.people().open_sessions(&principal.principal_id)?;
    let facts = SettingsFacts { principal, password: password(context), browsers, server };
    show(context, Section::Settings, "Settings", &pages::settings(&facts))
}

/// How changing the password went, from the words that the route leaves in the address.
fn password(context: &Context<'_>) -> Option<Result<(), &'static str>> {
    if let Some(code) = context.query("password_error") {
        // The form has no email to be wrong about.
        let text = if code == "credentials" { Some("That is not the current password") } else { error_text(&code) };
        return text.map(Err);
    }
    context.query("password_changed").filter(|value| value == "1").map(|_| Ok(()))
}

/// `POST /settings/sign-out-others`
pub(in crate::daemon) fn sign_out_others(context: &Context<'_>) -> Outcome {
    let (_, actor) = person(context)?;
    context.people().close_other_sessions(&actor, context.request.cookie(UI_COOKIE))?;
    Ok(done("/settings", "signed_out"))
}

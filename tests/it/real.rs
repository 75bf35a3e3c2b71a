//! Logins as a person sees them: a real authorization server (oidc-provider), a real browser (Chromium), the real
//! program between them. The programs of these tests are in `tests/browser`; `scripts/test` installs what they need.

mod device;
mod expiry;
mod pages;
mod pkce;
mod refusal;
mod registration;
mod scene;

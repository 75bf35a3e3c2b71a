//! One-time sign-ins: a person whose agent can prove itself gets a browser session without typing a password.

use serde::{Deserialize, Serialize};

use super::claims::url_safe;
use super::{People, to_json, token_hash};
use crate::error::Result;
use crate::limits::SIGN_IN_SECONDS;
use crate::model::Principal;
use crate::secret::{Secret, random_bytes};
use crate::vault::{ExpectedVersion, VaultWrite};

/// How a token starts, so that people and secret scanners know it.
const PREFIX: &str = "signin_";

#[derive(Serialize, Deserialize)]
struct SignInToken {
    principal_id: String,
}

impl People {
    /// A token that signs `principal_id` in, once and soon.
    pub(in crate::daemon) fn make_sign_in(&self, principal_id: &str) -> Result<Secret> {
        let token = Secret::new(format!("{PREFIX}{}", url_safe(&random_bytes::<24>())));
        let value = to_json(&SignInToken { principal_id: principal_id.to_owned() });
        let write = VaultWrite {
            key: &key(token.expose()),
            value: Some(&value),
            expected: ExpectedVersion::Absent,
            expires_at: Some(self.clock.now().plus_seconds(SIGN_IN_SECONDS)),
        };
        self.vault.apply(&[write])?;
        Ok(token)
    }

    /// Whom `token` would sign in.
    pub(in crate::daemon) fn sign_in_of(&self, token: &Secret) -> Result<Option<Principal>> {
        match self.read::<SignInToken>(&key(token.expose()))? {
            Some(found) => self.principal(&found.principal_id),
            None => Ok(None),
        }
    }

    /// Spends `token`: of several who show it, one gets the person.
    pub(in crate::daemon) fn spend_sign_in(&self, token: &Secret) -> Result<Option<Principal>> {
        let found = self.sign_in_of(token)?;
        Ok(if self.vault.delete(&key(token.expose()))? { found } else { None })
    }
}

fn key(token: &str) -> String {
    format!("sign_in:{}", token_hash(token))
}

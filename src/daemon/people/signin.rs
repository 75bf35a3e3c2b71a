//! One-time sign-ins: a person whose agent can prove itself gets a browser session without typing a password.

use serde::{Deserialize, Serialize};

use super::claims::url_safe;
use super::{People, to_json, token_hash};
use crate::error::Result;
use crate::limits::SIGN_IN_SECONDS;
use crate::model::{Grants, Principal};
use crate::secret::{Secret, random_bytes};
use crate::vault::{ExpectedVersion, VaultWrite};

/// How a token starts, so that people and secret scanners know it.
const PREFIX: &str = "signin_";

/// What a token is good for.
#[derive(Serialize, Deserialize)]
struct SignInToken {
    principal_id: String,
    /// The key of the agent that asked for it.
    by: String,
}

impl People {
    /// A token for the agent with the key `by` that signs `principal_id` in, once and soon.
    pub(in crate::daemon) fn make_sign_in(&self, principal_id: &str, by: &str) -> Result<Secret> {
        let token = Secret::new(format!("{PREFIX}{}", url_safe(&random_bytes::<24>())));
        let value = to_json(&SignInToken { principal_id: principal_id.to_owned(), by: by.to_owned() });
        let write = VaultWrite {
            key: &key(token.expose()),
            value: Some(&value),
            expected: ExpectedVersion::Absent,
            expires_at: Some(self.clock.now().plus_seconds(SIGN_IN_SECONDS)),
        };
        self.vault.apply(&[write])?;
        Ok(token)
    }

    /// Whom `token` would sign in, and the key of the agent that asked for it.
    pub(in crate::daemon) fn sign_in_of(&self, token: &Secret) -> Result<Option<(Principal, String)>> {
        let Some(SignInToken { principal_id, by }) = self.read(&key(token.expose()))? else { return Ok(None) };
        if !self.may_be(&by, &principal_id)? {
            return Ok(None);
        }
        Ok(self.principal(&principal_id)?.map(|principal| (principal, by)))
    }

    /// Whether the agent with the key `did` may do everything that `principal_id` may.
    pub(super) fn may_be(&self, did: &str, principal_id: &str) -> Result<bool> {
        let Some(handle) = self.handle_of(did)? else { return Ok(false) };
        let known = self.known(&handle)?.filter(|known| known.record.did == did);
        let actor = known.and_then(|known| known.actor());
        Ok(actor.is_some_and(|actor| actor.principal_id == principal_id && actor.grants == Grants::default()))
    }

    /// Spends `token`: of several who show it, one gets the person.
    pub(in crate::daemon) fn spend_sign_in(&self, token: &Secret) -> Result<Option<(Principal, String)>> {
        let found = self.sign_in_of(token)?;
        Ok(if self.vault.delete(&key(token.expose()))? { found } else { None })
    }
}

fn key(token: &str) -> String {
    format!("sign_in:{}", token_hash(token))
}

//! The certificate authority of one run: made in memory, valid for a day, its key gone with the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use time::{Duration, OffsetDateTime};

use super::tls::crypto_provider;
use crate::error::{AuthsomeError, Result};
use crate::limits::LEAF_CACHE_ENTRIES;
use crate::paths::hex;
use crate::secret::random_bytes;

/// Clocks of containers and virtual machines run behind; nothing rests on this end of the validity.
const BACKDATED: Duration = Duration::hours(1);
/// A run that takes longer than a day is a service, and should restart its children now and then.
const LIFETIME: Duration = Duration::days(1);

/// The authority of one run, and the certificates it has made. Only the public certificate ever leaves it.
pub struct RunCa {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    /// One key for all hosts: they all end in this process.
    leaf_key: KeyPair,
    signer: Arc<dyn SigningKey>,
    leaves: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl RunCa {
    /// Makes a fresh authority: two P-256 keys and one signature, a fraction of a millisecond.
    ///
    /// # Errors
    /// The operating system's random source failing.
    pub fn new() -> Result<Self> {
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let leaf_key = KeyPair::generate().map_err(|error| failed(&error))?;
        let now = OffsetDateTime::now_utc();
        let (not_before, not_after) = (now - BACKDATED, now + LIFETIME);
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&format!("authsome run {}", hex(&random_bytes::<8>())));
        (params.not_before, params.not_after) = (not_before, not_after);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
        let pkcs8 = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        let signer = any_ecdsa_type(&pkcs8).map_err(|error| failed(&error))?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate_pem: certificate.pem(),
            not_before,
            not_after,
            leaf_key,
            signer,
            leaves: Mutex::default(),
        })
    }

    /// The public certificate, for the child's bundle.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// What a TLS server needs to be `host` (canonical) towards the child.
    ///
    /// # Errors
    /// A host that cannot stand in a certificate.
    pub(super) fn server_config(&self, host: &str) -> Result<Arc<ServerConfig>> {
        // A panic elsewhere cannot leave the map half-changed.
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = leaves.get(host) {
            return Ok(Arc::clone(config));
        }
        if leaves.len() >= LEAF_CACHE_ENTRIES {
            leaves.clear(); // a wildcard route makes names without end; making one anew costs 50 microseconds
        }
        let config = Arc::new(self.make_config(host)?);
        leaves.insert(host.to_owned(), Arc::clone(&config));
        Ok(config)
    }

    fn make_config(&self, host: &str) -> Result<ServerConfig> {
        let certificate = self.make_leaf(host).map_err(|error| failed(&error))?;
        let certified = CertifiedKey::new(vec![certificate.der().clone()], Arc::clone(&self.signer));
        let mut config = ServerConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ignore_client_order = true;
        // Tools seldom resume across processes, and tickets cost a write and key material that outlives a connection.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    fn make_leaf(&self, host: &str) -> Result<Certificate, rcgen::Error> {
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.distinguished_name = name("authsome run");
        (params.not_before, params.not_after) = (self.not_before, self.not_after);
        params.is_ca = IsCa::ExplicitNoCa; // writes the subject key identifier, which strict clients look for
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.signed_by(&self.leaf_key, &self.issuer)
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn failed(error: &dyn std::fmt::Display) -> AuthsomeError {
    AuthsomeError::InvalidInput { what: "certificate", reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_leaf_is_made_once_a_host_and_the_cache_is_bounded() {
        let ca = RunCa::new().expect("makes");
        let first = ca.server_config("api.x.test").expect("a name");
        assert!(Arc::ptr_eq(&first, &ca.server_config("api.x.test").expect("a name")));
        assert!(!Arc::ptr_eq(&first, &ca.server_config("b.x.test").expect("a name")));
        for number in 0..LEAF_CACHE_ENTRIES {
            ca.server_config(&format!("h{number}.x.test")).expect("a name");
        }
        assert!(ca.leaves.lock().expect("not poisoned").len() <= LEAF_CACHE_ENTRIES);
        assert!(ca.server_config("2001:db8::1").is_ok(), "addresses have certificates too");
        assert!(ca.server_config("b\u{fc}cher.test").is_err());
    }

    /// OpenSSL's strict mode is what Python 3.13 and others use: it wants the key identifiers and the CA flags right.
    #[test]
    fn openssl_takes_the_chain_in_strict_mode() {
        let dir = crate::paths::test_only_scratch("ca");
        let ca = RunCa::new().expect("makes");
        let leaf = ca.make_leaf("api.x.test").expect("a name").pem();
        std::fs::write(dir.join("ca.pem"), ca.certificate_pem()).expect("writes");
        std::fs::write(dir.join("leaf.pem"), leaf).expect("writes");
        let verified = Command::new("openssl")
            .args(["verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "api.x.test"])
            .args(["-CAfile", "ca.pem", "leaf.pem"])
            .current_dir(&dir)
            .stderr(Stdio::piped())
            .output();
        // The machine that tests may have no openssl; clients in the integration tests check the same.
        if let Ok(output) = verified {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        std::fs::remove_dir_all(dir).expect("cleans up");
    }
}

//! A certificate authority that lives as long as the test.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Signs certificates for the hosts of an upstream.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "authsome test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// The authority's certificate, for `AUTHSOME_UPSTREAM_CA`.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// What a client that trusts this authority alone uses.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        client_config([self.certificate.der().clone()])
    }

    /// A server that answers to each of `hosts` with a certificate for that host, and to no SNI with the first.
    pub fn server_config(&self, hosts: &[String]) -> Arc<ServerConfig> {
        let keys = hosts.iter().map(|host| (host.clone(), self.certified(host))).collect();
        Self::config(BySni(keys))
    }

    /// A server that shows a certificate for `name`, whoever is asked for.
    pub fn impostor_config(&self, hosts: &[String], name: &str) -> Arc<ServerConfig> {
        let key = self.certified(name);
        Self::config(BySni(hosts.iter().map(|host| (host.clone(), Arc::clone(&key))).collect()))
    }

    fn config(keys: BySni) -> Arc<ServerConfig> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(keys));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// Certificate chain and key of one host, as PEM, for servers that are not ours.
    pub fn issue_pem(&self, host: &str) -> (String, String) {
        let (certificate, key) = self.issue(host);
        (format!("{}{}", certificate.pem(), self.pem()), key.serialize_pem())
    }

    fn issue(&self, host: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a DNS name");
        params.distinguished_name.push(DnType::CommonName, host);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }

    fn certified(&self, host: &str) -> Arc<CertifiedKey> {
        let (certificate, key) = self.issue(host);
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS#8");
        let key = ring::sign::any_supported_type(&key).expect("P-256");
        Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key))
    }
}

/// A client configuration that trusts exactly `roots`.
pub fn client_config(roots: impl IntoIterator<Item = CertificateDer<'static>>) -> Arc<ClientConfig> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(store)
        .with_no_client_auth();
    Arc::new(config)
}

#[derive(Debug)]
struct BySni(Vec<(String, Arc<CertifiedKey>)>);

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = match hello.server_name() {
            Some(name) => self.0.iter().find(|(host, _)| host == name),
            None => self.0.first(),
        };
        found.map(|(_, key)| Arc::clone(key))
    }
}

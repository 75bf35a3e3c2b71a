//! Trust roots: the platform's bundle, else the ones compiled in, and the operator's own.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::NetSettings;
use crate::error::{AuthsomeError, Result};
use crate::limits::TRUST_BUNDLE_BYTES;
use crate::paths;

/// Where Linux distributions keep their bundle, as OpenSSL's and Go's searches know them.
const PLATFORM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",                            // openSUSE
    "/etc/pki/tls/cacert.pem",                           // OpenELEC
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7
    "/etc/ssl/cert.pem",                                 // Alpine, BSD
];

/// The certificates that outbound TLS trusts. Cheap to make: nothing is read before it is needed.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `None`: those compiled in.
    platform: Option<PathBuf>,
    extra: Option<PathBuf>,
}

impl Roots {
    /// Finds the bundle in force: `SSL_CERT_FILE`, else the platform's, else the one compiled in, each together with
    /// `AUTHSOME_UPSTREAM_CA`.
    pub fn find(settings: &NetSettings) -> Self {
        let platform = settings.platform_ca.clone().or_else(|| {
            PLATFORM_BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file()) // a missing one is not an error
        });
        Self { platform, extra: settings.upstream_ca.clone() }
    }

    /// The parsed certificates, for a TLS client. Takes a millisecond or two: keep the answer.
    ///
    /// # Errors
    /// A file that cannot be read, or that holds no certificate.
    pub fn root_store(&self) -> Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        match &self.platform {
            Some(path) => add_file(&mut store, path)?,
            None => {
                store.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
            }
        }
        if let Some(path) = &self.extra {
            add_file(&mut store, path)?;
        }
        Ok(store)
    }

    /// The certificates one by one, for a client that builds its own store.
    ///
    /// # Errors
    /// As [`Roots::root_store`].
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>> {
        let mut certificates = match &self.platform {
            Some(path) => read_file(path)?,
            None => webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec(),
        };
        if let Some(path) = &self.extra {
            certificates.extend(read_file(path)?);
        }
        Ok(certificates)
    }

    /// The same certificates as PEM, written to `out`: a copy of the files, not parsed.
    ///
    /// # Errors
    /// A file that cannot be read; `out` failing.
    pub fn copy_pem(&self, out: &mut File) -> Result<()> {
        match &self.platform {
            Some(path) => copy_bundle(path, out)?,
            None => write_compiled_in(out)?,
        }
        if let Some(path) = &self.extra {
            copy_bundle(path, out)?;
        }
        Ok(())
    }

    /// The file that stands for the platform's bundle; `None`: there is none.
    pub fn platform_file(&self) -> Option<&Path> {
        self.platform.as_deref()
    }
}

/// Appends the PEM file at `path` to `out`, and a line end, so that the next one starts on its own line.
///
/// # Errors
/// What the file system says, with the path in the text; a file over [`TRUST_BUNDLE_BYTES`].
pub fn copy_bundle(path: &Path, out: &mut File) -> io::Result<()> {
    let copy = |out: &mut File| {
        let source = File::open(path)?;
        let length = source.metadata()?.len();
        if length > TRUST_BUNDLE_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {TRUST_BUNDLE_BYTES} bytes")));
        }
        // Inside the kernel, where it can. The file may have grown since: `take` holds the cap.
        io::copy(&mut io::Read::take(source, TRUST_BUNDLE_BYTES), out)?;
        out.write_all(b"\n")
    };
    copy(out).map_err(|error| paths::with_path(&error, "copy", path))
}

fn add_file(store: &mut RootCertStore, path: &Path) -> Result<()> {
    let (added, _) = store.add_parsable_certificates(read_file(path)?);
    if added == 0 { Err(no_certificate(path)) } else { Ok(()) }
}

fn read_file(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let failed = |error: io::Error| AuthsomeError::Io(paths::with_path(&error, "read", path));
    let file = File::open(path).map_err(failed)?;
    let mut reader = BufReader::new(io::Read::take(file, TRUST_BUNDLE_BYTES));
    reader.fill_buf().map_err(failed)?; // a directory opens, but does not read
    let certificates: Vec<_> = CertificateDer::pem_reader_iter(reader).filter_map(std::result::Result::ok).collect();
    if certificates.is_empty() { Err(no_certificate(path)) } else { Ok(certificates) }
}

fn no_certificate(path: &Path) -> AuthsomeError {
    AuthsomeError::InvalidInput { what: "trust roots", reason: format!("no certificate in {}", path.display()) }
}

fn write_compiled_in(out: &mut File) -> io::Result<()> {
    let mut text = String::with_capacity(256 * 1024);
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        push_pem(&mut text, certificate);
    }
    out.write_all(text.as_bytes())
}

fn push_pem(text: &mut String, der: &[u8]) {
    text.push_str("-----BEGIN CERTIFICATE-----\n");
    let encoded = STANDARD.encode(der);
    for line in encoded.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_compiled_in_roots_survive_as_pem() {
        let dir = paths::test_only_scratch("roots");
        let path = dir.join("bundle.pem");
        let roots = Roots { platform: None, extra: None };
        roots.copy_pem(&mut File::create(&path).expect("creates")).expect("writes");
        let again = Roots { platform: Some(path.clone()), extra: Some(path) };
        let (direct, copied) = (roots.root_store().expect("loads"), again.root_store().expect("loads"));
        assert!(direct.len() > 100);
        assert_eq!(copied.len(), 2 * direct.len(), "both files count");
        fs::remove_dir_all(dir).expect("cleans up");
    }

    #[test]
    fn a_file_without_certificates_is_an_error_that_names_it() {
        let dir = paths::test_only_scratch("roots");
        let path = dir.join("empty.pem");
        fs::write(&path, "nothing here\n").expect("writes");
        for bad in [path, dir.join("missing.pem"), dir.clone()] {
            let roots = Roots { platform: Some(bad.clone()), extra: None };
            let error = roots.root_store().expect_err("refused").to_string();
            assert!(error.contains(bad.to_str().expect("UTF-8")), "{error}");
        }
        fs::remove_dir_all(dir).expect("cleans up");
    }
}

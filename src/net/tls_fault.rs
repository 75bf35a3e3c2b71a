//! What went wrong in a TLS handshake.

use std::io;

use rustls::CertificateError;

/// What rustls found wrong, in words for people.
pub fn tls_fault(error: &io::Error) -> String {
    let fault = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let certificate = match fault {
        Some(rustls::Error::InvalidCertificate(certificate)) => certificate,
        Some(other) => return other.to_string(),
        None => return error.to_string(),
    };
    match certificate {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet".to_owned()
        }
        CertificateError::UnknownIssuer => "its certificate is not signed by a trusted authority".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        other => format!("its certificate is not acceptable ({other})"),
    }
}

//! [`AuthsomeError`]: everything that can go wrong, and what each failure is called on the wire, in the shell and to
//! a person. Texts never hold a secret, a body, a header or the contents of a file.

mod name;

use std::fmt;
use std::io;

pub use name::ErrorName;

/// The short form of a result in this crate.
pub type Result<T, E = AuthsomeError> = std::result::Result<T, E>;

/// What went wrong: one variant per error name of `authsome` 0.7.2, and a few of our own.
#[derive(Debug)]
#[allow(missing_docs)] // the fields say what they are
pub enum AuthsomeError {
    ProviderNotFound {
        provider: String,
    },
    UnsupportedAuthType {
        provider: String,
        auth_type: String,
    },
    UnsupportedFlow {
        provider: String,
        flow: String,
    },
    CredentialMissing {
        provider: String,
        reason: String,
    },
    OperationNotAllowed {
        operation: &'static str,
        reason: String,
        hint: Option<&'static str>,
    },
    InputCancelled {
        operation: &'static str,
    },
    TokenExpired {
        provider: String,
    },
    RefreshFailed {
        provider: String,
        reason: String,
    },
    EncryptionUnavailable {
        reason: String,
    },
    StoreUnavailable {
        reason: String,
    },
    InvalidProviderSchema {
        provider: Option<String>,
        field: String,
        reason: String,
    },
    IdentityNotFound {
        handle: String,
    },
    /// The home has no identity in use and the environment names none.
    NoIdentity,
    ConnectionNotFound {
        provider: String,
        connection: String,
        identity: String,
    },
    AuthenticationFailed {
        provider: Option<String>,
        reason: String,
    },
    Discovery {
        provider: String,
        reason: String,
    },
    ConnectionAlreadyExists {
        provider: String,
        connection: String,
    },
    ProviderAlreadyRegistered {
        provider: String,
    },
    EndpointUnreachable {
        endpoint: String,
        reason: String,
    },
    IdentityNotRegistered {
        handle: String,
    },
    /// A handle or a DID that somebody else holds.
    IdentityRegistration {
        reason: String,
    },
    /// No daemon answers, or what answers is not one.
    DaemonUnavailable {
        reason: String,
    },
    /// The command line does not make sense.
    Usage {
        reason: String,
        hint: Option<String>,
    },
    /// An input that fits no other name: a key with a newline, a bad file.
    InvalidInput {
        what: &'static str,
        reason: String,
    },
    /// A system call failed; the text names the path or the peer.
    Io(io::Error),
    /// What a daemon answered, under its own name.
    Remote {
        name: ErrorName,
        status: u16,
        message: String,
        provider: Option<String>,
        operation: Option<String>,
        hint: Option<String>,
    },
}

impl AuthsomeError {
    /// The stable name.
    pub fn name(&self) -> ErrorName {
        match self {
            Self::ProviderNotFound { .. } => ErrorName::ProviderNotFound,
            Self::UnsupportedAuthType { .. } => ErrorName::UnsupportedAuthType,
            Self::UnsupportedFlow { .. } => ErrorName::UnsupportedFlow,
            Self::CredentialMissing { .. } => ErrorName::CredentialMissing,
            Self::OperationNotAllowed { .. } => ErrorName::OperationNotAllowed,
            Self::InputCancelled { .. } => ErrorName::InputCancelled,
            Self::TokenExpired { .. } => ErrorName::TokenExpired,
            Self::RefreshFailed { .. } => ErrorName::RefreshFailed,
            Self::EncryptionUnavailable { .. } => ErrorName::EncryptionUnavailable,
            Self::StoreUnavailable { .. } => ErrorName::StoreUnavailable,
            Self::InvalidProviderSchema { .. } => ErrorName::InvalidProviderSchema,
            Self::IdentityNotFound { .. } | Self::NoIdentity => ErrorName::IdentityNotFound,
            Self::ConnectionNotFound { .. } => ErrorName::ConnectionNotFound,
            Self::AuthenticationFailed { .. } => ErrorName::AuthenticationFailed,
            Self::Discovery { .. } => ErrorName::Discovery,
            Self::ConnectionAlreadyExists { .. } => ErrorName::ConnectionAlreadyExists,
            Self::ProviderAlreadyRegistered { .. } => ErrorName::ProviderAlreadyRegistered,
            Self::EndpointUnreachable { .. } => ErrorName::EndpointUnreachable,
            Self::IdentityNotRegistered { .. } => ErrorName::IdentityNotRegistered,
            Self::IdentityRegistration { .. } => ErrorName::IdentityRegistration,
            Self::DaemonUnavailable { .. } => ErrorName::DaemonUnavailable,
            Self::Usage { .. } => ErrorName::Usage,
            Self::InvalidInput { .. } | Self::Io(_) => ErrorName::Authsome,
            Self::Remote { name, .. } => *name,
        }
    }

    /// The provider that the error is about, where it is about one.
    pub fn provider(&self) -> Option<&str> {
        match self {
            Self::ProviderNotFound { provider }
            | Self::UnsupportedAuthType { provider, .. }
            | Self::UnsupportedFlow { provider, .. }
            | Self::CredentialMissing { provider, .. }
            | Self::TokenExpired { provider }
            | Self::RefreshFailed { provider, .. }
            | Self::ConnectionNotFound { provider, .. }
            | Self::Discovery { provider, .. }
            | Self::ConnectionAlreadyExists { provider, .. }
            | Self::ProviderAlreadyRegistered { provider } => Some(provider),
            Self::InvalidProviderSchema { provider, .. }
            | Self::AuthenticationFailed { provider, .. }
            | Self::Remote { provider, .. } => provider.as_deref(),
            Self::OperationNotAllowed { .. }
            | Self::InputCancelled { .. }
            | Self::EncryptionUnavailable { .. }
            | Self::StoreUnavailable { .. }
            | Self::IdentityNotFound { .. }
            | Self::NoIdentity
            | Self::EndpointUnreachable { .. }
            | Self::IdentityNotRegistered { .. }
            | Self::IdentityRegistration { .. }
            | Self::DaemonUnavailable { .. }
            | Self::Usage { .. }
            | Self::InvalidInput { .. }
            | Self::Io(_) => None,
        }
    }

    /// The operation that was refused or broken off, where one is known.
    pub fn operation(&self) -> Option<&str> {
        match self {
            Self::OperationNotAllowed { operation, .. } | Self::InputCancelled { operation } => Some(operation),
            Self::Remote { operation, .. } => operation.as_deref(),
            Self::ProviderNotFound { .. }
            | Self::UnsupportedAuthType { .. }
            | Self::UnsupportedFlow { .. }
            | Self::CredentialMissing { .. }
            | Self::TokenExpired { .. }
            | Self::RefreshFailed { .. }
            | Self::EncryptionUnavailable { .. }
            | Self::StoreUnavailable { .. }
            | Self::InvalidProviderSchema { .. }
            | Self::IdentityNotFound { .. }
            | Self::NoIdentity
            | Self::ConnectionNotFound { .. }
            | Self::AuthenticationFailed { .. }
            | Self::Discovery { .. }
            | Self::ConnectionAlreadyExists { .. }
            | Self::ProviderAlreadyRegistered { .. }
            | Self::EndpointUnreachable { .. }
            | Self::IdentityNotRegistered { .. }
            | Self::IdentityRegistration { .. }
            | Self::DaemonUnavailable { .. }
            | Self::Usage { .. }
            | Self::InvalidInput { .. }
            | Self::Io(_) => None,
        }
    }

    /// What happened, without the `[provider] (operation)` prefix of [`fmt::Display`].
    pub fn message(&self) -> String {
        match self {
            Self::ProviderNotFound { provider } => format!("Provider '{provider}' not found"),
            Self::UnsupportedAuthType { auth_type, .. } => format!("Auth type '{auth_type}' is not supported here"),
            Self::UnsupportedFlow { flow, .. } => format!("Flow '{flow}' is not supported by this provider"),
            Self::CredentialMissing { reason, .. }
            | Self::OperationNotAllowed { reason, .. }
            | Self::EncryptionUnavailable { reason }
            | Self::StoreUnavailable { reason }
            | Self::IdentityRegistration { reason }
            | Self::DaemonUnavailable { reason }
            | Self::Usage { reason, .. } => reason.clone(),
            Self::InputCancelled { .. } => "Cancelled".to_owned(),
            Self::TokenExpired { .. } => "Access token expired".to_owned(),
            Self::RefreshFailed { reason, .. } => format!("Token refresh failed: {reason}"),
            Self::InvalidProviderSchema { field, reason, .. } => format!("Invalid provider schema: {field}: {reason}"),
            Self::IdentityNotFound { handle } => format!("Identity '{handle}' not found"),
            Self::NoIdentity => "No identity is in use here".to_owned(),
            Self::ConnectionNotFound { provider, connection, identity } => {
                format!("Connection '{connection}' not found for provider '{provider}' in identity '{identity}'")
            }
            Self::AuthenticationFailed { reason, .. } => format!("Authentication failed: {reason}"),
            Self::Discovery { reason, .. } => format!("Discovery failed: {reason}"),
            Self::ConnectionAlreadyExists { connection, .. } => format!("Connection '{connection}' already exists"),
            Self::ProviderAlreadyRegistered { provider } => format!("Provider '{provider}' already registered"),
            Self::EndpointUnreachable { endpoint, reason } => format!("Cannot reach {endpoint}: {reason}"),
            Self::IdentityNotRegistered { handle } => format!("Identity '{handle}' is not registered with the daemon"),
            Self::InvalidInput { what, reason } => format!("Invalid {what}: {reason}"),
            Self::Io(error) => error.to_string(),
            Self::Remote { message, .. } => message.clone(),
        }
    }

    /// What the user can do about it, where we know.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::OperationNotAllowed { hint, .. } => hint.map(str::to_owned),
            Self::Usage { hint, .. } => hint.clone(),
            Self::ConnectionNotFound { provider, connection, .. } => {
                Some(format!("run: authsome login {}", named(provider, connection)))
            }
            Self::ConnectionAlreadyExists { provider, connection } => {
                Some(format!("to replace it, run: authsome login {} --force", named(provider, connection)))
            }
            // Its key is gone, and `onboard` would look for it as well.
            Self::IdentityNotFound { .. } => {
                Some("see: authsome agent list; make another: authsome agent create".to_owned())
            }
            Self::Remote { name, provider, hint, .. } => hint.clone().or_else(|| name_hint(*name, provider.as_deref())),
            Self::ProviderNotFound { .. }
            | Self::UnsupportedAuthType { .. }
            | Self::UnsupportedFlow { .. }
            | Self::CredentialMissing { .. }
            | Self::InputCancelled { .. }
            | Self::TokenExpired { .. }
            | Self::RefreshFailed { .. }
            | Self::EncryptionUnavailable { .. }
            | Self::StoreUnavailable { .. }
            | Self::InvalidProviderSchema { .. }
            | Self::NoIdentity
            | Self::AuthenticationFailed { .. }
            | Self::Discovery { .. }
            | Self::ProviderAlreadyRegistered { .. }
            | Self::EndpointUnreachable { .. }
            | Self::IdentityNotRegistered { .. }
            | Self::IdentityRegistration { .. }
            | Self::DaemonUnavailable { .. }
            | Self::InvalidInput { .. }
            | Self::Io(_) => name_hint(self.name(), self.provider()),
        }
    }

    /// The status of the HTTP answer.
    pub fn http_status(&self) -> u16 {
        self.name().http_status()
    }

    /// The exit status of the command.
    pub fn exit_code(&self) -> u8 {
        self.name().exit_code()
    }
}

/// A connection as `login` takes it.
fn named(provider: &str, connection: &str) -> String {
    if connection == "default" { provider.to_owned() } else { format!("{provider} --connection {connection}") }
}

/// The hint that a name alone allows.
fn name_hint(name: ErrorName, provider: Option<&str>) -> Option<String> {
    let hint = match name {
        ErrorName::CredentialMissing | ErrorName::TokenExpired => {
            return Some(format!("run: authsome login {}", provider.unwrap_or("PROVIDER")));
        }
        // Most have a server that is down, and heal.
        ErrorName::RefreshFailed => {
            return Some(format!("if it does not pass, run: authsome login {}", provider.unwrap_or("PROVIDER")));
        }
        ErrorName::ConnectionNotFound => {
            let provider = provider.unwrap_or("PROVIDER");
            return Some(format!("run: authsome login {provider}; what is connected: authsome connections list"));
        }
        ErrorName::UnsupportedFlow => {
            let provider = provider.unwrap_or("PROVIDER");
            return Some(format!("leave --flow out, or see what it has: authsome provider inspect {provider}"));
        }
        ErrorName::ProviderNotFound => "see what there is: authsome provider list",
        ErrorName::EncryptionUnavailable => {
            "the store is untouched; give the daemon the master key that it was made with (AUTHSOME_MASTER_KEY, AUTHSOME_MASTER_KEY_FILE or server/master.key)"
        }
        ErrorName::StoreUnavailable => "see: authsome daemon status, authsome doctor",
        ErrorName::ProviderAlreadyRegistered => "to replace it, add --force",
        ErrorName::EndpointUnreachable => "check the network and the proxy settings of the daemon",
        ErrorName::IdentityNotFound | ErrorName::IdentityNotRegistered => "run: authsome onboard",
        ErrorName::DaemonUnavailable => "see: authsome daemon status, authsome daemon logs",
        ErrorName::UnsupportedAuthType
        | ErrorName::OperationNotAllowed
        | ErrorName::InputCancelled
        | ErrorName::InvalidProviderSchema
        | ErrorName::AuthenticationFailed
        | ErrorName::Discovery
        | ErrorName::ConnectionAlreadyExists
        | ErrorName::IdentityRegistration
        | ErrorName::Usage
        | ErrorName::Authsome => return None,
    };
    Some(hint.to_owned())
}

impl fmt::Display for AuthsomeError {
    /// The wire's `message`: `[provider] ` and `(operation) ` first, where they are known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Remote { message, .. } = self {
            return f.write_str(message); // the daemon has put the prefix there already
        }
        if let Some(provider) = self.provider() {
            write!(f, "[{provider}] ")?;
        }
        if let Some(operation) = self.operation() {
            write!(f, "({operation}) ")?;
        }
        f.write_str(&self.message())
    }
}

impl std::error::Error for AuthsomeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Io(error) = self { Some(error) } else { None }
    }
}

impl From<io::Error> for AuthsomeError {
    /// The error's text must name the path or the peer already (see `paths::with_path`).
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_survive_the_wire() {
        for name in ErrorName::ALL {
            assert_eq!(ErrorName::parse(name.as_str()), name);
        }
        assert_eq!(ErrorName::parse("SomethingNewError"), ErrorName::Authsome);
    }

    #[test]
    fn messages_carry_provider_and_operation() {
        let missing = AuthsomeError::ConnectionNotFound {
            provider: "github".into(),
            connection: "work".into(),
            identity: "calm-fox".into(),
        };
        assert_eq!(
            missing.to_string(),
            "[github] Connection 'work' not found for provider 'github' in identity 'calm-fox'"
        );
        assert_eq!(missing.exit_code(), 3);
        assert_eq!(missing.hint().as_deref(), Some("run: authsome login github --connection work"));
        let gone = AuthsomeError::IdentityNotFound { handle: "calm-fox".into() };
        assert!(!gone.hint().expect("a hint").contains("onboard"), "onboard would fail in the same way");
        let refused = AuthsomeError::OperationNotAllowed { operation: "export", reason: "No".into(), hint: None };
        assert_eq!(refused.to_string(), "(export) No");
    }
}

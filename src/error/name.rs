//! [`ErrorName`]: what an error is called, and the status and exit code that follow from the name alone.

use std::fmt;

/// The stable names of errors: what the wire carries and what decides status and exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the documentation; `contract/http.md` section 2 lists them
pub enum ErrorName {
    ProviderNotFound,
    UnsupportedAuthType,
    UnsupportedFlow,
    CredentialMissing,
    OperationNotAllowed,
    InputCancelled,
    TokenExpired,
    RefreshFailed,
    EncryptionUnavailable,
    StoreUnavailable,
    InvalidProviderSchema,
    IdentityNotFound,
    ConnectionNotFound,
    AuthenticationFailed,
    Discovery,
    ConnectionAlreadyExists,
    ProviderAlreadyRegistered,
    EndpointUnreachable,
    IdentityNotRegistered,
    IdentityRegistration,
    DaemonUnavailable,
    Usage,
    Authsome,
}

impl ErrorName {
    /// Every name.
    pub const ALL: [Self; 23] = [
        Self::ProviderNotFound,
        Self::UnsupportedAuthType,
        Self::UnsupportedFlow,
        Self::CredentialMissing,
        Self::OperationNotAllowed,
        Self::InputCancelled,
        Self::TokenExpired,
        Self::RefreshFailed,
        Self::EncryptionUnavailable,
        Self::StoreUnavailable,
        Self::InvalidProviderSchema,
        Self::IdentityNotFound,
        Self::ConnectionNotFound,
        Self::AuthenticationFailed,
        Self::Discovery,
        Self::ConnectionAlreadyExists,
        Self::ProviderAlreadyRegistered,
        Self::EndpointUnreachable,
        Self::IdentityNotRegistered,
        Self::IdentityRegistration,
        Self::DaemonUnavailable,
        Self::Usage,
        Self::Authsome,
    ];

    /// The name on the wire and in `--json` (`contract/http.md` section 2).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProviderNotFound => "ProviderNotFoundError",
            Self::UnsupportedAuthType => "UnsupportedAuthTypeError",
            Self::UnsupportedFlow => "UnsupportedFlowError",
            Self::CredentialMissing => "CredentialMissingError",
            Self::OperationNotAllowed => "OperationNotAllowedError",
            Self::InputCancelled => "InputCancelledError",
            Self::TokenExpired => "TokenExpiredError",
            Self::RefreshFailed => "RefreshFailedError",
            Self::EncryptionUnavailable => "EncryptionUnavailableError",
            Self::StoreUnavailable => "StoreUnavailableError",
            Self::InvalidProviderSchema => "InvalidProviderSchemaError",
            Self::IdentityNotFound => "IdentityNotFoundError",
            Self::ConnectionNotFound => "ConnectionNotFoundError",
            Self::AuthenticationFailed => "AuthenticationFailedError",
            Self::Discovery => "DiscoveryError",
            Self::ConnectionAlreadyExists => "ConnectionAlreadyExistsError",
            Self::ProviderAlreadyRegistered => "ProviderAlreadyRegisteredError",
            Self::EndpointUnreachable => "EndpointUnreachableError",
            Self::IdentityNotRegistered => "IdentityNotRegisteredError",
            Self::IdentityRegistration => "IdentityRegistrationError",
            Self::DaemonUnavailable => "DaemonUnavailableError",
            Self::Usage => "UsageError",
            Self::Authsome => "AuthsomeError",
        }
    }

    /// The name for what a daemon sent; unknown names are [`ErrorName::Authsome`].
    pub fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|known| known.as_str() == name).unwrap_or(Self::Authsome)
    }

    /// The status of the HTTP answer (`contract/http.md` section 2).
    pub fn http_status(self) -> u16 {
        match self {
            Self::ConnectionNotFound | Self::ProviderNotFound | Self::IdentityNotFound => 404,
            Self::CredentialMissing => 401,
            Self::IdentityRegistration => 409,
            Self::UnsupportedAuthType
            | Self::UnsupportedFlow
            | Self::OperationNotAllowed
            | Self::InputCancelled
            | Self::TokenExpired
            | Self::RefreshFailed
            | Self::EncryptionUnavailable
            | Self::StoreUnavailable
            | Self::InvalidProviderSchema
            | Self::AuthenticationFailed
            | Self::Discovery
            | Self::ConnectionAlreadyExists
            | Self::ProviderAlreadyRegistered
            | Self::EndpointUnreachable
            | Self::IdentityNotRegistered
            | Self::DaemonUnavailable
            | Self::Usage
            | Self::Authsome => 400,
        }
    }

    /// The exit status of the command (`contract/cli.md`).
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Authsome
            | Self::UnsupportedAuthType
            | Self::UnsupportedFlow
            | Self::Discovery
            | Self::IdentityRegistration => 1,
            Self::AuthenticationFailed | Self::InputCancelled | Self::Usage => 2,
            Self::ConnectionNotFound => 3,
            Self::ProviderNotFound | Self::OperationNotAllowed => 4,
            Self::CredentialMissing | Self::TokenExpired | Self::RefreshFailed => 5,
            Self::ConnectionAlreadyExists => 6,
            Self::ProviderAlreadyRegistered => 7,
            Self::EndpointUnreachable => 8,
            Self::DaemonUnavailable => 9,
            Self::IdentityNotFound | Self::IdentityNotRegistered => 10,
            Self::StoreUnavailable | Self::EncryptionUnavailable => 11,
            Self::InvalidProviderSchema => 12,
        }
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

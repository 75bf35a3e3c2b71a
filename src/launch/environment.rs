//! The child's environment (`contract/proxy.md` section 2). Pure; names and values need not be UTF-8.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use memchr::memmem;

use crate::limits::SHORTEST_SECRET_BYTES;
use crate::proxy::PLACEHOLDER;
use crate::secret::Secret;

/// Variables that name a proxy for all programs.
const PROXY: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];
/// The same, for those who use them already.
const PROXY_WHERE_SET: [&str; 2] = ["ALL_PROXY", "all_proxy"];
/// Variables that list hosts without a proxy.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// What must not go through the proxy: it would refuse to dial it.
const LOCAL: [&str; 3] = ["127.0.0.1", "localhost", "::1"];
/// Variables that take the place of a program's trust roots.
pub(super) const REPLACING_BUNDLES: [&str; 12] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "HTTPLIB2_CA_CERTS",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NIX_SSL_CERT_FILE",
    "PERL_LWP_SSL_CA_FILE",
];
/// Variables that add to a program's trust roots.
pub(super) const ADDING_BUNDLES: [&str; 2] = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];
/// Parts of `AUTHSOME_` names that mark a secret, or a store that opens with its URL.
const PRIVATE: [&str; 7] =
    ["_PRIVATE_KEY", "_MASTER_KEY", "_UI_SESSION_KEY", "_STORE_URL", "_DATABASE_URL", "_REDIS_URL", "_BOOTSTRAP_TOKEN"];

/// What the child's environment gets.
pub(super) struct Additions<'a> {
    /// URL of the proxy, run token included.
    pub(super) proxy_url: &'a Secret,
    /// Roots in force and the run's certificate.
    pub(super) bundle: &'a Path,
    /// The run's certificate alone.
    pub(super) certificate: &'a Path,
    /// Names that get the placeholder.
    pub(super) exports: &'a BTreeSet<String>,
    /// Values that must not be in it.
    pub(super) secrets: &'a [Secret],
}

/// The child's environment, and what was taken out of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Environment {
    /// All variables.
    pub(super) variables: BTreeMap<OsString, OsString>,
    /// Names of those that held a secret of this run and were removed.
    pub(super) removed: Vec<OsString>,
}

impl Environment {
    /// Whether `NO_PROXY` excepts every host.
    pub(super) fn has_no_way_through(&self) -> bool {
        let exceptions = self.variables.get(OsStr::new(NO_PROXY[0]));
        exceptions.is_some_and(|value| value.as_bytes().split(|byte| *byte == b',').any(|entry| entry == b"*"))
    }
}

/// Makes the child's environment out of ours.
pub(super) fn child_environment(
    ours: impl IntoIterator<Item = (OsString, OsString)>,
    additions: &Additions<'_>,
) -> Environment {
    let mut variables: BTreeMap<OsString, OsString> = ours.into_iter().filter(|(name, _)| !is_private(name)).collect();
    let mut removed = remove_secrets(&mut variables, additions.secrets);

    // Ours come last: an export must not take the place of one of them.
    for name in additions.exports.iter().filter(|name| is_settable(name)) {
        variables.insert(name.into(), PLACEHOLDER.into());
    }
    removed.retain(|name| !variables.contains_key(name));
    let mut set = |name: &str, value: &OsStr| variables.insert(name.into(), value.to_owned());
    let url = OsStr::new(additions.proxy_url.expose());
    for name in PROXY {
        set(name, url);
    }
    for name in REPLACING_BUNDLES {
        set(name, additions.bundle.as_os_str());
    }
    for name in ADDING_BUNDLES {
        set(name, additions.certificate.as_os_str());
    }
    set("AUTHSOME_PROXY_MODE", OsStr::new("true"));
    set("NODE_USE_ENV_PROXY", OsStr::new("1"));
    for name in PROXY_WHERE_SET {
        variables.entry(name.into()).and_modify(|value| url.clone_into(value));
    }
    let exceptions = exceptions(&variables);
    for name in NO_PROXY {
        variables.insert(name.into(), exceptions.clone());
    }
    Environment { variables, removed }
}

/// Whether a variable is for `authsome` itself and nobody else.
fn is_private(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    name.strip_prefix("AUTHSOME").is_some_and(|rest| PRIVATE.iter().any(|part| rest.contains(part)))
}

fn remove_secrets(variables: &mut BTreeMap<OsString, OsString>, secrets: &[Secret]) -> Vec<OsString> {
    let finders = finders(secrets);
    let mut removed = Vec::new();
    variables.retain(|name, value| {
        let holds = finders.iter().any(|finder| finder.find(value.as_bytes()).is_some());
        if holds {
            removed.push(name.clone());
        }
        !holds
    });
    removed
}

/// Searchers for the secrets that are long enough not to be found by accident.
pub(super) fn finders(secrets: &[Secret]) -> Vec<memmem::Finder<'_>> {
    let long = secrets.iter().filter(|secret| secret.expose().len() >= SHORTEST_SECRET_BYTES);
    long.map(|secret| memmem::Finder::new(secret.expose())).collect()
}

/// Whether a name can stand in an environment. A provider's definition may hold anything.
fn is_settable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// What both spellings of `NO_PROXY` said, without repetitions, and the local names.
fn exceptions(variables: &BTreeMap<OsString, OsString>) -> OsString {
    let mut all: Vec<&[u8]> = Vec::new();
    let theirs = NO_PROXY.iter().filter_map(|name| variables.get(OsStr::new(name)));
    let entries = theirs.flat_map(|value| value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii));
    for entry in entries.chain(LOCAL.iter().map(|name| name.as_bytes())) {
        if !entry.is_empty() && !all.contains(&entry) {
            all.push(entry);
        }
    }
    OsStr::from_bytes(&all.join(&b","[..])).to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn made(ours: &[(&str, &str)], exports: &[&str], secrets: &[&str]) -> Environment {
        let pairs = ours.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        made_from(pairs.collect(), exports, secrets)
    }

    fn made_from(ours: Vec<(OsString, OsString)>, exports: &[&str], secrets: &[&str]) -> Environment {
        let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new((*secret).to_owned())).collect();
        let additions = Additions {
            proxy_url: &Secret::new("http://authsome:t@127.0.0.1:9".to_owned()),
            bundle: Path::new("/run/bundle.pem"),
            certificate: Path::new("/run/ca.pem"),
            exports: &exports.iter().map(|name| (*name).to_owned()).collect(),
            secrets: &secrets,
        };
        child_environment(ours, &additions)
    }

    fn value<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
        environment.variables.get(OsStr::new(name)).map(|value| value.to_str().expect("UTF-8"))
    }

    #[test]
    fn everything_that_clients_look_at_is_set() {
        let environment = made(&[("PATH", "/bin"), ("ALL_PROXY", "socks5://x")], &["OPENAI_API_KEY"], &[]);
        for name in PROXY.iter().chain(&["ALL_PROXY"]) {
            assert_eq!(value(&environment, name), Some("http://authsome:t@127.0.0.1:9"), "{name}");
        }
        assert_eq!(value(&environment, "all_proxy"), None, "it was not set");
        for name in REPLACING_BUNDLES {
            assert_eq!(value(&environment, name), Some("/run/bundle.pem"), "{name}");
        }
        for name in ADDING_BUNDLES {
            assert_eq!(value(&environment, name), Some("/run/ca.pem"), "{name}");
        }
        assert_eq!(value(&environment, "AUTHSOME_PROXY_MODE"), Some("true"));
        assert_eq!(value(&environment, "NODE_USE_ENV_PROXY"), Some("1"));
        assert_eq!(value(&environment, "OPENAI_API_KEY"), Some(PLACEHOLDER));
        assert_eq!(value(&environment, "PATH"), Some("/bin"));
    }

    #[test]
    fn exceptions_of_both_spellings_are_merged() {
        let environment = made(&[("NO_PROXY", "corp.test, ::1"), ("no_proxy", "other.test,corp.test,")], &[], &[]);
        let expected = Some("corp.test,::1,other.test,127.0.0.1,localhost");
        assert_eq!(value(&environment, "NO_PROXY"), expected);
        assert_eq!(value(&environment, "no_proxy"), expected);
        assert_eq!(value(&made(&[], &[], &[]), "no_proxy"), Some("127.0.0.1,localhost,::1"));
        assert!(!environment.has_no_way_through());
        assert!(made(&[("no_proxy", "a, *")], &[], &[]).has_no_way_through());
    }

    #[test]
    fn our_own_secrets_stay_with_us() {
        let private = [
            "AUTHSOME_PRIVATE_KEY",
            "AUTHSOME_AGENT_PRIVATE_KEY",
            "AUTHSOME_MASTER_KEY",
            "AUTHSOME_MASTER_KEY_FILE",
            "AUTHSOME_UI_SESSION_KEY",
            "AUTHSOME_UI_SESSION_KEY_FILE",
            "AUTHSOME_STORE_URL",
            "AUTHSOME_DATABASE_URL",
            "AUTHSOME_REDIS_URL",
            "authsome_master_key",
        ];
        let pairs: Vec<(&str, &str)> = private.iter().map(|name| (*name, "x")).collect();
        let environment = made(&pairs, &[], &[]);
        for name in private {
            assert_eq!(value(&environment, name), None, "{name}");
        }
        assert!(environment.removed.is_empty(), "they are always removed, so nobody is told");
        let kept = made(&[("AUTHSOME_HOME", "/h"), ("AUTHSOME_BASE_URL", "u"), ("MY_MASTER_KEY", "m")], &[], &[]);
        assert_eq!(value(&kept, "AUTHSOME_HOME"), Some("/h"));
        assert_eq!(value(&kept, "MY_MASTER_KEY"), Some("m"));
    }

    #[test]
    fn variables_that_hold_a_secret_of_the_run_are_removed_and_named() {
        let ours = [("A", "x-secret-value-y"), ("B", "secret-valu"), ("KEY", "secret-value"), ("SHORT", "abc")];
        let environment = made(&ours, &["KEY"], &["secret-value", "abc"]);
        assert_eq!(environment.removed, ["A"], "the export has its placeholder already");
        assert_eq!(value(&environment, "A"), None);
        assert_eq!(value(&environment, "B"), Some("secret-valu"));
        assert_eq!(value(&environment, "KEY"), Some(PLACEHOLDER));
        assert_eq!(value(&environment, "SHORT"), Some("abc"), "three letters are found everywhere");
    }

    #[test]
    fn exports_cannot_take_over_what_is_ours_or_break_the_environment() {
        let environment = made(&[], &["HTTPS_PROXY", "SSL_CERT_FILE", "A=B", "", "C\0D"], &[]);
        assert_eq!(value(&environment, "HTTPS_PROXY"), Some("http://authsome:t@127.0.0.1:9"));
        assert_eq!(value(&environment, "SSL_CERT_FILE"), Some("/run/bundle.pem"));
        assert!(environment.variables.keys().all(|name| !name.as_bytes().iter().any(|byte| b"=\0".contains(byte))));
    }

    #[test]
    fn bytes_that_are_not_utf_8_pass_and_hide_nothing() {
        let odd = OsString::from_vec(b"\xff\xfe".to_vec());
        let hidden = OsString::from_vec(b"\xffsecret-value\xfe".to_vec());
        let ours = vec![(odd.clone(), odd.clone()), ("H".into(), hidden)];
        let environment = made_from(ours, &[], &["secret-value"]);
        assert_eq!(environment.variables.get(&odd), Some(&odd));
        assert_eq!(environment.removed, ["H"]);
    }
}

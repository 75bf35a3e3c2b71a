//! Opens a page in the user's browser, where there is one.

use std::env;
use std::ffi::OsString;
use std::process::{Command, Stdio};

/// Whether there is a display that a browser could show something on.
pub(super) fn has_display() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    cfg!(target_os = "macos") || ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME", "BROWSER"].into_iter().any(is_set)
}

/// Starts a browser on `url` and does not wait for it. Whether one was started.
pub(super) fn open(url: &str) -> bool {
    if !is_web_page(url) {
        return false;
    }
    programs().into_iter().any(|program| {
        Command::new(program)
            .arg(url)
            .env_remove("AUTHSOME_IDENTITY_PRIVATE_KEY")
            .env_remove("AUTHSOME_MASTER_KEY")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .is_ok()
    })
}

/// Pages only: an opener would start other programs for other schemes, and the URL may come from a provider.
fn is_web_page(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https")) && url.bytes().all(|byte| byte.is_ascii_graphic())
}

fn programs() -> Vec<OsString> {
    let chosen = env::var_os("BROWSER").filter(|value| !value.is_empty());
    let usual: &[&str] = if cfg!(target_os = "macos") { &["open"] } else { &["xdg-open", "wslview", "x-www-browser"] };
    chosen.into_iter().chain(usual.iter().map(OsString::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_pages_are_opened() {
        for url in ["https://x.test/a?b=c", "HTTP://127.0.0.1:7998/"] {
            assert!(is_web_page(url), "{url}");
        }
        for url in ["file:///etc/passwd", "javascript:alert(1)", "--help", "https://x.test/a b", "ms-word://x", ""] {
            assert!(!is_web_page(url), "{url}");
        }
    }
}

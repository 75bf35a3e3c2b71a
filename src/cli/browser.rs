//! Opens a page in the user's browser, where there is one.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

/// Variables that are not for a browser.
pub(super) const KEYS: [&str; 3] = ["AUTHSOME_IDENTITY_PRIVATE_KEY", "AUTHSOME_MASTER_KEY", "AUTHSOME_UI_SESSION_KEY"];

/// Whether there is a way to show a page: a screen, or a program that shows it elsewhere.
pub(super) fn has_display() -> bool {
    has_screen() || ["WSL_DISTRO_NAME", "BROWSER"].into_iter().any(is_set)
}

/// Whether there is a screen that a program of this machine can draw on.
pub(super) fn has_screen() -> bool {
    cfg!(target_os = "macos") || ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(is_set)
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Starts a browser on `url` and does not wait for it. Whether one was started.
pub(super) fn open(url: &str) -> bool {
    if !is_web_page(url) {
        return false;
    }
    programs().into_iter().any(|program| {
        let mut command = Command::new(program);
        for name in KEYS {
            command.env_remove(name);
        }
        command
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C here is not for a browser that was not running yet.
            .process_group(0)
            .spawn()
            .is_ok()
    })
}

/// Whether `url` is a page: an opener would start other programs for other schemes, and the URL may come from a provider.
pub(super) fn is_web_page(url: &str) -> bool {
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

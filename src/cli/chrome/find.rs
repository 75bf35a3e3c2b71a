//! Where the browser is.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Names on `PATH`, the most usual first.
const NAMES: [&str; 9] = [
    "google-chrome-stable",
    "google-chrome",
    "chrome",
    "chromium",
    "chromium-browser",
    "microsoft-edge-stable",
    "microsoft-edge",
    "brave-browser",
    "brave",
];
/// Programs inside the application bundles of macOS.
const BUNDLES: [&str; 4] = [
    "Google Chrome.app/Contents/MacOS/Google Chrome",
    "Chromium.app/Contents/MacOS/Chromium",
    "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "Brave Browser.app/Contents/MacOS/Brave Browser",
];

/// The browser that `CHROME` names, else the first of the usual ones. One that `CHROME` names is taken at its word.
pub(in crate::cli) fn find() -> Option<PathBuf> {
    find_with(&|name| env::var_os(name).filter(|value| !value.is_empty()))
}

fn find_with(lookup: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = lookup("PATH").unwrap_or_default();
    let on_path = |name: &Path| env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_program(file));
    if let Some(chosen) = lookup("CHROME").map(PathBuf::from) {
        return if chosen.components().count() > 1 { Some(chosen) } else { on_path(&chosen) };
    }
    let bundled = || {
        let home = lookup("HOME").map(|home| PathBuf::from(home).join("Applications"));
        let places = [Some(PathBuf::from("/Applications")), home];
        let programs = places.into_iter().flatten().flat_map(|place| BUNDLES.map(|program| place.join(program)));
        programs.into_iter().find(|file| is_program(file))
    };
    let found = NAMES.iter().filter_map(|name| on_path(Path::new(name))).find(|file| !is_confined(file));
    found.or_else(|| if cfg!(target_os = "macos") { bundled() } else { None })
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// A snap sees neither our home's hidden directories nor our temporary ones: no profile of ours is of use to it.
fn is_confined(file: &Path) -> bool {
    file.starts_with("/snap") || file.canonicalize().is_ok_and(|file| file.ends_with("bin/snap"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::client::testing::Scratch;

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, "#!/bin/sh\n").expect("writes");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("ours");
    }

    #[test]
    fn the_chosen_browser_comes_first_and_a_snap_not_at_all() {
        let scratch = Scratch::new();
        let dir = scratch.0.dir();
        let (one, two) = (dir.join("one"), dir.join("two"));
        let path = env::join_paths([&one, &two]).expect("a path");
        let found = |chosen: Option<&str>| {
            find_with(&|name| match name {
                "PATH" => Some(path.clone()),
                "CHROME" => chosen.map(OsString::from),
                _ => None,
            })
        };
        assert_eq!(found(None), None);
        program(&two.join("chromium"));
        assert_eq!(found(None), Some(two.join("chromium")));
        fs::create_dir_all(&one).expect("a directory");
        fs::write(one.join("google-chrome"), "not a program").expect("writes");
        program(&dir.join("bin/snap"));
        symlink(dir.join("bin/snap"), one.join("chrome")).expect("a link");
        assert_eq!(found(None), Some(two.join("chromium")));
        program(&one.join("brave"));
        assert_eq!(found(None), Some(two.join("chromium")), "the order is ours, not that of PATH");
        assert_eq!(found(Some("brave")), Some(one.join("brave")));
        assert_eq!(found(Some("/opt/my chrome")), Some(PathBuf::from("/opt/my chrome")));
        assert_eq!(found(Some("nosuch")), None);
    }
}

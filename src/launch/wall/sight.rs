//! What a child behind a wall does not see.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};

use crate::paths::Home;

/// Where services keep their sockets: the container engine's would be a way round any wall.
const RUNTIME_DIRS: [&str; 2] = ["/run", "/var/run"];
/// Separates the two lists among arguments. No path is one: they are absolute.
const SEPARATOR: &str = "--";

/// Directories and files that the wall covers. All real paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OutOfSight {
    /// Covered by something empty that cannot be written.
    pub(super) hidden: Vec<PathBuf>,
    /// Directories of running services, covered by an empty one that the child may use.
    pub(super) emptied: Vec<PathBuf>,
}

impl OutOfSight {
    /// For a client of this `home`.
    pub fn of(home: &Home) -> Self {
        let key_files = ["AUTHSOME_MASTER_KEY_FILE", "AUTHSOME_UI_SESSION_KEY_FILE"];
        let key_files = key_files.into_iter().filter_map(env::var_os).map(PathBuf::from);
        let owner = User::from_uid(geteuid()).ok().flatten().map(|user| user.dir);
        let dirs = env::var_os("HOME").map(PathBuf::from).into_iter().chain(owner);
        let homes = dirs.map(|dir| Home::new(dir.join(".authsome"))).chain([home.clone()]);
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let runtime_dirs = RUNTIME_DIRS.into_iter().map(PathBuf::from).chain(runtime);
        Self {
            hidden: real(key_files.chain(homes.flat_map(|home| places(&home)))),
            emptied: real(runtime_dirs.filter(|dir| dir.is_dir() && dir.is_absolute())),
        }
    }

    /// Whether a child can work in `directory` and read the files of its run in `temporary`.
    ///
    /// # Errors
    /// Which of them it would not see.
    pub(super) fn check(&self, directory: &Path, temporary: &Path) -> Result<(), String> {
        for (what, path) in [("the working directory", directory), ("TMPDIR", temporary)] {
            let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            let mut covered = self.hidden.iter().chain(&self.emptied);
            if let Some(cover) = covered.find(|cover| path.starts_with(cover)) {
                return Err(format!("{what} is in {}, which it hides; use another", cover.display()));
            }
        }
        Ok(())
    }

    /// As arguments of a program.
    pub(super) fn to_arguments(&self) -> Vec<OsString> {
        let hidden = self.hidden.iter().map(OsString::from);
        hidden.chain([SEPARATOR.into()]).chain(self.emptied.iter().map(OsString::from)).collect()
    }

    /// What [`OutOfSight::to_arguments`] wrote.
    pub(super) fn from_arguments(arguments: &[OsString]) -> Self {
        let mut lists = arguments.split(|argument| argument == SEPARATOR);
        let mut next = || lists.next().unwrap_or_default().iter().map(PathBuf::from).collect();
        Self { hidden: next(), emptied: next() }
    }
}

/// A home, and those parts of it that may be links to somewhere else.
fn places(home: &Home) -> [PathBuf; 6] {
    [home.dir().to_owned(), home.client(), home.identities(), home.server(), home.store(), home.master_key()]
}

/// Those that exist, each once and none inside another, links resolved.
fn real(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = paths.filter_map(|path| fs::canonicalize(path).ok()).collect();
    found.sort(); // so that what contains others comes before them
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in found {
        if !kept.iter().any(|outer| path.starts_with(outer)) {
            kept.push(path);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paths::test_only_scratch;

    #[test]
    fn paths_are_resolved_and_named_once() {
        let dir = fs::canonicalize(test_only_scratch("sight")).expect("is there");
        fs::create_dir(dir.join("a")).expect("makes");
        fs::create_dir(dir.join("a/b")).expect("makes");
        fs::create_dir(dir.join("a-c")).expect("makes");
        std::os::unix::fs::symlink(dir.join("a"), dir.join("link")).expect("links");
        let given = ["link", "a/b", "a", "a-c", "missing"].map(|name| dir.join(name));
        assert_eq!(real(given.into_iter()), [dir.join("a"), dir.join("a-c")]);
        fs::remove_dir_all(dir).expect("cleans up");
    }

    #[test]
    fn what_the_child_needs_must_be_in_sight() {
        let covers = OutOfSight { hidden: vec!["/home/u/.authsome".into()], emptied: vec!["/run".into()] };
        let check = |directory: &str, temporary: &str| covers.check(Path::new(directory), Path::new(temporary));
        assert_eq!(check("/nowhere/u/work", "/nowhere/tmp"), Ok(()));
        assert_eq!(check("/home/u/.authsome-notes", "/running"), Ok(()));
        for (directory, temporary, what) in
            [("/home/u/.authsome/client", "/x", "the working directory"), ("/x", "/run/user/1000", "TMPDIR")]
        {
            assert!(check(directory, temporary).expect_err(what).starts_with(what));
        }
    }

    #[test]
    fn the_lists_survive_the_way_through_arguments() {
        for (hidden, emptied) in [(vec!["/a".into(), "/b".into()], vec!["/run".into()]), (vec![], vec![])] {
            let covers = OutOfSight { hidden, emptied };
            assert_eq!(OutOfSight::from_arguments(&covers.to_arguments()), covers);
        }
    }
}

//! The user's own definitions: `$AUTHSOME_HOME/providers/<name>.json` or `.jsonc`. A file is read again when it
//! changes. A bad one is a problem for `doctor`, never a failure: the next place that has the name is used.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::parse::parse_definition;
use super::registry::FileProblem;
use super::validate::{ValidateOptions, is_provider_name, validate};
use crate::limits::DEFINITION_BYTES;
use crate::model::ProviderDefinition;
use crate::paths::{read_limited, with_path};

/// In order of preference: the first that exists is the definition, good or bad.
const EXTENSIONS: [&str; 2] = ["json", "jsonc"];

/// A directory of definitions, and what was read of it.
#[derive(Debug)]
pub(super) struct UserFiles {
    dir: PathBuf,
    read: Mutex<BTreeMap<PathBuf, Read>>,
}

/// One file as it was when it was read.
#[derive(Debug)]
struct Read {
    version: FileVersion,
    outcome: Result<Arc<ProviderDefinition>, String>,
}

/// Changes whenever the contents may have: modification and change time in nanoseconds, size, and which file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileVersion {
    modified: (i64, i64),
    changed: (i64, i64),
    size: u64,
    inode: (u64, u64),
}

impl UserFiles {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir, read: Mutex::default() }
    }

    /// The definition in the file for `name`, with its path.
    pub(super) fn find(&self, name: &str) -> Option<(Arc<ProviderDefinition>, PathBuf)> {
        if !is_provider_name(name) {
            return None; // a name with a slash would leave the directory
        }
        let paths = EXTENSIONS.map(|extension| self.dir.join(format!("{name}.{extension}")));
        let path = paths.into_iter().find(|path| path.exists())?;
        let definition = self.load(&path, name).ok()?;
        Some((definition, path))
    }

    /// The names that have a file, good or bad.
    pub(super) fn names(&self) -> Vec<String> {
        self.files().unwrap_or_default().iter().filter_map(|path| Some(stem(path)?.to_owned())).collect()
    }

    /// Every file that is not used, with the reason.
    pub(super) fn problems(&self) -> Vec<FileProblem> {
        let files = match self.files() {
            Ok(files) => files,
            Err(error) => return vec![FileProblem { path: self.dir.clone(), reason: error.to_string() }],
        };
        files.iter().filter_map(|path| Some(FileProblem { path: path.clone(), reason: self.problem(path)? })).collect()
    }

    fn problem(&self, path: &Path) -> Option<String> {
        let Some(name) = stem(path) else { return Some("the file's name is no provider name".to_owned()) };
        let preferred = path.with_extension(EXTENSIONS[0]);
        if path != preferred && preferred.exists() {
            return Some(format!("{} is used instead", preferred.display()));
        }
        self.load(path, name).err()
    }

    /// Every `.json` and `.jsonc` file, sorted. No directory means no files.
    fn files(&self) -> std::io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| with_path(&error, "list", &self.dir))?,
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<PathBuf> = paths.filter(|path| is_definition_file(path)).collect();
        files.sort();
        Ok(files)
    }

    fn load(&self, path: &Path, name: &str) -> Result<Arc<ProviderDefinition>, String> {
        let version = FileVersion::of(path)?;
        // Held while reading, so that concurrent callers read a changed file once.
        let mut cache = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache.get(path).filter(|known| known.version == version) {
            return known.outcome.clone();
        }
        let outcome = read(path, name).map(Arc::new);
        cache.insert(path.to_owned(), Read { version, outcome: outcome.clone() });
        outcome
    }
}

impl FileVersion {
    fn of(path: &Path) -> Result<Self, String> {
        let metadata = fs::metadata(path).map_err(|error| with_path(&error, "inspect", path).to_string())?;
        if !metadata.is_file() {
            return Err("it is no regular file".to_owned()); // reading a pipe would wait for ever
        }
        if metadata.mode() & 0o002 != 0 {
            return Err("everybody may write to it; run: chmod o-w".to_owned());
        }
        Ok(Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            size: metadata.size(),
            inode: (metadata.dev(), metadata.ino()),
        })
    }
}

fn read(path: &Path, name: &str) -> Result<ProviderDefinition, String> {
    let text = read_limited(path, DEFINITION_BYTES).map_err(|error| error.to_string())?;
    let definition = parse_definition(&text).map_err(|error| error.message())?;
    if definition.name != name {
        return Err("its name is not that of the file".to_owned());
    }
    validate(&definition, ValidateOptions::default()).map_err(|error| error.message())?;
    Ok(definition)
}

fn is_definition_file(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    EXTENSIONS.contains(&extension)
}

fn stem(path: &Path) -> Option<&str> {
    path.file_stem().and_then(OsStr::to_str).filter(|name| is_provider_name(name))
}

//! [`Registry`]: every provider there is. Registered definitions come first, then the user's files, then the bundled
//! ones (`contract/providers.md`). Bundled definitions are parsed when they are first asked for, files when they change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::bundled::BUNDLED;
use super::files::UserFiles;
use super::parse::parse_definition;
use crate::model::{ProviderDefinition, ProviderSource};
use crate::paths::Home;

/// Where an [`Entry`] was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Registered in the store.
    Registered,
    /// This file of the user.
    File(PathBuf),
    /// Compiled into the program.
    Bundled,
}

/// One provider that can be used.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub definition: Arc<ProviderDefinition>,
    /// What the wire says about where it comes from.
    pub source: ProviderSource,
    /// Where it comes from.
    pub origin: Origin,
}

/// A file of the user that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    /// The file, or the directory when it cannot be listed.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Every provider of one installation. Shared between threads; what it holds of the store is told to it.
#[derive(Debug)]
pub struct Registry {
    registered: Mutex<BTreeMap<String, Arc<ProviderDefinition>>>,
    files: UserFiles,
}

impl Registry {
    /// The registry of `home`. Nothing is read yet.
    pub fn open(home: &Home) -> Self {
        Self { registered: Mutex::default(), files: UserFiles::new(home.providers()) }
    }

    /// The provider of this name, from the first place that has it.
    pub fn find(&self, name: &str) -> Option<Entry> {
        let registered =
            self.registered().get(name).cloned().map(|definition| Entry::custom(definition, Origin::Registered));
        let of_file = || self.files.find(name).map(|(definition, path)| Entry::custom(definition, Origin::File(path)));
        registered.or_else(of_file).or_else(|| bundled(name))
    }

    /// Every provider, sorted by name. Parses all bundled definitions.
    pub fn list(&self) -> Vec<Entry> {
        let mut names: BTreeSet<String> = self.registered().keys().cloned().collect();
        names.extend(self.files.names());
        names.extend(BUNDLED.iter().map(|(name, _)| (*name).to_owned()));
        names.iter().filter_map(|name| self.find(name)).collect()
    }

    /// Takes a validated definition from the store, in place of the one of the same name.
    pub fn register(&self, definition: ProviderDefinition) {
        self.registered().insert(definition.name.clone(), Arc::new(definition));
    }

    /// Forgets a registered definition. Whether there was one.
    pub fn unregister(&self, name: &str) -> bool {
        self.registered().remove(name).is_some()
    }

    /// Names of the bundled definitions, sorted.
    pub fn bundled_names() -> impl Iterator<Item = &'static str> {
        BUNDLED.iter().map(|(name, _)| *name)
    }

    /// Whether a bundled definition has this name, shadowed or not.
    pub fn is_bundled(name: &str) -> bool {
        bundled_index(name).is_some()
    }

    /// The user's files that cannot be used, for `doctor`.
    pub fn problems(&self) -> Vec<FileProblem> {
        self.files.problems()
    }

    /// A panic elsewhere leaves a map that is still one definition a name.
    fn registered(&self) -> MutexGuard<'_, BTreeMap<String, Arc<ProviderDefinition>>> {
        self.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn custom(definition: Arc<ProviderDefinition>, origin: Origin) -> Self {
        Self { definition, source: ProviderSource::Custom, origin }
    }
}

fn bundled_index(name: &str) -> Option<usize> {
    BUNDLED.binary_search_by_key(&name, |(name, _)| name).ok()
}

fn bundled(name: &str) -> Option<Entry> {
    static PARSED: [OnceLock<Arc<ProviderDefinition>>; BUNDLED.len()] = [const { OnceLock::new() }; BUNDLED.len()];
    let index = bundled_index(name)?;
    let definition = PARSED[index].get_or_init(|| {
        Arc::new(parse_definition(BUNDLED[index].1.as_bytes()).expect("a test parses every bundled definition"))
    });
    Some(Entry { definition: Arc::clone(definition), source: ProviderSource::Bundled, origin: Origin::Bundled })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;
    use crate::paths::{create_private_dir, hex, write_private};
    use crate::secret::random_bytes;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("authsome-registry-{}", hex(&random_bytes::<8>()))))
        }

        fn registry(&self) -> Registry {
            Registry::open(&Home::new(&self.0))
        }

        fn write(&self, file: &str, text: &str) -> PathBuf {
            let path = self.0.join("providers").join(file);
            write_private(&path, text.as_bytes()).expect("writes");
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn text(name: &str, host: &str) -> String {
        format!(r#"{{ /* mine */ "name":"{name}","auth_type":"api_key","flow":"api_key","api_url":"{host}" }}"#)
    }

    fn host(entry: &Entry) -> &str {
        &entry.definition.api_url.as_slice()[0]
    }

    fn reasons(registry: &Registry) -> Vec<String> {
        registry.problems().into_iter().map(|problem| problem.reason).collect()
    }

    #[test]
    fn bundled_definitions_are_there_without_a_home() {
        let scratch = Scratch::new();
        let registry = scratch.registry();
        let openai = registry.find("openai").expect("is bundled");
        assert_eq!((openai.source, openai.origin), (ProviderSource::Bundled, Origin::Bundled));
        assert!(
            registry.find("no-such").is_none() && registry.find("").is_none() && registry.find("../openai").is_none()
        );
        assert_eq!(registry.list().len(), BUNDLED.len());
        assert!(registry.problems().is_empty() && !scratch.0.exists(), "looking creates nothing");
        assert!(Registry::is_bundled("openai") && !Registry::is_bundled("acme"));
    }

    #[test]
    fn registered_comes_before_files_before_bundled() {
        let scratch = Scratch::new();
        let registry = scratch.registry();
        let path = scratch.write("openai.jsonc", &text("openai", "api.file.test"));
        let file = registry.find("openai").expect("is there");
        assert_eq!(
            (host(&file), &file.origin, file.source),
            ("api.file.test", &Origin::File(path), ProviderSource::Custom)
        );
        registry.register(parse_definition(text("openai", "api.store.test").as_bytes()).expect("parses"));
        let registered = registry.find("openai").expect("is there");
        assert_eq!((host(&registered), &registered.origin), ("api.store.test", &Origin::Registered));
        assert_eq!(registry.list().len(), BUNDLED.len(), "one entry a name");
        assert!(registry.unregister("openai") && !registry.unregister("openai"));
        assert_eq!(host(&registry.find("openai").expect("is there")), "api.file.test");
        fs::remove_file(scratch.0.join("providers/openai.jsonc")).expect("removes");
        assert_eq!(registry.find("openai").expect("is there").origin, Origin::Bundled);
    }

    #[test]
    fn files_are_read_again_when_they_change_and_only_then() {
        let scratch = Scratch::new();
        let registry = scratch.registry();
        scratch.write("acme.json", &text("acme", "one.acme.test"));
        let first = registry.find("acme").expect("is there");
        assert!(Arc::ptr_eq(&first.definition, &registry.find("acme").expect("is there").definition), "read once");
        scratch.write("acme.json", &text("acme", "two.acme.test"));
        assert_eq!(host(&registry.find("acme").expect("is there")), "two.acme.test");
        scratch.write("acme.json", "{");
        assert!(registry.find("acme").is_none());
        assert_eq!(reasons(&registry), ["Invalid provider schema: line 1 column 1: is no JSON"]);
        scratch.write("acme.json", &text("acme", "two.acme.test"));
        assert!(registry.find("acme").is_some() && registry.problems().is_empty());
        let names: Vec<String> = registry.list().iter().map(|entry| entry.definition.name.clone()).collect();
        assert!(names.is_sorted() && names[0] == "acme");
    }

    #[test]
    fn bad_files_are_problems_and_the_next_place_is_used() {
        let scratch = Scratch::new();
        let registry = scratch.registry();
        scratch.write("openai.json", &text("openai", "*.com"));
        scratch.write("groq.json", &text("openai", "api.groq.test"));
        scratch.write("local.json", &text("local", "localhost"));
        scratch.write("both.json", &text("both", "json.acme.test"));
        scratch.write("both.jsonc", &text("both", "jsonc.acme.test"));
        scratch.write("bad name.json", &text("x", "api.acme.test"));
        scratch.write("notes.txt", "not a definition");
        let shared = scratch.write("shared.json", &text("shared", "api.acme.test"));
        fs::set_permissions(shared, fs::Permissions::from_mode(0o666)).expect("changes mode");
        create_private_dir(&scratch.0.join("providers/dir.json")).expect("makes a directory");
        symlink("/nonexistent/x", scratch.0.join("providers/gone.json")).expect("links");
        for name in ["openai", "groq"] {
            assert_eq!(registry.find(name).expect("is bundled").origin, Origin::Bundled, "{name}");
        }
        for name in ["local", "shared", "dir", "gone", "bad name"] {
            assert!(registry.find(name).is_none(), "{name}");
        }
        assert_eq!(host(&registry.find("both").expect("is there")), "json.acme.test");
        assert_eq!(registry.list().len(), BUNDLED.len() + 1);
        let files: BTreeSet<String> = registry.problems().iter().map(|problem| file_name(&problem.path)).collect();
        let expected = [
            "bad name.json",
            "both.jsonc",
            "dir.json",
            "gone.json",
            "groq.json",
            "local.json",
            "openai.json",
            "shared.json",
        ];
        assert_eq!(files, expected.map(str::to_owned).into());
    }

    fn file_name(path: &Path) -> String {
        path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
    }
}

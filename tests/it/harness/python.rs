//! Real clients that the tests use: a Python with `requests`, `httpx` and `openai`, and a Node.js, all from
//! `scripts/requirements.txt`; and a Chromium.

use std::path::{Path, PathBuf};

/// The interpreter of `AUTHSOME_TEST_PYTHON`, else of the virtual environment that `scripts/test` makes.
///
/// # Panics
/// When there is none: a client that was not tested must not look tested.
pub(crate) fn python() -> PathBuf {
    let python = std::env::var_os("AUTHSOME_TEST_PYTHON")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python"), PathBuf::from);
    assert!(python.exists(), "no Python with the test clients at {}: run scripts/test", python.display());
    python
}

/// The Node.js of the same environment: one that honours `NODE_USE_ENV_PROXY` (24 or newer).
pub(crate) fn node() -> PathBuf {
    let node = python().with_file_name("node");
    assert!(node.exists(), "no Node.js at {}: run scripts/test", node.display());
    node
}

/// The Chromium of `AUTHSOME_TEST_CHROMIUM`, else the one on the path.
///
/// # Panics
/// When there is none.
pub(crate) fn chromium() -> PathBuf {
    let chosen = std::env::var_os("AUTHSOME_TEST_CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = match chosen {
        Some(chosen) => vec![chosen],
        None => std::env::split_paths(&path).map(|dir| dir.join("chromium")).collect(),
    };
    candidates.into_iter().find(|one| one.exists()).expect("no Chromium on the path: run scripts/test")
}

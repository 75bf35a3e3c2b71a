//! Real clients that the tests use: a Python with `requests`, `httpx` and `openai`, and a Node.js, all from
//! `scripts/requirements.txt`.

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

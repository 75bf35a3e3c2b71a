//! The arrows between the rooms (`src/lib.rs` draws them): a room imports only rooms above it.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms that everybody may import, and that import only each other.
const LEAVES: &[&str] = &["error", "secret", "paths", "limits", "clock", "percent", "sys", "net"];

/// Every other room, from top to bottom, and what it may import beside leaves.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("identity", &["model"]),
    ("provider", &["model"]),
    ("store", &[]),
    ("vault", &["store"]),
    ("http1", &[]),
    ("flow", &["model", "http1"]),
    ("broker", &["model", "identity", "provider", "store", "vault", "flow"]),
    ("daemon", &["model", "identity", "provider", "store", "vault", "http1", "flow", "broker"]),
    ("client", &["model", "identity", "http1"]),
    ("proxy", &["model", "provider", "http1", "client"]),
    ("launch", &["model", "proxy"]),
    ("cli", &["model", "identity", "provider", "client", "proxy", "launch"]),
];

#[test]
fn rooms_import_only_what_stands_above_them() {
    let sources = sources();
    assert!(sources.len() > 20, "the source tree is there");
    let wrong: Vec<String> = sources.iter().flat_map(|(path, text)| wrong_imports(path, text)).collect();
    assert!(wrong.is_empty(), "imports against the arrows:\n{}", wrong.join("\n"));
}

#[test]
fn a_wrong_import_is_found() {
    let found = |path, text| wrong_imports(Path::new(path), text).len();
    assert_eq!(found("proxy/relay.rs", "use crate::vault::Vault;"), 1);
    assert_eq!(found("proxy/relay.rs", "use crate::{limits, store::Store, secret};"), 1);
    assert_eq!(found("daemon/gate.rs", "fn f() { crate::proxy::start(); }"), 1);
    assert_eq!(found("net.rs", "use crate::proxy::Proxy;"), 1);
    assert_eq!(found("cli/run.rs", "use crate::daemon::serve;"), 1);
    assert_eq!(found("cli/daemon.rs", "use crate::daemon::pages;"), 1);
    assert_eq!(found("cli/daemon.rs", "use crate::daemon::{ServeOptions, serve};"), 0);
    assert_eq!(found("proxy/relay.rs", "use crate::provider::Router;\n/// [`crate::vault`]\nuse crate::limits;"), 0);
}

/// Each import of `text` that the table forbids, as a line for a person.
fn wrong_imports(path: &Path, text: &str) -> Vec<String> {
    let name = path.iter().next().and_then(|first| first.to_str()).unwrap_or_default();
    let room = name.trim_end_matches(".rs");
    let allowed = match MAY_IMPORT.iter().find(|(known, _)| *known == room) {
        Some((_, allowed)) => *allowed,
        None if LEAVES.contains(&room) => &[],
        None if ["lib", "main"].contains(&room) => return Vec::new(), // the map and the entry see everything
        None => return vec![format!("src/{name}: a room that the table lacks")],
    };
    let is_wrong = |target: &String| {
        let other = target.split("::").next().unwrap_or_default();
        let serves = path == Path::new("cli/daemon.rs") && is_entry_of_daemon(target);
        is_room(other) && other != room && !serves && !LEAVES.contains(&other) && !allowed.contains(&other)
    };
    let wrong = targets(text).into_iter().filter(is_wrong);
    wrong.map(|target| format!("src/{}: crate::{target}", path.display())).collect()
}

fn is_room(name: &str) -> bool {
    MAY_IMPORT.iter().any(|(room, _)| *room == name)
}

fn is_entry_of_daemon(target: &str) -> bool {
    matches!(target, "daemon::serve" | "daemon::ServeOptions")
}

/// Every `crate::` path in the code, tests and comments aside; `crate::{a, b::C}` counts as two.
fn targets(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let code: String = code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let path =
            |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect() };
        let head = path(rest);
        let tail = rest[head.len()..].strip_prefix('{').map(group);
        match tail {
            Some(names) => found.extend(names.iter().map(|name| format!("{head}{}", path(name)))),
            None => found.push(head),
        }
    }
    found
}

/// The members of a brace group, nested groups not opened.
fn group(text: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            c if depth == 0 && !c.is_whitespace() => names.last_mut().expect("never empty").push(c),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Every file under `src/`, by its path there.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut open = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("src is readable").filter_map(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                files.push((path.strip_prefix(&root).expect("under src").to_owned(), text));
            }
        }
    }
    files
}

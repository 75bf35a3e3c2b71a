//! After everything: no secret in the child, on a command line, in a log, a temporary file, the store or an error.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::harness::{KEY, LiveRun, World, children};

/// The secret as it could be written down: raw, base64 at every offset in both alphabets, hex, percent, JSON, HTML,
/// UTF-16.
pub(crate) fn forms(secret: &str) -> Vec<(String, Vec<u8>)> {
    let hex = |upper: bool| {
        secret.bytes().fold(String::new(), |mut text, byte| {
            let _ = if upper { write!(text, "{byte:02X}") } else { write!(text, "{byte:02x}") };
            text
        })
    };
    let escaped = |escape: &dyn Fn(char) -> Option<String>| -> String {
        secret.chars().map(|c| escape(c).unwrap_or_else(|| c.to_string())).collect()
    };
    let mut forms = vec![
        ("raw".to_owned(), secret.as_bytes().to_vec()),
        ("hex".to_owned(), hex(false).into_bytes()),
        ("HEX".to_owned(), hex(true).into_bytes()),
        ("UTF-16LE".to_owned(), secret.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16BE".to_owned(), secret.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ];
    let percent = |c: char| (!c.is_ascii_alphanumeric() && !"-_.~".contains(c)).then(|| format!("%{:02X}", c as u32));
    forms.push(("percent".to_owned(), escaped(&percent).into_bytes()));
    let percent = |c: char| (!c.is_ascii_alphanumeric() && !"-_.~".contains(c)).then(|| format!("%{:02x}", c as u32));
    forms.push(("percent, lower case".to_owned(), escaped(&percent).into_bytes()));
    forms.push(("JSON with escaped slash".to_owned(), secret.replace('/', "\\/").into_bytes()));
    let json = |c: char| "<>&".contains(c).then(|| format!("\\u{:04x}", c as u32));
    forms.push(("JSON, HTML-safe".to_owned(), escaped(&json).into_bytes()));
    let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    forms.push(("HTML".to_owned(), html.into_bytes()));
    for offset in 0..3 {
        // The characters that do not depend on what stands before and after.
        let padded = [&b"\0\0"[..offset], secret.as_bytes()].concat();
        for (alphabet, engine) in [("base64", STANDARD_NO_PAD), ("base64url", URL_SAFE_NO_PAD)] {
            let text = engine.encode(&padded);
            let stable = &text[(offset * 8).div_ceil(6)..padded.len() * 8 / 6];
            forms.push((format!("{alphabet}, offset {offset}"), stable.as_bytes().to_vec()));
        }
    }
    forms
}

/// Where `secret` stands in `bytes`, in any form.
pub(crate) fn find(secret: &str, bytes: &[u8]) -> Option<String> {
    forms(secret).into_iter().find(|(_, form)| memchr::memmem::find(bytes, form).is_some()).map(|(what, _)| what)
}

/// Every file under `dir` that holds `secret` in any form; with an empty secret: every file.
pub(crate) fn files_with(secret: &str, dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        if kind.is_dir() {
            found.extend(files_with(secret, &path));
        } else if kind.is_file()
            && let Some(form) = find(secret, &fs::read(&path).unwrap_or_default())
        {
            found.push(format!("{} ({form})", path.display()));
        }
    }
    found
}

#[test]
fn the_search_finds_what_is_there() {
    let dir = crate::harness::Scratch::new();
    for (index, (what, form)) in forms(KEY).into_iter().enumerate() {
        dir.file(&format!("{index}"), [b"before ".as_slice(), &form, b" after"].concat());
        assert_eq!(files_with(KEY, dir.path()).len(), index + 1, "{what}");
    }
}

#[test]
fn no_trace_of_the_key_outside_the_vault() {
    let world = World::connected();
    let mut said = Vec::new();
    let mut note = |ended: crate::harness::Finished| said.extend([ended.stdout, ended.stderr].concat());

    // Successes, failures and noise, as verbose as it gets.
    let curl = ["--verbose", "run", "--", "curl", "-sSv", "-d", "x", "https://api.demo.test/v1/echo"];
    note(world.authsome(curl).run().succeeds());
    note(world.run(["sh", "-c", "env; tr '\\0' '\\n' </proc/self/environ; cat /proc/$PPID/cmdline"]).run());
    note(world.run(["sh", "-c", "cat /proc/$PPID/environ"]).run());
    note(world.run(["curl", "-sS", "https://stranger.test/v1/echo"]).run());
    note(world.authsome(["login", "demo", "--key-stdin"]).stdin(format!("{KEY}\u{7}{KEY}")).run());
    note(world.authsome(["login", "nosuch", "--key-stdin"]).stdin(KEY).run());
    note(world.authsome(["provider", "register"]).arg(world.scratch.file("bad.json", "{\"name\":")).run());
    for args in
        [&["whoami"][..], &["doctor"], &["log", "-n", "100"], &["log", "--raw"], &["daemon", "logs"], &["get", "demo"]]
    {
        note(world.authsome(args).arg("--json").run());
    }
    assert_eq!(find(KEY, &said), None, "{}", String::from_utf8_lossy(&said));

    let run = LiveRun::start(&world, &[]);
    assert_eq!(run.get("api.demo.test", "/v1/echo").status, 200);
    for pid in [run.pid(), world.daemon().pid()].into_iter().chain(children(run.pid())) {
        for file in ["cmdline", "environ"] {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            assert_eq!(find(KEY, &bytes), None, "/proc/{pid}/{file}");
        }
    }
    assert_eq!(files_with(KEY, world.scratch.path()), [] as [String; 0], "while a run is alive");
    run.finish();
    assert_eq!(files_with(KEY, world.scratch.path()), [] as [String; 0], "afterwards");
    assert_eq!(files_with("", &world.scratch.path().join("tmp")), [] as [String; 0], "temporary files stay behind");
}

#[test]
fn everything_in_the_home_is_the_owners_alone() {
    let world = World::connected();
    world.run(["true"]).run().succeeds();
    assert_eq!(exposed(&world.home()), [] as [String; 0]);
}

#[test]
fn a_umask_of_zero_changes_nothing() {
    let mut world = World::empty();
    let script = r#"umask 0; "$0" onboard --yes && exec "$0" daemon stop"#;
    world.command("sh").args(["-c", script]).arg(world.program()).run().succeeds();
    assert_eq!(exposed(&world.home()), [] as [String; 0]);
    world.start_daemon();
}

/// Every path under `dir` (itself included) that group or others may touch.
fn exposed(dir: &Path) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        if metadata.permissions().mode() & 0o077 != 0 {
            found.push(format!("{} {:o}", path.display(), metadata.permissions().mode()));
        }
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).expect("ours").filter_map(Result::ok).map(|entry| entry.path()));
        }
    }
    found
}

#[test]
fn a_key_on_the_terminal_is_not_echoed_into_a_log() {
    // The debug log of the client must not become a second vault.
    let world = World::connected();
    let log = world.scratch.path().join("client-debug.log");
    let login = world.authsome(["--verbose", "--log-file"]).arg(&log).args(["login", "demo", "--key-stdin", "--force"]);
    login.stdin(KEY).run().succeeds();
    let mut file = fs::File::options().append(true).create(true).open(&log).expect("ours");
    file.write_all(b"\n").expect("ours");
    assert_eq!(find(KEY, &fs::read(&log).expect("ours")), None);
}

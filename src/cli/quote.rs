//! Names and values as shells, dotenv files and GitHub's runner read them. Whatever a value holds, it stays a value.

use std::io::Write as _;

use crate::paths::hex;
use crate::secret::{Secret, SecretBuffer, random_bytes};

/// Names that make a shell or a loader run or load something: no provider gets to set them.
const STEERING: [&str; 18] = [
    "PATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "PROMPT_COMMAND",
    "PS0",
    "PS1",
    "PS2",
    "PS4",
    "SHELLOPTS",
    "BASHOPTS",
    "CDPATH",
    "HOME",
    "SHELL",
    "NODE_OPTIONS",
    "PYTHONSTARTUP",
    "PERL5OPT",
    "RUBYOPT",
];

/// Whether `name` is a variable (POSIX 8.1) that a credential may be put into.
pub(super) fn is_exportable(name: &str) -> bool {
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    let steers =
        STEERING.contains(&name) || ["LD_", "DYLD_", "AUTHSOME_", "GITHUB_"].iter().any(|p| name.starts_with(p));
    is_name && !steers
}

/// Appends `export NAME=value`, quoted for any POSIX shell unless the value is plain.
pub(super) fn shell_line(out: &mut SecretBuffer, name: &str, value: &Secret) {
    let value = value.expose();
    if is_plain(value) {
        put(out, &["export ", name, "=", value, "\n"]);
        return;
    }
    // Inside single quotes nothing is special but their end (POSIX 2.2.2).
    put(out, &["export ", name, "='"]);
    for (index, part) in value.split('\'').enumerate() {
        put(out, if index == 0 { &[][..] } else { &["'\\''"] });
        put(out, &[part]);
    }
    put(out, &["'\n"]);
}

/// Appends `NAME=value`, quoted only where readers of dotenv files would take the value apart.
pub(super) fn dotenv_line(out: &mut SecretBuffer, name: &str, value: &Secret) {
    let value = value.expose();
    let is_bare = !value.is_empty()
        && value.bytes().all(|byte| (byte.is_ascii_graphic() && !b"\"'#`$\\".contains(&byte)) || !byte.is_ascii());
    if is_bare {
        put(out, &[name, "=", value, "\n"]);
    } else if !value.contains(['\'', '\n', '\r']) {
        put(out, &[name, "='", value, "'\n"]);
    } else {
        put(out, &[name, "=\""]);
        for c in value.chars() {
            match c {
                '\n' => put(out, &["\\n"]),
                '\r' => put(out, &["\\r"]),
                '"' | '\\' | '$' | '`' => put(out, &["\\", c.encode_utf8(&mut [0; 4])]),
                _ => put(out, &[c.encode_utf8(&mut [0; 4])]),
            }
        }
        put(out, &["\"\n"]);
    }
}

/// Appends the workflow commands that make GitHub's runner hide `value` in its log: one for each of its lines.
pub(super) fn github_mask(out: &mut SecretBuffer, value: &Secret) {
    for line in value.expose().split(['\n', '\r']).filter(|line| !line.trim().is_empty()) {
        put(out, &["::add-mask::"]);
        for part in line.split_inclusive('%') {
            put(out, &[part]);
            put(out, if part.ends_with('%') { &["25"] } else { &[] });
        }
        put(out, &["\n"]);
    }
}

/// Appends `NAME<<delimiter`, value, delimiter, as `$GITHUB_ENV` wants it. The delimiter is random, so that no value
/// can end itself and set further variables.
pub(super) fn github_lines(out: &mut SecretBuffer, name: &str, value: &Secret) {
    let delimiter = format!("authsome_{}", hex(&random_bytes::<16>()));
    put(out, &[name, "<<", &delimiter, "\n", value.expose(), "\n", &delimiter, "\n"]);
}

/// Whether no shell sees anything but letters in it.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./:@%+,".contains(&byte))
}

fn put(out: &mut SecretBuffer, parts: &[&str]) {
    for part in parts {
        out.write_all(part.as_bytes()).expect("a buffer in memory takes everything");
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn text(write: impl FnOnce(&mut SecretBuffer)) -> String {
        let mut out = SecretBuffer::new();
        write(&mut out);
        String::from_utf8(out.expose_bytes().to_vec()).expect("UTF-8")
    }

    /// Values that have broken somebody's quoting, and random ones from the characters that do.
    fn hostile_values() -> Vec<String> {
        let mut values: Vec<String> = [
            "",
            "plain-123",
            "a b",
            "'",
            "''",
            "'\\''",
            "\"",
            "\\",
            "\\\\",
            "$HOME",
            "$(touch /tmp/pwned)",
            "`id`",
            "a\nb",
            "\n",
            "a\n\n",
            "; exit 1",
            "& exit",
            "|cat",
            "!!",
            "*",
            "~",
            "#x",
            "-n",
            "=",
            "é\u{1f511}",
            "\t\r\u{1b}[31m",
            "%s%n",
            "' ; exit 7 ; '",
        ]
        .map(str::to_owned)
        .to_vec();
        let alphabet: Vec<char> = "'\"\\$`()!;&|<>*?~#=%{}[]\n\t é ab".chars().collect();
        for _ in 0..300 {
            let random = random_bytes::<24>();
            let length = usize::from(random[0]) % 24;
            values.push(
                random[1..].iter().take(length).map(|byte| alphabet[usize::from(*byte) % alphabet.len()]).collect(),
            );
        }
        values
    }

    /// What `sh` has in its environment after `eval`, as its children see it.
    fn through(shell: &str, values: &[String]) -> String {
        let script = text(|out| {
            for (index, value) in values.iter().enumerate() {
                shell_line(out, &format!("V{index}"), &Secret::new(value.clone()));
            }
        });
        let mut child = Command::new(shell)
            .args(["-c", "eval \"$(cat)\"; exec env -0"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        child.stdin.take().expect("piped").write_all(script.as_bytes()).expect("writes");
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success(), "{shell} failed");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    #[test]
    fn eval_sets_every_value_exactly_and_runs_nothing() {
        let values = hostile_values();
        for shell in ["/bin/sh", "bash"] {
            let environment = through(shell, &values);
            for (index, value) in values.iter().enumerate() {
                let entry = format!("V{index}={value}");
                assert!(environment.split('\0').any(|found| found == entry), "{shell}: {value:?} did not survive");
            }
        }
    }

    #[test]
    fn plain_values_stay_readable() {
        let line = |value: &str| text(|out| shell_line(out, "A", &Secret::new(value.to_owned())));
        assert_eq!(line("ghp_1.2/3+4"), "export A=ghp_1.2/3+4\n");
        assert_eq!(line("it's"), "export A='it'\\''s'\n");
        assert_eq!(line(""), "export A=''\n");
    }

    #[test]
    fn dotenv_readers_get_one_line_each() {
        let line = |value: &str| text(|out| dotenv_line(out, "A", &Secret::new(value.to_owned())));
        assert_eq!(line("sk-1=="), "A=sk-1==\n");
        assert_eq!(line("a b#c"), "A='a b#c'\n");
        assert_eq!(line("it's\n$x"), "A=\"it's\\n\\$x\"\n");
        for value in hostile_values() {
            assert_eq!(line(&value).matches('\n').count(), 1, "{value:?}");
        }
    }

    #[test]
    fn no_value_ends_its_own_heredoc_or_hides_from_the_mask() {
        let value = Secret::new("a\nB<<x\nb\nx\nGITHUB_TOKEN=1\n".to_owned());
        let lines = text(|out| github_lines(out, "A", &value));
        let delimiter = lines.lines().next().and_then(|line| line.strip_prefix("A<<")).expect("a delimiter");
        assert_eq!(delimiter.len(), "authsome_".len() + 32);
        assert_eq!(lines.lines().filter(|line| *line == delimiter).count(), 1, "only at the end");
        assert!(lines.ends_with(&format!("\n{delimiter}\n")));
        let masks = text(|out| github_mask(out, &Secret::new("a%b\r\n\nc%".to_owned())));
        assert_eq!(masks, "::add-mask::a%25b\n::add-mask::c%25\n");
    }

    #[test]
    fn names_are_variables_and_steer_nothing() {
        for name in ["A", "_a", "OPENAI_API_KEY", "a1"] {
            assert!(is_exportable(name), "{name}");
        }
        for name in
            ["", "1A", "A-B", "A B", "A=B", "Ä", "PATH", "LD_PRELOAD", "BASH_ENV", "PROMPT_COMMAND", "A\n", "A;id"]
        {
            assert!(!is_exportable(name), "{name:?}");
        }
    }
}

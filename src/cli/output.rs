//! Everything that is printed. Data goes to stdout, our own words to stderr with `authsome: ` before them. Nothing
//! that came from elsewhere reaches a terminal with its control characters.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use super::json::{Json, inert_json, printable_json};
use crate::error::{AuthsomeError, Result};

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const RESET: &str = "\x1b[0m";

/// How to print.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Output {
    /// One JSON object instead of text.
    pub(super) json: bool,
    /// No notes.
    pub(super) quiet: bool,
    /// What the client does, on stderr.
    pub(super) verbose: bool,
    /// Colour on stdout.
    pub(super) colour: bool,
    /// Colour on stderr.
    pub(super) colour_errors: bool,
}

/// Marks the error of a reader that went away, as `head` does. It ends the command and is none.
#[derive(Debug)]
pub(super) struct OutputClosed;

impl fmt::Display for OutputClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reader of the output is gone")
    }
}

impl std::error::Error for OutputClosed {}

impl OutputClosed {
    /// Whether `error` is this one.
    pub(super) fn is(error: &AuthsomeError) -> bool {
        matches!(error, AuthsomeError::Io(error) if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>))
    }
}

impl Output {
    /// Writes `bytes` to stdout as they are.
    pub(super) fn bytes(self, bytes: &[u8]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => io::Error::new(io::ErrorKind::BrokenPipe, OutputClosed).into(),
            kind => io::Error::new(kind, format!("cannot write the output: {error}")).into(),
        })
    }

    /// Writes a line of text to stdout.
    pub(super) fn line(self, text: &str) -> Result<()> {
        self.bytes(format!("{}\n", printable(text)).as_bytes())
    }

    /// Writes `value` as the one object of `--json`.
    pub(super) fn object(self, value: Json) -> Result<()> {
        self.pretty(&value.versioned())
    }

    /// Writes `value` with two-space indents.
    pub(super) fn pretty(self, value: &Json) -> Result<()> {
        self.bytes(printable_json(value).expose_bytes())
    }

    /// Writes the object with `--json`, else the sentence.
    pub(super) fn answer(self, value: Json, sentence: &str) -> Result<()> {
        if self.json { self.object(value) } else { self.line(sentence) }
    }

    /// A table with headings. Columns are as wide as they must be; the last one is not padded.
    pub(super) fn table(self, headings: &[&str], rows: &[Vec<String>]) -> Result<()> {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([headings[column].len()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let heading = aligned(headings, &widths);
        let mut text = self.coloured(BOLD, &heading);
        text.push('\n');
        for row in &rows {
            text.push_str(&aligned(row, &widths));
            text.push('\n');
        }
        self.bytes(text.as_bytes())
    }

    /// `name   value` lines, without the empty ones.
    pub(super) fn facts(self, facts: &[(&str, String)]) -> Result<()> {
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        let mut text = String::new();
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            text.push_str(&self.coloured(BOLD, &format!("{name:width$}")));
            let _ = writeln!(text, "  {}", printable(value));
        }
        self.bytes(text.as_bytes())
    }

    /// A remark on stderr, unless `--quiet`.
    pub(super) fn note(self, text: &str) {
        if !self.quiet {
            self.remark(text);
        }
    }

    /// What the user needs to go on, on stderr, also with `--quiet`.
    pub(super) fn say(self, text: &str) {
        self.remark(text);
    }

    /// Lines that are to be copied, on stderr and also with `--quiet`: set apart, and nothing else on them.
    pub(super) fn display(self, lines: &[&str]) {
        let mut text = "\n".to_owned();
        for line in lines {
            let line = printable(line);
            let line = if self.colour_errors { format!("{BOLD}{line}{RESET}") } else { line };
            let _ = writeln!(text, "    {line}");
        }
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// A page of text on stderr, unless `--quiet`, and a blank line behind it.
    pub(super) fn aside(self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Something the user should know, on stderr, also with `--quiet`.
    pub(super) fn warn(self, text: &str) {
        self.remark(&format!("warning: {text}"));
    }

    /// `value` on one line of stderr: a report beside the data of another program.
    pub(super) fn report_line(self, value: Json) {
        let text = serde_json::to_string(&value.versioned()).unwrap_or_default();
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// A line that starts with a verdict in green or red.
    pub(super) fn judged(self, verdict: &str, good: bool, text: &str) -> Result<()> {
        let verdict = self.coloured(if good { GREEN } else { RED }, &format!("{verdict:7}"));
        self.bytes(format!("{verdict}  {}\n", printable(text)).as_bytes())
    }

    /// A line of ours on stderr.
    pub(super) fn remark(self, text: &str) {
        let _ = writeln!(io::stderr(), "authsome: {}", printable(text));
    }

    fn coloured(self, colour: &str, text: &str) -> String {
        if self.colour { format!("{colour}{text}{RESET}") } else { text.to_owned() }
    }
}

/// Writes an error the way `contract/cli.md` says. `hint`: better than the error's own.
pub(super) fn report(error: &AuthsomeError, hint: Option<String>, out: Output, to_stderr: bool) {
    if out.json {
        let object = Json::object([("error", error.name().as_str().into()), ("message", error.to_string().into())]);
        let text = inert_json(&object.versioned());
        let text = text.expose_bytes();
        // A full disk behind stdout must not swallow the reason as well.
        if to_stderr || io::stdout().write_all(text).and_then(|()| io::stdout().flush()).is_err() {
            let _ = io::stderr().write_all(text);
        }
        return;
    }
    let label = if out.colour_errors { format!("{RED}error:{RESET}") } else { "error:".to_owned() };
    let mut text = format!("authsome: {label} {}\n", printable(&error.to_string()));
    if let Some(hint) = hint.or_else(|| error.hint()) {
        let _ = writeln!(text, "authsome: hint: {}", printable(&hint));
    }
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Whether the environment does not forbid colour (<https://no-color.org>).
pub(super) fn colour_wanted() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// `text` without the characters that steer a terminal: C0, DEL and C1 controls, and those that change direction.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// Whether a terminal does something at `c` beside showing it (direction: Unicode's property `Bidi_Control`).
pub(super) fn steers(c: char) -> bool {
    let directs = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || directs
}

fn aligned<T: AsRef<str>>(cells: &[T], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(line, "{:width$}  ", cell.as_ref());
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_a_terminal() {
        assert_eq!(
            printable("a\x1b[2Jb\nc\u{9b}d\u{202e}e\u{61c}f"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f"
        );
        assert_eq!(printable("naïve ✓"), "naïve ✓");
    }

    #[test]
    fn columns_line_up_and_nothing_trails() {
        assert_eq!(aligned(&["ab", "c", ""], &[4, 1, 9]), "ab    c");
        assert_eq!(aligned(&["é", "x"], &[2, 1]), "é   x");
    }

    #[test]
    fn only_a_closed_output_counts_as_one() {
        let closed = io::Error::new(io::ErrorKind::BrokenPipe, OutputClosed).into();
        assert!(OutputClosed::is(&closed));
        assert!(!OutputClosed::is(&io::Error::from(io::ErrorKind::BrokenPipe).into()));
        assert!(!OutputClosed::is(&AuthsomeError::NoIdentity));
    }
}

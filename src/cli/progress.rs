//! What is being waited for, on stderr: one line that is drawn anew on a terminal, else a plain line when it changes.
//! From the background too: there the terminal is somebody else's.

use std::env;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use super::output::{Output, printable};
use super::terminal::is_in_front;

/// Between two pictures of the spinner.
const TICK: Duration = Duration::from_millis(120);
const BRAILLE: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const ASCII: [&str; 4] = ["|", "/", "-", "\\"];
/// To the start of the line, without wrapping what does not fit: a second line could not be taken back.
const START: &str = "\r\x1b[?7l";
/// Removes what is left of a longer text, and wraps again.
const END: &str = "\x1b[K\x1b[?7h";
const CLEAR: &str = "\r\x1b[K";

/// A line that says what we wait for.
pub(super) struct Progress {
    out: Output,
    /// The pictures of the spinner; none: plain lines.
    frames: &'static [&'static str],
    frame: usize,
    started: Instant,
    said: String,
    is_drawn: bool,
}

/// How the time is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Time {
    /// Since the start.
    Elapsed,
    /// Until then.
    Left(Duration),
}

impl Progress {
    /// A spinner where one can be drawn: on a terminal that takes colours and nothing else, unless it is to be quiet.
    pub(super) fn new(out: Output) -> Self {
        let frames: &[&str] = match out.colour_errors && !out.quiet && !out.json && !out.verbose {
            true if has_unicode(|name| env::var(name).ok()) => &BRAILLE,
            true => &ASCII,
            false => &[],
        };
        Self { out, frames, frame: 0, started: Instant::now(), said: String::new(), is_drawn: false }
    }

    /// How long the line can stay as it is.
    pub(super) fn tick(&self) -> Duration {
        if self.frames.is_empty() { Duration::from_secs(3600) } else { TICK }
    }

    /// Says `what`.
    pub(super) fn show(&mut self, what: &str, time: Time) {
        if let Some(frame) = self.frames.get(self.frame).filter(|_| is_in_front(io::stderr())) {
            let text = printable(&live_line(what, time, self.started.elapsed()));
            // In one piece: who is stopped or killed between two would leave a terminal that does not wrap.
            let _ = io::stderr().write_all(format!("{START}{frame} {text}{END}").as_bytes());
            self.frame = (self.frame + 1) % self.frames.len();
            self.is_drawn = true;
        } else if self.said != what {
            what.clone_into(&mut self.said);
            self.out.note(&plain_line(what, time));
        }
    }

    /// Takes the line back, so that another can be printed.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn live_line(what: &str, time: Time, elapsed: Duration) -> String {
    match time {
        Time::Elapsed => format!("{what} ({})", clock(elapsed)),
        Time::Left(_) => plain_line(what, time),
    }
}

fn plain_line(what: &str, time: Time) -> String {
    match time {
        Time::Elapsed => what.to_owned(),
        Time::Left(left) => format!("{what} ({} left)", clock(left)),
    }
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// Whether the terminal shows more than ASCII (POSIX: the first of these that is set decides).
fn has_unicode(lookup: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(lookup).find(|value| !value.is_empty());
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_what_and_how_long() {
        let (what, passed) = ("waiting", Duration::from_secs(83));
        assert_eq!(live_line(what, Time::Elapsed, passed), "waiting (1:23)");
        let left = Time::Left(Duration::from_secs(899));
        assert_eq!(live_line(what, left, passed), "waiting (14:59 left)");
        assert_eq!(
            (plain_line(what, Time::Elapsed), plain_line(what, left)),
            ("waiting".into(), "waiting (14:59 left)".into())
        );
    }

    #[test]
    fn the_locale_tells_what_can_be_drawn() {
        let of = |set: &[(&str, &str)]| {
            has_unicode(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(of(&[("LANG", "de_DE.UTF-8")]) && of(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!of(&[]) && !of(&[("LANG", "C")]) && !of(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
    }

    #[test]
    fn without_a_terminal_nothing_is_drawn_again_and_again() {
        let mut progress = Progress::new(Output { quiet: true, ..Output::default() });
        assert!(progress.tick() > TICK * 1000);
        progress.show("waiting", Time::Elapsed);
        assert!(!progress.is_drawn);
    }
}

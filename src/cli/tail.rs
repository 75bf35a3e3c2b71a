//! The end of a log file, and what is added to it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::context::Context;
use super::json::Json;
use crate::error::Result;
use crate::paths;

/// How far back the end of a file is looked for; lines are short.
const TAIL_BYTES: u64 = 1024 * 1024;
/// Between two looks at a file that may grow.
const PAUSE: Duration = Duration::from_millis(250);

/// Shows the last `count` lines of a log, and with `follow` what is added to it.
///
/// # Errors
/// What the file system says, with the path; a reader that went away.
pub(super) fn show(ctx: &Context, path: &Path, count: usize, follow: bool) -> Result<()> {
    let lines = last_lines(path, count)?;
    if ctx.out.json && !follow {
        return ctx.out.object(Json::object([
            ("log_file", path.display().to_string().into()),
            ("entries", Json::array(lines.iter().map(|line| line.as_str().into()))),
        ]));
    }
    if lines.is_empty() && count > 0 {
        ctx.out.note(&format!("note: nothing is in {} yet", path.display()));
    }
    lines.iter().try_for_each(|line| ctx.out.line(line))?;
    if follow { self::follow(path, |line| ctx.out.line(line)) } else { Ok(()) }
}

/// The last `count` lines; none when there is no file.
///
/// # Errors
/// What the file system says, with the path.
fn last_lines(path: &Path, count: usize) -> Result<Vec<String>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(paths::with_path(&error, "read", path).into()),
    };
    let text = read_end(&mut file).map_err(|error| paths::with_path(&error, "read", path))?;
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect())
}

/// Gives every line that is added to the file from now on to `take`, until that fails. A file that was replaced or
/// emptied is read from its start.
///
/// # Errors
/// That of `take`.
fn follow(path: &Path, mut take: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let mut growing = Growing::at_the_end_of(path);
    loop {
        for line in growing.new_lines(path) {
            take(&line)?;
        }
        thread::sleep(PAUSE);
    }
}

/// A place in a file.
struct Growing {
    inode: u64,
    offset: u64,
    partial: Vec<u8>,
}

impl Growing {
    fn at_the_end_of(path: &Path) -> Self {
        let (inode, offset) = path.metadata().map_or((0, 0), |metadata| (metadata.ino(), metadata.len()));
        Self { inode, offset, partial: Vec::new() }
    }

    /// The lines that were completed since the last look. Trouble with the file is left to the next look.
    fn new_lines(&mut self, path: &Path) -> Vec<String> {
        let _ = self.read_on(path);
        let Some(end) = self.partial.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.partial.split_off(end + 1);
        let complete = std::mem::replace(&mut self.partial, rest);
        String::from_utf8_lossy(&complete).lines().map(str::to_owned).collect()
    }

    fn read_on(&mut self, path: &Path) -> io::Result<()> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.ino() != self.inode || metadata.len() < self.offset {
            *self = Self { inode: metadata.ino(), offset: 0, partial: Vec::new() };
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let read = file.take(TAIL_BYTES).read_to_end(&mut self.partial)?;
        self.offset += read as u64;
        Ok(())
    }
}

fn read_end(file: &mut File) -> io::Result<String> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::client::testing::Scratch;

    #[test]
    fn the_end_of_a_file_and_no_file() {
        let scratch = Scratch::new();
        let path = scratch.0.dir().join("log");
        assert!(last_lines(&path, 5).expect("no file").is_empty());
        paths::write_private(&path, b"one\ntwo\nthree\n").expect("writes");
        assert_eq!(last_lines(&path, 2).expect("reads"), ["two", "three"]);
        assert_eq!(last_lines(&path, 9).expect("reads").len(), 3);
    }

    #[test]
    fn added_lines_come_whole_and_a_new_file_from_its_start() {
        let scratch = Scratch::new();
        let path = scratch.0.dir().join("log");
        paths::write_private(&path, b"old\n").expect("writes");
        let mut growing = Growing::at_the_end_of(&path);
        assert!(growing.new_lines(&path).is_empty());
        let mut file = File::options().append(true).open(&path).expect("opens");
        file.write_all(b"one\ntw").expect("writes");
        assert_eq!(growing.new_lines(&path), ["one"]);
        file.write_all(b"o\n").expect("writes");
        assert_eq!(growing.new_lines(&path), ["two"]);
        paths::write_private(&path, b"fresh\n").expect("replaces");
        assert_eq!(growing.new_lines(&path), ["fresh"]);
    }
}

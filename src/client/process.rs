//! Whether a process is the daemon that a file speaks of. Numbers of processes and ports are used again, so neither
//! is believed alone: a wrong signal would end somebody's program, a wrong port would get somebody's keys.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, geteuid, sysconf};

use crate::error::{AuthsomeError, Result};
use crate::limits::SMALL_FILE_BYTES;
use crate::paths;

/// How much later than its file a daemon may seem to have started: rounding of the kernel's clock ticks.
const START_SLACK: Duration = Duration::from_secs(2);
/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Whether process `pid` is a running `authsome daemon serve` that we may signal.
pub(super) fn is_our_daemon(pid: u32) -> bool {
    is_signallable(pid) && command_line(pid).is_some_and(|words| is_serve(&words))
}

/// Sends SIGTERM to the daemon whose file was written at `recorded`.
///
/// # Errors
/// `OperationNotAllowed` when `pid` may be another program by now.
pub(super) fn terminate(pid: u32, recorded: SystemTime) -> Result<()> {
    // A daemon of 0.7.2 is a Python program with our name in its arguments.
    let is_named = |words: Vec<String>| is_serve(&words) || words.iter().any(|word| word.contains("authsome"));
    let named_so = command_line(pid).is_some_and(is_named);
    let old_enough = started_at(pid).is_none_or(|started| started <= recorded + START_SLACK);
    let process = as_pid(pid).filter(|_| named_so && old_enough && is_signallable(pid));
    let Some(process) = process else {
        return Err(AuthsomeError::OperationNotAllowed {
            operation: "stop",
            reason: format!("process {pid} cannot be recognised as the daemon of this home"),
            hint: Some("end it yourself if it is, then remove server/daemon/daemon.json"),
        });
    };
    kill(process, Signal::SIGTERM).map_err(|error| {
        AuthsomeError::Io(std::io::Error::new(
            std::io::Error::from(error).kind(),
            format!("cannot signal process {pid}: {error}"),
        ))
    })
}

/// Whether a process with this number runs. One that has ended but was not waited for does not, unless threads of it
/// are still ending: those hold its files and their locks.
pub(super) fn is_running(pid: u32) -> bool {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => match fields_after_name(&stat).first().copied() {
            None | Some("X") => false,
            Some("Z") => has_other_threads(pid),
            Some(_) => true,
        },
        // Without /proc the kernel still tells whether the number is taken.
        Err(_) => !Path::new("/proc/self").exists() && is_signallable(pid),
    }
}

/// Whether a process has a thread besides its first.
fn has_other_threads(pid: u32) -> bool {
    fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1)
}

/// Whether the program that listens on `port` of this machine belongs to us, to root or to the owner of the home.
/// `None` when the system does not tell.
pub(super) fn listener_is_ours(port: u16, home: &Path) -> Option<bool> {
    let owner = fs::metadata(home).map(|metadata| metadata.uid()).ok();
    let ours = |uid: u32| uid == geteuid().as_raw() || uid == 0 || Some(uid) == owner;
    let mut listeners =
        ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().flat_map(|path| listeners(path, port)).peekable();
    listeners.peek()?;
    Some(listeners.all(ours))
}

/// The users that listen on `port`, by one of the kernel's tables. Listening sockets stand first in it.
fn listeners(table: &str, port: u16) -> Vec<u32> {
    let Ok(file) = fs::File::open(table) else { return Vec::new() };
    let rows = BufReader::new(file).lines().skip(1).map_while(std::result::Result::ok);
    rows.take_while(|row| row.split_ascii_whitespace().nth(3) == Some(LISTEN))
        .filter_map(|row| listener(&row).filter(|(listens, _)| *listens == port))
        .map(|(_, uid)| uid)
        .collect()
}

/// Port and user of one row: `sl local rem st queues timer retransmits uid ...`.
fn listener(row: &str) -> Option<(u16, u32)> {
    let mut columns = row.split_ascii_whitespace();
    let (_, port) = columns.nth(1)?.rsplit_once(':')?;
    Some((u16::from_str_radix(port, 16).ok()?, columns.nth(5)?.parse().ok()?))
}

fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

fn is_signallable(pid: u32) -> bool {
    as_pid(pid).is_some_and(|pid| kill(pid, None).is_ok())
}

/// The words of a command line, readable also when the process is not dumpable.
fn command_line(pid: u32) -> Option<Vec<String>> {
    let bytes = paths::read_limited(Path::new(&format!("/proc/{pid}/cmdline")), SMALL_FILE_BYTES).ok()?;
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    Some(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

/// Whether this is `PROGRAM ... daemon serve`, for a program called authsome, or as this one is.
fn is_serve(words: &[String]) -> bool {
    let file_name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let own = std::env::args_os().next().map(|own| file_name(&own.to_string_lossy()));
    let is_program = words
        .first()
        .map(|word| file_name(word))
        .is_some_and(|name| name.contains("authsome") || Some(&name) == own.as_ref());
    is_program && words.windows(2).any(|pair| pair[0] == "daemon" && pair[1] == "serve")
}

/// When a process started, by the kernel's clock; `None` when the system does not tell.
fn started_at(pid: u32) -> Option<SystemTime> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // proc(5): field 22, counted from 1; the first that `fields_after_name` gives is field 3.
    let ticks: u64 = fields_after_name(&stat).get(19)?.parse().ok()?;
    let per_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok().filter(|ticks| *ticks > 0)?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
    let age =
        Duration::try_from_secs_f64(uptime).ok()?.saturating_sub(Duration::from_millis(ticks * 1000 / per_second));
    SystemTime::now().checked_sub(age)
}

/// The fields of `/proc/PID/stat` after the name, which may hold spaces and brackets itself.
fn fields_after_name(stat: &[u8]) -> Vec<&str> {
    let after = stat.iter().rposition(|byte| *byte == b')').map_or(stat.len(), |at| at + 1);
    std::str::from_utf8(&stat[after..]).unwrap_or_default().split_ascii_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::client::testing::{Scratch, refusing_port};

    #[test]
    fn a_row_of_the_kernel_is_read() {
        let row =
            "   1: 0100007F:1F3E 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100";
        assert_eq!(listener(row), Some((7998, 1000)));
        let six =
            "   0: 00000000000000000000000001000000:1F3E 00000000000000000000000000000000:0000 0A 0:0 00:0 0 65534 0 1";
        assert_eq!(listener(six), Some((7998, 65534)));
        assert_eq!(listener("garbage"), None);
    }

    #[test]
    fn listeners_are_found_by_port_and_only_among_those_that_listen() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(listener_is_ours(port, Path::new("/nonexistent")), Some(true));
        let (_socket, silent) = refusing_port();
        assert_eq!(listener_is_ours(silent, Path::new("/nonexistent")), None);
        let scratch = Scratch::new();
        let table = scratch.0.dir().join("tcp");
        let row =
            |port: u16, state: &str, uid: u32| format!(" 0: 0100007F:{port:04X} 0:0 {state} 0:0 00:0 0 {uid} 0 1\n");
        let rows = ["head\n".to_owned(), row(80, "0A", 7), row(81, "0A", 8), row(80, "01", 9)].concat();
        paths::write_private(&table, rows.as_bytes()).expect("writes");
        assert_eq!(listeners(table.to_str().expect("UTF-8"), 80), [7]);
    }

    #[test]
    fn only_a_daemons_command_line_passes() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_serve(&words("/usr/bin/authsome daemon serve --port 0")));
        assert!(is_serve(&words("authsome --json daemon serve")));
        for other in ["vim authsome daemon serve", "authsome daemon status", "authsome run daemon", "sh"] {
            assert!(!is_serve(&words(other)), "{other}");
        }
    }

    #[test]
    fn a_process_that_is_no_daemon_is_never_signalled() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().expect("starts");
        let pid = child.id();
        assert!(is_running(pid) && !is_our_daemon(pid));
        assert!(terminate(pid, SystemTime::now()).is_err());
        assert!(child.try_wait().expect("waits").is_none(), "it still runs");
        child.kill().expect("ends");
        child.wait().expect("ends");
        assert!(!is_running(pid));
        for special in [0, 1, u32::MAX] {
            assert!(terminate(special, SystemTime::now()).is_err());
        }
    }

    #[test]
    fn the_start_of_this_process_is_in_the_recent_past() {
        let started = started_at(std::process::id()).expect("known");
        let age = SystemTime::now().duration_since(started).unwrap_or_default();
        assert!(age < Duration::from_secs(3600), "{age:?}");
    }
}

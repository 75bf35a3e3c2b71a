//! Start-up, memory and size.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Options;
use crate::report::{Report, Row, Target, median, spread};
use crate::stage::Stage;

/// How often each command runs in one round.
const STARTS: usize = 25;

pub(crate) fn start_up(options: &Options, stage: &Stage, report: &mut Report) -> io::Result<()> {
    let sides: [&[&str]; 5] =
        [&[], &["--version"], &["run", "--", "true"], &["export", "bench", "--quiet"], &["whoami"]];
    let mut rounds: Vec<Vec<f64>> = Vec::new();
    for _ in 0..options.rounds {
        let round = sides.iter().map(|args| {
            let mut command = if args.is_empty() { bare_true() } else { stage.command(*args) };
            median_start(&mut command)
        });
        rounds.push(round.collect::<io::Result<_>>()?);
    }
    let side = |index: usize| -> Vec<f64> { rounds.iter().map(|round| round[index]).collect() };
    let true_ms = median(&side(0));
    let against = |index: usize, ratio: bool| -> Vec<f64> {
        let of = |round: &Vec<f64>| if ratio { round[index] / round[0] } else { round[index] - round[0] };
        rounds.iter().map(of).collect()
    };
    let rows = [
        ("start of the CLI (--version), ratio to true", 1, true, Some(Target::AtMost(0.7))),
        ("run -- true, ms over true", 2, false, Some(Target::AtMost(2.0))),
        ("export, warm, ms over true", 3, false, None),
        ("whoami, warm, ms over true", 4, false, None),
    ];
    for (name, index, ratio, target) in rows {
        let values = against(index, ratio);
        report.add(Row {
            name: name.to_owned(),
            figure: format!("{:.2} ms", median(&side(index))),
            beside: format!("true {true_ms:.2} ms"),
            value: median(&values),
            spread: Some(spread(&values)),
            target,
        });
    }
    Ok(())
}

pub(crate) fn memory_and_size(options: &Options, stage: &Stage, report: &mut Report) -> io::Result<()> {
    report.single("idle daemon, resident", resident_mb(stage.daemon_pid())?, "MB", Some(Target::AtMost(6.0)));
    report.single("idle run, resident", resident_mb(stage.run_pid())?, "MB", Some(Target::AtMost(6.0)));
    let size = |path: &Path| fs::metadata(path).map(|facts| facts.len() as f64 / 1e6);
    match &options.static_binary {
        Some(path) => report.single("static binary", size(path)?, "MB", Some(Target::AtMost(5.0))),
        None => report.single("release binary (not static)", size(&options.authsome)?, "MB", None),
    }
    if options.crates > 0 {
        report.single("linked crates", options.crates as f64, "", Some(Target::AtMost(95.0)));
    }
    Ok(())
}

/// The processor time that `pid` has used so far.
pub(crate) fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10)) // user and system time; Linux counts 100 ticks a second
}

fn bare_true() -> Command {
    let mut command = Command::new("true");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The median time, in milliseconds, from the start of a command to its end.
fn median_start(command: &mut Command) -> io::Result<f64> {
    let mut times = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let start = Instant::now();
        let status = command.status()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if !status.success() {
            return Err(io::Error::other(format!("{command:?}: {status}")));
        }
    }
    Ok(median(&times))
}

/// The resident memory of `pid`, in units of a million bytes.
pub(crate) fn resident_mb(pid: u32) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)?;
    Ok(kib * 1024.0 / 1e6)
}

//! `scripts/bench`: the figures the project keeps, as ratios within one run, because machines differ and get busy.
//!
//! Every comparison is rotated: each round measures every side once, the ratio is taken per round, and the median of
//! the rounds is what counts. Absolute figures are printed beside it for orientation.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a program whose output is a table
#![allow(clippy::cast_precision_loss)] // figures for people

#[path = "../upstream/upstream.rs"]
mod upstream;

mod load;
mod nginx;
mod processes;
mod report;
mod stage;

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use argh::FromArgs;

use report::Report;
use stage::Stage;
use upstream::{Authority, Upstream};

/// Measures authsome against doing without it.
#[derive(FromArgs)]
pub(crate) struct Options {
    /// the release binary
    #[argh(option)]
    authsome: PathBuf,
    /// the static binary, for its size
    #[argh(option)]
    static_binary: Option<PathBuf>,
    /// how many crates are linked
    #[argh(option, default = "0")]
    crates: usize,
    /// rounds of each comparison (7)
    #[argh(option, default = "7")]
    rounds: usize,
    /// seconds of each load (1.5)
    #[argh(option, default = "1.5")]
    seconds: f64,
    /// where to write the figures as JSON
    #[argh(option)]
    out: PathBuf,
    /// compare with an nginx that terminates and re-encrypts TLS
    #[argh(switch)]
    nginx: bool,
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    if let [_, command, dir] = words.as_slice()
        && command == "serve-upstream"
    {
        return serve_upstream(Path::new(dir));
    }
    let options: Options = argh::from_env();
    let mut report = Report::default();
    let mut stage = Stage::set(&options.authsome)?;
    processes::start_up(&options, &stage, &mut report)?;
    processes::memory_and_size(&options, &stage, &mut report)?;
    load::memory(&stage, &mut report)?;
    load::daemon(&options, &mut stage, &mut report)?; // before the load that fills its audit log
    let nginx = if options.nginx { nginx::start(&stage)? } else { None };
    load::proxied(&options, &stage, nginx.as_ref(), &mut report)?;
    load::bodies(&options, &stage, nginx.as_ref(), &mut report)?;
    report.print();
    report.write(&options.out)
}

/// The upstream as a process of its own, so that its work is not counted as the load generator's.
fn serve_upstream(dir: &Path) -> io::Result<()> {
    let authority = Authority::new();
    let upstream = Upstream::start_forgetful(&authority, &[stage::HOST]);
    std::fs::write(dir.join("ca.pem"), authority.pem())?;
    let (chain, key) = authority.issue_pem(stage::HOST);
    std::fs::write(dir.join("nginx.crt"), chain)?;
    std::fs::write(dir.join("nginx.key"), key)?;
    println!("{}", upstream.address());
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

//! `echo-api`: a TLS API on loopback that answers with what it got, for `scripts/quickstart` and for a look by hand.
//!
//! `cargo run --example echo-api -- DIR HOST...` writes its certificate authority to `DIR/ca.pem`, every request head
//! to `DIR/seen`, prints the value for `AUTHSOME_RESOLVE` and serves until its standard input ends.

#![allow(clippy::print_stdout)] // a tool that says where it listens

#[path = "../upstream/upstream.rs"]
mod upstream;

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Mutex;

use upstream::{Authority, Upstream};

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or_else(|| io::Error::other("usage: echo-api DIR HOST..."))?);
    let hosts: Vec<String> = args.collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();

    let authority = Authority::new();
    fs::write(dir.join("ca.pem"), authority.pem())?;
    let seen = Mutex::new(File::create(dir.join("seen"))?);
    let upstream = Upstream::start(&authority, &hosts);
    upstream.on("/v1/echo", move |exchange| {
        if let Ok(mut file) = seen.lock() {
            file.write_all(&exchange.head.raw)?;
        }
        exchange.echo()
    });
    println!("{}", upstream.resolve());
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

//! The real program, driven from outside: real processes, real sockets, real clients, and an upstream that shows what
//! arrived. Nothing leaves loopback; every test has its own home, its own daemon and its own ports.

#[path = "../upstream/upstream.rs"]
mod upstream;

mod harness;

mod api;
mod arrows;
mod bad_input;
mod cli;
mod clients;
mod crash;
mod daemon;
mod dashboard;
mod empty_root;
mod hostile;
mod leaks;
mod login;
mod oauth_itself;
mod oauth_leaks;
mod people;
mod proxy;
mod quirks;
mod real;
mod redaction;
mod refresh;
mod run;
mod store_process;
mod upstream_itself;
mod vault_crash;
mod wall;

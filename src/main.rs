//! The `authsome` command.

fn main() {}

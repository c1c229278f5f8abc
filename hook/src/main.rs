//! `reexec`: parse, call, print, exit.

fn main() {}

//! The Debian release that the beds run: bookworm, or the one that `BED_SUITE` names.

use std::process::Command;

/// The release's name.
pub fn name() -> String {
    std::env::var("BED_SUITE").unwrap_or_else(|_| "bookworm".to_owned())
}

/// The packages of three libraries that nginx maps, for TLS, compression and expressions. The
/// first two are mapped by other services of the base too.
pub fn libraries() -> [&'static str; 3] {
    match name().as_str() {
        "bullseye" => ["libssl1.1", "zlib1g", "libpcre3"],
        "bookworm" => ["libssl3", "zlib1g", "libpcre2-8-0"],
        _ => ["libssl3t64", "zlib1g", "libpcre2-8-0"],
    }
}

/// A program that builds something for the release: this machine's, or, for a release with an older
/// C library, run by the command that `BED_BUILDER` names (`tests/inside BASE`).
pub fn builder(program: &str) -> Command {
    let inside = std::env::var("BED_BUILDER").unwrap_or_default();
    let mut words = inside.split_whitespace().chain([program]);
    let mut command = Command::new(words.next().unwrap_or(program));
    command.args(words);
    command
}

//! Lines of a service that runs for long: on standard error, where the journal or a terminal takes them.

use std::io::Write;

/// Writes one line. A closed or full output is no reason to end.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "reexec: {text}");
}

//! Tests that this machine cannot run say so, and are counted.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

/// The file that collects one line for each skipped test (`make test` sums it up).
const COLLECTED_IN: &str = "REEXEC_TEST_SKIPS";

/// Says that the running test was skipped. Use [`skip!`](crate::skip!), which also returns.
pub fn say(why: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
    // Not through the test's captured output: a skip must be seen without --nocapture.
    let _ = std::io::stderr().write_all(format!("skipped: {line}").as_bytes());
    if let Some(path) = std::env::var_os(COLLECTED_IN) {
        if let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path) {
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// Why beds cannot be booted here; `None` when they can.
pub fn why_no_bed(base: &str) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    for program in ["/usr/bin/systemd-nspawn", "/usr/bin/unshare", "/usr/bin/nsenter"] {
        if !Path::new(program).exists() {
            return Some(format!("needs {program} (make deps)"));
        }
    }
    if !crate::bed::cache().join(base).exists() {
        return Some(format!("needs the base system {base} (make deps)"));
    }
    None
}

/// Says why the running test is skipped, and returns from it.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => {{
        $crate::skip::say(&format!($($why)*));
        return Ok(());
    }};
}

/// Returns from the running test, with a word, where no bed of this base can be booted.
#[macro_export]
macro_rules! needs_bed {
    ($base:expr) => {
        if let Some(why) = $crate::skip::why_no_bed($base) {
            $crate::skip!("{why}");
        }
    };
}

//! Gives the shared library the name that programs ask the loader for.

use std::io::{self, Write};

/// Changes when a program that was linked to an older one could not run with a newer one.
const ABI: u32 = 0;

fn main() -> io::Result<()> {
    writeln!(io::stdout(), "cargo:rustc-cdylib-link-arg=-Wl,-soname,libreexec-client.so.{ABI}")
}

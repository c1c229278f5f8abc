//! Puts the functions that a look executes side by side in the program, by `look.ld`: they are a fifth of it, and
//! lie on pages all over it otherwise, of which the kernel maps those around as well.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ORDER: &str = "look.ld";

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "cargo:rerun-if-changed=build.rs\ncargo:rerun-if-changed={ORDER}")?;
    let variable = |name: &str| env::var(name).unwrap_or_default();
    if variable("PROFILE") != "release" || variable("CARGO_CFG_TARGET_OS") != "linux" {
        return Ok(());
    }
    let script = Path::new(&variable("CARGO_MANIFEST_DIR")).join(ORDER);
    let argument = format!("-Wl,-T,{}", script.display());
    if links_with(&argument)? {
        return writeln!(out, "cargo:rustc-link-arg-bins={argument}");
    }
    writeln!(out, "cargo:warning=this linker knows no INSERT: the program is the same, and needs some 2 MiB more")
}

/// Whether the linker that is going to be used takes the argument: GNU ld and LLVM's do, mold and gold do not.
fn links_with(argument: &str) -> io::Result<bool> {
    let folder = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let source = folder.join("probe.rs");
    fs::write(&source, "fn main() {}")?;
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--crate-name", "probe", "--crate-type", "bin", "-C", &format!("link-arg={argument}")]);
    rustc.arg(&source).arg("-o").arg(folder.join("probe"));
    rustc.arg("--target").arg(env::var_os("TARGET").unwrap_or_default());
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        rustc.arg("-C").arg(format!("linker={}", linker.to_string_lossy()));
    }
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    rustc.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
    Ok(rustc.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success())
}

//! `repository BASE SUFFIX PACKAGE…`: prints the folder of a local apt repository with newer builds
//! of the packages of a base, which it makes when there is none yet.

use anyhow::{bail, Result};
use std::io::Write;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [base, suffix, packages @ ..] = &words[..] else {
        bail!("repository BASE SUFFIX PACKAGE…");
    };
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let folder = reexec_tests::packages::repacked(base, suffix, &packages)?;
    writeln!(std::io::stdout(), "{}", folder.display())?;
    Ok(())
}

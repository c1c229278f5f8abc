//! What anybody may write into the hook: it has to end in time, with a clear word and in bounded memory.

use crate::bed::Bed;
use crate::debian::measured_bytes;
use crate::machine::figure;
use crate::run::Output;
use anyhow::{ensure, Context, Result};

/// The hook returns within this, whatever its input does.
const SECONDS: f64 = 30.0;
/// Most memory of the hook, and of the process that its plugin runs in.
const MEBIBYTES: u64 = 300;
/// Where the program that measures is put.
const MEASURED: &str = "/usr/local/bin/measured";

/// Inputs of which each is a redirection for bash, and a word of what has to be said of it.
pub type Fed<'a> = (&'a str, &'a str);

/// Feeds the hook of a manager with each of these, all at one time.
pub fn fed(bed: &Bed, manager: &str, inputs: &[Fed<'_>]) -> Result<()> {
    bed.write_program(MEASURED, &measured_bytes()?)?;
    let begin = |(number, (input, _)): (usize, &Fed<'_>)| {
        // What writes is waited for by nobody: it is no process of the hook's.
        let hook = format!("exec reexec hook {manager} --phase post < {input} >/run/told.{number} 2>&1");
        format!("{MEASURED} bash -c '{hook}' >/run/measured.{number} &\n")
    };
    bed.shell(&(inputs.iter().enumerate().map(begin).collect::<String>() + "wait"))?;
    for (number, (input, words)) in inputs.iter().enumerate() {
        let told = bed.shell(&format!("cat /run/told.{number}"))?;
        let numbers = bed.shell(&format!("cat /run/measured.{number}"))?;
        figure(&format!("hook {manager} < {input}: exit code, s, MiB {numbers}"));
        let said = format!("{numbers}\n{told}");
        let numbers: Vec<&str> = numbers.split(' ').collect();
        let [code, seconds, most] = numbers[..] else { anyhow::bail!("{input}: {said}") };
        ensure!(code == "0", "{input}: {said}");
        ensure!(seconds.parse::<f64>().context("seconds")? < SECONDS, "{input}: {said}");
        ensure!(most.parse::<u64>().context("MiB")? < MEBIBYTES, "{input}: {said}");
        // A plugin that is not done with it in time on a busy machine is ended, and that is said.
        ensure!(told.contains(words) || told.contains("gave no answer within"), "{input}: no {words} in {told}");
        ensure!(told.len() < 4000, "{input}: {} bytes were said", told.len());
    }
    Ok(())
}

/// Bytes that are no text, the same in each run.
pub fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// What the hook of a manager says of this input, with these arguments. It succeeds and is brief.
pub fn said(bed: &Bed, manager: &str, input: &[u8], arguments: &[&str]) -> Result<Output> {
    bed.shell("rm -f /run/reexec/pending/*")?;
    let command = [&["reexec", "hook", manager, "--phase", "post"], arguments].concat();
    let said = bed.exec_within(std::time::Duration::from_secs(60), input, &command)?;
    ensure!(said.code() == Some(0), "{said:?}");
    ensure!(said.text().len() < 2000, "{} bytes were said", said.text().len());
    Ok(said)
}

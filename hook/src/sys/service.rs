//! What a service of ours says to the manager that started it, and the program that it calls: our own.

use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

const PULSE: Duration = Duration::from_millis(50);

/// Says that we are ready (sd_notify(3)); nobody listening is no fault.
pub fn ready() -> Result<()> {
    reexec_client::notify::ready().context("tell the service manager")?;
    Ok(())
}

/// Runs `reexec apply` behind whatever else changes packages; its exit code, `None` where it was told to end.
pub fn apply(stopped: &dyn Fn() -> bool) -> Result<Option<i32>> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("reexec").args(["apply", "--color", "never"]).stdin(Stdio::null());
    let mut child = command.spawn().context("run reexec apply")?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.code().unwrap_or(1)));
        }
        if stopped() {
            // It has written down what it was about to do, and the next run goes on from there.
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(PULSE);
    }
}

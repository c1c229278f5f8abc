//! The new file runs once as a child, before it gets this process.

use crate::descriptors;
use crate::error::Error;
use crate::handover::Trial;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often the child is looked at. Short: the daemon does not serve while it waits.
const TICK: Duration = Duration::from_millis(5);

/// Whether the program at this path ends with 0.
pub(crate) fn passes(path: &Path, trial: &Trial) -> Result<(), Error> {
    let mut command = Command::new(path);
    command.args(&trial.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // It must not pass for the service, nor take its descriptors for its own.
    for variable in descriptors::VARIABLES.iter().chain(&["NOTIFY_SOCKET", "WATCHDOG_PID"]) {
        command.env_remove(variable);
    }
    let mut child = command.spawn().map_err(|error| Error::Trial(error.to_string()))?;
    let status = wait(&mut child, Instant::now() + trial.deadline)?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Trial(status.to_string()))
}

fn wait(child: &mut Child, deadline: Instant) -> Result<ExitStatus, Error> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(TICK),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::Trial("it did not end in time".to_owned()));
            }
            // A daemon that reaps all children, or ignores SIGCHLD, takes the status from us.
            Err(error) => return Err(Error::Trial(format!("its end cannot be seen: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_passes_if_it_ends_well_and_in_time() {
        let tried = |script: &str, millis: u64| {
            let arguments = ["-c".into(), script.into()].into();
            let trial = Trial { arguments, deadline: Duration::from_millis(millis) };
            passes(Path::new("/bin/sh"), &trial).map_err(|error| error.to_string())
        };
        assert_eq!(tried("exit 0", 5000), Ok(()));
        assert_eq!(tried("test -z \"$NOTIFY_SOCKET$LISTEN_FDS\"", 5000), Ok(()));
        let refused = |how: &str| Err(format!("the new program did not pass its trial: {how}"));
        assert_eq!(tried("exit 3", 5000), refused("exit status: 3"));
        assert_eq!(tried("kill -SEGV $$", 5000), refused("signal: 11 (SIGSEGV)"));
        assert_eq!(tried("exec sleep 60", 50), refused("it did not end in time"));
    }
}

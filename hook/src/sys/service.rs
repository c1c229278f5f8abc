//! What a service of ours says to the manager that started it.

use anyhow::{Context, Result};

/// Says that we are ready (sd_notify(3)); nobody listening is no fault.
pub fn ready() -> Result<()> {
    reexec_client::notify::ready().context("tell the service manager")?;
    Ok(())
}

//! Facts about the machine.

/// Kernel release, as `uname -r` prints it.
pub fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The id of this boot; empty where `/proc` has none.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Our effective user id.
pub fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Columns of the terminal on standard output; `None` where it is none.
pub fn terminal_columns() -> Option<usize> {
    let stdout = std::io::stdout();
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0).or(Some(80))
}

//! What else `/proc/PID/stat` tells: the program image that a process executes; and terminals by device number.

use super::process::ProcessKey;

/// Where the kernel put a program when it was executed. `exec` keeps pid and start time, but with
/// address space randomisation it never keeps both of these; a fork does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Image {
    /// Where its code begins.
    pub code: u64,
    /// Where its stack begins.
    pub stack: u64,
}

/// A process and the image that it executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executed {
    /// Which process.
    pub key: ProcessKey,
    /// What it executes.
    pub image: Image,
}

/// Fields of `/proc/PID/stat` behind the name (proc_pid_stat(5)); the first is number 3.
fn field(line: &[u8], number: usize) -> Option<u64> {
    let close = line.iter().rposition(|&byte| byte == b')')?;
    let fields = std::str::from_utf8(line.get(close + 1..)?).ok()?;
    fields.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

/// The image; `None` where the kernel does not tell it (it says 0 to whom it does not trust).
pub fn parse_image(line: &[u8]) -> Option<Image> {
    let image = Image { code: field(line, 26)?, stack: field(line, 28)? };
    (image.code > 1 && image.stack > 0).then_some(image)
}

/// The number of a pseudo terminal's end at the program's side: majors 136 to 143
/// (`Documentation/admin-guide/devices.txt`); `None` for another kind of terminal.
pub fn pseudo_terminal(device: u64) -> Option<u64> {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00));
    (136..=143).contains(&major).then(|| (major - 136) * 256 + minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_and_terminal_are_counted_from_the_name() {
        let line =
            b"42 (a) b) S 1 42 42 34817 42 4194304 1 0 0 0 0 0 0 0 20 0 1 0 98765 1000 1 9 94000 95000 140000 0 0";
        assert_eq!(parse_image(line), Some(Image { code: 94000, stack: 140_000 }));
        assert_eq!(pseudo_terminal(34817), Some(1));
        assert_eq!(pseudo_terminal(0x401), None);
        assert_eq!(parse_image(&line[..60]), None);
        assert_eq!(parse_image(b"42 (a) S 1 42 42 0 42 4194304 1 0 0 0 0 0 0 0 20 0 1 0 98765 1000 1 9 0 0 0"), None);
    }
}

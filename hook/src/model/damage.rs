//! How much of a file that was overwritten in place a process runs already, from the text of `smaps`
//! (proc_pid_smaps(5)).

use super::file::FileId;
use super::mapping::{parse_maps, Wanted};

/// Bytes of code or data that a process maps of one file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// All that is mapped.
    pub mapped: u64,
    /// In private copies of pages, made before the file was written to: still the old. Cutting a file
    /// throws them away, also those that the dynamic loader wrote to.
    pub private: u64,
    /// Behind the end that the file has now: the process ends with SIGBUS when it touches them.
    pub beyond_end: u64,
}

impl Part {
    /// What is the new file's content now.
    pub fn new_content(&self) -> u64 {
        self.mapped.saturating_sub(self.private).saturating_sub(self.beyond_end)
    }
}

/// What a process has in memory of a file that was overwritten in place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Damage {
    /// Of executable mappings.
    pub code: Part,
    /// Of all others.
    pub data: Part,
}

impl Damage {
    /// Adds up the mappings of a file with this number, whose pages end there now.
    pub fn of(smaps: &[u8], file: FileId, end: u64) -> Damage {
        let mut damage = Damage::default();
        let mut part: Option<&mut Part> = None;
        for line in smaps.split(|&byte| byte == b'\n') {
            if let Some(size) = line.strip_prefix(b"Anonymous:") {
                if let Some(part) = part.take() {
                    part.private += kilobytes(size).unwrap_or(0);
                }
            } else if let Some(Ok(mapping)) = header(line).then(|| parse_maps(line, Wanted::Files).next()).flatten() {
                part = (mapping.id == file).then(|| {
                    let part = if mapping.execute { &mut damage.code } else { &mut damage.data };
                    let size = mapping.end - mapping.start;
                    part.mapped += size;
                    part.beyond_end += mapping.offset.saturating_add(size).saturating_sub(end.max(mapping.offset));
                    part
                });
            }
        }
        damage
    }

    /// In words.
    pub fn words(&self) -> String {
        let part = |name: &str, part: &Part| {
            let (new, all) = (part.new_content() >> 10, part.mapped >> 10);
            let private = match part.private {
                0 => String::new(),
                bytes => format!(" and {} KiB private copies of the old", bytes >> 10),
            };
            format!("of {all} KiB of {name} {new} KiB are the new file{private}")
        };
        let lost = match self.code.beyond_end + self.data.beyond_end {
            0 => String::new(),
            bytes => format!("; {} KiB lie behind its end, and touching them ends the process", bytes >> 10),
        };
        format!("{}; {}{lost}", part("code", &self.code), part("data", &self.data))
    }
}

/// Lines of fields begin with a capital letter, those of mappings with a hexadecimal number.
fn header(line: &[u8]) -> bool {
    line.first().is_some_and(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
}

fn kilobytes(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.trim().strip_suffix("kB")?;
    Some(text.trim().parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mapping::device;

    #[test]
    fn private_pages_and_those_behind_the_end_are_told_apart() {
        let smaps = b"7f00000-7f02000 r--p 00000000 fe:00 12 /l\nSize: 8 kB\nAnonymous:  0 kB\n\
            7f02000-7f05000 r-xp 00002000 fe:00 12 /l\nAnonymous:  4 kB\nVmFlags: rd\n\
            7f05000-7f06000 rw-p 00005000 fe:00 12 /l\nAnonymous:  4 kB\n\
            7f06000-7f07000 rw-p 00005000 fe:00 13 /other\nAnonymous:  4 kB\n";
        let damage = Damage::of(smaps, FileId { dev: device(0xfe, 0), ino: 12 }, 0x4000);
        assert_eq!(damage.code, Part { mapped: 0x3000, private: 0x1000, beyond_end: 0x1000 });
        assert_eq!(damage.code.new_content(), 0x1000);
        assert_eq!(damage.data, Part { mapped: 0x3000, private: 0x1000, beyond_end: 0x1000 });
    }
}

//! The processor's microcode against the one in the firmware files.

use crate::model::verdict::words;

words! {
    /// What is said of the microcode.
    MicrocodeStatus {
        /// It was not looked at, and the reason stands beside it.
        Skipped = "skipped",
        /// It could not be told, and the reason stands beside it.
        Unknown = "unknown",
        /// No file has a newer one for this processor.
        Current = "current",
        /// A file has a newer one, which is loaded at boot.
        Outdated = "outdated",
    }
}

/// What was read of the microcode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revisions {
    /// What is in the processor, and the newest in a file for it.
    Known {
        /// In the processor.
        current: u32,
        /// In a file; `None` where none is for this processor.
        available: Option<u32>,
        /// Hexadecimal digits that the maker writes revisions with, at least.
        digits: usize,
    },
    /// It could not be read, and why.
    Unknown(String),
    /// There is none to look at, and why.
    None(String),
}

impl Default for Revisions {
    fn default() -> Revisions {
        Revisions::None("not looked at".to_owned())
    }
}

/// The revision in the processor, the one that a reboot would load, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Microcode {
    /// Revision in the processor.
    pub current: Option<u32>,
    /// Newest revision in a file.
    pub available: Option<u32>,
    /// Hexadecimal digits that the maker writes revisions with, at least.
    pub digits: usize,
    /// What follows.
    pub status: MicrocodeStatus,
    /// Why it was skipped or is not known; empty otherwise.
    pub why: String,
}

impl Default for Microcode {
    fn default() -> Microcode {
        Microcode::skipped("not looked at")
    }
}

impl Microcode {
    /// One that was not looked at.
    pub fn skipped(why: &str) -> Microcode {
        Microcode { current: None, available: None, digits: 0, status: MicrocodeStatus::Skipped, why: why.to_owned() }
    }

    /// Compares. No file for this processor is the usual case, and no reason to worry.
    pub fn of(revisions: &Revisions) -> Microcode {
        let (current, available, digits) = match revisions {
            Revisions::Known { current, available, digits } => (*current, *available, *digits),
            Revisions::Unknown(why) => {
                return Microcode { status: MicrocodeStatus::Unknown, ..Microcode::skipped(why) };
            }
            Revisions::None(why) => return Microcode::skipped(why),
        };
        let status = match available.is_some_and(|available| available > current) {
            true => MicrocodeStatus::Outdated,
            false => MicrocodeStatus::Current,
        };
        Microcode { current: Some(current), available, digits, status, why: String::new() }
    }

    /// A revision as its maker writes it.
    pub fn print(&self, revision: u32) -> String {
        format!("0x{revision:0width$x}", width = self.digits)
    }

    /// Why a reboot is needed for it.
    pub fn reason(&self) -> Option<String> {
        let (current, available) = (self.print(self.current?), self.print(self.available?));
        let said = format!("microcode {available} is installed, {current} is in the processor");
        (self.status == MicrocodeStatus::Outdated).then_some(said)
    }
}

/// CPUID leaf 1 EAX from the decimal fields of `/proc/cpuinfo` (Intel SDM vol. 2A, CPUID; AMD APM vol. 3).
pub fn signature(family: u32, model: u32, stepping: u32) -> u32 {
    let (base, extended) = if family > 0xf { (0xf, family - 0xf) } else { (family, 0) };
    (extended & 0xff) << 20 | (model >> 4 & 0xf) << 16 | (base & 0xf) << 8 | (model & 0xf) << 4 | (stepping & 0xf)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

/// The newest revision for a processor in a file of `/lib/firmware/intel-ucode` (Intel SDM vol. 3A,
/// "Microcode Update Facilities"). `flags` is the platform's bit mask; `None` where it is not known,
/// and then every platform counts.
pub fn intel_revision(file: &[u8], signature: u32, flags: Option<u32>) -> Option<u32> {
    const HEADER: usize = 48;
    const WITHOUT_SIZES: u32 = 2048;
    let meant = |sig: u32, platforms: u32| {
        sig == signature && flags.is_none_or(|flags| flags & platforms != 0 || (flags == 0 && platforms == 0))
    };
    let (mut at, mut newest) = (0, None);
    while word(file, at)? == 1 {
        let [revision, sig, platforms, data, total] = [4, 12, 24, 28, 32].map(|field| word(file, at + field));
        let total = if data? == 0 { WITHOUT_SIZES } else { total? } as usize;
        if total < HEADER {
            return newest;
        }
        let extended = at + HEADER + if data? == 0 { 2000 } else { data? as usize };
        let entries =
            if extended + 20 <= at + total { word(file, extended).unwrap_or(0).min(1024) as usize } else { 0 };
        let also = (0..entries).any(|entry| {
            let row = extended + 20 + entry * 12;
            matches!((word(file, row), word(file, row + 4)), (Some(sig), Some(platforms)) if meant(sig, platforms))
        });
        if meant(sig?, platforms?) || also {
            newest = newest.max(revision);
        }
        at += total;
        if at >= file.len() {
            break;
        }
    }
    newest
}

/// The newest revision for a processor in a file of `/lib/firmware/amd-ucode`
/// (`arch/x86/kernel/cpu/microcode/amd.c`: a table of equivalent processors, then patches).
pub fn amd_revision(file: &[u8], signature: u32) -> Option<u32> {
    const MAGIC: u32 = 0x0041_4d44;
    const TABLE: u32 = 0;
    const PATCH: u32 = 1;
    if word(file, 0)? != MAGIC || word(file, 4)? != TABLE {
        return None;
    }
    let size = word(file, 8)? as usize;
    let rows = (0..size / 16).map(|row| 12 + row * 16);
    let equivalent =
        rows.filter(|&row| word(file, row) == Some(signature)).find_map(|row| word(file, row + 12))? & 0xffff;
    let (mut at, mut newest) = (12 + size, None);
    while let (Some(PATCH), Some(size)) = (word(file, at), word(file, at + 4)) {
        let patch = at + 8;
        // The processor's revision id is 16 bits at 24; the patch level is at 4.
        if word(file, patch + 24).map(|id| id & 0xffff) == Some(equivalent) {
            newest = newest.max(word(file, patch + 4));
        }
        at = patch.checked_add(size as usize)?;
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn intel(revision: u32, signature: u32, platforms: u32) -> Vec<u8> {
        let mut update = bytes(&[1, revision, 0x0101_2024, signature, 0, 1, platforms, 16, 64, 0, 0, 0]);
        update.resize(64, 0);
        update
    }

    #[test]
    fn the_signature_is_what_cpuid_says() {
        // Sapphire Rapids (6-cf-2), Zen 3 (25-33-2), Pentium 4 (15-2-9).
        for (family, model, stepping, expected) in
            [(6, 207, 2, 0xc06f2), (25, 33, 2, 0x00a2_0f12), (15, 2, 9, 0xf29), (6, 158, 10, 0x906ea)]
        {
            assert_eq!(signature(family, model, stepping), expected, "{family} {model} {stepping}");
        }
    }

    #[test]
    fn only_a_newer_file_is_a_reason_to_reboot() {
        for (current, available, reason) in [
            (0x20, Some(0x21), Some("microcode 0x0021 is installed, 0x0020 is in the processor")),
            (0x21, Some(0x21), None),
            (0x22, Some(0x21), None),
            (0x20, None, None),
        ] {
            let microcode = Microcode::of(&Revisions::Known { current, available, digits: 4 });
            assert_eq!(microcode.reason().as_deref(), reason, "{current:#x} {available:?}");
        }
        assert_eq!(Microcode::of(&Revisions::Unknown("x".into())).status, MicrocodeStatus::Unknown);
    }

    #[test]
    fn of_several_intel_updates_the_newest_for_this_platform_counts() {
        let file = [intel(0x21, 0x906ea, 0x22), intel(0x30, 0x906ea, 0x80), intel(0x99, 0x906eb, 0x22)].concat();
        for (signature, flags, expected) in [
            (0x906ea, Some(0x02), Some(0x21)),
            (0x906ea, Some(0x80), Some(0x30)),
            (0x906ea, None, Some(0x30)),
            (0x906ea, Some(0x01), None),
            (0x906ec, None, None),
        ] {
            assert_eq!(intel_revision(&file, signature, flags), expected, "{signature:x} {flags:?}");
        }
    }

    #[test]
    fn an_amd_container_is_read_through_its_table() {
        let table = [0x0041_4d44, 0, 32, 0x00a2_0f12, 0, 0, 0xa212, 0, 0, 0, 0];
        let patch = |level: u32, id: u32| [1, 28, 0, level, 0, 0, 0, 0, id];
        let file = bytes(&[&table[..], &patch(0x0a20_1205, 0xa212), &patch(0x0a20_1303, 0xa213)].concat());
        assert_eq!(amd_revision(&file, 0x00a2_0f12), Some(0x0a20_1205));
        assert_eq!(amd_revision(&file, 0x00a2_0f10), None);
    }

    #[test]
    fn a_cut_or_foreign_file_has_no_revision_and_no_panic() {
        let whole = intel(0x21, 0x906ea, 0x22);
        for end in 0..whole.len().min(36) {
            assert_eq!(intel_revision(&whole[..end], 0x906ea, None), None, "{end}");
            assert_eq!(amd_revision(&whole[..end], 0x906ea), None, "{end}");
        }
        assert_eq!(intel_revision(&bytes(&[1, 2, 3, 4, 5, 6, 7, 1, 0, 0, 0, 0]), 4, None), None);
    }
}

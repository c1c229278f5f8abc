//! The lines of `/proc/PID/maps`, byte for byte (proc_pid_maps(5)).
//!
//! Written here because the `procfs` crate's parser loses a whole process on one non-UTF-8 name.

use super::file::FileId;
use super::process::leading_decimal;

/// One mapping, as the kernel prints or answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Readable.
    pub read: bool,
    /// Writable.
    pub write: bool,
    /// Executable.
    pub execute: bool,
    /// Shared: writes reach the file.
    pub shared: bool,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// The super block's device and the inode number. On btrfs and overlayfs this device is not the
    /// one that `stat` gives.
    pub id: FileId,
    /// The name as printed; empty for anonymous memory, `[stack]` and the like for special areas.
    pub name: &'a [u8],
}

impl Mapping<'_> {
    /// Whether a file (or what looks like one) is mapped.
    pub fn is_file(&self) -> bool {
        self.id.ino != 0
    }

    /// First byte of the file behind what is mapped, for mappings that can be read or executed.
    /// The gaps that the dynamic loader leaves (`---p`) may lie beyond the end of any file.
    pub fn reach(&self) -> u64 {
        match self.read || self.execute {
            true => self.offset.saturating_add(self.end - self.start),
            false => 0,
        }
    }
}

/// Which mappings are of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Executable mappings of files.
    Code,
    /// All mappings of files.
    Files,
}

/// The line is not one of `maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapsError {
    /// The line, cut short.
    pub line: Vec<u8>,
}

/// The wanted mappings in the text of `maps`, without copying anything. Of a line that is not wanted
/// only the permissions are looked at.
pub fn parse_maps(text: &[u8], wanted: Wanted) -> impl Iterator<Item = Result<Mapping<'_>, MapsError>> {
    Lines { rest: text }.filter_map(move |line| {
        if wanted == Wanted::Code && is_not_code(line) {
            return None;
        }
        match parse_line(line) {
            Some(mapping) => (mapping.is_file() && (wanted == Wanted::Files || mapping.execute)).then_some(Ok(mapping)),
            None => Some(Err(MapsError { line: line[..line.len().min(80)].to_vec() })),
        }
    })
}

/// Lines that are not empty, without their ends.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    }
}

/// Whether a line is well-formed as far as its permissions, and these say that nothing is executed.
fn is_not_code(line: &[u8]) -> bool {
    let searched = || memchr::memchr(b' ', &line[..line.len().min(MOST_RANGE)]);
    let usual = (line.get(USUAL_RANGE) == Some(&b' ')).then_some(USUAL_RANGE);
    let Some(blank) = usual.or_else(searched) else { return false };
    matches!(line.get(blank + 1..blank + 6), Some([b'r' | b'-', b'w' | b'-', b'-', b'p' | b's', b' ']))
}

/// Two 64-bit numbers in hexadecimal, what stands between them and the blank behind.
const MOST_RANGE: usize = 34;
/// Two addresses of 47 bits, as almost all are, and what stands between them.
const USUAL_RANGE: usize = 25;

fn parse_line(line: &[u8]) -> Option<Mapping<'_>> {
    let (start, rest) = hex(line, b'-')?;
    let (end, rest) = hex(rest, b' ')?;
    let (permissions, rest) = rest.split_at_checked(4)?;
    let (offset, rest) = hex(rest.strip_prefix(b" ")?, b' ')?;
    let (major, rest) = hex(rest, b':')?;
    let (minor, rest) = hex(rest, b' ')?;
    let (ino, rest) = leading_decimal(rest)?;
    // The kernel pads with blanks up to a column; a name may itself begin with none, since it
    // begins with a slash or a bracket.
    let name = rest.trim_ascii_start_of_blanks();
    Some(Mapping {
        start,
        end: (end >= start).then_some(end)?,
        read: permissions[0] == b'r',
        write: permissions[1] == b'w',
        execute: permissions[2] == b'x',
        shared: permissions[3] == b's',
        offset,
        id: FileId { dev: device(u32::try_from(major).ok()?, u32::try_from(minor).ok()?), ino },
        name,
    })
}

/// One number for a device, the same for what `maps` prints and what `statx` answers.
pub fn device(major: u32, minor: u32) -> u64 {
    u64::from(major) << 32 | u64::from(minor)
}

trait Blanks {
    fn trim_ascii_start_of_blanks(&self) -> &[u8];
}

impl Blanks for [u8] {
    fn trim_ascii_start_of_blanks(&self) -> &[u8] {
        let start = self.iter().position(|&byte| byte != b' ').unwrap_or(self.len());
        &self[start..]
    }
}

fn hex(text: &[u8], until: u8) -> Option<(u64, &[u8])> {
    let (mut value, mut index) = (0_u64, 0);
    loop {
        let byte = *text.get(index)?;
        match DIGITS[usize::from(byte)] {
            NO_DIGIT if byte == until => return (index > 0 && index <= 16).then_some((value, &text[index + 1..])),
            NO_DIGIT => return None,
            digit => value = value << 4 | u64::from(digit),
        }
        index += 1;
    }
}

const NO_DIGIT: u8 = 0xff;
/// What each byte means as a lower-case hexadecimal digit. A table: reading these is most of our work for the text of
/// `maps`.
static DIGITS: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let (mut table, mut digit) = ([NO_DIGIT; 256], 0);
    while digit < 16 {
        table[b"0123456789abcdef"[digit as usize] as usize] = digit;
        digit += 1;
    }
    table
}

/// The suffix that the kernel prints behind a name whose directory entry is gone.
const DELETED: &[u8] = b" (deleted)";

/// The names that a printed name can stand for, likeliest first; never empty.
///
/// A name that really ends in ` (deleted)` is legal, so the literal name comes before the stripped
/// one. `maps` prints a newline as `\012` and a backslash as itself, so both readings are there.
pub fn readings(name: &[u8]) -> Vec<Vec<u8>> {
    let mut names = vec![name.to_vec()];
    if let Some(stripped) = name.strip_suffix(DELETED) {
        names.push(stripped.to_vec());
    }
    if memchr::memchr(b'\\', name).is_none() {
        return names;
    }
    for index in 0..names.len() {
        let plain = with_newlines(&names[index]);
        if plain != names[index] {
            names.push(plain);
        }
    }
    names
}

/// Whether the kernel says that the name's directory entry is gone, or a file is really named so.
pub fn says_deleted(name: &[u8]) -> bool {
    name.ends_with(DELETED)
}

fn with_newlines(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match rest.strip_prefix(b"\\012") {
            Some(behind) => {
                out.push(b'\n');
                behind
            }
            None => {
                out.push(byte);
                tail
            }
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_byte_by_byte() {
        let text =
            b"7f0a1c000000-7f0a1c021000 r-xp 00002000 fe:00 1234                       /usr/lib/lib\xff (deleted)\n";
        let all: Vec<_> = parse_maps(text, Wanted::Files).collect();
        assert_eq!(
            all,
            [Ok(Mapping {
                start: 0x7f0a_1c00_0000,
                end: 0x7f0a_1c02_1000,
                read: true,
                write: false,
                execute: true,
                shared: false,
                offset: 0x2000,
                id: FileId { dev: device(0xfe, 0), ino: 1234 },
                name: b"/usr/lib/lib\xff (deleted)",
            })]
        );
    }

    #[test]
    fn anonymous_and_special_areas_are_no_files() {
        for line in [
            &b"7ffc1-7ffc2 rw-p 00000000 00:00 0                          [stack]\n"[..],
            b"7ffc1-7ffc2 rw-p 00000000 00:00 0 \n",
            b"7ffc1-7ffc2 rw-p 00000000 00:00 0\n",
        ] {
            for wanted in [Wanted::Code, Wanted::Files] {
                assert_eq!(parse_maps(line, wanted).next(), None);
            }
        }
    }

    #[test]
    fn what_is_no_line_of_maps_is_an_error_and_not_a_panic() {
        for line in [
            "x",
            "1-",
            "1-2",
            "1-2 r",
            "1-2 rw-p",
            "1-2 rw-p 0 0:0",
            "2-1 rw-p 0 0:0 0 /x",
            "1-2 rw-p 0 0:0 99999999999999999999999 x",
            "fffffffffffffffff-2 rw-p 0 0:0 0",
        ] {
            let first = parse_maps(line.as_bytes(), Wanted::Files).next().expect("one item");
            assert!(first.is_err(), "{line}");
        }
    }

    #[test]
    fn of_code_alone_the_other_lines_are_passed_over_and_broken_ones_are_not() {
        let text = b"1000-2000 r--p 00000000 fe:00 7  /a\n\
            2000-3000 r-xp 00001000 fe:00 7  /a\n\
            3000-4000 rwxp 00000000 00:00 0  [heap]\n\
            4000-5000 rw?p 00000000 fe:00 8  /b\n\
            zzzz rw-p";
        let all: Vec<_> = parse_maps(text, Wanted::Code).map(|line| line.map(|mapping| mapping.start)).collect();
        assert_eq!(all[0], Ok(0x2000));
        assert_eq!(all.len(), 2, "{all:?}");
        let files: Vec<_> = parse_maps(text, Wanted::Files).map(|line| line.map(|mapping| mapping.start)).collect();
        assert_eq!(files[..3], [Ok(0x1000), Ok(0x2000), Ok(0x4000)]);
        assert!(files[3].is_err());
    }

    #[test]
    fn a_name_is_read_literally_before_anything_is_stripped() {
        assert_eq!(readings(b"/a"), [b"/a".to_vec()]);
        assert_eq!(readings(b"/a (deleted)"), [b"/a (deleted)".to_vec(), b"/a".to_vec()]);
        assert_eq!(readings(b"/a\\012b"), [b"/a\\012b".to_vec(), b"/a\nb".to_vec()]);
        assert_eq!(
            readings(b"/a\\012b (deleted)"),
            [&b"/a\\012b (deleted)"[..], b"/a\\012b", b"/a\nb (deleted)", b"/a\nb"].map(<[u8]>::to_vec)
        );
    }
}

//! A package's header, as rpm keeps it in the database: bytes in, views of them out. Pure.
//!
//! Big-endian numbers: the count of index entries and the size of the data, then 16 bytes for each
//! entry (tag, type, offset, count), then the data. Formats 4 and 6 differ only in tags that are not
//! read here. Whatever does not fit is absent: a broken header has less to say, and breaks nobody.

use std::borrow::Cow;

/// Tags of rpm's `rpmtag.h`.
mod tag {
    pub const NAME: u32 = 1000;
    pub const VERSION: u32 = 1001;
    pub const RELEASE: u32 = 1002;
    pub const EPOCH: u32 = 1003;
    pub const INSTALL_TIME: u32 = 1008;
    pub const ARCH: u32 = 1022;
    pub const FILE_STATES: u32 = 1029;
    pub const FILE_MODES: u32 = 1030;
    pub const FILE_DIGESTS: u32 = 1035;
    pub const FILE_FLAGS: u32 = 1037;
    pub const REQUIRE_NAME: u32 = 1049;
    pub const DIR_INDEXES: u32 = 1116;
    pub const BASE_NAMES: u32 = 1117;
    pub const DIR_NAMES: u32 = 1118;
    pub const INSTALL_TID: u32 = 1128;
    pub const DIGEST_ALGORITHM: u32 = 5011;
}

/// `RPMFILE_GHOST` of rpm's `rpmfiles.h`: listed, but not in the archive.
const GHOST: u32 = 1 << 6;
/// `RPMFILE_STATE_NORMAL`: all other states mean that the file on disk is not of this package.
const NORMAL: u8 = 0;
/// Most index entries of a header: rpm's own limit (`hdrchkTags`).
const MAX_ENTRIES: usize = 0xffff;
/// `S_IFMT` and `S_IFDIR` of inode(7).
const KIND: u16 = 0o170_000;
const FOLDER: u16 = 0o040_000;

/// A package's name as it is shown: with its architecture where that is not the machine's own.
pub fn shown_as<'a>(name: &'a [u8], architecture: &[u8]) -> Cow<'a, [u8]> {
    match architecture.is_empty() || architecture == b"noarch" || architecture == native() {
        true => Cow::Borrowed(name),
        false => Cow::Owned([name, b".", architecture].concat()),
    }
}

/// One package's header.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

/// One value of the index.
#[derive(Debug, Clone, Copy)]
struct Value<'a> {
    kind: u32,
    count: usize,
    /// The data from where it begins.
    data: &'a [u8],
}

impl<'a> Header<'a> {
    /// Of a blob of the table `Packages`; `None` if it is none.
    pub fn parse(blob: &'a [u8]) -> Option<Header<'a>> {
        let entries = usize::try_from(number(blob, 0)?).ok().filter(|entries| *entries <= MAX_ENTRIES)?;
        let size = usize::try_from(number(blob, 4)?).ok()?;
        let (index, data) = blob.get(8..)?.split_at_checked(entries * 16)?;
        Some(Header { index, data: data.get(..size)? })
    }

    /// The last entry of a tag: what rpm adds on installation stands behind what was built, and
    /// replaces it.
    fn value(&self, tag: u32) -> Option<Value<'a>> {
        let entry = self.index.chunks_exact(16).rev().find(|entry| number(entry, 0) == Some(tag))?;
        let field = |at| number(entry, at).and_then(|value| usize::try_from(value).ok());
        Some(Value { kind: number(entry, 4)?, count: field(12)?, data: self.data.get(field(8)?..)? })
    }

    fn text(&self, tag: u32) -> &'a [u8] {
        self.value(tag).and_then(|value| value.strings().next()).unwrap_or_default()
    }

    fn number(&self, tag: u32) -> Option<u32> {
        self.value(tag)?.numbers(0)
    }

    /// What it requires: names of packages, paths and capabilities such as `libx.so.1()(64bit)`, without
    /// versions.
    pub fn requires(&self) -> impl Iterator<Item = &'a [u8]> {
        self.value(tag::REQUIRE_NAME).into_iter().flat_map(Value::strings)
    }

    /// The package's name.
    pub fn name(&self) -> &'a [u8] {
        self.text(tag::NAME)
    }

    /// The architecture that it was built for; empty for a key, which rpm keeps as a package too.
    pub fn architecture(&self) -> &'a [u8] {
        self.text(tag::ARCH)
    }

    /// The name as it is shown, see [`shown_as`].
    pub fn shown(&self) -> Cow<'a, [u8]> {
        shown_as(self.name(), self.architecture())
    }

    /// `[EPOCH:]VERSION-RELEASE`; an epoch of 0 is as good as none.
    pub fn version(&self) -> Vec<u8> {
        let epoch = self.number(tag::EPOCH).filter(|epoch| *epoch > 0).map(|epoch| format!("{epoch}:"));
        let epoch = epoch.unwrap_or_default().into_bytes();
        [&epoch, self.text(tag::VERSION), b"-", self.text(tag::RELEASE)].concat()
    }

    /// When it was installed, in seconds since 1970.
    pub fn installed_at(&self) -> Option<i64> {
        self.number(tag::INSTALL_TIME).map(i64::from)
    }

    /// When the transaction that installed it began, in seconds since 1970: rpm's name for it.
    pub fn transaction(&self) -> Option<i64> {
        self.number(tag::INSTALL_TID).map(i64::from)
    }

    /// The name of the algorithm of its files' digests; `None` for one that nobody here computes.
    pub fn algorithm(&self) -> Option<&'static [u8]> {
        // RFC 4880, section 9.4. A header without the tag is from before it could be chosen.
        match self.number(tag::DIGEST_ALGORITHM) {
            None | Some(1) => Some(b"md5"),
            Some(2) => Some(b"sha1"),
            Some(8) => Some(b"sha256"),
            Some(9) => Some(b"sha384"),
            Some(10) => Some(b"sha512"),
            Some(_) => None,
        }
    }

    /// Its files.
    pub fn files(&self) -> Files<'a> {
        let value = |tag| self.value(tag);
        let folders = value(tag::DIR_NAMES).map(|names| names.strings().collect()).unwrap_or_default();
        let names = value(tag::BASE_NAMES);
        Files {
            folders,
            names,
            folder_of: value(tag::DIR_INDEXES),
            states: value(tag::FILE_STATES),
            flags: value(tag::FILE_FLAGS),
            modes: value(tag::FILE_MODES),
            digests: value(tag::FILE_DIGESTS),
        }
    }
}

/// The files of a package, by their index in its header.
#[derive(Debug, Clone)]
pub struct Files<'a> {
    folders: Vec<&'a [u8]>,
    names: Option<Value<'a>>,
    folder_of: Option<Value<'a>>,
    states: Option<Value<'a>>,
    flags: Option<Value<'a>>,
    modes: Option<Value<'a>>,
    digests: Option<Value<'a>>,
}

impl<'a> Files<'a> {
    /// The folder of a file, with a slash at its end.
    pub fn folder(&self, index: usize) -> Option<&'a [u8]> {
        let at = usize::try_from(self.folder_of?.numbers(index)?).ok()?;
        self.folders.get(at).copied()
    }

    /// The names of all files, in their order.
    pub fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        self.names.into_iter().flat_map(Value::strings)
    }

    /// Whether the file on disk is this package's: not left out on installation (`--excludedocs`,
    /// another colour), not replaced by another package.
    pub fn is_installed(&self, index: usize) -> bool {
        match self.states.filter(|states| index < states.count) {
            Some(states) => states.data.get(index).is_none_or(|state| *state == NORMAL),
            None => true,
        }
    }

    /// Whether it is only listed, so that it need not be there.
    pub fn is_ghost(&self, index: usize) -> bool {
        self.flags.and_then(|flags| flags.numbers(index)).is_some_and(|flags| flags & GHOST != 0)
    }

    /// Whether it is a folder.
    pub fn is_folder(&self, index: usize) -> bool {
        self.modes.and_then(|modes| modes.halves(index)).is_some_and(|mode| mode & KIND == FOLDER)
    }

    /// The digests of all files in hexadecimal, in their order; empty for what has no content.
    pub fn digests(&self) -> impl Iterator<Item = &'a [u8]> {
        self.digests.into_iter().flat_map(Value::strings)
    }

    /// The whole paths of all installed files that are no folders, each with its index.
    pub fn paths(&self) -> impl Iterator<Item = (usize, Vec<u8>)> + '_ {
        let all = self.names().enumerate();
        all.filter(|(index, _)| self.is_installed(*index) && !self.is_folder(*index))
            .filter_map(|(index, name)| Some((index, [self.folder(index)?, name].concat())))
    }
}

impl<'a> Value<'a> {
    /// The strings of a value of type 6 (string), 8 (array) or 9 (translated).
    fn strings(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = if matches!(self.kind, 6 | 8 | 9) { self.data } else { b"" };
        (0..self.count).map_while(move |_| {
            let mut after = rest;
            // The one search in std that is libc's memchr for bytes; a slice cannot fail to be read.
            let len = std::io::BufRead::skip_until(&mut after, 0).ok()?;
            let string = rest.get(..len)?.strip_suffix(b"\0")?;
            rest = after;
            Some(string)
        })
    }

    /// A number of an array of type 4 (32 bits).
    fn numbers(self, index: usize) -> Option<u32> {
        (self.kind == 4 && index < self.count).then(|| number(self.data, index.checked_mul(4)?)).flatten()
    }

    /// A number of an array of type 3 (16 bits).
    fn halves(self, index: usize) -> Option<u16> {
        let bytes = self.data.get(index.checked_mul(2)?..)?.first_chunk::<2>()?;
        (self.kind == 3 && index < self.count).then(|| u16::from_be_bytes(*bytes))
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The architecture of this plugin, in rpm's words.
fn native() -> &'static [u8] {
    match std::env::consts::ARCH {
        "x86" => b"i686",
        "powerpc64" if cfg!(target_endian = "little") => b"ppc64le",
        "arm" => b"armv7hl",
        other => other.as_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{file, package, File};

    #[test]
    fn a_header_says_what_was_built_and_what_was_installed() {
        let mut built = package(
            "libx",
            "1.0-2",
            1_700_000_000,
            &[
                file("/usr/lib/libx.so.1", "aa"),
                File(b"/usr/share/doc/libx".to_vec(), "", 2, 2, 0o040_755),
                File(b"/var/log/x".to_vec(), "", 0, 64, 0o100_644),
                file(b"/usr/lib/\xff", "bb"),
            ],
        );
        built.epoch = Some(3);
        let blob = built.blob();
        let header = Header::parse(&blob).expect("a header");
        assert_eq!((header.name(), header.version()), (&b"libx"[..], b"3:1.0-2".to_vec()));
        assert_eq!((header.transaction(), header.installed_at()), (Some(1_700_000_000), Some(1_700_000_001)));
        assert_eq!(header.algorithm(), Some(&b"sha256"[..]));
        let files = header.files();
        let folders: Vec<_> =
            (0..4).map(|index| files.folder(index).unwrap_or_default().escape_ascii().to_string()).collect();
        assert_eq!(folders, ["/usr/lib/", "/usr/share/doc/", "/var/log/", "/usr/lib/"]);
        assert_eq!((0..4).map(|index| files.is_installed(index)).collect::<Vec<_>>(), [true, false, true, true]);
        assert_eq!((0..4).map(|index| files.is_ghost(index)).collect::<Vec<_>>(), [false, false, true, false]);
        assert_eq!((0..4).map(|index| files.is_folder(index)).collect::<Vec<_>>(), [false, true, false, false]);
        assert_eq!(files.digests().collect::<Vec<_>>(), [&b"aa"[..], b"", b"", b"bb"]);
        let paths: Vec<_> = files.paths().map(|(index, path)| (index, path.escape_ascii().to_string())).collect();
        assert_eq!(
            paths,
            [(0, "/usr/lib/libx.so.1".to_owned()), (2, "/var/log/x".to_owned()), (3, "/usr/lib/\\xff".to_owned()),]
        );
    }

    #[test]
    fn the_architecture_is_shown_where_it_is_not_the_machines_own() {
        for (architecture, expected) in
            [("sparc", "x.sparc"), ("noarch", "x"), ("", "x"), (std::env::consts::ARCH, "x")]
        {
            let mut built = package("x", "1-1", 1, &[]);
            built.architecture = architecture;
            let blob = built.blob();
            assert_eq!(Header::parse(&blob).map(|header| header.shown().into_owned()), Some(expected.into()));
        }
    }

    #[test]
    fn a_header_that_lies_about_itself_has_less_to_say_and_breaks_nobody() {
        let whole = package("libx", "1.0-2", 7, &[file("/usr/lib/libx.so.1", "aa"), file("/etc/x", "bb")]).blob();
        let look = |blob: &[u8]| {
            let Some(header) = Header::parse(blob) else { return 0 };
            let files = header.files();
            let sum = header.name().len() + header.version().len() + files.digests().count() + files.paths().count();
            sum + (0..9).filter(|index| files.is_ghost(*index) | files.is_folder(*index)).count()
        };
        let all = look(&whole);
        for len in 0..whole.len() {
            assert!(look(&whole[..len]) <= all);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bent = whole.clone();
                bent[at] = value;
                look(&bent);
            }
        }
        let endless = [&u32::MAX.to_be_bytes()[..], &u32::MAX.to_be_bytes(), &[0; 64]].concat();
        assert!(Header::parse(&endless).is_none());
    }
}

//! The text of `status`: what dpkg knows of each package.

use reexec_plugin_paths::lines;

/// One package and architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Package<'a> {
    /// Name without architecture.
    pub name: &'a [u8],
    /// Architecture; empty in very old databases.
    pub architecture: &'a [u8],
    /// Version, of what is (or was last) unpacked.
    pub version: &'a [u8],
    /// `installed`, `half-configured`, `config-files`, …
    pub state: &'a [u8],
    /// Whether dpkg wants it installed again before all else.
    pub must_reinstall: bool,
    /// Lines of the `Conffiles` field.
    conffiles: &'a [u8],
    /// `Depends` and `Pre-Depends`.
    depends: [&'a [u8]; 2],
    /// `Provides`.
    provides: &'a [u8],
}

impl<'a> Package<'a> {
    /// Whether files of it are on disk.
    pub fn has_files(&self) -> bool {
        !matches!(self.state, b"config-files" | b"not-installed" | b"")
    }

    /// Names that it depends on, alternatives too: which of them is meant shows by what is installed.
    pub fn depends(&self) -> impl Iterator<Item = &'a [u8]> {
        let parts = |field: &'a [u8]| field.split(|byte| b",|".contains(byte)).map(name_in);
        self.depends.into_iter().flat_map(parts).filter(|name| !name.is_empty())
    }

    /// Names that it stands for besides its own.
    pub fn provides(&self) -> impl Iterator<Item = &'a [u8]> {
        self.provides.split(|byte| *byte == b',').map(name_in).filter(|name| !name.is_empty())
    }

    /// Configuration files with the digest that dpkg keeps for the packaged version.
    pub fn conffiles(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        lines(self.conffiles).filter_map(|line| {
            let mut line = line.trim_ascii();
            // " /etc/name with spaces 0123… obsolete": the words after the digest are flags.
            loop {
                let at = line.iter().rposition(|byte| *byte == b' ')?;
                let (path, last) = (&line[..at], &line[at + 1..]);
                match last {
                    b"obsolete" | b"remove-on-upgrade" => line = path,
                    digest => return Some((path, digest)),
                }
            }
        })
    }
}

/// The name of a package in one part of a relation: `name`, `name:any (>= 1)`.
fn name_in(part: &[u8]) -> &[u8] {
    let part = part.trim_ascii();
    let end = part.iter().position(|byte| b" (:[<".contains(byte)).unwrap_or(part.len());
    &part[..end]
}

/// All packages.
#[derive(Debug, Default)]
pub struct Status<'a> {
    /// Sorted by name; those of one name as they first came in the text.
    packages: Vec<Package<'a>>,
}

impl<'a> Status<'a> {
    /// Parses the text of `status`, with that of `updates/*` after it: of two entries for one
    /// package and architecture the later one counts, as for dpkg.
    pub fn parse(text: &'a [u8]) -> Status<'a> {
        // A megabyte of text has some thousand packages, each of which would be moved ten times.
        let mut packages: Vec<Package<'a>> = Vec::with_capacity(memchr::memmem::find_iter(text, b"\n\n").count() + 1);
        let mut all = lines(text);
        while !all.rest().is_empty() {
            packages.extend(Some(next_stanza(&mut all)).filter(|package| !package.name.is_empty()));
        }
        // dpkg writes them sorted, so that there is little to do but for what was appended.
        packages.sort_by(|a, b| a.name.cmp(b.name));
        // In its own place: a second list would be as big.
        let mut kept = 0;
        for at in 0..packages.len() {
            let package = packages[at];
            let mut same_name = packages[..kept].iter_mut().rev().take_while(|known| known.name == package.name);
            match same_name.find(|known| known.architecture == package.architecture) {
                Some(known) => *known = package,
                None => {
                    packages[kept] = package;
                    kept += 1;
                }
            }
        }
        packages.truncate(kept);
        Status { packages }
    }

    /// The machine's own architecture: that of dpkg itself.
    pub fn native(&self) -> &'a [u8] {
        self.named(b"dpkg").iter().find(|package| package.has_files()).map_or(b"", |package| package.architecture)
    }

    /// All architectures of a package.
    pub fn named(&self, name: &[u8]) -> &[Package<'a>] {
        let from = &self.packages[self.packages.partition_point(|package| package.name < name)..];
        &from[..from.partition_point(|package| package.name == name)]
    }

    /// A package by its name and, where one is given, its architecture; one with files first.
    pub fn find(&self, name: &[u8], architecture: Option<&[u8]>) -> Option<&Package<'a>> {
        let fits = |package: &&Package<'_>| architecture.is_none_or(|one| one == package.architecture);
        let all = self.named(name);
        all.iter().filter(fits).find(|package| package.has_files()).or_else(|| all.iter().find(fits))
    }

    /// All packages, by name.
    pub fn packages(&self) -> impl Iterator<Item = &Package<'a>> {
        self.packages.iter()
    }
}

/// The fields that [`Status::parse`] looks at: a quarter of the text.
const FIELDS: [&[u8]; 8] =
    [b"Package:", b"Status:", b"Version:", b"Architecture:", b"Depends:", b"Pre-Depends:", b"Provides:", b"Conffiles:"];

/// Of the text of `status`, which comes in pieces, the lines that are looked at.
#[derive(Debug, Default)]
pub struct Needed {
    text: Vec<u8>,
    /// A line whose end has not come yet.
    begun: Vec<u8>,
    /// Whether the lines that begin with a blank belong to a field that is looked at.
    in_field: bool,
}

impl Needed {
    /// Of a text of so many bytes.
    pub fn of(len: usize) -> Needed {
        Needed { text: Vec::with_capacity(len / 3), ..Needed::default() }
    }

    /// The next piece.
    pub fn take(&mut self, piece: &[u8]) {
        let mut from = 0;
        for end in memchr::memchr_iter(b'\n', piece) {
            let line = &piece[from..=end];
            from = end + 1;
            if self.begun.is_empty() {
                self.line(line);
            } else {
                let begun = std::mem::take(&mut self.begun);
                self.line(&[&begun, line].concat());
            }
        }
        self.begun.extend_from_slice(&piece[from..]);
    }

    /// The lines, once all pieces were taken.
    pub fn finish(mut self) -> Vec<u8> {
        let last = std::mem::take(&mut self.begun);
        self.line(&last);
        self.text
    }

    fn line(&mut self, line: &[u8]) {
        match line.first() {
            None => return,
            Some(b' ' | b'\t') => {}
            Some(b'\n') => self.in_field = true,
            // Most lines differ in the first letter, and are not compared.
            Some(first) => {
                self.in_field = FIELDS.iter().any(|field| field[0] == *first && line.starts_with(field));
            }
        }
        if self.in_field {
            self.text.extend_from_slice(line);
        }
    }
}

/// Takes lines up to an empty one.
fn next_stanza<'a>(all: &mut reexec_plugin_paths::Lines<'a>) -> Package<'a> {
    let mut package = Package::default();
    while let Some(line) = all.next() {
        if line.is_empty() {
            break;
        }
        match line[0] {
            b'P' => {
                set(&mut package.name, line, b"Package:");
                set(&mut package.provides, line, b"Provides:");
                set(&mut package.depends[1], line, b"Pre-Depends:");
            }
            b'D' => set(&mut package.depends[0], line, b"Depends:"),
            b'A' => set(&mut package.architecture, line, b"Architecture:"),
            b'V' => set(&mut package.version, line, b"Version:"),
            b'S' => {
                let mut words: &[u8] = b"";
                set(&mut words, line, b"Status:");
                let mut words = words.split(|byte| *byte == b' ').skip(1);
                if let (Some(flag), Some(state)) = (words.next(), words.next()) {
                    package.must_reinstall = flag == b"reinstreq";
                    package.state = state;
                }
            }
            b'C' if line == b"Conffiles:" => {
                let from = all.rest();
                let mut len = 0;
                while all.rest().first() == Some(&b' ') {
                    all.next();
                    len = from.len() - all.rest().len();
                }
                package.conffiles = &from[..len];
            }
            _ => {}
        }
    }
    package
}

fn set<'a>(to: &mut &'a [u8], line: &'a [u8], field: &[u8]) {
    if let Some(value) = line.strip_prefix(field) {
        *to = value.trim_ascii();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_the_text_is_never_looked_at_however_it_comes() {
        let more =
            b"Package: x\nStatus: install ok installed\nDescription: a\n b\n Package: no\nDepends: y,\n z\n\n\n \n\
            Conffiles:\n /a 1\n /b 2 obsolete\nHomepage: -\nSection: x\nPackage: z\nVersion: 2";
        for text in [TEXT.to_vec(), more.to_vec(), [TEXT, b"\n", more].concat()] {
            let whole = Status::parse(&text);
            for size in 1..=text.len() {
                let mut needed = Needed::default();
                text.chunks(size).for_each(|piece| needed.take(piece));
                let kept = needed.finish();
                assert_eq!(Status::parse(&kept).packages, whole.packages, "in pieces of {size}");
                assert!(kept.len() < text.len());
            }
        }
    }

    const TEXT: &[u8] = b"Package: dpkg\n\
        Status: install ok installed\n\
        Architecture: amd64\n\
        Version: 1.21.22\n\
        Conffiles:\n\
        \x20/etc/alternatives/README 7be88b21f7e386c8d5a8790c2461c92b\n\
        \x20/etc/with space f4eed9c9b8d2ac5b9cbb8b5a0b6a1e0d obsolete\n\
        Description: Debian package management system\n\
        \x20Package: this is no field\n\
        \n\
        Package: libx\n\
        Status: install ok half-configured\n\
        Architecture: i386\n\
        Version: 1\n\
        \n\
        \n\
        Package: libx\n\
        Status: deinstall reinstreq half-installed\n\
        Architecture: amd64\n\
        Version: 2";

    #[test]
    fn packages_are_found_by_name_and_architecture() {
        let status = Status::parse(TEXT);
        assert_eq!(status.native(), b"amd64");
        assert_eq!(status.named(b"libx").len(), 2);
        let found = status.find(b"libx", Some(b"amd64")).expect("known");
        assert_eq!((found.version, found.state, found.must_reinstall), (&b"2"[..], &b"half-installed"[..], true));
        assert_eq!(status.find(b"libx", None).expect("known").version, b"1");
        assert!(status.find(b"libx", Some(b"arm64")).is_none());
        assert!(status.find(b"this", None).is_none());
    }

    #[test]
    fn conffiles_keep_their_spaces_and_lose_their_flags() {
        let status = Status::parse(TEXT);
        let conffiles: Vec<_> = status.find(b"dpkg", None).expect("known").conffiles().collect();
        assert_eq!(
            conffiles,
            [
                (&b"/etc/alternatives/README"[..], &b"7be88b21f7e386c8d5a8790c2461c92b"[..]),
                (b"/etc/with space", b"f4eed9c9b8d2ac5b9cbb8b5a0b6a1e0d"),
            ]
        );
    }

    #[test]
    fn a_later_entry_replaces_an_earlier_one() {
        let text = b"Package: a\nStatus: install ok installed\nVersion: 1\n\n\
            Package: a\nStatus: install ok unpacked\nVersion: 2\n";
        let status = Status::parse(text);
        assert_eq!(status.named(b"a").len(), 1);
        assert_eq!(status.find(b"a", None).expect("known").version, b"2");
    }

    #[test]
    fn hostile_text_is_read_to_its_end() {
        for text in [
            &b"Conffiles:"[..],
            b"Conffiles:\n x",
            b"Status:\nPackage:\n",
            b"\n\n\n",
            b"Package: \xff\nStatus: a\n",
            b" \0\nPackage: a",
        ] {
            for package in Status::parse(text).packages() {
                let _ = package.conffiles().count();
            }
        }
    }
}

//! The text of `status`: what dpkg knows of each package.

use memchr::memmem::Finder;
use reexec_plugin_paths::lines;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

/// One package and architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// The `Conffiles` field.
    conffiles: &'a [u8],
    /// `Depends` and `Pre-Depends`; empty where relations were not wanted.
    depends: &'a [u8],
    /// `Provides`; likewise.
    provides: &'a [u8],
}

impl<'a> Package<'a> {
    /// Whether files of it are on disk.
    pub fn has_files(&self) -> bool {
        !matches!(self.state, b"config-files" | b"not-installed" | b"")
    }

    /// Names that it depends on, alternatives too: which of them is meant shows by what is installed.
    pub fn depends(&self) -> impl Iterator<Item = &'a [u8]> {
        self.depends.split(|byte| b",|".contains(byte)).map(name_in).filter(|name| !name.is_empty())
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

/// All packages, as far as they are asked about: a tenth of the text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What the entries say, one after the other.
    text: Vec<u8>,
    /// Sorted by name; those of one name as they first came in the text.
    entries: Vec<Entry>,
    /// The packages that were passed over, in the order of the text.
    passed: Vec<Passed>,
}

/// A package that is plainly installed, and that was not asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Passed {
    name: u64,
    start: u64,
    len: u32,
}

/// Where the text has something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    len: u32,
}

/// A package, by what the text has of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Entry {
    name: Span,
    architecture: Span,
    version: Span,
    state: Span,
    conffiles: Span,
    depends: Span,
    provides: Span,
    must_reinstall: bool,
}

impl Status {
    /// The machine's own architecture: that of dpkg itself.
    pub fn native(&self) -> &[u8] {
        self.named(b"dpkg").find(Package::has_files).map_or(b"", |package| package.architecture)
    }

    /// All architectures of a package.
    pub fn named(&self, name: &[u8]) -> impl Iterator<Item = Package<'_>> + Clone {
        let name_of = |entry: &Entry| said(&self.text, entry.name);
        let from = &self.entries[self.entries.partition_point(|entry| name_of(entry) < name)..];
        from[..from.partition_point(|entry| name_of(entry) == name)].iter().map(|entry| self.package(entry))
    }

    /// A package by its name and, where one is given, its architecture; one with files first.
    pub fn find(&self, name: &[u8], architecture: Option<&[u8]>) -> Option<Package<'_>> {
        let mut all = self.named(name).filter(|package| architecture.is_none_or(|one| one == package.architecture));
        all.clone().find(Package::has_files).or_else(|| all.next())
    }

    /// Where in the text the packages with these names are that were passed over; few others may be among them.
    pub fn passed(&self, names: &BTreeSet<Vec<u8>>) -> Vec<Range<u64>> {
        let names: BTreeSet<u64> = names.iter().map(|name| number(name)).collect();
        let asked = self.passed.iter().filter(|passed| names.contains(&passed.name));
        asked.map(|passed| passed.start..passed.start + u64::from(passed.len)).collect()
    }

    /// All packages, by name.
    pub fn packages(&self) -> impl Iterator<Item = Package<'_>> {
        self.entries.iter().map(|entry| self.package(entry))
    }

    fn package(&self, entry: &Entry) -> Package<'_> {
        let said = |span| said(&self.text, span);
        Package {
            name: said(entry.name),
            architecture: said(entry.architecture),
            version: said(entry.version),
            state: said(entry.state),
            must_reinstall: entry.must_reinstall,
            conffiles: said(entry.conffiles),
            depends: said(entry.depends),
            provides: said(entry.provides),
        }
    }
}

/// A number for a name; two names may have the same.
fn number(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name);
    hasher.finish()
}

/// A text of more than 4 GiB is not told of; that of dpkg has a thousandth of it.
fn said(text: &[u8], span: Span) -> &[u8] {
    text.get(span.start as usize..span.start as usize + span.len as usize).unwrap_or_default()
}

/// What is kept of `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// The packages with these names, dpkg itself, and any that is not plainly installed.
    Named(BTreeSet<Vec<u8>>),
    /// All packages.
    All,
    /// All packages, with what they depend on and provide, which is as long as everything else.
    Relations,
}

impl Kept {
    /// Nothing but what every question needs.
    pub fn least() -> Kept {
        Kept::Named(BTreeSet::new())
    }

    /// Whether all is kept that another one keeps.
    pub fn covers(&self, other: &Kept) -> bool {
        match (self, other) {
            (Kept::Named(these), Kept::Named(those)) => those.is_subset(these),
            (Kept::Named(_), _) | (Kept::All, Kept::Relations) => false,
            (Kept::All | Kept::Relations, _) => true,
        }
    }
}

/// Reads the text of `status`, with that of `updates/*` behind it.
///
/// Fields are looked for by name in each stanza, and not line by line: three quarters of the text are descriptions.
#[derive(Debug)]
pub struct Reader {
    kept: Kept,
    /// Where the text is, from its first byte; none where nothing is passed over: what is read may be about a package
    /// that was read already.
    at: Option<u64>,
    fields: Fields,
    status: Status,
}

/// What is looked for; a stanza is handed on with the end of the line before it.
#[derive(Debug)]
struct Fields {
    end: Finder<'static>,
    package: Finder<'static>,
    architecture: Finder<'static>,
    version: Finder<'static>,
    status: Finder<'static>,
    conffiles: Finder<'static>,
    depends: Finder<'static>,
    pre_depends: Finder<'static>,
    provides: Finder<'static>,
}

impl Reader {
    /// Of a text of so many bytes.
    pub fn of(len: usize, kept: Kept) -> Reader {
        let len = if matches!(kept, Kept::Named(_)) { 0 } else { len };
        // An installed package has some 900 bytes, of which 50 are kept.
        let (text, entries) = (Vec::with_capacity(len / 12), Vec::with_capacity(len / 512));
        let status = Status { text, entries, passed: Vec::new() };
        let fields = Fields {
            end: Finder::new(b"\n\n"),
            package: Finder::new(b"\nPackage:"),
            architecture: Finder::new(b"\nArchitecture:"),
            version: Finder::new(b"\nVersion:"),
            status: Finder::new(b"\nStatus:"),
            conffiles: Finder::new(b"\nConffiles:"),
            depends: Finder::new(b"\nDepends:"),
            pre_depends: Finder::new(b"\nPre-Depends:"),
            provides: Finder::new(b"\nProvides:"),
        };
        Reader { kept, at: Some(0), fields, status }
    }

    /// From now on it is about packages that may have been read already: nothing of it is passed over.
    pub fn once_more(&mut self) {
        self.at = None;
    }

    /// Goes on where another reader ended.
    pub fn behind(status: Status, kept: Kept) -> Reader {
        Reader { status, at: None, ..Reader::of(0, kept) }
    }

    /// Takes what is whole of a text that begins with the end of a line, and leaves what is begun.
    pub fn take(&mut self, text: &mut Vec<u8>) {
        let mut from = 0;
        while let Some(at) = self.fields.end.find(&text[from..]) {
            self.stanza(&text[from..=from + at]);
            from += at + 1;
        }
        text.drain(..from);
    }

    /// Takes the rest of a text.
    pub fn take_rest(&mut self, mut text: Vec<u8>) {
        self.take(&mut text);
        self.stanza(&text);
    }

    /// All packages. Of two entries for one package and architecture the later one counts, as for dpkg.
    pub fn finish(self) -> Status {
        let Status { text, mut entries, passed } = self.status;
        // dpkg writes them sorted; only what was appended is not.
        let name = |entry: &Entry| said(&text, entry.name);
        if !entries.is_sorted_by(|a, b| name(a) <= name(b)) {
            entries.sort_by(|a, b| name(a).cmp(name(b)));
        }
        // In its own place: a second list would be as big.
        let mut kept = 0;
        for at in 0..entries.len() {
            let entry = entries[at];
            let same = |a: Span, b: Span| said(&text, a) == said(&text, b);
            let mut same_name = entries[..kept].iter_mut().rev().take_while(|known| same(known.name, entry.name));
            match same_name.find(|known| same(known.architecture, entry.architecture)) {
                Some(known) => *known = entry,
                None => {
                    entries[kept] = entry;
                    kept += 1;
                }
            }
        }
        entries.truncate(kept);
        Status { text, entries, passed }
    }

    fn stanza(&mut self, stanza: &[u8]) {
        if let Some(at) = self.at {
            self.at = Some(at + stanza.len() as u64);
            if let Some(name) = self.passes_over(stanza) {
                // Without the end of the line before it, with which the text was made to begin.
                let len = u32::try_from(stanza.len() - 1).unwrap_or(0);
                self.status.passed.push(Passed { name: number(name), start: at, len });
                return;
            }
        }
        let Reader { kept, fields, status, .. } = self;
        let name = line(stanza, &fields.package);
        if name.is_empty() {
            return;
        }
        let mut words = line(stanza, &fields.status).split(|byte| *byte == b' ').skip(1);
        let (flag, state) = (words.next(), words.next());
        let before = status.entries.last().copied().unwrap_or_default();
        let mut entry = Entry {
            name: status.keep(name),
            architecture: status.keep_once(line(stanza, &fields.architecture), before.architecture),
            version: status.keep(line(stanza, &fields.version)),
            state: status.keep_once(state.unwrap_or_default(), before.state),
            conffiles: status.keep(whole(stanza, &fields.conffiles)),
            must_reinstall: state.is_some() && flag == Some(b"reinstreq"),
            ..Entry::default()
        };
        if *kept == Kept::Relations {
            let depends = [whole(stanza, &fields.depends), b",", whole(stanza, &fields.pre_depends)].concat();
            entry.depends = status.keep(&depends);
            entry.provides = status.keep(whole(stanza, &fields.provides));
        }
        status.entries.push(entry);
    }

    /// The name of the package where it is plainly installed and not asked about: dpkg writes these two fields first,
    /// and where somebody else wrote them elsewhere the package is kept.
    fn passes_over<'a>(&self, stanza: &'a [u8]) -> Option<&'a [u8]> {
        let Kept::Named(names) = &self.kept else { return None };
        let mut rest = lines(stanza.strip_prefix(b"\nPackage: ")?);
        let name = rest.next()?;
        let is_plain = matches!(rest.next()?, b"Status: install ok installed" | b"Status: hold ok installed");
        (is_plain && name != b"dpkg" && !names.contains(name)).then_some(name)
    }
}

impl Status {
    fn keep(&mut self, said: &[u8]) -> Span {
        let span = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let start = span(self.text.len());
        self.text.extend_from_slice(said);
        Span { start, len: span(said.len()) }
    }

    /// What mostly is what it was for the package before.
    fn keep_once(&mut self, new: &[u8], before: Span) -> Span {
        if said(&self.text, before) == new {
            return before;
        }
        self.keep(new)
    }
}

/// The first line of a field.
fn line<'a>(stanza: &'a [u8], field: &Finder<'_>) -> &'a [u8] {
    lines(behind(stanza, field)).next().unwrap_or_default().trim_ascii()
}

/// A field, with its further lines, which begin with a blank.
fn whole<'a>(stanza: &'a [u8], field: &Finder<'_>) -> &'a [u8] {
    let text = behind(stanza, field);
    let ends = memchr::memchr_iter(b'\n', text);
    let end = ends.into_iter().find(|end| !matches!(text.get(end + 1), Some(b' ' | b'\t')));
    &text[..end.unwrap_or(text.len())]
}

fn behind<'a>(stanza: &'a [u8], field: &Finder<'_>) -> &'a [u8] {
    field.find(stanza).map_or(&[], |at| &stanza[at + field.needle().len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Status {
        let mut reader = Reader::of(text.len(), Kept::Relations);
        reader.take_rest([b"\n", text].concat());
        reader.finish()
    }

    #[test]
    fn however_the_text_comes_it_says_the_same() {
        let more =
            b"Package: x\nStatus: install ok installed\nDescription: a\n b\n Package: no\nDepends: y,\n z\n\n\n \n\
            Conffiles:\n /a 1\n /b 2 obsolete\nHomepage: -\nSection: x\nPackage: z\nVersion: 2";
        for text in [TEXT.to_vec(), more.to_vec(), [TEXT, b"\n", more].concat()] {
            let whole = parse(&text);
            for size in 1..=text.len() {
                let mut reader = Reader::of(0, Kept::Relations);
                let mut begun = b"\n".to_vec();
                for piece in text.chunks(size) {
                    begun.extend_from_slice(piece);
                    reader.take(&mut begun);
                }
                reader.take_rest(begun);
                assert_eq!(reader.finish(), whole, "in pieces of {size}");
            }
        }
        let status = parse(more);
        let x = status.find(b"x", None).expect("known");
        assert_eq!(x.depends().collect::<Vec<_>>(), [b"y", b"z"], "a long field goes on in further lines");
        let z = status.find(b"z", None).expect("known");
        assert_eq!(z.conffiles().count(), 2, "an empty line ends a stanza, a blank one does not");
    }

    #[test]
    fn what_is_not_wanted_is_not_kept() {
        let text = b"Package: x\nStatus: install ok installed\nDepends: y\nPre-Depends: z\nProvides: a\n";
        let mut reader = Reader::of(text.len(), Kept::All);
        reader.take_rest([b"\n", &text[..]].concat());
        let status = reader.finish();
        let x = status.find(b"x", None).expect("known");
        assert_eq!((x.state, x.depends().count(), x.provides().count()), (&b"installed"[..], 0, 0));
    }

    #[test]
    fn of_the_packages_that_are_not_asked_about_only_the_unfinished_are_kept() {
        let package = |name: &str, state: &str| format!("Package: {name}\nStatus: {state}\nArchitecture: amd64\n\n");
        let text = [
            package("bash", "install ok installed"),
            package("dash", "hold ok installed"),
            package("dpkg", "install ok installed"),
            package("libx", "install ok installed"),
            package("liby", "install ok half-configured"),
            package("libz", "install reinstreq installed"),
            "Status: install ok installed\nPackage: strange\n".to_owned(),
        ];
        let names = |kept: Kept, more: &str| {
            let mut reader = Reader::of(0, kept);
            reader.take_rest([b"\n", text.concat().as_bytes()].concat());
            reader.once_more();
            reader.take_rest([b"\n", more.as_bytes()].concat());
            let status = reader.finish();
            let text = |package: Package<'_>| {
                format!("{} {}", String::from_utf8_lossy(package.name), String::from_utf8_lossy(package.state))
            };
            assert_eq!(status.native(), b"amd64");
            status.packages().map(text).collect::<Vec<_>>().join(", ")
        };
        let rest = "libz installed, strange installed";
        assert_eq!(names(Kept::least(), ""), format!("dpkg installed, liby half-configured, {rest}"));
        let libx = Kept::Named([b"libx".to_vec(), b"unknown".to_vec()].into());
        assert_eq!(names(libx, ""), format!("dpkg installed, libx installed, liby half-configured, {rest}"));
        let finished = package("liby", "install ok installed");
        assert_eq!(names(Kept::least(), &finished), format!("dpkg installed, liby installed, {rest}"));
        assert_eq!(names(Kept::All, "").matches(',').count(), 6);
    }

    #[test]
    fn what_is_kept_serves_every_question_that_needs_no_more() {
        let named = |names: &[&str]| Kept::Named(names.iter().map(|name| name.as_bytes().to_vec()).collect());
        for (kept, other, covers) in [
            (named(&["a", "b"]), named(&["a"]), true),
            (named(&["a"]), named(&["a", "b"]), false),
            (named(&["a"]), Kept::All, false),
            (Kept::All, named(&["a"]), true),
            (Kept::All, Kept::Relations, false),
            (Kept::Relations, Kept::All, true),
        ] {
            assert_eq!(kept.covers(&other), covers, "{kept:?} {other:?}");
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
        let status = parse(TEXT);
        assert_eq!(status.native(), b"amd64");
        assert_eq!(status.named(b"libx").count(), 2);
        let found = status.find(b"libx", Some(b"amd64")).expect("known");
        assert_eq!((found.version, found.state, found.must_reinstall), (&b"2"[..], &b"half-installed"[..], true));
        assert_eq!(status.find(b"libx", None).expect("known").version, b"1");
        assert!(status.find(b"libx", Some(b"arm64")).is_none());
        assert!(status.find(b"this", None).is_none());
    }

    #[test]
    fn conffiles_keep_their_spaces_and_lose_their_flags() {
        let status = parse(TEXT);
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
        let status = parse(text);
        assert_eq!(status.named(b"a").count(), 1);
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
            for package in parse(text).packages() {
                let _ = package.conffiles().count();
            }
        }
    }
}

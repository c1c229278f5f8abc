//! What apt and dpkg say when they call the hook: text in, changes and paths out. Pure.

use crate::database::is_name;
use reexec_plugin_paths::{lines, shown, Troubles};
use std::collections::HashMap;

/// Longest line: a path of `PATH_MAX` with a package's name and two versions before it.
const MAX_LINE: usize = 8192;
/// Most architectures of one package; more are no honest input and would take square time.
const MAX_ARCHITECTURES: usize = 16;
/// Newest version of apt's protocol.
const NEWEST: u32 = 3;

/// What a package manager's input says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Input<'a> {
    /// Packages in the order in which they came, each once.
    pub changes: Vec<Change<'a>>,
    /// Absolute paths of files.
    pub paths: Vec<&'a [u8]>,
    /// The machine's architecture, where apt said it.
    pub native: Option<Vec<u8>>,
    /// What could not be understood.
    pub troubles: Vec<String>,
}

/// What will be done with one package.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change<'a> {
    /// Name without architecture.
    pub name: &'a [u8],
    /// Architecture, where it was said.
    pub architecture: Option<&'a [u8]>,
    /// Version that was installed before.
    pub old: Option<Vec<u8>>,
    /// Version that will be installed.
    pub new: Option<Vec<u8>>,
    /// Whether files are replaced or removed; else it is only configured.
    pub files: bool,
    /// Whether the old version was said (or said to be none).
    pub old_known: bool,
}

/// Parses what apt's `DPkg::Pre-Install-Pkgs` gives (protocol 1, 2 or 3), or a list of paths.
pub fn parse(input: &[u8]) -> Input<'_> {
    let mut reader = Reader::default();
    let mut all = lines(input);
    let version = all.clone().next().and_then(version_of);
    if let Some(version) = version {
        all.next();
        if version > NEWEST {
            reader.trouble("protocol", format!("version {version} is read as {NEWEST}"));
        }
        reader.configuration(&mut all);
    }
    for line in all {
        if line.len() > MAX_LINE {
            reader.trouble("line too long", format!("{} bytes", line.len()));
            continue;
        }
        match version {
            Some(version) => reader.action(line, version),
            None => reader.plain(line),
        }
    }
    reader.end()
}

/// The names of a dpkg trigger's call: `triggered "/usr/lib /usr/bin"`.
pub fn triggered<'a>(arguments: &[&'a [u8]]) -> Option<Vec<&'a [u8]>> {
    let (first, names) = arguments.split_first()?;
    (*first == b"triggered").then(|| {
        names.iter().flat_map(|names| names.split(u8::is_ascii_whitespace)).filter(|name| !name.is_empty()).collect()
    })
}

fn version_of(line: &[u8]) -> Option<u32> {
    let number = line.strip_prefix(b"VERSION ")?;
    std::str::from_utf8(number).ok()?.trim_ascii().parse().ok()
}

#[derive(Debug, Default)]
struct Reader<'a> {
    input: Input<'a>,
    by_name: HashMap<&'a [u8], Vec<usize>>,
    troubles: Troubles,
}

impl<'a> Reader<'a> {
    /// `key=value` lines up to an empty one.
    fn configuration(&mut self, all: &mut reexec_plugin_paths::Lines<'a>) {
        for line in all {
            if line.is_empty() {
                return;
            }
            if let Some(value) = line.strip_prefix(b"APT::Architecture=") {
                let value = percent_decoded(value);
                self.input.native = Some(value).filter(|value| is_name(value));
            }
        }
        self.trouble("input cut off", "it ends within apt's configuration".to_owned());
    }

    /// `ta 1.0 < 2.0 /ta.deb`, with an architecture and a kind after each version in protocol 3.
    fn action(&mut self, line: &'a [u8], version: u32) {
        if line.is_empty() {
            return;
        }
        let fields = if version >= 3 { 9 } else { 5 };
        let words: Vec<_> = line.splitn(fields, |byte| *byte == b' ').collect();
        let parsed = match words[..] {
            [name, old, direction, new, action] if version < 3 => {
                let architecture = archive(action).and_then(|archive| archive.architecture);
                Some((name, old, direction, new, architecture, action))
            }
            [name, old, old_own, _, direction, new, new_own, _, action] if version >= 3 => {
                let own = [new_own, old_own].into_iter().find(|own| is_name(own));
                Some((name, old, direction, new, own, action))
            }
            _ => None,
        };
        let Some((name, old, direction, new, architecture, action)) = parsed else {
            return self.not_understood(line);
        };
        if !is_name(name) || !matches!(direction, b"<" | b">" | b"=") {
            return self.not_understood(line);
        }
        let files = match action {
            b"**CONFIGURE**" => false,
            b"**REMOVE**" => true,
            path if path.starts_with(b"/") => true,
            // apt says **ERROR** for a file that it does not know the place of.
            _ => return self.not_understood(line),
        };
        self.merge(Change {
            name,
            architecture,
            old: said_version(old),
            new: said_version(new),
            files,
            old_known: true,
        });
    }

    /// One package once: the first line knows the old version, the last one the new.
    fn merge(&mut self, change: Change<'a>) {
        let same_name = self.by_name.entry(change.name).or_default();
        let known = same_name.iter().copied().find(|at| {
            let own = self.input.changes[*at].architecture;
            own.is_none() || change.architecture.is_none() || own == change.architecture
        });
        match known {
            Some(at) => {
                let known = &mut self.input.changes[at];
                known.old = known.old.take().or(change.old);
                known.new = change.new;
                known.files |= change.files;
                known.architecture = known.architecture.or(change.architecture);
            }
            None if same_name.len() >= MAX_ARCHITECTURES => {
                let name = shown(change.name);
                self.trouble("too many architectures", name);
            }
            None => {
                same_name.push(self.input.changes.len());
                self.input.changes.push(change);
            }
        }
    }

    /// A path by itself: an archive that will be unpacked (protocol 1), or a file.
    fn plain(&mut self, line: &'a [u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return;
        }
        if !line.starts_with(b"/") || line.contains(&0) {
            return self.not_understood(line);
        }
        if !line.ends_with(b".deb") {
            self.input.paths.push(line);
            return;
        }
        match archive(line) {
            Some(archive) => self.merge(Change {
                name: archive.name,
                architecture: archive.architecture,
                old: None,
                new: archive.version,
                files: true,
                old_known: false,
            }),
            None => self.not_understood(line),
        }
    }

    fn not_understood(&mut self, line: &[u8]) {
        self.trouble("not understood", format!("\"{}\"", shown(line)));
    }

    fn trouble(&mut self, kind: &'static str, what: String) {
        self.troubles.add(kind, || what);
    }

    fn end(mut self) -> Input<'a> {
        self.input.troubles = self.troubles.lines();
        self.input
    }
}

fn said_version(word: &[u8]) -> Option<Vec<u8>> {
    (word != b"-" && !word.is_empty()).then(|| word.to_vec())
}

/// What the name of an archive tells.
#[derive(Debug, PartialEq, Eq)]
struct Archive<'a> {
    name: &'a [u8],
    version: Option<Vec<u8>>,
    architecture: Option<&'a [u8]>,
}

/// `/var/cache/apt/archives/libx_1%3a2.0-1_amd64.deb`; one that a person named may lack the rest.
fn archive(path: &[u8]) -> Option<Archive<'_>> {
    let base = path.rsplit(|byte| *byte == b'/').next()?.strip_suffix(b".deb")?;
    let mut words = base.splitn(3, |byte| *byte == b'_');
    let name = words.next().filter(|name| is_name(name))?;
    let version = words.next().map(percent_decoded).filter(|version| !version.is_empty());
    let architecture = words.next().filter(|own| is_name(own) && !own.contains(&b'_'));
    Some(Archive { name, version, architecture })
}

/// `%3a` is `:`; what is no such code stands for itself.
fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let digit = |at: usize| char::from(*tail.get(at)?).to_digit(16);
        rest = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                &tail[2..]
            }
            _ => {
                out.push(*first);
                tail
            }
        };
    }
    out
}

/// Panics unless what was read of an input is what may be handed on: for fuzzing and for what was captured.
pub fn check(read: &Input<'_>) {
    for change in &read.changes {
        assert!(is_name(change.name), "no package can have that name");
        assert!(change.architecture.is_none_or(is_name), "no architecture can have that name");
    }
    for path in &read.paths {
        assert!(path.starts_with(b"/") && !path.contains(&0) && !path.contains(&b'\n') && path.len() <= MAX_LINE);
    }
    assert!(read.native.as_deref().is_none_or(is_name));
    assert!(read.troubles.iter().all(|line| line.len() < 2 * MAX_LINE), "an endless line");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, architecture, old and new version, whether files change.
    fn told(input: &[u8]) -> Vec<(String, String, String, String, bool)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        parse(input)
            .changes
            .iter()
            .map(|change| {
                (
                    text(change.name),
                    text(change.architecture.unwrap_or(b"")),
                    text(change.old.as_deref().unwrap_or(b"-")),
                    text(change.new.as_deref().unwrap_or(b"-")),
                    change.files,
                )
            })
            .collect()
    }

    fn row(name: &str, own: &str, old: &str, new: &str, files: bool) -> (String, String, String, String, bool) {
        (name.into(), own.into(), old.into(), new.into(), files)
    }

    #[test]
    fn protocol_1_names_archives() {
        let input = b"/repo/./ta_2.0_amd64.deb\n\
            /var/cache/apt/archives/libx_1%3a2.0-1_i386.deb\n\
            /home/me/my tool.deb\n\
            /home/me/tool.deb\n";
        assert_eq!(
            told(input),
            [
                row("ta", "amd64", "-", "2.0", true),
                row("libx", "i386", "-", "1:2.0-1", true),
                row("tool", "", "-", "-", true),
            ]
        );
        assert_eq!(parse(input).troubles, ["not understood: \"/home/me/my tool.deb\""]);
    }

    #[test]
    fn protocol_2_has_versions_and_one_package_comes_once() {
        let input = b"VERSION 2\nAPT::Architecture=amd64\nquiet=1\n\n\
            ta 1.0 < 2.0 /repo/./ta_2.0_amd64.deb\n\
            tb 1.0 < 2.0 /repo/./tb_2.0_amd64.deb\n\
            tn - < 1.0 /repo/with space/tn_1.0_all.deb\n\
            ta 1.0 < 2.0 **CONFIGURE**\n\
            tb 1.0 < 2.0 **CONFIGURE**\n\
            tc 3.0 = 3.0 **CONFIGURE**\n\
            td 2.0 > - **REMOVE**\n";
        assert_eq!(
            told(input),
            [
                row("ta", "amd64", "1.0", "2.0", true),
                row("tb", "amd64", "1.0", "2.0", true),
                row("tn", "all", "-", "1.0", true),
                row("tc", "", "3.0", "3.0", false),
                row("td", "", "2.0", "-", true),
            ]
        );
        assert_eq!(parse(input).native.as_deref(), Some(&b"amd64"[..]));
    }

    #[test]
    fn protocol_3_tells_architectures_apart() {
        let input = b"VERSION 3\nAPT::Architecture=amd64\n\n\
            ta 1.0 amd64 none < 2.0 amd64 none /repo/./ta_2.0_amd64.deb\n\
            libx 1 amd64 same < 2 amd64 same /a/libx_2_amd64.deb\n\
            libx 1 i386 same < 2 i386 same /a/libx_2_i386.deb\n\
            new - - none < 1 amd64 none /a/new_1_amd64.deb\n\
            ta 1.0 amd64 none < 2.0 amd64 none **CONFIGURE**\n\
            libx 1 i386 same < 2 i386 same **CONFIGURE**\n\
            down 2 amd64 foreign > 1 amd64 foreign /a/down_1_amd64.deb\n\
            tb 2.0 amd64 none > - - none **REMOVE**\n";
        assert_eq!(
            told(input),
            [
                row("ta", "amd64", "1.0", "2.0", true),
                row("libx", "amd64", "1", "2", true),
                row("libx", "i386", "1", "2", true),
                row("new", "amd64", "-", "1", true),
                row("down", "amd64", "2", "1", true),
                row("tb", "amd64", "2.0", "-", true),
            ]
        );
        assert!(parse(input).troubles.is_empty());
    }

    #[test]
    fn a_package_that_is_removed_and_installed_again_keeps_both_versions() {
        let input = b"VERSION 2\n\nta 1 > - **REMOVE**\nta - < 2 /ta_2_all.deb\n";
        assert_eq!(told(input), [row("ta", "all", "1", "2", true)]);
    }

    #[test]
    fn a_list_of_paths_is_taken_byte_by_byte() {
        let input = b"/usr/lib/a\n/usr/with space\r\n\n/usr/\xff\tx\nrelative\n/nul\0\n/usr/last";
        let parsed = parse(input);
        assert_eq!(parsed.paths, [&b"/usr/lib/a"[..], b"/usr/with space", b"/usr/\xff\tx", b"/usr/last"]);
        assert_eq!(parsed.troubles, ["not understood: \"relative\", \"/nul\0\""]);
    }

    #[test]
    fn what_cannot_be_understood_is_counted_and_shown_in_part() {
        for (input, expected) in [
            (&b"VERSION 2\nkey=value\n"[..], "input cut off: it ends within apt's configuration"),
            (b"VERSION 4\n\n", "protocol: version 4 is read as 3"),
            (b"VERSION 2\n\nta 1 < 2\n", "not understood: \"ta 1 < 2\""),
            (b"VERSION 2\n\n../x 1 < 2 /x.deb\n", "not understood: \"../x 1 < 2 /x.deb\""),
            (b"VERSION 2\n\nta 1 ? 2 /x.deb\n", "not understood: \"ta 1 ? 2 /x.deb\""),
            (b"VERSION 2\n\nta 1 < 2 **ERROR**\n", "not understood: \"ta 1 < 2 **ERROR**\""),
            (b"a\nb\nc\nd\ne\n", "not understood: \"a\", \"b\", \"c\" and 2 more"),
            (&[b'/'; 9000], "line too long: 9000 bytes"),
        ] {
            assert_eq!(parse(input).troubles, [expected]);
        }
    }

    #[test]
    fn nothing_said_is_nothing_read() {
        assert_eq!(parse(b""), Input::default());
        assert_eq!(parse(b"VERSION 3\n\n"), Input::default());
    }

    #[test]
    fn ten_million_lines_are_read_in_linear_time() {
        let paths = b"/\n".repeat(10_000_000);
        let mut architectures = b"VERSION 3\n\n".to_vec();
        for number in 0..300_000 {
            architectures.extend_from_slice(format!("p 1 a{number} same < 2 a{number} same /x.deb\n").as_bytes());
        }
        let begun = std::time::Instant::now();
        assert_eq!(parse(&paths).paths.len(), 10_000_000);
        assert_eq!(parse(&architectures).changes.len(), MAX_ARCHITECTURES);
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }

    #[test]
    fn a_trigger_names_what_it_is_interested_in() {
        for (arguments, expected) in [
            (
                &[&b"triggered"[..], b"/usr/lib /usr/bin  ldconfig"][..],
                Some(vec![&b"/usr/lib"[..], b"/usr/bin", b"ldconfig"]),
            ),
            (&[b"triggered", b"/a", b"/b"], Some(vec![b"/a", b"/b"])),
            (&[b"triggered"], Some(vec![])),
            (&[b"configure", b"1.0"], None),
            (&[], None),
        ] {
            assert_eq!(triggered(arguments), expected);
        }
    }

    #[test]
    fn percent_codes_are_decoded_and_others_stay() {
        for (text, expected) in [("1%3a2", "1:2"), ("100%", "100%"), ("%zz%4", "%zz%4"), ("%25", "%")] {
            assert_eq!(percent_decoded(text.as_bytes()), expected.as_bytes());
        }
    }
}

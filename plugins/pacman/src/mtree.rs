//! The mtree of a package: its files with their digests, compressed.
//!
//! A line is `./usr/bin/tool key=value …`; bytes that would not fit in there are `\` and three octal
//! digits, also a space and a line break (mtree(5), libarchive's writer).

use flate2::read::MultiGzDecoder;
use reexec_plugin_paths::lines;
use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most bytes of one mtree, unpacked; a game with a million files has less.
const MAX_MTREE: u64 = 512 << 20;

/// Reads and unpacks an mtree into a buffer that is used again for each.
pub fn read(path: &Path, into: &mut Vec<u8>) -> std::io::Result<()> {
    into.clear();
    MultiGzDecoder::new(File::open(path)?).take(MAX_MTREE).read_to_end(into)?;
    Ok(())
}

/// A file of an mtree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its name, relative to the root.
    pub name: Cow<'a, [u8]>,
    keys: &'a [u8],
}

impl<'a> Line<'a> {
    /// The strongest digest that stands there: algorithm and hexadecimal digits.
    pub fn digest(&self) -> Option<(&'static [u8], &'a [u8])> {
        [(&b"sha256"[..], &b"sha256digest="[..]), (b"md5", b"md5digest=")].into_iter().find_map(|(algorithm, key)| {
            let mut words = self.keys.split(|byte| *byte == b' ');
            let digest = words.find_map(|word| word.strip_prefix(key))?;
            let is_digest = !digest.is_empty() && digest.iter().all(u8::is_ascii_hexdigit);
            is_digest.then_some((algorithm, digest))
        })
    }
}

/// The files of an unpacked mtree.
pub fn files(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    lines(text).filter_map(|line| {
        let line = line.strip_prefix(b"./")?;
        let end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        Some(Line { name: unescaped(&line[..end]), keys: &line[end..] })
    })
}

fn unescaped(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'\\') {
        return Cow::Borrowed(name);
    }
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            let digit = |at: usize| char::from(digits[at]).to_digit(8);
            u8::try_from(digit(0)? << 6 | digit(1)? << 3 | digit(2)?).ok()
        });
        rest = match code {
            Some(byte) => {
                out.push(byte);
                &tail[3..]
            }
            None => {
                out.push(*first);
                tail
            }
        };
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::usual;

    #[test]
    fn the_strongest_digest_is_taken_and_links_have_none() {
        let text =
            b"#mtree\n/set type=file\n./.PKGINFO size=1 sha256digest=00\n./a time=1.0 md5digest=0a sha256digest=0b\n\
            ./b md5digest=0c\n./c type=link link=b\n./d sha256digest=xyz\n./e sha256digest=\n./f\n";
        let said: Vec<_> = files(text)
            .map(|line| {
                let digest = line.digest().map_or(String::new(), |(algorithm, digest)| {
                    format!("{}:{}", algorithm.escape_ascii(), digest.escape_ascii())
                });
                (String::from_utf8_lossy(&line.name).into_owned(), digest)
            })
            .collect();
        let expected = [
            (".PKGINFO", "sha256:00"),
            ("a", "sha256:0b"),
            ("b", "md5:0c"),
            ("c", ""),
            ("d", ""),
            ("e", ""),
            ("f", ""),
        ];
        assert_eq!(said, expected.map(|(name, digest)| (name.to_owned(), digest.to_owned())));
    }

    #[test]
    fn octal_codes_are_decoded_and_others_stay() {
        for (name, expected) in [
            (&b"a\\040b"[..], &b"a b"[..]),
            (b"a\\012b", b"a\nb"),
            (b"\\134\\377", b"\\\xff"),
            (b"\\9\\77\\", b"\\9\\77\\"),
            (b"\\777", b"\\777"),
        ] {
            assert_eq!(unescaped(name), expected, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_cut_off_or_foreign_file_is_an_error() {
        let root = usual();
        let path = root.path().join("var/lib/pacman/local/libx-1:2.0-1/mtree");
        let whole = std::fs::read(&path).expect("mtree");
        let mut text = Vec::new();
        read(&path, &mut text).expect("whole");
        for bad in [&whole[..whole.len() / 2], b"no gzip", b""] {
            std::fs::write(&path, bad).expect("write");
            assert!(read(&path, &mut text).is_err(), "{} bytes", bad.len());
        }
    }
}

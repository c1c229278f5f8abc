//! The lists of digests that `sha256sum` and `sha256sum --tag` print.

use std::collections::HashMap;
use std::fmt;

/// Digests by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums(HashMap<Vec<u8>, String>);

/// A line that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SumsError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for SumsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.why)
    }
}

/// Reads such a list. Lines of comments and of armour around it are none.
pub fn parse_sums(text: &[u8]) -> Result<Sums, SumsError> {
    let mut sums = HashMap::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let wrong = |why| SumsError { line: index + 1, why };
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let (name, digest) =
            tagged(line).or_else(|| plain(line)).ok_or(wrong("expected 64 hexadecimal digits and a name"))?;
        let digest = digest.to_ascii_lowercase();
        if sums.get(&name).is_some_and(|other| *other != digest) {
            return Err(wrong("another digest of the same name"));
        }
        sums.insert(name, digest);
    }
    Ok(Sums(sums))
}

/// `DIGEST  NAME`, or `DIGEST *NAME`; with a backslash before it where the name has escapes.
fn plain(line: &[u8]) -> Option<(Vec<u8>, String)> {
    let (escaped, line) = line.strip_prefix(b"\\").map_or((false, line), |line| (true, line));
    let (digest, rest) = line.split_at_checked(64)?;
    let name = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
    let name = if escaped { unescaped(name)? } else { name.to_vec() };
    (!name.is_empty()).then_some((name, hexadecimal(digest)?))
}

/// `SHA256 (NAME) = DIGEST`.
fn tagged(line: &[u8]) -> Option<(Vec<u8>, String)> {
    let rest = line.strip_prefix(b"SHA256 (")?;
    let end = rest.windows(4).rposition(|window| window == b") = ")?;
    (end > 0).then_some((rest[..end].to_vec(), hexadecimal(&rest[end + 4..])?))
}

fn hexadecimal(digits: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(digits).ok()?;
    (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}

fn unescaped(name: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b'\\' => b'\\',
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(out)
}

impl Sums {
    /// The digest of a name, with and without `./` before it; of the last part alone where the list has no
    /// more of it.
    pub fn of(&self, name: &[u8]) -> Option<&str> {
        let plain = |name: &'_ [u8]| self.0.get(name).or_else(|| self.0.get([b"./", name].concat().as_slice()));
        let name = name.strip_prefix(b"./").unwrap_or(name);
        let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
        plain(name).or_else(|| plain(last)).map(String::as_str)
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sha256sum_prints_is_read_in_both_of_its_forms() {
        let (a, b) = ("a1".repeat(32), "B2".repeat(32));
        let text =
            format!("# comment\n{a}  lib/x.so\r\n{b} *y\n\\{a}  new\\nline\nSHA256 (tagged) = {a}\n{a}  ./dotted\n\n");
        let sums = parse_sums(text.as_bytes()).expect("a list");
        assert_eq!(sums.len(), 5);
        for (name, expected) in [
            (&b"lib/x.so"[..], Some(a.as_str())),
            (b"/srv/new/y", Some(&b.to_lowercase())),
            (b"new\nline", Some(&a)),
            (b"tagged", Some(&a)),
            (b"dotted", Some(&a)),
            (b"x.so", None),
            (b"z", None),
        ] {
            assert_eq!(sums.of(name), expected, "{}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn a_line_that_is_none_is_told_by_its_number() {
        let a = "a1".repeat(32);
        for (text, line) in [
            (format!("{a}  x\nnonsense\n"), 2),
            (format!("{}  short\n", &a[1..]), 1),
            (format!("{a}\n"), 1),
            (format!("{a}  \n"), 1),
            (format!("{a}  x\n{}  x\n", a.replace('a', "b")), 2),
            (format!("\\{a}  bad\\escape\n"), 1),
        ] {
            assert_eq!(parse_sums(text.as_bytes()).map_err(|error| error.line), Err(line), "{text}");
        }
    }
}

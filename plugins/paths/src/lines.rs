//! Lines of big texts, quickly.

/// The lines of a text, without their ends.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    rest: &'a [u8],
}

/// The lines of a text, without their ends.
pub fn lines(text: &[u8]) -> Lines<'_> {
    Lines { rest: text }
}

impl<'a> Lines<'a> {
    /// What has not been taken yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = match memchr::memchr(b'\n', self.rest) {
            Some(at) => (&self.rest[..at], &self.rest[at + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        Some(line)
    }
}

/// Splits a path at its last slash: the folder (`/` for the top) and the name in it.
pub fn split_path(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => (b"/", &path[1..]),
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// Bytes as text for a message.
pub fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]).into_owned();
    if bytes.len() > MOST {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_comes_once_whether_or_not_the_last_one_ends() {
        for (text, expected) in [
            (&b""[..], vec![]),
            (b"a", vec![&b"a"[..]]),
            (b"a\n", vec![b"a"]),
            (b"\na\n\nb", vec![b"", b"a", b"", b"b"]),
        ] {
            assert_eq!(lines(text).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn a_path_is_split_at_its_last_slash() {
        for (path, folder, name) in
            [(&b"/usr/bin/env"[..], &b"/usr/bin"[..], &b"env"[..]), (b"/.", b"/", b"."), (b"name", b"", b"name")]
        {
            assert_eq!(split_path(path), (folder, name));
        }
    }
}

//! The frames in which zypp talks with its plugins: `COMMAND`, `header:value` lines, an empty line, a
//! body, and a NUL. Pure.

/// One frame, without the NUL at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// `PLUGINBEGIN`, `COMMITBEGIN`, `COMMITEND`, `PLUGINEND`, `_DISCONNECT`, …
    pub command: &'a [u8],
    /// What follows on the empty line.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Of the bytes up to the NUL; `None` where they do not begin with a command.
    pub fn parse(bytes: &'a [u8]) -> Option<Frame<'a>> {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let (command, rest) = bytes.split_at(end);
        let fits = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'_';
        if command.is_empty() || !command.iter().all(fits) {
            return None;
        }
        // The length that newer versions say is that of the body, which the NUL ends anyway.
        let body = rest.windows(2).position(|pair| pair == b"\n\n").map_or(&b""[..], |at| &rest[at + 2..]);
        Some(Frame { command, body })
    }
}

/// The answer that lets zypp go on.
pub const ACK: &[u8] = b"ACK\n\n\0";
/// The answer to what we do not know; zypp takes it as well.
pub const NO_METHOD: &[u8] = b"_ENOMETHOD\n\n\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_old_and_new_versions_are_taken_apart() {
        for (bytes, command, body) in [
            (&b"PLUGINBEGIN\n\n"[..], "PLUGINBEGIN", ""),
            (b"PLUGINBEGIN\nuserdata:a b\n\n", "PLUGINBEGIN", ""),
            (b"COMMITEND\ncontent-length:3\n\n{\n}", "COMMITEND", "{\n}"),
            (b"COMMITEND\n\n{\n\n}", "COMMITEND", "{\n\n}"),
            (b"_DISCONNECT", "_DISCONNECT", ""),
            (b"COMMITEND\ncut off", "COMMITEND", ""),
        ] {
            let expected = Frame { command: command.as_bytes(), body: body.as_bytes() };
            assert_eq!(Frame::parse(bytes), Some(expected), "{}", bytes.escape_ascii());
        }
        for bytes in [&b""[..], b"\n\n", b"/usr/lib/x\n", b"\xff", b"commit\n\n"] {
            assert_eq!(Frame::parse(bytes), None, "{}", bytes.escape_ascii());
        }
    }
}

//! The printed form of names that are bytes: safe on a terminal, and reversible.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Prints bytes as text: control and non-UTF-8 bytes as `\xNN`, a backslash as `\\`.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                c if c.is_control() => {
                    let mut utf8 = [0; 4];
                    for byte in c.encode_utf8(&mut utf8).bytes() {
                        let _ = write!(out, "\\x{byte:02x}");
                    }
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The printed form of a path.
pub fn escape_path(path: &Path) -> String {
    escape(path.as_os_str().as_bytes())
}

/// The bytes that a printed form stands for; `None` when it is not one.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                out.push(b'\\');
                tail
            }
            (b'\\', [b'x', high, low, tail @ ..]) => {
                out.push(hex(*high)? << 4 | hex(*low)?);
                tail
            }
            (b'\\', _) => return None,
            _ => {
                out.push(byte);
                tail
            }
        };
    }
    Some(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte)]).collect()
}

/// Bytes from hexadecimal digits of either case; `None` for anything else.
pub fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut pairs = text.as_bytes().chunks_exact(2);
    for pair in &mut pairs {
        bytes.push(value(pair[0])? << 4 | value(pair[1])?);
    }
    pairs.remainder().is_empty().then_some(bytes)
}

/// A path from raw bytes.
pub fn path_of(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Paths in JSON files of our own: the printed form, which loses no byte.
pub mod printed {
    use super::*;
    use serde::{de::Error, Deserialize, Deserializer, Serializer};

    /// Writes the printed form.
    pub fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&escape_path(path))
    }

    /// Reads the printed form.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = unescape(&text).ok_or_else(|| D::Error::custom("not a printed path"))?;
        Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back_from_its_printed_form() {
        for name in [
            &b"plain"[..],
            b"with space ",
            b"back\\slash \\x41",
            b"new\nline\tand\x1b[31m",
            b"\xff\xfe not utf-8",
            "umlaut \u{fc}, c1 \u{9b}".as_bytes(),
        ] {
            let printed = escape(name);
            assert!(!printed.chars().any(char::is_control), "{printed:?}");
            assert_eq!(unescape(&printed).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_no_name_prints_as_is_refused() {
        for text in ["\\", "\\x4", "\\xgg", "a\\n"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    #[test]
    fn hexadecimal_digits_become_bytes_again_and_damaged_ones_none() {
        assert_eq!(from_hexadecimal(&hexadecimal(&[0, 255, 16])), Some(vec![0, 255, 16]));
        assert_eq!(from_hexadecimal("0aFf"), Some(vec![10, 255]));
        assert_eq!((from_hexadecimal("0"), from_hexadecimal("zz"), from_hexadecimal("é")), (None, None, None));
    }
}

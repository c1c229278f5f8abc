//! Names that are looked for in lists of a whole distribution.

use crate::lines::{lines, split_path};
use std::collections::HashSet;

/// A set of names that says no quickly.
#[derive(Debug)]
pub struct Names {
    all: HashSet<Vec<u8>>,
    /// One bit for each value of `Names::bit`.
    bits: Vec<u64>,
    /// One bit for each value of `Names::tail` of a path with such a name.
    tails: Vec<u64>,
    /// A path may be too short to have a tail.
    short: bool,
}

/// Bytes at the end of a path that most others end otherwise than.
const TAIL: usize = 4;

impl Names {
    /// An empty set.
    pub fn new() -> Names {
        Names { all: HashSet::new(), bits: vec![0; 1 << 10], tails: vec![0; 1 << 10], short: false }
    }

    /// A number of 16 bits, from the last bytes of a path.
    fn tail(path: &[u8]) -> Option<usize> {
        let last = u32::from_le_bytes(*path.last_chunk::<TAIL>()?);
        Some((last.wrapping_mul(0x9e37_79b9) >> 16) as usize)
    }

    /// A number of 16 bits, from the length and the last bytes: names differ most at their ends.
    fn bit(name: &[u8]) -> usize {
        let mut last = [0; 8];
        let tail = &name[name.len().saturating_sub(8)..];
        last[..tail.len()].copy_from_slice(tail);
        let mixed = (u64::from_le_bytes(last) ^ (name.len() as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 48) as usize
    }

    /// Adds a name.
    pub fn insert(&mut self, name: &[u8]) {
        let bit = Names::bit(name);
        self.bits[bit / 64] |= 1 << (bit % 64);
        match Names::tail(&[b"/", name].concat()) {
            Some(tail) => self.tails[tail / 64] |= 1 << (tail % 64),
            None => self.short = true,
        }
        self.all.insert(name.to_vec());
    }

    /// The lines of a text that are paths with one of these names. A line in a thousand needs more than
    /// a look at its end.
    pub fn paths_in<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let may_be = |line: &&[u8]| {
            let tail = Names::tail(line);
            self.short || tail.is_none_or(|tail| self.tails[tail / 64] & (1 << (tail % 64)) != 0)
        };
        lines(text).filter(may_be).filter(|line| self.contains(split_path(line).1))
    }

    /// Whether the name is in it.
    pub fn contains(&self, name: &[u8]) -> bool {
        let bit = Names::bit(name);
        self.bits[bit / 64] & (1 << (bit % 64)) != 0 && self.all.contains(name)
    }
}

impl Default for Names {
    fn default() -> Names {
        Names::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_with_a_name_are_found_whatever_its_length() {
        let text = b"/.\n/usr\n/usr/bin/sh\n/usr/bin/dash\n/usr/lib/libc.so.6\n/usr/lib/xlibc.so.6\nsh\n/sh";
        for (name, expected) in [
            (&b"sh"[..], vec![&b"/usr/bin/sh"[..], b"sh", b"/sh"]),
            (b"dash", vec![b"/usr/bin/dash"]),
            (b"usr", vec![b"/usr"]),
            (b"libc.so.6", vec![b"/usr/lib/libc.so.6"]),
            (b"none", vec![]),
        ] {
            let mut names = Names::new();
            names.insert(name);
            assert_eq!(names.paths_in(text).collect::<Vec<_>>(), expected, "{}", name.escape_ascii());
            names.insert(b"so.6");
            assert_eq!(names.paths_in(text).collect::<Vec<_>>(), expected, "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_set_holds_what_was_added_and_nothing_else() {
        let mut names = Names::new();
        for name in [&b"libc.so.6"[..], b"", b"a"] {
            names.insert(name);
        }
        for (name, expected) in [
            (&b"libc.so.6"[..], true),
            (b"", true),
            (b"a", true),
            (b"libd.so.6", false),
            (b"\0a", false),
            (b"b", false),
        ] {
            assert_eq!(names.contains(name), expected, "{}", name.escape_ascii());
        }
    }
}

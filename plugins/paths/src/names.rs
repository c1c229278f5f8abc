//! Names that are looked for in lists of a whole distribution.

use std::collections::HashSet;

/// A set of names that says no quickly.
#[derive(Debug)]
pub struct Names {
    all: HashSet<Vec<u8>>,
    /// One bit for each value of `Names::bit`.
    bits: Vec<u64>,
}

impl Names {
    /// An empty set.
    pub fn new() -> Names {
        Names { all: HashSet::new(), bits: vec![0; 1 << 10] }
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
        self.all.insert(name.to_vec());
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

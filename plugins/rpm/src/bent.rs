//! What a fuzzer calls, and a test with what was captured: bent bytes must end in an answer, in a time
//! that is in proportion to them.

use crate::header::Header;
use crate::trigger::parse;

/// One input of a trigger; its first byte says which one.
pub fn trigger(bytes: &[u8]) {
    const WORDS: [&[u8]; 6] =
        [b"transfiletriggerin", b"transfiletriggerun", b"dnf4", b"libdnf5", b"zypp", b"nobody knows it"];
    let Some((first, input)) = bytes.split_first() else {
        return;
    };
    if let Ok(said) = parse(&[WORDS[usize::from(*first) % WORDS.len()]], input) {
        assert!(said.paths.iter().all(|path| path.starts_with(b"/") && !path.contains(&0)), "a path that is none");
        assert!(said.troubles.iter().all(|line| line.len() < 8192), "an endless line");
    }
}

/// One header of the database.
pub fn header(bytes: &[u8]) {
    let Some(header) = Header::parse(bytes) else {
        return;
    };
    let _ = (header.shown(), header.version(), header.installed_at(), header.transaction(), header.algorithm());
    let files = header.files();
    for (index, path) in files.paths() {
        assert!(files.folder(index).is_some_and(|folder| path.starts_with(folder)), "a path in no folder");
        let _ = (files.is_ghost(index), files.is_folder(index), files.is_installed(index));
    }
    let _ = files.digests().count();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{file, package};

    /// Numbers that look random and are the same in each run (xorshift).
    fn next(state: &mut u64) -> usize {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state as usize
    }

    fn bend(seed: &[u8], times: u64, entry: fn(&[u8])) {
        for round in 1..=times {
            let mut state = round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut bytes = seed.to_vec();
            for _ in 0..1 + next(&mut state) % 6 {
                let (at, to) = (next(&mut state) % bytes.len().max(1), next(&mut state));
                match to % 5 {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at.min(bytes.len()), (to >> 8) as u8),
                    2 => bytes.extend_from_within(at.min(bytes.len())..),
                    _ => bytes.iter_mut().skip(at).take(1 + (to >> 16) % 4).for_each(|byte| *byte ^= (to >> 8) as u8),
                }
            }
            entry(&bytes);
        }
    }

    #[test]
    fn whatever_was_captured_may_be_bent() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captured");
        let files = std::fs::read_dir(folder).expect("what was captured");
        let mut seeds = 0;
        for entry in files {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("a file");
            for dialect in 0..6 {
                bend(&[&[dialect], &bytes[..]].concat(), 300, trigger);
            }
            seeds += 1;
        }
        assert!(seeds > 5, "nothing was looked at");
    }

    #[test]
    fn headers_may_be_bent() {
        let files: Vec<_> = (0..40).map(|number| file(format!("/usr/lib/{}/x{number}", number % 7), "aa")).collect();
        bend(&package("libx", "1-1", 7, &files).blob(), 5_000, header);
    }
}

//! What pacman tells a hook on its standard input: text in, paths and words out. Pure.
//!
//! A hook of `Type = Path` with `NeedsTargets` gets one name a line, relative to the root, folders
//! with a slash at their end, nothing escaped: a name with a line break in it is two lines. A hook
//! of `Type = Package` gets names of packages (alpm-hooks(5)).

use reexec_plugin_paths::{lines, shown, Troubles};

/// Longest path: `PATH_MAX`.
const MAX_LINE: usize = 4096;
/// So much of a line that cannot be understood is shown.
const MAX_SHOWN: usize = 60;
/// Most paths that are taken: a distribution with all it has, installed at once, is less.
const MAX_PATHS: usize = 1_000_000;

/// What a hook's input says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Input<'a> {
    /// Files, as the database spells them: relative to the root. Each comes as often as it was said.
    pub paths: Vec<&'a [u8]>,
    /// Lines without a slash: packages, or files at the top of the root.
    pub words: Vec<&'a [u8]>,
    /// What could not be understood.
    pub troubles: Vec<String>,
}

/// Parses what a hook is told.
pub fn parse(input: &[u8]) -> Input<'_> {
    let mut all = Input::default();
    let mut troubles = Troubles::default();
    for line in lines(input) {
        if all.paths.len() + all.words.len() == MAX_PATHS {
            troubles.add("too much", || format!("the names behind the first {MAX_PATHS} are not read"));
            break;
        }
        // Whoever else calls us may say absolute paths.
        let name = line.strip_prefix(b"/").unwrap_or(line);
        if name.is_empty() || (name.ends_with(b"/") && name.len() <= MAX_LINE && !name.contains(&0)) {
            continue;
        }
        if name.len() > MAX_LINE {
            troubles.add("line too long", || format!("{} bytes", name.len()));
        } else if name.contains(&0) || name.split(|byte| *byte == b'/').any(|part| part == b"..") {
            let start = &line[..line.len().min(MAX_SHOWN)];
            troubles.add("not understood", || format!("\"{}\"", shown(start)));
        } else if name.contains(&b'/') || line.starts_with(b"/") {
            all.paths.push(name);
        } else {
            all.words.push(name);
        }
    }
    all.troubles = troubles.lines();
    all
}

/// Panics unless what was read of an input is what may be handed on: for fuzzing and the corpus.
pub fn check(input: &[u8], read: &Input<'_>) {
    assert!(read.paths.len() + read.words.len() <= MAX_PATHS);
    for name in read.paths.iter().chain(&read.words) {
        assert!(!name.is_empty() && name.len() <= MAX_LINE);
        assert!(!name.contains(&0) && !name.contains(&b'\n') && !name.ends_with(b"/"));
        assert!(name.split(|byte| *byte == b'/').all(|part| part != b".."));
        assert!(input.windows(name.len()).any(|part| part == *name));
    }
    assert!(read.words.iter().all(|word| !word.contains(&b'/')));
    assert!(read.troubles.len() <= 3 && read.troubles.iter().all(|line| line.len() < 4096));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_byte_by_byte_and_folders_are_passed_over() {
        let input = b"usr/\nusr/bin/\nusr/bin/tool\nusr/lib/with space\nusr/lib/\xff\tx\nusr/lib/libt.so.1";
        let parsed = parse(input);
        assert_eq!(
            parsed.paths,
            [&b"usr/bin/tool"[..], b"usr/lib/with space", b"usr/lib/\xff\tx", b"usr/lib/libt.so.1"]
        );
        assert_eq!((parsed.words, parsed.troubles), (vec![], vec![]));
    }

    #[test]
    fn absolute_paths_and_packages_are_taken_too() {
        let parsed = parse(b"/usr/lib/a\nlibfoo\n/top\nusr/lib/a\r\n");
        assert_eq!(parsed.paths, [&b"usr/lib/a"[..], b"top", b"usr/lib/a\r"]);
        assert_eq!(parsed.words, [b"libfoo"]);
    }

    #[test]
    fn a_name_with_a_line_break_is_two_lines() {
        let parsed = parse(b"usr/lib/a\nb\nusr/lib/c\n");
        assert_eq!(parsed.paths, [&b"usr/lib/a"[..], b"usr/lib/c"]);
        assert_eq!(parsed.words, [b"b"]);
    }

    #[test]
    fn what_cannot_be_understood_is_counted_and_shown_in_part() {
        for (input, expected) in [
            (&b"usr/nul\0\n"[..], "not understood: \"usr/nul\0\""),
            (b"../etc/passwd\n", "not understood: \"../etc/passwd\""),
            (b"usr/../../x\n/..\n", "not understood: \"usr/../../x\", \"/..\""),
            (&[b'/'; 9000], "line too long: 8999 bytes"),
            (b"\0\n\0\n\0\n\0/\n", "not understood: \"\0\", \"\0\", \"\0\" and 1 more"),
        ] {
            let parsed = parse(input);
            assert_eq!((parsed.troubles, parsed.paths.len()), (vec![expected.to_owned()], 0));
        }
        assert_eq!(parse(b"usr/lib/..x/a..b/...\n").paths.len(), 1);
    }

    #[test]
    fn nothing_said_is_nothing_read() {
        for input in [&b""[..], b"\n\n", b"/\n"] {
            assert_eq!(parse(input), Input::default());
        }
    }

    #[test]
    fn ten_million_lines_are_read_in_linear_time_up_to_a_bound() {
        let begun = std::time::Instant::now();
        for line in [&b"a\n"[..], b"a/\n", b"\0\n"] {
            assert!(parse(&line.repeat(3_000_000)).words.len() <= MAX_PATHS);
        }
        let told = parse(&b"a/b\n".repeat(10_000_000)).troubles;
        assert_eq!(told, ["too much: the names behind the first 1000000 are not read"]);
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }
}

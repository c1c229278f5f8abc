//! Inputs that were captured from pacman 6.0.2 (and what the fuzzer found) through the parser, whole, cut
//! off at every byte and with every byte changed.

use reexec_pacman::trigger::{check, parse};
use std::path::Path;

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/pacman_trigger");
    let entries = std::fs::read_dir(&folder).expect("the corpus is there");
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read(path).expect("a file"))
    };
    entries.map(|entry| read(entry.expect("an entry").path())).collect()
}

#[test]
fn every_input_is_read_whole_cut_off_and_damaged() {
    let corpus = corpus();
    assert!(corpus.len() >= 4, "{} inputs", corpus.len());
    for (_, input) in corpus {
        for end in 0..=input.len() {
            check(&input[..end], &parse(&input[..end]));
        }
        let mut damaged = input.clone();
        for at in 0..input.len() {
            for byte in [0, b'\n', b'/', b'.', 0xff] {
                damaged[at] = byte;
                check(&damaged, &parse(&damaged));
            }
            damaged[at] = input[at];
        }
    }
}

#[test]
fn what_pacman_really_says_is_understood() {
    for (name, paths, words) in [
        (
            "upgrade",
            &["opt/cap/bin/tool", "opt/cap/lib/libcap.so.1", "opt/cap/with space", "opt/cap/x (deleted)"][..],
            &[][..],
        ),
        (
            "install",
            &[
                "opt/cap/bin/tool",
                "opt/cap/lib/gone",
                "opt/cap/lib/libcap.so.1",
                "opt/cap/line",
                "opt/cap/with space",
                "opt/cap/x (deleted)",
            ],
            // The second line of a name with a line break in it.
            &["break"],
        ),
        ("package", &[], &["cap"]),
    ] {
        let corpus = corpus();
        let (_, input) = corpus.iter().find(|(known, _)| known == name).expect("captured");
        let read = parse(input);
        assert_eq!(read.paths, paths.iter().map(|path| path.as_bytes()).collect::<Vec<_>>(), "{name}");
        assert_eq!(read.words, words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>(), "{name}");
        assert_eq!(read.troubles, [""; 0], "{name}");
    }
}

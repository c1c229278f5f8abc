//! Inputs that were captured from apt 2.6.1, in each version of its protocol, through the parser, whole, cut
//! off at every byte and with every byte changed.

use reexec_dpkg::trigger::{check, parse};
use std::path::Path;

fn captured(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/dpkg_trigger");
    std::fs::read(folder.join(name)).expect("captured")
}

#[test]
fn every_input_is_read_whole_cut_off_and_damaged() {
    for name in ["apt-1", "apt-2", "apt-3"] {
        let input = captured(name);
        for end in 0..=input.len() {
            check(&parse(&input[..end]));
        }
        let mut damaged = input.clone();
        for at in 0..input.len() {
            for byte in [0, b'\n', b'/', 0xff] {
                damaged[at] = byte;
                check(&parse(&damaged));
            }
            damaged[at] = input[at];
        }
    }
}

#[test]
fn what_apt_really_says_is_understood_in_each_version() {
    for (name, ta, removed) in
        [("apt-1", ("ta", None), false), ("apt-2", ("ta", Some("1.0")), true), ("apt-3", ("ta", Some("1.0")), true)]
    {
        let input = captured(name);
        let read = parse(&input);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let all: Vec<_> = read
            .changes
            .iter()
            .map(|change| (text(change.name), change.old.as_deref().map(text), change.new.as_deref().map(text)))
            .collect();
        let row = |name: &str, old: Option<&str>, new: Option<&str>| {
            (name.to_owned(), old.map(str::to_owned), new.map(str::to_owned))
        };
        let old = |version| ta.1.map(|_| version);
        let mut expected =
            vec![row(ta.0, ta.1, Some("3.0")), row("tb", old("1:1.0-1"), Some("1:2.0-1")), row("td", None, Some("1"))];
        if removed {
            expected.insert(0, row("tc", Some("1"), None));
        }
        assert_eq!(all, expected, "{name}");
        assert_eq!(read.troubles, [""; 0], "{name}");
    }
}

//! Which claimed sources an interpreter is likely to have read, though it keeps none of them open: by
//! the compiled modules that it maps, by what its script names, by what it was told to run.
//!
//! None of it is proof; a report calls it likely.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// Folders that hold packages and are none themselves.
const TOPS: [&str; 5] = ["site-packages", "dist-packages", "lib-dynload", "node_modules", "auto"];

/// Whether a mapped compiled module and a source belong to one module: `pkg/_fast.so` to `pkg/x.py`,
/// `lib-dynload/_ssl.so` to `ssl.py`, `auto/A/B/B.so` to `A/B.pm`, `socket.so` to `socket.rb`.
pub fn compiled_part(compiled: &Path, source: &Path) -> bool {
    let (Some(folder), Some(name)) = (compiled.parent(), compiled.file_name()) else { return false };
    let (Some(beside), Some(stem)) = (source.parent(), source.file_stem()) else { return false };
    let short = first_part(name.as_bytes());
    let same_name = |a: &[u8], b: &[u8]| a.strip_prefix(b"_").unwrap_or(a) == b.strip_prefix(b"_").unwrap_or(b);
    if same_name(short, stem.as_bytes()) && (beside == folder || folder.parent() == Some(beside)) {
        return true;
    }
    if in_auto(folder, source) {
        return true;
    }
    let is_top = |part: Component<'_>| TOPS.iter().any(|top| part.as_os_str() == *top);
    let below = folder.strip_prefix(beside).map(|below| !below.components().any(is_top));
    let own = |part: Component<'_>| !is_top(part) && part.as_os_str() != "lib";
    is_module(name.as_bytes()) && below == Ok(true) && beside.components().next_back().is_some_and(own)
}

/// `…/perl/auto/A/B/B.so` is the compiled part of `…/A/B.pm`.
fn in_auto(folder: &Path, source: &Path) -> bool {
    let parts: Vec<_> = folder.components().collect();
    let Some(at) = parts.iter().rposition(|part| *part == Component::Normal(OsStr::new("auto"))) else { return false };
    let module: std::path::PathBuf = parts[at + 1..].iter().collect();
    !module.as_os_str().is_empty() && source.with_extension("").ends_with(&module)
}

/// Names that only modules of interpreters have: other libraries lie in packages' folders too.
fn is_module(name: &[u8]) -> bool {
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    name.ends_with(b".node") || has(b".cpython-") || has(b".abi3.so") || has(b".pypy")
}

fn first_part(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == b'.').next().unwrap_or(name)
}

/// Whether a text names a source: by its whole path, or by its name where it lies beside the text or in
/// a folder that the text names too.
pub fn is_named(text: &[u8], text_path: &Path, source: &Path) -> bool {
    if has_bytes(text, source.as_os_str().as_bytes()) {
        return true;
    }
    let (Some(folder), Some(beside)) = (source.parent(), text_path.parent()) else { return false };
    let module = matches!(source.file_stem().and_then(OsStr::to_str), Some("__init__" | "__main__" | "index" | "mod"));
    let named = |part: Option<&OsStr>| part.is_some_and(|part| has_word(text, part.as_bytes()));
    match folder.strip_prefix(beside) {
        Ok(below) if below.as_os_str().is_empty() => !module && named(source.file_stem()),
        Ok(below) => {
            let mut folders = below.components().map(Component::as_os_str);
            folders.all(|folder| named(Some(folder))) && (module || named(source.file_stem()))
        }
        // A package's own source names its siblings and what lies above it.
        Err(_) => beside.starts_with(folder) && named(source.file_stem()) && named(folder.file_name()),
    }
}

/// What a shell script reads besides itself: the words behind `.` and `source` (bash(1), "SHELL BUILTIN
/// COMMANDS"), each on a line. A path elsewhere in it is a program that it runs, or a folder, or a word.
pub fn sourced(script: &[u8]) -> Vec<u8> {
    let mut words: Vec<u8> = Vec::new();
    for line in script.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii_start();
        if line.starts_with(b"#") {
            continue;
        }
        let is_end = |byte: &u8| byte.is_ascii_whitespace() || b";&|(){}".contains(byte);
        let mut parts = line.split(is_end).filter(|part| !part.is_empty());
        while let Some(part) = parts.next() {
            if let (b"." | b"source", Some(word)) = (part, parts.clone().next()) {
                words.extend(word.iter().filter(|byte| !b"\"'".contains(byte)));
                words.push(b'\n');
            }
        }
    }
    words
}

fn has_bytes(text: &[u8], part: &[u8]) -> bool {
    part.len() > 1 && part.len() <= text.len() && text.windows(part.len()).any(|window| window == part)
}

fn has_word(text: &[u8], word: &[u8]) -> bool {
    let is_letter = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let at = |index: usize| {
        text[index..].starts_with(word)
            && !is_letter(index.checked_sub(1).and_then(|before| text.get(before)))
            && !is_letter(text.get(index + word.len()))
    };
    !word.is_empty() && word.len() <= text.len() && (0..=text.len() - word.len()).any(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiled_module_tells_of_the_sources_of_its_package() {
        for (compiled, source, expected) in [
            ("/d/dist-packages/pkg/_fast.cpython-311-x86_64-linux-gnu.so", "/d/dist-packages/pkg/api.py", true),
            ("/d/dist-packages/pkg/sub/_fast.abi3.so", "/d/dist-packages/pkg/__init__.py", true),
            ("/d/dist-packages/pkg/_fast.cpython-311.so", "/d/dist-packages/other/api.py", false),
            ("/d/dist-packages/one.cpython-311.so", "/d/dist-packages/two.py", false),
            ("/usr/lib/python3.11/lib-dynload/_ssl.cpython-311.so", "/usr/lib/python3.11/ssl.py", true),
            ("/usr/lib/python3.11/lib-dynload/_ssl.cpython-311.so", "/usr/lib/python3.11/json.py", false),
            ("/usr/lib/perl/5.36/auto/Socket/Socket.so", "/usr/lib/perl/5.36/Socket.pm", true),
            ("/usr/lib/perl/5.36/auto/List/Util/Util.so", "/usr/share/perl/5.36/List/Util.pm", true),
            ("/usr/lib/perl/5.36/auto/List/Util/Util.so", "/usr/share/perl/5.36/Util.pm", false),
            ("/usr/lib/ruby/3.1.0/x86_64-linux-gnu/socket.so", "/usr/lib/ruby/3.1.0/socket.rb", true),
            ("/srv/app/node_modules/bcrypt/lib/bcrypt.node", "/srv/app/node_modules/bcrypt/index.js", true),
            ("/srv/app/node_modules/bcrypt/lib/bcrypt.node", "/srv/app/node_modules/other/index.js", false),
            ("/usr/lib/libssl.so.3", "/usr/lib/x.py", false),
        ] {
            assert_eq!(compiled_part(Path::new(compiled), Path::new(source)), expected, "{compiled} {source}");
        }
    }

    #[test]
    fn a_shell_script_reads_what_it_sources_and_not_what_it_runs() {
        for (line, expected) in [
            (". /usr/share/x/functions", "/usr/share/x/functions\n"),
            ("[ -e /etc/x ] && . \"/etc/x\"; /usr/bin/grep x", "/etc/x\n"),
            ("if true; then source lib.sh; fi", "lib.sh\n"),
            ("exec chpst -u x /usr/sbin/probed /etc/sv . ", ""),
            ("PATH=/usr/bin:/bin cd /etc/sv", ""),
            ("# . /etc/x", ""),
        ] {
            assert_eq!(String::from_utf8_lossy(&sourced(line.as_bytes())), expected, "{line}");
        }
    }

    #[test]
    fn a_text_names_a_source_by_path_or_by_name_beside_it() {
        for (text, source, expected) in [
            ("import helper", "/app/helper.py", true),
            ("import helpers", "/app/helper.py", false),
            ("from pkg.api import x", "/app/pkg/api.py", true),
            ("import pkg", "/app/pkg/__init__.py", true),
            ("import pkg", "/app/pkg/api.py", false),
            ("import helper", "/elsewhere/helper.py", false),
            (". /usr/share/x/functions", "/usr/share/x/functions", true),
            ("require('./lib/http.js')", "/app/lib/http.js", true),
        ] {
            assert_eq!(is_named(text.as_bytes(), Path::new("/app/main.py"), Path::new(source)), expected, "{text}");
        }
    }
}

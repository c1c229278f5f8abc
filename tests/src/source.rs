//! Rust sources as text: what is code, what is a comment, what is a test, which paths are named.

/// One source file, ready to be asked.
#[derive(Debug)]
pub struct Source {
    /// Its path below the workspace, with `/`.
    pub path: String,
    /// The text as it stands.
    pub text: String,
    /// The text with comments blanked out; as long as `text`, byte for byte.
    pub uncommented: String,
    /// The text with comments, strings and character literals blanked out.
    pub code: String,
    tests: Vec<(usize, usize)>,
}

/// A path as it is named in the code: `std::fs::read`, also from within `use std::{fs::read, io}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The segments, joined by `::`.
    pub path: String,
    /// Where in the text it begins.
    pub at: usize,
}

/// A function with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where in the text it begins.
    pub at: usize,
    /// Lines from `fn` to the closing brace, both included.
    pub lines: usize,
}

impl Source {
    /// Reads the text.
    pub fn new(path: &str, text: &str) -> Source {
        let (uncommented, code) = blanked(text);
        let tests = if is_test_file(path) { vec![(0, text.len())] } else { test_items(&code) };
        Source { path: path.to_owned(), text: text.to_owned(), uncommented, code, tests }
    }

    /// The line number of a place, counted from 1.
    pub fn line(&self, at: usize) -> usize {
        newlines(&self.text[..at]) + 1
    }

    /// Whether the place lies in something that is only compiled for tests.
    pub fn is_test(&self, at: usize) -> bool {
        self.tests.iter().any(|(from, to)| (*from..*to).contains(&at))
    }

    /// Lines that are not in tests.
    pub fn lines_without_tests(&self) -> usize {
        let all = self.text.lines().count();
        let tests: usize = self.tests.iter().map(|(from, to)| self.text[*from..*to].lines().count()).sum();
        all - tests.min(all)
    }

    /// Where the word stands in the code, as a whole word.
    pub fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        words_in(&self.code, word)
    }

    /// Where the word stands in code or strings, whatever its case, not within a longer word;
    /// `_` and digits end a word.
    pub fn spoken<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let text = self.uncommented.to_ascii_lowercase();
        let letters = |c: char| c.is_alphabetic();
        let found: Vec<usize> = text
            .match_indices(word)
            .filter(|(at, _)| {
                let after = &self.uncommented[at + word.len()..];
                // `Dpkg` of `DpkgLock` is a word too.
                let ends = after.starts_with(|c: char| c.is_uppercase()) || !after.starts_with(letters);
                let before = self.uncommented[..*at].chars().next_back();
                let capital = self.uncommented[*at..].starts_with(|c: char| c.is_uppercase());
                let begins = before.is_none_or(|c| !c.is_alphabetic() || (capital && c.is_lowercase()));
                begins && ends
            })
            .map(|(at, _)| at)
            .collect();
        found.into_iter()
    }

    /// Every path of two or more segments, and every import.
    pub fn named(&self) -> Vec<Named> {
        let mut all = Vec::new();
        let bytes = self.code.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            if !starts_word(bytes, at) {
                at += 1;
                continue;
            }
            let end = word_end(bytes, at);
            if &self.code[at..end] == "use" {
                let stop = self.code[end..].find(';').map_or(bytes.len(), |n| end + n);
                expand(&self.code, end, stop, "", &mut all);
                at = stop;
                continue;
            }
            let end = path_end(&self.code, at);
            let path = squeezed(&self.code[at..end]);
            if path.contains("::") {
                all.push(Named { path, at });
            }
            at = end;
        }
        all
    }

    /// All functions that have a body.
    pub fn functions(&self) -> Vec<Function> {
        let mut all = Vec::new();
        for at in self.words("fn") {
            let rest = &self.code[at + 2..];
            let name: String = rest.trim_start().chars().take_while(|c| is_word(*c)).collect();
            // `fn(u32)` is a type.
            if name.is_empty() {
                continue;
            }
            let Some(open) = body_start(&self.code, at) else {
                continue;
            };
            let close = matching_brace(&self.code, open);
            let lines = newlines(&self.text[at..close]) + 1;
            all.push(Function { name, at, lines });
        }
        all
    }
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|b| *b == b'\n').count()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn starts_word(bytes: &[u8], at: usize) -> bool {
    is_word_byte(bytes[at]) && (at == 0 || !is_word_byte(bytes[at - 1]))
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    let length = bytes[at..].iter().take_while(|b| is_word_byte(**b)).count();
    at + length
}

fn words_in<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let bytes = code.as_bytes();
        starts_word(bytes, *at) && word_end(bytes, *at) == at + word.len()
    })
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// The end of `a :: b::c`, beginning at a word.
fn path_end(code: &str, at: usize) -> usize {
    let bytes = code.as_bytes();
    let mut end = word_end(bytes, at);
    loop {
        let rest = &code[end..];
        let trimmed = rest.trim_start();
        let Some(after) = trimmed.strip_prefix("::") else {
            return end;
        };
        let next = after.trim_start();
        let begins = code.len() - next.len();
        if begins >= bytes.len() || !is_word_byte(bytes[begins]) {
            return end;
        }
        end = word_end(bytes, begins);
    }
}

/// The paths of a use tree.
fn expand(code: &str, from: usize, to: usize, prefix: &str, all: &mut Vec<Named>) {
    let mut depth = 0usize;
    let mut begins = from;
    let bytes = code.as_bytes();
    for at in from..=to.min(bytes.len()) {
        let byte = bytes.get(at).copied().filter(|_| at < to);
        match byte {
            Some(b'{') => depth += 1,
            Some(b'}') => depth = depth.saturating_sub(1),
            Some(b',') | None if depth == 0 => {
                branch(code, begins, at, prefix, all);
                begins = at + 1;
            }
            _ => {}
        }
    }
}

fn branch(code: &str, from: usize, to: usize, prefix: &str, all: &mut Vec<Named>) {
    let text = &code[from..to];
    let at = from + (text.len() - text.trim_start().len());
    if text.trim().is_empty() {
        return;
    }
    let join = |rest: &str| {
        let rest = squeezed(rest);
        let joined = format!("{prefix}::{}", rest.trim_matches(':'));
        joined.trim_matches(':').to_owned()
    };
    match text.find('{') {
        Some(open) => {
            let close = from + text.rfind('}').unwrap_or(text.len());
            expand(code, from + open + 1, close, &join(&text[..open]), all);
        }
        None => {
            let path = text.split(" as ").next().unwrap_or_default();
            all.push(Named { path: join(path), at });
        }
    }
}

/// The opening brace of the item that begins here; `None` when it ends with a semicolon.
fn body_start(code: &str, at: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (offset, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'{' if depth == 0 => return Some(offset),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The place behind the brace that closes the one at `open`.
fn matching_brace(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return offset + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The spans of items under `#[cfg(test)]`, `#[cfg(all(test, …))]` and `#[test]`.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for attribute in ["#[cfg(test)]", "#[cfg(all(test", "#[test]"] {
        for (at, _) in code.match_indices(attribute) {
            if spans.iter().any(|(from, to)| (*from..*to).contains(&at)) {
                continue;
            }
            let after = at + attribute.len();
            let end = match body_start(code, after) {
                Some(open) => matching_brace(code, open),
                None => code[after..].find(';').map_or(code.len(), |n| after + n + 1),
            };
            spans.push((at, end));
        }
    }
    spans
}

/// What a byte of the text belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

/// The text without comments, and the text without comments and literals.
fn blanked(text: &str) -> (String, String) {
    let mut parts = vec![Part::Code; text.len()];
    let mut at = 0;
    while at < text.len() {
        let (part, end) = next_part(text, at);
        parts[at..end].fill(part);
        at = end;
    }
    let without = |hidden: &[Part]| -> String {
        let kept = text.char_indices().flat_map(|(at, c)| {
            let hide = hidden.contains(&parts[at]) && c != '\n';
            let (shown, times) = if hide { (' ', c.len_utf8()) } else { (c, 1) };
            std::iter::repeat_n(shown, times)
        });
        kept.collect()
    };
    (without(&[Part::Comment]), without(&[Part::Comment, Part::Literal]))
}

/// The part that begins here, and its end.
fn next_part(text: &str, at: usize) -> (Part, usize) {
    let rest = &text[at..];
    if rest.starts_with("//") {
        return (Part::Comment, rest.find('\n').map_or(text.len(), |n| at + n));
    }
    if rest.starts_with("/*") {
        return (Part::Comment, at + block_comment(rest));
    }
    let fresh = at == 0 || !is_word_byte(text.as_bytes()[at - 1]);
    if fresh {
        if let Some(length) = raw_string(rest) {
            return (Part::Literal, at + length);
        }
    }
    if rest.starts_with('"') {
        return (Part::Literal, at + quoted(rest, '"'));
    }
    if rest.starts_with('\'') && is_character(rest) {
        return (Part::Literal, at + quoted(rest, '\''));
    }
    let length = rest.chars().next().map_or(1, char::len_utf8);
    (Part::Code, at + length)
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// `r"…"`, `r#"…"#`, `br#"…"#`, `cr"…"`: the length, if one begins here.
fn raw_string(text: &str) -> Option<usize> {
    let prefix =
        ["r", "br", "cr"].into_iter().find(|p| text.strip_prefix(p).is_some_and(|t| t.starts_with(['"', '#'])))?;
    let hashes = text[prefix.len()..].bytes().take_while(|b| *b == b'#').count();
    let open = prefix.len() + hashes;
    // `r#type` is a name.
    if !text[open..].starts_with('"') {
        return None;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let length = text[open + 1..].find(&close);
    Some(length.map_or(text.len(), |n| open + 1 + n + close.len()))
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// A character literal, not a lifetime.
fn is_character(text: &str) -> bool {
    let mut characters = text.chars().skip(1);
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_told_from_code() {
        let text = "a /* b /* c */ d */ e // z\n\"g // \\\" h\" 'i' '\\'' r#\"j \" k\"# 'life: loop {}";
        let source = Source::new("x/src/lib.rs", text);
        assert_eq!(source.code.len(), text.len());
        let code: Vec<&str> = source.code.split_whitespace().collect();
        assert_eq!(code, ["a", "e", "'life:", "loop", "{}"]);
        assert!(source.uncommented.contains("j \" k"));
        assert!(!source.uncommented.contains('z'));
    }

    #[test]
    fn use_trees_are_expanded() {
        let text = "use std::{fs, io::{self, Read as R}};\nuse crate::sys;\nfn f() { a :: b(); c }";
        let paths: Vec<String> =
            Source::new("x/src/lib.rs", text).named().into_iter().map(|named| named.path).collect();
        assert_eq!(paths, ["std::fs", "std::io::self", "std::io::Read", "crate::sys", "a::b"]);
    }

    #[test]
    fn tests_are_told_from_the_rest() {
        let text = "fn f() {}\n#[cfg(test)]\nmod tests {\n  fn g() {}\n}\nfn h() {}\n";
        let source = Source::new("x/src/lib.rs", text);
        let inside: Vec<bool> = source.functions().iter().map(|f| source.is_test(f.at)).collect();
        assert_eq!(inside, [false, true, false]);
        assert_eq!(source.lines_without_tests(), 2);
    }

    #[test]
    fn functions_are_measured_and_types_are_not_functions() {
        let text = "type F = fn(u32);\ntrait T { fn none(&self, a: [u8; 2]); }\nfn long(\n) -> u8 {\n 1\n}\n";
        let functions = Source::new("x/src/lib.rs", text).functions();
        assert_eq!(functions.len(), 1);
        assert_eq!((functions[0].name.as_str(), functions[0].lines), ("long", 4));
    }

    #[test]
    fn a_spoken_word_is_found_in_names_and_strings_but_not_in_other_words() {
        let text = "\"apt-get\" apt_lock AptLock capture aptitude adapt LastApt // apt";
        let source = Source::new("x/src/lib.rs", text);
        assert_eq!(source.spoken("apt").count(), 4);
    }
}

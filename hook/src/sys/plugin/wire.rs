//! What the host and a plugin's process say to each other: length-prefixed bytes, bounded on both
//! sides. Pure: bytes in, values out.

use super::{Busy, Function, Ownership, Phase, PluginError, Question, Reading, TriggerInput};
use crate::model::claim::{Claim, Package};
use crate::model::text::{escape, path_of};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Most bytes of one request; a trigger's input is bounded to 32 MiB before.
pub(super) const MAX_REQUEST: usize = 64 << 20;
/// Most bytes of all answers of one process.
pub(super) const MAX_ANSWER: usize = 64 << 20;
/// Most bytes of one name, path, version or message of a plugin.
pub(super) const MAX_STRING: usize = 64 << 10;
/// Most packages, claims and owners of one answer: a whole distribution has less.
pub(super) const MAX_RECORDS: usize = 2_000_000;
/// Most messages of one answer that are kept.
pub(super) const MAX_MESSAGES: usize = 100;

/// Bytes before the payload of a frame: its kind and its length.
pub(super) const HEADER: usize = 5;

/// What a frame of the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// What the process does next.
    Stage = 1,
    /// One answer.
    Answer = 2,
    /// The plugin cannot be asked at all.
    Refusal = 3,
    /// Nothing follows.
    Done = 4,
}

impl Frame {
    fn of(byte: u8) -> Option<Frame> {
        [Frame::Stage, Frame::Answer, Frame::Refusal, Frame::Done].into_iter().find(|frame| *frame as u8 == byte)
    }

    /// The frame's header.
    pub(super) fn header(self, len: usize) -> [u8; HEADER] {
        let len = u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
        [self as u8, len[0], len[1], len[2], len[3]]
    }
}

/// Kinds of records within an answer.
pub(super) mod record {
    pub(in super::super) const PACKAGE: u8 = 1;
    pub(in super::super) const FILE: u8 = 2;
    pub(in super::super) const TREE: u8 = 3;
    pub(in super::super) const OWNER: u8 = 4;
    pub(in super::super) const MESSAGE: u8 = 5;
    pub(in super::super) const BUSY: u8 = 6;
    pub(in super::super) const FAILURE: u8 = 7;
    pub(in super::super) const DEPENDENCY: u8 = 8;
}

/// Bytes that are not what the other side ought to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Appends a length and the bytes.
pub(super) fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    put_number(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// Appends a number, short when it is small.
pub(super) fn put_number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Takes from the front what `put` appended.
#[derive(Debug)]
pub(super) struct Taker<'a> {
    rest: &'a [u8],
}

impl<'a> Taker<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Taker { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    pub(super) fn bytes(&mut self, most: usize) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        if len > most || len > self.rest.len() {
            return Err(Malformed);
        }
        let (bytes, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, Malformed> {
        Ok(escape(self.bytes(MAX_STRING)?))
    }

    fn texts(&mut self) -> Result<Vec<String>, Malformed> {
        let mut texts = Vec::new();
        for _ in 0..self.number()?.min(MAX_MESSAGES as u64) {
            // Escaped when they were heard.
            texts.push(String::from_utf8_lossy(self.bytes(MAX_ANSWER)?).into_owned());
        }
        Ok(texts)
    }
}

/// One request: which plugin, and what it is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) questions: Vec<Question>,
}

const READ: u8 = 1;
const EXPAND: u8 = 2;
const OWNERS: u8 = 3;
const BUSY: u8 = 4;
const DEPENDENCIES: u8 = 5;

impl Request {
    /// The bytes of a request, or what about it is too big to be sent.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, String> {
        let mut to = vec![0; 4];
        put(&mut to, self.folder.as_os_str().as_bytes());
        put(&mut to, self.name.as_bytes());
        put_number(&mut to, self.questions.len() as u64);
        for question in &self.questions {
            put_question(&mut to, question)?;
        }
        let len = to.len() - 4;
        match u32::try_from(len) {
            Ok(short) if len <= MAX_REQUEST => to[..4].copy_from_slice(&short.to_le_bytes()),
            _ => return Err(format!("the question has {len} bytes, more than {MAX_REQUEST}")),
        }
        Ok(to)
    }

    /// The request that the bytes (without their length) stand for.
    pub(super) fn parse(bytes: &[u8]) -> Result<Request, Malformed> {
        let mut from = Taker::new(bytes);
        let folder = path_of(from.bytes(MAX_STRING)?);
        let name = from.text()?;
        let mut questions = Vec::new();
        for _ in 0..from.number()? {
            questions.push(take_question(&mut from)?);
        }
        if !from.is_empty() {
            return Err(Malformed);
        }
        Ok(Request { folder, name, questions })
    }
}

fn put_question(to: &mut Vec<u8>, question: &Question) -> Result<(), String> {
    match question {
        Question::Read(trigger) => {
            to.push(READ);
            to.push(match trigger.phase {
                Phase::Pre => 1,
                Phase::Post => 2,
            });
            put_short(to, trigger.root.as_os_str().as_bytes())?;
            put_number(to, trigger.arguments.len() as u64);
            for argument in &trigger.arguments {
                put_short(to, argument.as_bytes())?;
            }
            put(to, &trigger.input);
            to.extend_from_slice(&trigger.since.unwrap_or(0).to_le_bytes());
        }
        Question::Expand { root, packages } | Question::Dependencies { root, packages } => {
            to.push(if question.function() == Function::Expand { EXPAND } else { DEPENDENCIES });
            put_short(to, root.as_os_str().as_bytes())?;
            put_number(to, packages.len() as u64);
            for package in packages {
                put_short(to, package.as_bytes())?;
            }
        }
        Question::Owners { root, paths } => {
            to.push(OWNERS);
            put_short(to, root.as_os_str().as_bytes())?;
            put_number(to, paths.len() as u64);
            for path in paths {
                put_short(to, path.as_os_str().as_bytes())?;
            }
        }
        Question::Busy { root } => {
            to.push(BUSY);
            put_short(to, root.as_os_str().as_bytes())?;
        }
    }
    Ok(())
}

fn put_short(to: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > MAX_STRING {
        let start = escape(&bytes[..32]);
        return Err(format!("{start}… has {} bytes, more than {MAX_STRING}", bytes.len()));
    }
    put(to, bytes);
    Ok(())
}

fn take_question(from: &mut Taker<'_>) -> Result<Question, Malformed> {
    let kind = from.byte()?;
    if kind == READ {
        let phase = match from.byte()? {
            1 => Phase::Pre,
            2 => Phase::Post,
            _ => return Err(Malformed),
        };
        let root = path_of(from.bytes(MAX_STRING)?);
        let arguments = take_list(from, |bytes| OsString::from_vec(bytes.to_vec()))?;
        let input = from.bytes(MAX_REQUEST)?.to_vec();
        let mut since = [0; 8];
        for byte in &mut since {
            *byte = from.byte()?;
        }
        let since = Some(i64::from_le_bytes(since)).filter(|since| *since != 0);
        return Ok(Question::Read(TriggerInput { phase, root, arguments, input, since }));
    }
    let root = path_of(from.bytes(MAX_STRING)?);
    match kind {
        EXPAND | DEPENDENCIES => {
            let packages = take_list(from, |bytes| String::from_utf8_lossy(bytes).into_owned())?;
            Ok(match kind {
                EXPAND => Question::Expand { root, packages },
                _ => Question::Dependencies { root, packages },
            })
        }
        OWNERS => Ok(Question::Owners { root, paths: take_list(from, path_of)? }),
        BUSY => Ok(Question::Busy { root }),
        _ => Err(Malformed),
    }
}

fn take_list<T>(from: &mut Taker<'_>, of: impl Fn(&[u8]) -> T) -> Result<Vec<T>, Malformed> {
    let mut all = Vec::new();
    for _ in 0..from.number()? {
        all.push(of(from.bytes(MAX_STRING)?));
    }
    Ok(all)
}

/// A frame: what it is, its payload, and the bytes that both take.
pub(super) type Framed<'a> = (Frame, &'a [u8], usize);

/// The first whole frame of `bytes`.
pub(super) fn frame(bytes: &[u8]) -> Result<Option<Framed<'_>>, Malformed> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER) else {
        return Ok(None);
    };
    let kind = Frame::of(header[0]).ok_or(Malformed)?;
    let len = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if len > MAX_ANSWER {
        return Err(Malformed);
    }
    Ok(rest.get(..len).map(|payload| (kind, payload, HEADER + len)))
}

/// An answer before it is known which question it belongs to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) reading: Reading,
    pub(super) owners: Vec<(usize, Ownership)>,
    pub(super) dependencies: Vec<(usize, String)>,
    pub(super) busy: Option<i32>,
}

/// Why an answer is not one.
#[derive(Debug)]
pub(super) enum Unheard {
    /// The plugin's process said so.
    Said(PluginError),
    /// A path that is none, or bytes that the process did not put together by itself.
    Garbage(String),
}

impl From<Malformed> for Unheard {
    fn from(_: Malformed) -> Self {
        Unheard::Garbage("its answer cannot be parsed".to_owned())
    }
}

/// The answer that a frame's payload stands for.
pub(super) fn parse_answer(payload: &[u8], file: &Path) -> Result<Heard, Unheard> {
    let mut heard = Heard::default();
    let mut from = Taker::new(payload);
    let mut records = 0;
    while !from.is_empty() {
        records += 1;
        if records > MAX_RECORDS + MAX_MESSAGES + 2 {
            return Err(Malformed.into());
        }
        match from.byte()? {
            record::PACKAGE => heard.reading.packages.push(Package {
                name: from.text()?,
                old: Some(from.text()?).filter(|version| !version.is_empty()),
                new: Some(from.text()?).filter(|version| !version.is_empty()),
            }),
            record::FILE => heard.reading.claims.push(Claim::File {
                path: take_path(&mut from)?,
                package: Some(from.text()?).filter(|package| !package.is_empty()),
            }),
            record::TREE => heard.reading.claims.push(Claim::Tree { prefix: take_path(&mut from)? }),
            record::OWNER => {
                let index = usize::try_from(from.number()?).map_err(|_| Malformed)?;
                let (package, version) = (from.text()?, from.text()?);
                let (algorithm, digest) = (from.text()?, from.text()?);
                let digest = (!digest.is_empty()).then_some((algorithm, digest));
                heard.owners.push((index, Ownership { package, version, digest }));
            }
            record::DEPENDENCY => {
                let index = usize::try_from(from.number()?).map_err(|_| Malformed)?;
                heard.dependencies.push((index, from.text()?));
            }
            record::MESSAGE => heard.reading.messages = from.texts()?,
            record::BUSY => heard.busy = Some(from.number()? as i32),
            record::FAILURE => return Err(Unheard::Said(take_error(&mut from, file)?)),
            _ => return Err(Malformed.into()),
        }
    }
    Ok(heard)
}

/// What the plugin said about `busy`.
pub(super) fn busy_of(heard: Heard) -> Busy {
    let lock = heard.reading.claims.into_iter().find_map(|claim| match claim {
        Claim::File { path, .. } => Some(path),
        Claim::Tree { .. } => None,
    });
    match (heard.busy, lock) {
        (Some(reexec_plugin_abi::BUSY), _) => Busy::Busy(heard.reading.messages),
        (Some(reexec_plugin_abi::INTERRUPTED), _) => Busy::Interrupted(heard.reading.messages),
        (Some(reexec_plugin_abi::LOCKED), Some(lock)) => Busy::Locked { lock, words: heard.reading.messages },
        // A lock that is not named cannot be looked at; waiting is what does no harm.
        (Some(reexec_plugin_abi::LOCKED), None) => Busy::Busy(heard.reading.messages),
        _ => Busy::Idle,
    }
}

fn take_path(from: &mut Taker<'_>) -> Result<PathBuf, Unheard> {
    let bytes = from.bytes(MAX_STRING)?;
    if bytes.first() != Some(&b'/') || bytes.contains(&0) {
        let start = escape(&bytes[..bytes.len().min(200)]);
        return Err(Unheard::Garbage(format!("\"{start}\" is not an absolute path")));
    }
    Ok(path_of(bytes))
}

/// Appends an error that a plugin's process found.
pub(super) fn put_error(to: &mut Vec<u8>, error: &PluginError) {
    use PluginError::*;
    let (kind, function, number, texts): (u8, _, i64, &[String]) = match error {
        Untrusted { why, .. } => (1, None, 0, std::slice::from_ref(why)),
        NotLoadable { why, .. } => (2, None, 0, std::slice::from_ref(why)),
        NoSymbol { .. } => (3, None, 0, &[]),
        NullTable { .. } => (4, None, 0, &[]),
        Short { size, .. } => (5, None, *size as i64, &[]),
        WrongName { said, .. } => (6, None, 0, std::slice::from_ref(said)),
        NoFunction { function, .. } => (7, Some(*function), 0, &[]),
        Failed { function, code, said, .. } => (8, Some(*function), i64::from(*code), said),
        Panicked { function, said, .. } => (9, Some(*function), 0, said),
        Garbage { function, why, .. } => (10, Some(*function), 0, std::slice::from_ref(why)),
        TooMuch { function, .. } => (11, Some(*function), 0, &[]),
        // The others are found by the host itself.
        other => (2, None, 0, &[other.to_string()]),
    };
    to.push(kind);
    to.push(function.map_or(0, |function| function as u8));
    put_number(to, number as u64);
    put_number(to, texts.len() as u64);
    for text in texts {
        put(to, text.as_bytes());
    }
}

/// Takes the error that `put_error` appended.
pub(super) fn take_error(from: &mut Taker<'_>, file: &Path) -> Result<PluginError, Malformed> {
    let file = file.to_owned();
    let (kind, function, number) = (from.byte()?, from.byte()?, from.number()?);
    let said = from.texts()?;
    let function = Function::ALL.into_iter().find(|candidate| *candidate as u8 == function).unwrap_or(Function::Read);
    let why = || said.join("; ");
    Ok(match kind {
        1 => PluginError::Untrusted { file, why: why() },
        2 => PluginError::NotLoadable { file, why: why() },
        3 => PluginError::NoSymbol { file },
        4 => PluginError::NullTable { file },
        5 => PluginError::Short { file, size: number as usize },
        6 => PluginError::WrongName { file, said: why() },
        7 => PluginError::NoFunction { file, function },
        8 => PluginError::Failed { file, function, code: number as i32, said },
        9 => PluginError::Panicked { file, function, said },
        10 => PluginError::Garbage { file, function, why: why() },
        11 => PluginError::TooMuch { file, function },
        _ => return Err(Malformed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let root = PathBuf::from("/");
        Request {
            folder: PathBuf::from("/usr/lib/reexec/plugins"),
            name: "dpkg".to_owned(),
            questions: vec![
                Question::Read(TriggerInput {
                    phase: Phase::Pre,
                    root: root.clone(),
                    arguments: vec!["triggered".into(), "/usr/lib /usr/bin".into()],
                    input: vec![0xff; 300],
                    since: Some(-5),
                }),
                Question::Expand { root: root.clone(), packages: vec!["a".to_owned()] },
                Question::Owners { root: root.clone(), paths: vec!["/b".into(), "/c".into()] },
                Question::Dependencies { root: root.clone(), packages: vec!["a".to_owned(), "b".to_owned()] },
                Question::Busy { root },
            ],
        }
    }

    #[test]
    fn a_request_comes_back_from_its_bytes() {
        let bytes = request().bytes().expect("small enough");
        assert_eq!(Request::parse(&bytes[4..]), Ok(request()));
    }

    #[test]
    fn a_request_cut_anywhere_is_refused() {
        let bytes = request().bytes().expect("small enough");
        for end in 4..bytes.len() {
            assert_eq!(Request::parse(&bytes[4..end]), Err(Malformed), "{end}");
        }
    }

    #[test]
    fn a_path_that_is_too_long_is_not_sent() {
        let mut request = request();
        request.questions = vec![Question::Busy { root: "/x".repeat(MAX_STRING).into() }];
        let why = request.bytes().expect_err("too long");
        assert!(why.ends_with("has 131072 bytes, more than 65536"), "{why}");
    }

    #[test]
    fn a_frame_is_taken_when_it_is_whole() {
        let mut bytes = Frame::Answer.header(3).to_vec();
        bytes.extend_from_slice(b"abcrest");
        assert_eq!(frame(&bytes), Ok(Some((Frame::Answer, &b"abc"[..], 8))));
        assert_eq!(frame(&bytes[..7]), Ok(None));
        assert_eq!(frame(b"\xffabcdef"), Err(Malformed));
        assert_eq!(frame(b"\x02\xff\xff\xff\xff"), Err(Malformed));
    }

    #[test]
    fn errors_of_the_process_come_back() {
        let file = PathBuf::from("/p");
        let said = vec!["one".to_owned(), "two".to_owned()];
        let function = Function::Busy;
        for error in [
            PluginError::Untrusted { file: file.clone(), why: "w".to_owned() },
            PluginError::NotLoadable { file: file.clone(), why: "w".to_owned() },
            PluginError::NoSymbol { file: file.clone() },
            PluginError::NullTable { file: file.clone() },
            PluginError::Short { file: file.clone(), size: 7 },
            PluginError::WrongName { file: file.clone(), said: "x".to_owned() },
            PluginError::NoFunction { file: file.clone(), function },
            PluginError::Failed { file: file.clone(), function, code: -1, said: said.clone() },
            PluginError::Panicked { file: file.clone(), function, said: said.clone() },
            PluginError::Garbage { file: file.clone(), function, why: "w".to_owned() },
            PluginError::TooMuch { file: file.clone(), function },
        ] {
            let mut bytes = Vec::new();
            put_error(&mut bytes, &error);
            let back = take_error(&mut Taker::new(&bytes), &file).expect("parses");
            assert_eq!(back.to_string(), error.to_string());
        }
    }

    #[test]
    fn hostile_answers_are_refused_in_bounded_memory() {
        let file = Path::new("/p");
        let mut endless = vec![record::FILE];
        put_number(&mut endless, u64::MAX);
        let mut relative = vec![record::FILE];
        put(&mut relative, b"usr/lib");
        put(&mut relative, b"");
        for answer in [&endless[..], &relative, b"\xff", b"\x01", b"\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert!(matches!(parse_answer(answer, file), Err(Unheard::Garbage(_))), "{answer:?}");
        }
    }
}

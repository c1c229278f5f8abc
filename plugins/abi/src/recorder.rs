//! Plugins that test themselves: their answers recorded, without a host.

use super::*;

/// What a plugin said into a [`Recorder`], in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Name, old version, new version.
    Package(String, String, String),
    /// Path, package.
    File(String, String),
    /// Prefix.
    Tree(String),
    /// Index, package, version, digest.
    Owner(usize, String, String, String),
    /// Index, package.
    Dependency(usize, String),
    /// Text.
    Message(String),
}

/// Calls a plugin's functions in its own tests, without a host, and keeps what they said (bytes
/// that are not UTF-8 are shown as in [`slice::escape_ascii`]).
#[derive(Debug, Default)]
pub struct Recorder {
    said: Vec<Said>,
}

impl Recorder {
    /// Asks `read` about a trigger.
    pub fn read(question: &Question<'_>, read: Read) -> Result<Vec<Said>, String> {
        let arguments: Vec<Bytes> = question.arguments.iter().map(|a| Bytes::of(a)).collect();
        let raw = crate::Trigger {
            size: size_of::<crate::Trigger>(),
            phase: match question.phase {
                Phase::Pre => PHASE_PRE,
                Phase::Post => PHASE_POST,
                Phase::Other(number) => number,
            },
            root: Bytes::of(question.root.as_os_str().as_bytes()),
            arguments: arguments.as_ptr(),
            argument_count: arguments.len(),
            input: Bytes::of(question.input),
            since: question.since,
        };
        Recorder::listen(|sink| read(&Trigger { raw: &raw }, sink)).map(|(said, ())| said)
    }

    /// Calls back with a sink and returns what was said into it, and the function's own answer.
    pub fn listen<T>(call: impl FnOnce(&mut Sink<'_>) -> Result<T, String>) -> Result<(Vec<Said>, T), String> {
        let mut recorder = Recorder::default();
        let raw = crate::Sink {
            size: size_of::<crate::Sink>(),
            context: (&raw mut recorder).cast(),
            package: Some(hear_package),
            file: Some(hear_file),
            tree: Some(hear_tree),
            owner: Some(hear_owner),
            message: Some(hear_message),
            dependency: Some(hear_dependency),
        };
        let answer = call(&mut Sink { raw: &raw })?;
        Ok((recorder.said, answer))
    }

    /// The answers of `dependencies` for this many packages, each sorted.
    pub fn dependencies(
        count: usize,
        call: impl FnOnce(&mut Sink<'_>) -> Result<(), String>,
    ) -> Result<Vec<Vec<String>>, String> {
        let mut answers = vec![Vec::new(); count];
        for said in Recorder::listen(call)?.0 {
            let Said::Dependency(index, package) = said else { return Err(format!("{said:?}")) };
            answers.get_mut(index).ok_or_else(|| format!("there is no package {index}"))?.push(package);
        }
        answers.iter_mut().for_each(|answer| answer.sort());
        Ok(answers)
    }

    /// The answers of `owners` for this many paths, each as `PACKAGE VERSION DIGEST`; empty where nobody
    /// owns the path. A path that is answered twice, or anything else that is said but of what the answers
    /// depend on, is an error.
    pub fn owners(count: usize, call: impl FnOnce(&mut Sink<'_>) -> Result<(), String>) -> Result<Vec<String>, String> {
        let mut answers = vec![String::new(); count];
        for said in Recorder::listen(call)?.0 {
            let (index, package, version, digest) = match said {
                Said::Owner(index, package, version, digest) => (index, package, version, digest),
                Said::File(_, package) if package.is_empty() => continue,
                said => return Err(format!("{said:?}")),
            };
            match answers.get_mut(index) {
                Some(answer) if answer.is_empty() => *answer = format!("{package} {version} {digest}"),
                Some(answer) => return Err(format!("path {index} was answered {answer:?} before")),
                None => return Err(format!("there is no path {index}")),
            }
        }
        Ok(answers)
    }
}

/// A trigger for a plugin's own tests.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// When the hook is called.
    pub phase: Phase,
    /// Folder that holds the system.
    pub root: &'a Path,
    /// The trigger's arguments.
    pub arguments: &'a [&'a [u8]],
    /// The trigger's standard input.
    pub input: &'a [u8],
    /// Seconds since 1970, or 0.
    pub since: i64,
}

/// # Safety
/// `context` is the `Recorder` of `Recorder::listen`, which uses it no more until the call ends.
unsafe fn recorder<'a>(context: *mut std::ffi::c_void) -> &'a mut Recorder {
    // SAFETY: the caller's promise.
    unsafe { &mut *context.cast() }
}

fn text(bytes: Bytes) -> String {
    // SAFETY: `Sink`'s safe methods, the only callers, hand over borrowed slices.
    let bytes = unsafe { bytes.as_slice() };
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

unsafe extern "C" fn hear_package(to: *mut std::ffi::c_void, name: Bytes, old: Bytes, new: Bytes) {
    let said = Said::Package(text(name), text(old), text(new));
    // SAFETY: `to` is the sink's context.
    unsafe { recorder(to) }.said.push(said);
}

unsafe extern "C" fn hear_file(to: *mut std::ffi::c_void, path: Bytes, package: Bytes) {
    let said = Said::File(text(path), text(package));
    // SAFETY: `to` is the sink's context.
    unsafe { recorder(to) }.said.push(said);
}

unsafe extern "C" fn hear_tree(to: *mut std::ffi::c_void, prefix: Bytes) {
    let said = Said::Tree(text(prefix));
    // SAFETY: `to` is the sink's context.
    unsafe { recorder(to) }.said.push(said);
}

unsafe extern "C" fn hear_owner(
    to: *mut std::ffi::c_void,
    index: usize,
    package: Bytes,
    version: Bytes,
    algorithm: Bytes,
    digest: Bytes,
) {
    let digest = match (text(algorithm), text(digest)) {
        (algorithm, digest) if algorithm.is_empty() && digest.is_empty() => String::new(),
        (algorithm, digest) => format!("{algorithm}:{digest}"),
    };
    let said = Said::Owner(index, text(package), text(version), digest);
    // SAFETY: `to` is the sink's context.
    unsafe { recorder(to) }.said.push(said);
}

unsafe extern "C" fn hear_dependency(to: *mut std::ffi::c_void, index: usize, package: Bytes) {
    let said = Said::Dependency(index, text(package));
    // SAFETY: `to` is the sink's context.
    unsafe { recorder(to) }.said.push(said);
}

unsafe extern "C" fn hear_message(to: *mut std::ffi::c_void, line: Bytes) {
    let said = Said::Message(text(line));
    // SAFETY: `to` is the sink's context.
    unsafe { recorder(to) }.said.push(said);
}

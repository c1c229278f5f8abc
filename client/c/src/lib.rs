//! `reexec-client` for C: the functions of `reexec-client.h`. A panic never leaves them.
#![allow(unsafe_code)]

#[cfg(test)]
mod tests;
mod words;

use reexec_client::{Answer, Client, Handover, OwnFile};
use std::ffi::{c_char, c_int, c_uint, c_void, CStr, CString, OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Duration;
use words::Failure;

/// `struct reexec_client`.
#[derive(Debug)]
pub struct ReexecClient {
    client: Client,
    path: CString,
    error: CString,
    passed: Vec<(String, RawFd)>,
    states: Vec<(String, Vec<u8>)>,
    trial: Option<(Vec<OsString>, Duration)>,
}

/// `struct reexec_client_asker`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Asker {
    /// Of this struct as the caller knows it.
    pub size: usize,
    /// 0 where it has no number in this pid namespace.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Milliseconds; -1 where it did not say.
    pub within_ms: i64,
}

/// `REEXEC_CLIENT_SAME`, …
pub const SAME: c_int = 0;
/// Another file at the path.
pub const REPLACED: c_int = 1;
/// The same file with other content.
pub const OVERWRITTEN: c_int = 2;
/// No file at the path.
pub const REMOVED: c_int = 3;
/// `REEXEC_CLIENT_WILL`, …
pub const WILL: c_int = 1;
/// By itself, when it can.
pub const LATER: c_int = 2;
/// Not at all.
pub const NO: c_int = 3;

/// Runs a function of the client; what fails becomes a negative errno and words.
///
/// # Safety
/// `client` is null, or came from `reexec_client_start` and is used by nobody else now.
unsafe fn with<T>(
    client: *mut ReexecClient,
    failed: fn(c_int) -> T,
    work: impl FnOnce(&mut ReexecClient) -> Result<T, Failure>,
) -> T {
    // SAFETY: the caller's promise.
    let Some(client) = (unsafe { client.as_mut() }) else { return failed(-libc::EINVAL) };
    let failure = match catch_unwind(AssertUnwindSafe(|| work(client))) {
        Ok(Ok(done)) => return done,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::panicked(),
    };
    client.error = failure.words;
    failed(-failure.errno)
}

/// A C string as text.
///
/// # Safety
/// `text` is null or ends with a NUL, and stays as it is for `'a`.
unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(Failure::invalid("a name is NULL"));
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| Failure::invalid("a text is not UTF-8"))
}

/// The strings of an array that ends with NULL.
///
/// # Safety
/// `array` is null or such an array of NUL-terminated strings.
unsafe fn strings(array: *const *const c_char, most: usize) -> Vec<OsString> {
    let mut all = Vec::new();
    if array.is_null() {
        return all;
    }
    for index in 0..most {
        // SAFETY: the NULL at the end was not met yet.
        let one = unsafe { *array.add(index) };
        if one.is_null() {
            break;
        }
        // SAFETY: the caller's promise.
        let bytes = unsafe { CStr::from_ptr(one) }.to_bytes();
        all.push(OsStr::from_bytes(bytes).to_owned());
    }
    all
}

/// # Safety
/// `into` is where a pointer can be put; `argv` has `argc` strings.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_start(
    into: *mut *mut ReexecClient,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    if into.is_null() {
        return -libc::EINVAL;
    }
    // SAFETY: it is not null, and the caller's promise is that it can be written.
    unsafe { *into = std::ptr::null_mut() };
    // SAFETY: the caller's promise.
    let arguments = unsafe { strings(argv, usize::try_from(argc).unwrap_or(0)) };
    let started = catch_unwind(|| {
        let client = Client::start_with(arguments).map_err(Failure::from)?;
        let path = CString::new(client.program().path().as_os_str().as_bytes()).map_err(|_| Failure::panicked())?;
        let new = ReexecClient {
            client,
            path,
            error: CString::default(),
            passed: Vec::new(),
            states: Vec::new(),
            trial: None,
        };
        Ok::<_, Failure>(Box::new(new))
    });
    match started {
        Ok(Ok(client)) => {
            // SAFETY: as above.
            unsafe { *into = Box::into_raw(client) };
            0
        }
        Ok(Err(failure)) => -failure.errno,
        Err(_) => -Failure::panicked().errno,
    }
}

/// # Safety
/// `client` is null or came from `reexec_client_start`, and is not used any more.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_free(client: *mut ReexecClient) {
    if !client.is_null() {
        // SAFETY: the caller's promise.
        let client = unsafe { Box::from_raw(client) };
        let _ = catch_unwind(AssertUnwindSafe(|| drop(client)));
    }
}

/// # Safety
/// `client` is null or came from `reexec_client_start`.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_error(client: *const ReexecClient) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { client.as_ref() }.map_or(c"no client".as_ptr(), |client| client.error.as_ptr())
}

/// # Safety
/// `client` is null or came from `reexec_client_start`.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_path(client: *const ReexecClient) -> *const c_char {
    // SAFETY: the caller's promise.
    unsafe { client.as_ref() }.map_or(std::ptr::null(), |client| client.path.as_ptr())
}

/// # Safety
/// `client` came from `reexec_client_start`; `name` is a string.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_take(client: *mut ReexecClient, name: *const c_char) -> c_int {
    let work = |client: &mut ReexecClient| {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name) }?;
        let taken = client.client.inherited().take(name);
        taken.map(IntoRawFd::into_raw_fd).ok_or_else(|| Failure::absent(name))
    };
    // SAFETY: the caller's promise.
    unsafe { with(client, |error| error, work) }
}

/// # Safety
/// `client` came from `reexec_client_start`; `name` is a string; `buffer` has room for `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_take_state(
    client: *mut ReexecClient,
    name: *const c_char,
    buffer: *mut c_void,
    size: usize,
) -> isize {
    let work = |client: &mut ReexecClient| {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name) }?;
        let state = client.client.inherited().take_state(name, size).map_err(Failure::of_state)?;
        let state = state.ok_or_else(|| Failure::absent(name))?;
        if !state.is_empty() {
            // SAFETY: there is room for `size`, and `take_state` gave no more.
            unsafe { std::ptr::copy_nonoverlapping(state.as_ptr(), buffer.cast(), state.len()) };
        }
        isize::try_from(state.len()).map_err(|_| Failure::panicked())
    };
    // SAFETY: the caller's promise.
    unsafe { with(client, |error| error as isize, work) }
}

/// # Safety
/// `client` came from `reexec_client_start`.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_own_file(client: *mut ReexecClient) -> c_int {
    let work = |client: &mut ReexecClient| {
        Ok(match client.client.own_file()? {
            OwnFile::Same => SAME,
            OwnFile::Replaced => REPLACED,
            OwnFile::Overwritten => OVERWRITTEN,
            OwnFile::Removed => REMOVED,
        })
    };
    // SAFETY: the caller's promise.
    unsafe { with(client, |error| error, work) }
}

/// # Safety
/// `client` came from `reexec_client_start`.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_listen(client: *mut ReexecClient) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { with(client, |error| error, |client| Ok(client.client.listen().map(|()| 0)?)) }
}

/// # Safety
/// `client` is null or came from `reexec_client_start`.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_fd(client: *const ReexecClient) -> c_int {
    // SAFETY: the caller's promise.
    let client = unsafe { client.as_ref() };
    client.and_then(|client| client.client.as_fd()).map_or(-libc::ENOTCONN, |fd| fd.as_raw_fd())
}

/// # Safety
/// `client` came from `reexec_client_start`; `asker` is null or begins with its own size.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_asked(client: *mut ReexecClient, asker: *mut Asker) -> c_int {
    let work = |client: &mut ReexecClient| {
        let Some(asked) = client.client.asked()? else { return Ok(0) };
        // SAFETY: the caller's promise; a caller that knows less is given nothing.
        if let Some(asker) = unsafe { asker.as_mut() }.filter(|asker| asker.size >= size_of::<Asker>()) {
            asker.pid = asked.pid;
            asker.uid = asked.uid;
            let within = asked.within.map(|within| i64::try_from(within.as_millis()).unwrap_or(i64::MAX));
            asker.within_ms = within.unwrap_or(-1);
        }
        Ok(1)
    };
    // SAFETY: the caller's promise.
    unsafe { with(client, |error| error, work) }
}

/// # Safety
/// `client` came from `reexec_client_start`; `because` is null or a string.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_answer(
    client: *mut ReexecClient,
    answer: c_int,
    because: *const c_char,
) -> c_int {
    let work = |client: &mut ReexecClient| {
        let because = if because.is_null() {
            String::new()
        } else {
            // SAFETY: the caller's promise.
            unsafe { CStr::from_ptr(because) }.to_string_lossy().into_owned()
        };
        let answer = match answer {
            WILL => Answer::Will,
            LATER => Answer::Later(because),
            NO => Answer::No(because),
            _ => return Err(Failure::invalid("there is no such answer")),
        };
        client.client.answer(&answer);
        Ok(0)
    };
    // SAFETY: the caller's promise.
    unsafe { with(client, |error| error, work) }
}

/// # Safety
/// `client` came from `reexec_client_start`; `name` is a string.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_pass(client: *mut ReexecClient, name: *const c_char, fd: c_int) -> c_int {
    let work = |client: &mut ReexecClient| {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name) }?;
        // -1 is what a BorrowedFd can never be.
        if fd < 0 {
            return Err(Failure::invalid("the descriptor is negative"));
        }
        // Its name is checked now, so that it is this call that fails.
        Handover::check_name(name)?;
        client.passed.push((name.to_owned(), fd));
        Ok(0)
    };
    // SAFETY: the caller's promise.
    unsafe { with(client, |error| error, work) }
}

/// # Safety
/// `client` came from `reexec_client_start`; `name` is a string; `data` has `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_pass_state(
    client: *mut ReexecClient,
    name: *const c_char,
    data: *const c_void,
    size: usize,
) -> c_int {
    let work = |client: &mut ReexecClient| {
        // SAFETY: the caller's promise.
        let name = unsafe { text(name) }?;
        if data.is_null() && size > 0 {
            return Err(Failure::invalid("the state is NULL"));
        }
        Handover::check_name(name)?;
        // SAFETY: the caller's promise; of no bytes, no pointer is read.
        let state = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) } };
        client.states.push((name.to_owned(), state.to_owned()));
        Ok(0)
    };
    // SAFETY: the caller's promise.
    unsafe { with(client, |error| error, work) }
}

/// # Safety
/// `client` came from `reexec_client_start`; `arguments` is null or ends with NULL.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_try_with(
    client: *mut ReexecClient,
    arguments: *const *const c_char,
    deadline_ms: c_uint,
) -> c_int {
    let work = |client: &mut ReexecClient| {
        // SAFETY: the caller's promise.
        let arguments = unsafe { strings(arguments, usize::MAX) };
        client.trial = Some((arguments, Duration::from_millis(deadline_ms.into())));
        Ok(0)
    };
    // SAFETY: the caller's promise.
    unsafe { with(client, |error| error, work) }
}

/// # Safety
/// `client` came from `reexec_client_start`; the descriptors that were passed are open.
#[no_mangle]
pub unsafe extern "C" fn reexec_client_execute(client: *mut ReexecClient) -> c_int {
    let work = |client: &mut ReexecClient| -> Result<c_int, Failure> {
        let (passed, states) = (std::mem::take(&mut client.passed), std::mem::take(&mut client.states));
        let mut handover = Handover::new();
        for (name, fd) in &passed {
            // SAFETY: the caller's promise; they are not closed before this function returns.
            handover.add(name, unsafe { BorrowedFd::borrow_raw(*fd) })?;
        }
        for (name, state) in &states {
            handover = handover.state(name, state)?;
        }
        if let Some((arguments, deadline)) = client.trial.take() {
            handover = handover.tried_with(arguments, deadline);
        }
        Err(client.client.execute(&handover).into())
    };
    // SAFETY: the caller's promise.
    unsafe { with(client, |error| error, work) }
}

/// Tells the service manager that the program is ready.
#[no_mangle]
pub extern "C" fn reexec_client_ready() -> c_int {
    use reexec_client::notify::{ready, Notified};
    match catch_unwind(ready) {
        Ok(Ok(Notified::Sent)) => 1,
        Ok(Ok(Notified::NoListener)) => 0,
        Ok(Err(error)) => -error.raw_os_error().unwrap_or(libc::EIO),
        Err(_) => -libc::EIO,
    }
}

/// Asks the update service (`reexec watch`) to look for something new.
#[no_mangle]
pub extern "C" fn reexec_client_look_now() -> c_int {
    match catch_unwind(reexec_client::poke::look_now) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => -error.raw_os_error().unwrap_or(libc::EIO),
        Err(_) => -libc::EIO,
    }
}

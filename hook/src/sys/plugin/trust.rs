//! Which libraries may be loaded: root's alone, reached without a link.

use super::PluginError;
use crate::model::text::escape_path;
use rustix::fs::{fstat, getxattr_query, open as open_path, openat, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// How the file name of a plugin begins.
pub(super) const PREFIX: &str = "libreexec_";
/// How it ends.
pub(super) const SUFFIX: &str = ".so";
/// Longest name of a plugin.
pub(super) const MAX_NAME: usize = 64;

/// The library's path.
pub(super) fn file_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{PREFIX}{name}{SUFFIX}"))
}

/// Whether a plugin can have that name: `[a-z0-9-]+`.
pub(super) fn check_name(name: &str) -> Result<(), PluginError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
        return Err(PluginError::BadName(name.to_owned()));
    }
    Ok(())
}

/// Opens the library of a plugin if it, and every folder above it, is root's alone.
pub(super) fn open(folder: &Path, name: &str) -> Result<OwnedFd, PluginError> {
    check_name(name)?;
    let file = file_of(folder, name);
    let refuse = |why: String| PluginError::Untrusted { file: file.clone(), why };
    let missing = || PluginError::NotFound { name: name.to_owned(), folders: vec![folder.to_owned()] };

    let folder_flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = PathBuf::from("/");
    let mut above =
        open_path("/", folder_flags, Mode::empty()).map_err(|errno| refuse(format!("/ cannot be opened: {errno}")))?;
    check_owner(&above, &at).map_err(refuse)?;
    for part in folder.components() {
        let part = match part {
            Component::RootDir => continue,
            Component::Normal(part) => part,
            Component::CurDir | Component::ParentDir | Component::Prefix(_) => {
                return Err(refuse("its folder is not a plain absolute path".to_owned()))
            }
        };
        at.push(part);
        above = match openat(&above, part, folder_flags, Mode::empty()) {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Err(missing()),
            // With O_NOFOLLOW and O_DIRECTORY a link answers ENOTDIR.
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let at = escape_path(&at);
                return Err(refuse(format!("{at} is a symbolic link or not a folder")));
            }
            Err(errno) => return Err(refuse(format!("{} cannot be opened: {errno}", escape_path(&at)))),
        };
        check_owner(&above, &at).map_err(refuse)?;
    }
    if folder.is_relative() {
        return Err(refuse("its folder is not a plain absolute path".to_owned()));
    }

    let base = file.file_name().unwrap_or(OsStr::new("")).to_owned();
    // Not blocking: a FIFO under that name must not hold the host.
    let file_flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let library = match openat(&above, &base, file_flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Err(missing()),
        Err(Errno::LOOP) => return Err(refuse("it is a symbolic link".to_owned())),
        Err(errno) => return Err(refuse(format!("it cannot be opened: {errno}"))),
    };
    check_owner(&library, &file).map_err(refuse)?;
    let kind = fstat(&library).map(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode));
    if kind != Ok(rustix::fs::FileType::RegularFile) {
        return Err(refuse("it is not a regular file".to_owned()));
    }
    Ok(library)
}

/// Says why a file or folder is not root's alone.
fn check_owner(opened: &OwnedFd, path: &Path) -> Result<(), String> {
    let stat = fstat(opened).map_err(|errno| format!("{}: {errno}", escape_path(path)))?;
    // The group's bits are the mask of an access control list, which may name anybody.
    let listed = || getxattr_query(format!("/proc/self/fd/{}", opened.as_raw_fd()), "system.posix_acl_access").is_ok();
    match doubt(&stat, listed) {
        None => Ok(()),
        Some(why) => Err(format!("{} {why}", escape_path(path))),
    }
}

fn doubt(stat: &Stat, has_access_list: impl Fn() -> bool) -> Option<String> {
    let mode = stat.st_mode;
    if stat.st_uid != 0 {
        return Some(format!("belongs to user {}, not to root", stat.st_uid));
    }
    if mode & 0o002 != 0 {
        return Some("is writable by everybody".to_owned());
    }
    if mode & 0o020 != 0 && stat.st_gid != 0 {
        return Some(format!("is writable by group {}", stat.st_gid));
    }
    if mode & 0o020 != 0 && has_access_list() {
        return Some("is writable by its access control list".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_words() {
        for name in ["dpkg", "rpm", "my-manager2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "Dpkg", "../dpkg", "a b", "a.b", "dpkg\n", "\u{fc}", &"x".repeat(65)] {
            assert!(matches!(check_name(name), Err(PluginError::BadName(_))), "{name}");
        }
    }

    #[test]
    fn only_root_may_be_able_to_write() {
        let root = fstat(open_path("/", OFlags::PATH, Mode::empty()).expect("open /")).expect("stat /");
        for (uid, gid, mode, listed, expected) in [
            (0, 0, 0o755, false, None),
            (0, 0, 0o775, false, None),
            (0, 50, 0o755, false, None),
            (0, 0, 0o775, true, Some("is writable by its access control list")),
            (0, 50, 0o775, false, Some("is writable by group 50")),
            (0, 0, 0o1777, false, Some("is writable by everybody")),
            (7, 0, 0o755, false, Some("belongs to user 7, not to root")),
        ] {
            let mut stat = root;
            (stat.st_uid, stat.st_gid, stat.st_mode) = (uid, gid, mode);
            assert_eq!(doubt(&stat, || listed).as_deref(), expected);
        }
    }

    #[test]
    fn a_folder_that_anybody_can_write_to_is_refused() {
        let error = open(Path::new("/tmp"), "dpkg").expect_err("refused").to_string();
        assert!(error.contains("/tmp is writable by everybody"), "{error}");
    }

    #[test]
    fn a_folder_with_dots_or_without_a_root_is_refused() {
        for folder in ["usr/lib", "/usr/../usr/lib", ""] {
            let error = open(Path::new(folder), "dpkg").expect_err("refused");
            assert!(!matches!(error, PluginError::BadName(_)), "{error}");
        }
    }
}

//! What a file has besides its bytes: permissions, owner, access control list, capabilities, labels.

use anyhow::{Context, Result};
use rustix::fs::{fchmod, fchown, fgetxattr, flistxattr, fremovexattr, fsetxattr, fstat, Gid, Mode, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsFd;

/// Attributes that are of the bytes and not of the place: measurements and signatures of the content
/// (`include/uapi/linux/xattr.h`).
const OF_CONTENT: [&CStr; 2] = [c"security.ima", c"security.evm"];
/// An access control list; a new file inherits one from its folder.
const ACCESS_LIST: &CStr = c"system.posix_acl_access";
/// As large as an attribute and as a list of names may be (`XATTR_SIZE_MAX` of `include/uapi/linux/limits.h`).
const MOST: usize = 64 << 10;

/// What a new file is to wear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dress {
    /// Permission bits, with set-id; `None`: those that it was made with.
    pub mode: Option<u32>,
    /// Owner and group.
    pub owner: Option<(u32, u32)>,
    /// Extended attributes: lists, capabilities and labels are some.
    pub attributes: Vec<(CString, Vec<u8>)>,
}

impl Dress {
    /// That of a file.
    pub fn of(file: &File) -> Result<Dress> {
        let stat = fstat(file)?;
        let mut attributes = Vec::new();
        for name in names(file)? {
            if OF_CONTENT.contains(&name.as_c_str()) {
                continue;
            }
            let mut value = vec![0; MOST];
            match fgetxattr(file, name.as_c_str(), value.as_mut_slice()) {
                Ok(size) => {
                    value.truncate(size);
                    attributes.push((name, value));
                }
                // Gone meanwhile, or hidden from us.
                Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::ACCESS) => {}
                Err(error) => return Err(error).with_context(|| format!("read {}", name.to_string_lossy())),
            }
        }
        // Lists set permission bits, and capabilities are lost where owner or bits change: in this order.
        attributes.sort_by_key(|(name, _)| name.as_bytes() == b"security.capability");
        Ok(Dress { mode: Some(stat.st_mode & 0o7777), owner: Some((stat.st_uid, stat.st_gid)), attributes })
    }

    /// Puts it on a file that has no name that counts yet.
    pub fn put_on(&self, file: &File) -> Result<()> {
        let stat = fstat(file)?;
        if let Some((uid, gid)) = self.owner.filter(|owner| *owner != (stat.st_uid, stat.st_gid)) {
            fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .with_context(|| format!("give it to user {uid} and group {gid}"))?;
        }
        for name in names(file)?.iter().filter(|name| name.as_c_str() == ACCESS_LIST) {
            fremovexattr(file, name.as_c_str()).context("take the inherited access control list off")?;
        }
        if let Some(mode) = self.mode {
            fchmod(file, Mode::from_raw_mode(mode)).with_context(|| format!("give it mode {mode:o}"))?;
        }
        let has = names(file)?;
        for (name, value) in &self.attributes {
            let told = || format!("give it {}", name.to_string_lossy());
            if has.contains(name) && is_worn(file, name, value) {
                continue;
            }
            fsetxattr(file, name.as_c_str(), value, XattrFlags::empty()).with_context(told)?;
        }
        Ok(())
    }
}

/// Whether an attribute has that value already: labels may be given by the system alone.
fn is_worn(file: &File, name: &CStr, value: &[u8]) -> bool {
    let mut now = vec![0; MOST];
    fgetxattr(file, name, now.as_mut_slice()).is_ok_and(|size| now[..size] == *value)
}

fn names(file: impl AsFd) -> Result<Vec<CString>> {
    let mut list = vec![0; MOST];
    let size = match flistxattr(file.as_fd(), list.as_mut_slice()) {
        Ok(size) => size,
        Err(Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error).context("list its attributes"),
    };
    let names = list[..size].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    Ok(names.filter_map(|name| CString::new(name).ok()).collect())
}

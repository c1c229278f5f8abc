//! Whose cgroups must not be disturbed: our own and those of whoever runs upgrades.

use crate::model::owner::cgroup_path;
use crate::model::text::unescape;
use crate::model::unit::Protected;
use crate::sys::procs;
use std::path::Path;

/// Our own cgroup and the callers' (in printed form).
pub fn protected(proc: &Path, callers: &[&str]) -> Protected {
    let mut protected = Protected::default();
    if let Some(own) = own_cgroup(proc) {
        protected.cgroups.push((own, "this command".to_owned()));
    }
    for caller in callers.iter().filter_map(|caller| unescape(caller)) {
        protected.cgroups.push((caller, "the upgrade".to_owned()));
    }
    protected
}

/// The cgroup that we are in.
pub fn own_cgroup(proc: &Path) -> Option<Vec<u8>> {
    let own = procs::open(proc, std::process::id() as i32).ok()?.cgroup();
    cgroup_path(&own).map(<[u8]>::to_vec)
}

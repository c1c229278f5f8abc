//! Takes from a plugin's process every right that reading does not need.

use landlock::{Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope, ABI};
use rustix::process::{set_dumpable_behavior, setrlimit, DumpableBehavior, Gid, Resource, Rlimit, Uid};
use rustix::thread::{
    set_capabilities, set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid, CapabilitySet, CapabilitySets,
};

/// Most address space of a plugin's process: a package database and what is said of it.
const MAX_MEMORY: u64 = 1 << 30;
/// The user that owns nothing.
const NOBODY: u32 = 65534;

/// Gives the rights away. Each is given away as far as the kernel and the caller's own rights
/// allow: a user namespace without `nobody` or a kernel without Landlock is no reason not to look.
pub(super) fn shed() {
    let _ = set_no_new_privs(true);
    limit(Resource::Core, 0);
    // Files cannot be written, pipes and sockets can.
    limit(Resource::Fsize, 0);
    limit(Resource::As, MAX_MEMORY);
    if rustix::process::geteuid().is_root() {
        become_reader();
    }
    // After the change of user, which sets it anew. A core limit of 0 does not keep
    // `core_pattern` from piping a core to a collector; this does.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let _ = read_only();
}

fn limit(resource: Resource, most: u64) {
    let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
}

/// From root to nobody who may read everything.
fn become_reader() {
    let reader = CapabilitySet::DAC_READ_SEARCH;
    let _ = set_keep_capabilities(true);
    // The process has one thread here, so its credentials are the thread's.
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    let _ = set_thread_groups(&[]);
    let _ = set_thread_res_gid(gid, gid, gid);
    let _ = set_thread_res_uid(uid, uid, uid);
    let sets = CapabilitySets { effective: reader, permitted: reader, inheritable: CapabilitySet::empty() };
    if set_capabilities(None, sets).is_err() {
        let none = CapabilitySet::empty();
        let _ = set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none });
    }
}

/// No writing, no program, no network, no signal to anybody: with no rule added, all that is named
/// here is denied. Reading is not named.
fn read_only() -> Result<(), landlock::RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_write(ABI::V6) | AccessFs::Execute)?
        .handle_access(AccessNet::from_all(ABI::V6))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .restrict_self()?;
    Ok(())
}

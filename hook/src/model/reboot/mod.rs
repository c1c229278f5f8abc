//! Whether the machine must be started anew, and why: kernel, microcode, what no restart can renew.

mod kernel;
mod microcode;

pub use kernel::{release_order, Image, Kernel, KernelStatus, Running};
pub use microcode::{amd_revision, intel_revision, signature, Microcode, MicrocodeStatus, Revisions};

use super::claim::Package;
use super::owner::OwnerKind;
use super::plan::Action;
use super::report::{OwnerRow, Proof};
use super::text::escape;
use super::verdict::Verdict;

/// From this version on systemd can start all of userspace anew under the running kernel
/// (`systemctl soft-reboot`, NEWS of 254).
const SOFT_REBOOT_SINCE: u32 = 254;

/// What the system runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Place {
    /// A machine of its own.
    #[default]
    Machine,
    /// A virtual machine: it boots its own kernel, and the microcode is the host's affair.
    Guest,
    /// A container of this kind: both are the host's affair.
    Container(String),
}

/// What was found on the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What it runs on.
    pub place: Place,
    /// The running kernel.
    pub running: Running,
    /// Those that could be booted.
    pub images: Vec<Image>,
    /// The processor's microcode.
    pub revisions: Revisions,
    /// The distribution's own flag: its path and the packages that asked; `None` where there is none.
    pub flag: Option<(String, Vec<String>)>,
    /// systemd's version; `None` where it is not the init.
    pub systemd: Option<u32>,
}

/// Whether to reboot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reboot {
    /// In words; none: no reboot is needed.
    pub reasons: Vec<String>,
    /// The packages that need it, as far as it is known which; `kernel` and `microcode` for those two.
    pub packages: Vec<String>,
    /// A soft reboot is enough: the kernel and the microcode are the newest, and systemd can do it.
    pub soft: bool,
    /// The kernel.
    pub kernel: Kernel,
    /// The microcode.
    pub microcode: Microcode,
}

impl Reboot {
    /// What follows from the facts and from what became of the owners.
    pub fn of(facts: Facts, owners: &[OwnerRow], packages: &[Package]) -> Reboot {
        let (kernel, microcode) = match &facts.place {
            Place::Machine => (Kernel::of(&facts.running, &facts.images), Microcode::of(&facts.revisions)),
            Place::Guest => (Kernel::of(&facts.running, &facts.images), Microcode::skipped("in a virtual machine")),
            Place::Container(kind) => {
                let why = format!("in a container ({kind})");
                (Kernel::skipped(&facts.running, &why), Microcode::skipped(&why))
            }
        };
        let hardware: Vec<String> = kernel.reason().into_iter().chain(microcode.reason()).collect();
        let mut reasons = hardware.clone();
        reasons.extend(owners.iter().filter_map(|row| of_owner(row, packages)));
        // The flag often names just the package of the kernel that was told above.
        if let Some((path, names)) = &facts.flag {
            let named = if names.is_empty() { String::new() } else { format!(" for {}", names.join(", ")) };
            reasons.push(format!("the distribution asks for it{named} ({path})"));
        }
        let words = [kernel.reason().map(|_| "kernel"), microcode.reason().map(|_| "microcode")];
        let causes = owners.iter().filter(|row| of_owner(row, packages).is_some()).flat_map(|row| &row.causes);
        let named = causes.filter_map(|cause| cause.package.clone());
        let flagged = facts.flag.iter().flat_map(|(_, names)| names.clone());
        let needing: std::collections::BTreeSet<String> =
            words.into_iter().flatten().map(str::to_owned).chain(named).chain(flagged).collect();
        let only_packages = hardware.is_empty() && !flags_kernel(&facts.flag);
        let can = facts.systemd.is_some_and(|version| version >= SOFT_REBOOT_SINCE);
        Reboot {
            soft: can && only_packages && !reasons.is_empty(),
            packages: needing.into_iter().collect(),
            reasons,
            kernel,
            microcode,
        }
    }

    /// The command that does it.
    pub fn command(&self) -> &'static str {
        match self.soft {
            true => "systemctl soft-reboot",
            false => "systemctl reboot",
        }
    }
}

/// Whether the flag is (also) about what a soft reboot does not renew.
fn flags_kernel(flag: &Option<(String, Vec<String>)>) -> bool {
    flag.as_ref().is_some_and(|(_, names)| {
        let hard = |name: &String| {
            ["linux-", "kernel", "intel-microcode", "amd64-microcode", "microcode_ctl"]
                .iter()
                .any(|beginning| name.starts_with(beginning))
        };
        names.is_empty() || names.iter().any(hard)
    })
}

/// An owner that runs old files and that nothing short of a reboot renews.
fn of_owner(row: &OwnerRow, packages: &[Package]) -> Option<String> {
    let stale = row.verdict >= Verdict::Stale && row.proof != Some(Proof::Fresh);
    let left_to_reboot = row.decision.ladder.contains(&Action::RebootHint) && !will_act(row);
    let manager_stays = row.owner.kind == OwnerKind::Init && row.proof == Some(Proof::StillStale);
    if !stale || !(left_to_reboot || manager_stays) {
        return None;
    }
    let mut names: Vec<String> =
        row.causes.iter().filter_map(|cause| cause.package.as_deref()).map(|name| versions(name, packages)).collect();
    names.sort();
    names.dedup();
    let of = if names.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
    let name = if row.owner.kind == OwnerKind::Init { "PID 1" } else { row.owner.name.as_str() };
    Some(format!("{} runs old files{of}, and only a reboot renews it", escape(name.as_bytes())))
}

/// A step that was not taken yet may still renew it.
fn will_act(row: &OwnerRow) -> bool {
    row.proof.is_none() && row.decision.acts()
}

fn versions(name: &str, packages: &[Package]) -> String {
    let row = packages.iter().find(|package| package.name == name);
    match row.and_then(|package| package.new.as_deref()) {
        Some(new) => format!("{name} (now {new})"),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::owner::Owner;
    use crate::model::plan::Decision;

    fn row(cgroup: &[u8], pid: i32, ladder: Vec<Action>, proof: Option<Proof>) -> OwnerRow {
        let decision = Decision { ladder, ..Decision::default() };
        OwnerRow { owner: Owner::of(pid, cgroup), verdict: Verdict::Stale, decision, proof, ..OwnerRow::of_unit("") }
    }

    #[test]
    fn only_what_nothing_else_renews_is_a_reason() {
        let bus = row(b"0::/system.slice/dbus.service\n", 9, vec![Action::RebootHint], None);
        let web = row(b"0::/system.slice/web.service\n", 9, vec![Action::Restart, Action::RebootHint], None);
        let failed = OwnerRow { proof: Some(Proof::StillStale), ..web.clone() };
        let proven = OwnerRow { proof: Some(Proof::Fresh), ..web.clone() };
        let init = row(b"0::/init.scope\n", 1, vec![Action::ReexecManager], None);
        let kept = OwnerRow { proof: Some(Proof::StillStale), ..init.clone() };
        let said = |name: &str| vec![format!("{name} runs old files, and only a reboot renews it")];
        for (owner, expected) in [
            (bus, said("dbus.service")),
            (web, vec![]),
            (failed, said("web.service")),
            (proven, vec![]),
            (init, vec![]),
            (kept, said("PID 1")),
        ] {
            assert_eq!(Reboot::of(Facts::default(), std::slice::from_ref(&owner), &[]).reasons, expected, "{owner:?}");
        }
    }

    #[test]
    fn a_soft_reboot_is_enough_where_neither_kernel_nor_microcode_is_old() {
        let flag = |name: &str| Some(("/run/reboot-required".to_owned(), vec![name.to_owned()]));
        for (systemd, flagged, soft) in [
            (Some(254), flag("libc6"), true),
            (Some(252), flag("libc6"), false),
            (None, flag("libc6"), false),
            (Some(257), flag("linux-image-amd64"), false),
            (Some(257), None, false),
        ] {
            let facts = Facts { systemd, flag: flagged.clone(), ..Facts::default() };
            let reboot = Reboot::of(facts, &[], &[]);
            assert_eq!((reboot.soft, reboot.reasons.len()), (soft, usize::from(flagged.is_some())), "{flagged:?}");
        }
    }
}

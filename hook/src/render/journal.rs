//! A run as journal entries: one that sums up, one for each owner; ids as the catalogue explains them.

use super::text::{self, Asked, Style};
use crate::model::journal::{Entry, Priority};
use crate::model::owner::OwnerKind;
use crate::model::plan::Action;
use crate::model::report::{OwnerRow, Proof, Report};
use crate::model::text::escape;

/// An owner was acted on, and nothing of it runs an old file.
pub const PROVEN: &str = "ca6b5952baf7479a96357b628db96b4b";
/// An owner was acted on, and that it is fresh is not proven.
pub const UNPROVEN: &str = "52c79356f04e4298838977aa30bb5292";
/// An owner runs old files and was left alone.
pub const LEFT: &str = "9bd7b4c3ad5244dd9670465b2c6abcb6";
/// What a run found and did.
pub const SUMMARY: &str = "73102905723e4a148003460fc946651d";
/// Nothing could be done: the policy or the program's surroundings are broken.
pub const FAULT: &str = "06620bda36994f2e9bc5ab92d68d6ae5";

/// The journal indents lines itself, and has no colours of ours.
const STYLE: Style = Style { columns: 100, color: false, verbose: false };
/// Our unit, so that its log tells of the run whoever started it.
const OWN_UNIT: &str = "reexec-apply.service";

/// All entries of a run, in the order they are to be read in.
pub fn entries(report: &Report, exit_code: u8) -> Vec<Entry> {
    let told = report.owners.iter().filter(|row| row.decision.ladder != [Action::Ignore]);
    std::iter::once(summary(report, exit_code)).chain(told.map(|row| of_owner(report, row))).collect()
}

/// An entry for what kept a run from beginning.
pub fn fault(error: &str) -> Entry {
    let fields = vec![("OBJECT_SYSTEMD_UNIT", OWN_UNIT.to_owned())];
    Entry { id: FAULT, priority: Priority::Error, message: error.to_owned(), fields }
}

fn of_owner(report: &Report, row: &OwnerRow) -> Entry {
    let (id, priority) = match row.proof {
        Some(Proof::Fresh) => (PROVEN, Priority::Info),
        Some(Proof::Draining | Proof::Gone) => (UNPROVEN, Priority::Notice),
        Some(Proof::StillStale | Proof::Down | Proof::Unknown) => (UNPROVEN, Priority::Warning),
        None => (LEFT, Priority::Notice),
    };
    let mut fields = vec![
        ("OBJECT_SYSTEMD_UNIT", OWN_UNIT.to_owned()),
        ("REEXEC_OWNER_KIND", row.owner.kind.word().to_owned()),
        ("REEXEC_OWNER", escape(row.owner.name.as_bytes())),
        ("REEXEC_VERDICT", row.verdict.word().to_owned()),
        ("REEXEC_RULE", escape(row.decision.rule.as_bytes())),
    ];
    if row.owner.kind == OwnerKind::Service {
        fields.push(("OBJECT_SYSTEMD_UNIT", escape(row.owner.name.as_bytes())));
    }
    fields.extend(row.owner.uid.map(|uid| ("REEXEC_UID", uid.to_string())));
    fields.extend(row.proof.map(|proof| ("REEXEC_PROOF", proof.word().to_owned())));
    fields.extend(row.decision.skip.as_ref().map(|skip| ("REEXEC_SKIP", escape(skip.as_bytes()))));
    for step in &row.steps {
        fields.push(("REEXEC_STEP", format!("{} {} {} ms", step.action, step.outcome, step.millis)));
    }
    let mut packages: Vec<&str> = row.causes.iter().filter_map(|cause| cause.package.as_deref()).collect();
    packages.sort_unstable();
    packages.dedup();
    fields.extend(packages.into_iter().map(|name| ("REEXEC_PACKAGE", escape(name.as_bytes()))));
    let message = text::owner(report, row, Asked::Apply, &STYLE).trim_end().to_owned();
    Entry { id, priority, message, fields }
}

fn summary(report: &Report, exit_code: u8) -> Entry {
    let acted = report.owners.iter().filter(|row| row.proof.is_some()).count();
    let proven = report.owners.iter().filter(|row| row.proof == Some(Proof::Fresh)).count();
    let said = match acted {
        0 => text::one_line(report),
        _ => format!("{} {proven} of {acted} acted on are proven fresh.", text::one_line(report)),
    };
    let fields = vec![
        ("OBJECT_SYSTEMD_UNIT", OWN_UNIT.to_owned()),
        ("REEXEC_ACTED", acted.to_string()),
        ("REEXEC_PROVEN", proven.to_string()),
        ("REEXEC_STALE", report.summary.stale.to_string()),
        ("REEXEC_TAINTED", report.summary.tainted.to_string()),
        ("REEXEC_UNKNOWN", report.summary.unknown.to_string()),
        ("REEXEC_REBOOT_NEEDED", u8::from(!report.reboot.reasons.is_empty()).to_string()),
        ("REEXEC_EXIT_CODE", exit_code.to_string()),
    ];
    let priority = if exit_code == 0 { Priority::Info } else { Priority::Warning };
    Entry { id: SUMMARY, priority, message: said, fields }
}

//! The report as one JSON object; the field names are the contract of the design, section 5.

use crate::model::damage::{Damage, Part};
use crate::model::file::FileId;
use crate::model::health::{Check, Health};
use crate::model::judge::VerdictOf;
use crate::model::old::Way;
use crate::model::owner::Owner;
use crate::model::reboot::Reboot;
use crate::model::report::{OwnerRow, Replacement, Report, TransactionRow};
use crate::model::text::{escape, escape_path};
use crate::model::time::rfc3339;
use crate::model::verdict::Cause;
use serde_json::{json, Value};

/// Version of the form; it goes up when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// Name and version of the program.
pub const TOOL: &str = concat!("reexec ", env!("CARGO_PKG_VERSION"));

/// The form, described for machines.
pub const SCHEMA_TEXT: &str = include_str!("../../share/report.schema.json");

/// Prints the report.
pub fn render(report: &Report, exit_code: u8) -> String {
    let mut text = value(report, exit_code).to_string();
    text.push('\n');
    text
}

/// The report as a value, for what is kept on disk.
pub fn value(report: &Report, exit_code: u8) -> Value {
    let summary = &report.summary;
    let (inodes, why) = match &report.way {
        Way::Inodes(inodes) => (*inodes, None),
        Way::Processes(why) => (0, Some(why.as_str()).filter(|why| !why.is_empty())),
    };
    json!({
        "schema": SCHEMA,
        "tool": TOOL,
        "time": rfc3339(report.time),
        "host": { "kernel": report.kernel, "boot_id": report.boot_id },
        "transaction": report.transaction.as_ref().map(transaction),
        "replacements": report.replacements.iter().map(replacement).collect::<Vec<_>>(),
        "processes": report.processes.iter().map(process).collect::<Vec<_>>(),
        "owners": report.owners.iter().map(owner_row).collect::<Vec<_>>(),
        "gaps": report.gaps.iter().map(|gap| json!({ "what": gap.what, "why": gap.why })).collect::<Vec<_>>(),
        "reboot": reboot(&report.reboot),
        "summary": {
            "scanned": summary.scanned,
            "resting": summary.resting,
            "stale": summary.stale,
            "tainted": summary.tainted,
            "unknown": summary.unknown,
            "identical": summary.identical,
            "millis": summary.millis,
        },
        "way": { "by": report.way.word(), "inodes": inodes, "why": why },
        "verdict": report.overall().word(),
        "exit_code": exit_code,
    })
}

/// What the doctor found.
pub fn doctor(checks: &[Check]) -> String {
    let row = |check: &Check| {
        let mend = (!check.mend.is_empty()).then_some(check.mend.as_str());
        json!({ "what": check.what, "health": check.health.word(), "found": escape(check.found.as_bytes()), "mend": mend })
    };
    let bad = checks.iter().any(|check| check.health == Health::Bad);
    let checks: Vec<Value> = checks.iter().map(row).collect();
    format!("{}\n", json!({ "schema": SCHEMA, "checks": checks, "exit_code": u8::from(bad) }))
}

fn reboot(reboot: &Reboot) -> Value {
    let (kernel, microcode) = (&reboot.kernel, &reboot.microcode);
    let why = |why: &str| (!why.is_empty()).then(|| why.to_owned());
    json!({
        "needed": !reboot.reasons.is_empty(),
        "reasons": reboot.reasons,
        "packages": reboot.packages,
        "soft": reboot.soft,
        "kernel": {
            "running": escape(kernel.running.as_bytes()),
            "expected": kernel.expected.as_deref().map(|release| escape(release.as_bytes())),
            "status": kernel.status.word(),
            "why": why(&kernel.why),
        },
        "microcode": {
            "current": microcode.current.map(|revision| microcode.print(revision)),
            "available": microcode.available.map(|revision| microcode.print(revision)),
            "status": microcode.status.word(),
            "why": why(&microcode.why),
        },
    })
}

fn transaction(row: &TransactionRow) -> Value {
    let packages: Vec<Value> = row
        .packages
        .iter()
        .map(|package| json!({ "name": package.name, "old": package.old, "new": package.new }))
        .collect();
    json!({ "manager": row.manager, "root": escape_path(&row.root), "packages": packages, "files": row.files })
}

fn replacement(row: &Replacement) -> Value {
    json!({
        "path": escape_path(&row.path),
        "package": row.package,
        "method": row.method.word(),
        "content": row.content.word(),
        "evidence": row.evidence,
    })
}

fn owner(owner: &Owner) -> Value {
    json!({ "kind": owner.kind.word(), "name": owner.name, "uid": owner.uid, "runtime": owner.runtime })
}

fn process(row: &VerdictOf) -> Value {
    let process = &row.process;
    json!({
        "pid": process.key.pid,
        "start_ticks": process.key.start_ticks,
        "comm": escape(&process.comm),
        "exe": process.exe.as_deref().map(escape_path),
        "uid": process.uid,
        "user": process.user,
        "owner": owner(&process.owner),
        "verdict": row.verdict.word(),
        "causes": row.causes.iter().map(cause).collect::<Vec<_>>(),
        "gap": row.gap.as_ref().map(|gap| &gap.why),
    })
}

fn cause(row: &Cause) -> Value {
    json!({
        "path": escape_path(&row.path),
        "kind": row.kind.word(),
        "method": row.method.word(),
        "content": row.content.word(),
        "package": row.package,
        "mapped": row.mapped.map(id),
        "current": row.current.map(id),
        "evidence": row.evidence,
        "certainty": row.certainty.word(),
        "root": row.root.word(),
        "memory": row.damage.as_ref().map(memory),
    })
}

/// Bytes in memory of a file that was overwritten in place.
fn memory(damage: &Damage) -> Value {
    let part = |part: &Part| json!({ "mapped": part.mapped, "new": part.new_content(), "private": part.private, "beyond_end": part.beyond_end });
    json!({ "code": part(&damage.code), "data": part(&damage.data) })
}

fn id(id: FileId) -> Value {
    json!({ "dev": format!("{}:{}", id.dev >> 32, id.dev & 0xffff_ffff), "ino": id.ino })
}

fn owner_row(row: &OwnerRow) -> Value {
    let steps: Vec<Value> = row
        .steps
        .iter()
        .map(|step| json!({ "action": step.action.word(), "outcome": step.outcome.word(), "message": step.message, "millis": step.millis }))
        .collect();
    json!({
        "kind": row.owner.kind.word(),
        "name": row.owner.name,
        "uid": row.owner.uid,
        "pids": row.pids,
        "causes": row.causes.iter().map(cause).collect::<Vec<_>>(),
        "verdict": row.verdict.word(),
        "decision": {
            "rule": row.decision.rule,
            "source": row.decision.source,
            "ladder": row.decision.ladder.iter().map(|action| action.word()).collect::<Vec<_>>(),
            "skip": row.decision.skip,
            "notes": row.decision.notes,
        },
        "steps": steps,
        "proof": row.proof.map(|proof| proof.word()),
        "fallen": row.fallen,
    })
}

//! Metrics for Prometheus: gauges only, so that the text is OpenMetrics and, at the same time, what the
//! node exporter's textfile collector reads (it knows neither `info` nor OpenMetrics' counters).

use crate::model::history::PastRun;
use crate::model::report::{Proof, Report};
use crate::model::verdict::{CauseKind, Verdict};
use crate::render::text::name_of;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

type Labels = Vec<(&'static str, String)>;
type Counts = Family<Labels, Gauge>;
type Seconds = Family<Labels, Gauge<f64, AtomicU64>>;

/// What is known now, and of the last run that acted.
pub fn render(report: &Report, last: Option<&PastRun>) -> String {
    let mut registry = Registry::with_prefix("reexec");
    look(&mut registry, report);
    owners(&mut registry, report);
    reboot(&mut registry, report);
    if let Some(last) = last {
        last_run(&mut registry, last);
    }
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

fn counts(registry: &mut Registry, name: &str, help: &str) -> Counts {
    let family = Counts::default();
    registry.register(name, help, family.clone());
    family
}

fn seconds(registry: &mut Registry, name: &str, help: &str) -> Seconds {
    let family = Seconds::default();
    registry.register_with_unit(name, help, Unit::Seconds, family.clone());
    family
}

/// More than `i64` counts nobody has.
fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn look(registry: &mut Registry, report: &Report) {
    let summary = &report.summary;
    let told = summary.stale + summary.tainted + summary.unknown;
    let processes = counts(registry, "processes", "Processes that were looked at, by verdict");
    for (verdict, number) in [
        (Verdict::Fresh, summary.scanned.saturating_sub(told)),
        (Verdict::Stale, summary.stale),
        (Verdict::Tainted, summary.tainted),
        (Verdict::Unknown, summary.unknown),
    ] {
        processes.get_or_create(&vec![("verdict", verdict.word().to_owned())]).set(whole(number));
    }
    let none = Labels::new();
    counts(registry, "gaps", "Things that could not be looked at, besides processes")
        .get_or_create(&none)
        .set(whole(report.gaps.len()));
    counts(registry, "identical_files", "Mapped files that were replaced by their own content")
        .get_or_create(&none)
        .set(whole(summary.identical));
    seconds(registry, "look_duration", "How long the look took").get_or_create(&none).set(summary.millis as f64 / 1e3);
    seconds(registry, "look_timestamp", "When it was looked, since 1970")
        .get_or_create(&none)
        .set((report.time / 1_000_000_000) as f64);
    let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    counts(registry, "build_info", "The program that looked").get_or_create(&version).set(1);
}

fn owners(registry: &mut Registry, report: &Report) {
    let family = counts(
        registry,
        "stale_processes",
        "Processes that run old files, by owner, by what the file is to them and by verdict",
    );
    for row in report.owners.iter().filter(|row| row.verdict >= Verdict::Stale) {
        for kind in [CauseKind::Executable, CauseKind::Library, CauseKind::Script, CauseKind::Data] {
            let members = report.processes.iter().filter(|process| process.process.owner == row.owner);
            let number = members
                .filter(|process| process.verdict >= Verdict::Stale)
                .filter(|process| process.causes.iter().any(|cause| cause.kind == kind))
                .count();
            if number > 0 {
                let labels = vec![
                    ("kind", row.owner.kind.word().to_owned()),
                    ("name", name_of(&row.owner)),
                    ("cause", kind.word().to_owned()),
                    ("verdict", row.verdict.word().to_owned()),
                ];
                family.get_or_create(&labels).set(whole(number));
            }
        }
    }
}

fn reboot(registry: &mut Registry, report: &Report) {
    let reboot = &report.reboot;
    let needed = counts(registry, "reboot_needed", "Whether the machine must be started anew");
    needed.get_or_create(&Labels::new()).set(i64::from(!reboot.reasons.is_empty()));
    let reasons = counts(registry, "reboot_reason", "Why the machine must be started anew");
    for reason in &reboot.reasons {
        reasons.get_or_create(&vec![("reason", reason.clone())]).set(1);
    }
    let kernel = vec![
        ("running", reboot.kernel.running.clone()),
        ("expected", reboot.kernel.expected.clone().unwrap_or_default()),
        ("status", reboot.kernel.status.word().to_owned()),
    ];
    counts(registry, "kernel_info", "The running kernel and the newest one installed").get_or_create(&kernel).set(1);
}

fn last_run(registry: &mut Registry, last: &PastRun) {
    let none = Labels::new();
    if let Some(time) = last.seconds() {
        seconds(registry, "last_run_timestamp", "When the last run that acted looked, since 1970")
            .get_or_create(&none)
            .set(time as f64);
    }
    counts(registry, "last_run_exit_code", "How the last run that acted ended: 0 is proven")
        .get_or_create(&none)
        .set(i64::from(last.exit_code));
    let proofs = counts(registry, "last_run_proofs", "Owners that the last run acted on, by proof");
    for word in Proof::WORDS {
        proofs.get_or_create(&vec![("proof", (*word).to_owned())]).set(whole(last.proofs(word)));
    }
    let steps = seconds(registry, "last_run_step_duration", "How long the steps of the last run took");
    for (owner, step) in last.acted().flat_map(|owner| owner.steps.iter().map(move |step| (owner, step))) {
        let labels = vec![
            ("kind", owner.kind.clone()),
            ("name", owner.name.clone()),
            ("action", step.action.clone()),
            ("outcome", step.outcome.clone()),
        ];
        steps.get_or_create(&labels).set(step.millis as f64 / 1e3);
    }
}

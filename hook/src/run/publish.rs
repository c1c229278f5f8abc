//! What a run leaves for others to read: metrics, and the flag that a reboot is needed. Only where the
//! policy says so.

use super::desk::Desk;
use crate::model::policy::Defaults;
use crate::model::report::{GapRow, Report};
use crate::render::openmetrics;
use crate::sys::boot;
use anyhow::Result;

/// Publishes. What could not be written is a gap of the report, and no fault of the run.
pub fn publish(desk: &Desk<'_>, defaults: &Defaults, report: &mut Report) {
    let metrics = defaults.metrics.as_ref().map(|path| {
        let text = openmetrics::render(report, desk.store.last_run().as_ref());
        ("metrics", desk.store.publish(path, text.as_bytes()))
    });
    let flag = defaults.reboot_flag.then(|| ("reboot flag", flag(desk, report)));
    for (what, done) in metrics.into_iter().chain(flag) {
        if let Err(error) = done {
            report.gaps.push(GapRow { what: what.to_owned(), why: format!("{error:#}") });
        }
    }
}

fn flag(desk: &Desk<'_>, report: &Report) -> Result<()> {
    match report.reboot.reasons.is_empty() {
        true => boot::take_back_flag(&desk.common.root, &desk.store),
        false => boot::raise_flag(&desk.common.root, &report.reboot.packages, &desk.store),
    }
}

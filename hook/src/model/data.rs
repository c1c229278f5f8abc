//! Data files and deleted descriptors: a replaced one makes nobody stale unless the policy asks for it.

use super::judge::VerdictOf;
use super::plan::Group;
use super::policy::Policy;
use super::verdict::{Cause, CauseKind, Method, Verdict};

/// Lets each data file count for which a rule with `cause: data` decides, looked at alone: then its
/// process is stale. Of the others only those stay that `keep_all` wants to be seen; one that was
/// overwritten in place counts like any other file.
pub fn settle(rows: &mut [VerdictOf], policy: Option<&Policy>, keep_all: bool) {
    let policy = policy.filter(|policy| policy.names_data());
    for row in rows {
        let counts: Vec<bool> = row.causes.iter().map(|cause| counted(row, cause, policy)).collect();
        if counts.contains(&true) {
            row.verdict = row.verdict.max(Verdict::Stale);
        }
        let mut counts = counts.into_iter();
        row.causes.retain(|cause| counts.next() == Some(true) || keep_all || !is_quiet(cause));
    }
}

/// Whether it makes nobody stale by itself.
fn is_quiet(cause: &Cause) -> bool {
    cause.kind == CauseKind::Data && cause.method != Method::Overwritten
}

fn counted(row: &VerdictOf, cause: &Cause, policy: Option<&Policy>) -> bool {
    let Some(policy) = policy.filter(|_| is_quiet(cause)) else { return false };
    let alone = VerdictOf { causes: vec![cause.clone()], verdict: Verdict::Stale, ..row.clone() };
    Group { owner: &row.process.owner, processes: vec![&alone] }.counts_data(policy)
}

//! What a user is told of their own processes that run old files.

use super::judge::VerdictOf;
use super::owner::OwnerKind;
use super::report::OwnerRow;
use super::text::escape;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A note: a title, and a sentence or two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// In some words.
    pub title: String,
    /// What to do, and why.
    pub text: String,
}

/// Names that are said before "and more".
const SAID: usize = 4;

fn listed(names: BTreeSet<String>) -> String {
    let more = names.len().saturating_sub(SAID);
    let mut said: Vec<String> = names.into_iter().take(SAID).collect();
    if more > 0 {
        said.push(format!("{more} more"));
    }
    said.join(", ")
}

/// The one note about all owners of a user, with their processes.
pub fn of(rows: &[&OwnerRow], members: &[&VerdictOf]) -> Note {
    let programs = listed(members.iter().map(|row| escape(&row.process.comm)).collect());
    let causes = rows.iter().flat_map(|row| &row.causes);
    let packages = listed(causes.filter_map(|cause| cause.package.clone()).collect());
    let after = if packages.is_empty() { String::new() } else { format!(" after the upgrade of {packages}") };
    let logs_in = |row: &&OwnerRow| matches!(row.owner.kind, OwnerKind::Session | OwnerKind::UserManager);
    let next = match rows.iter().any(logs_in) {
        true => "Log out and in again, or restart these programs",
        false => "Restart these programs",
    };
    Note {
        title: "Programs run replaced files".to_owned(),
        text: format!("{programs} still run old files{after}. {next} when it suits you."),
    }
}

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

/// The note about one owner.
pub fn of(row: &OwnerRow, members: &[&VerdictOf]) -> Note {
    let programs = listed(members.iter().map(|row| escape(&row.process.comm)).collect());
    let packages = listed(row.causes.iter().filter_map(|cause| cause.package.clone()).collect());
    let after = if packages.is_empty() { String::new() } else { format!(" after the upgrade of {packages}") };
    let next = match row.owner.kind {
        OwnerKind::Session | OwnerKind::UserManager => "Log out and in again, or restart these programs",
        _ => "Restart these programs",
    };
    Note {
        title: "Programs run replaced files".to_owned(),
        text: format!("{programs} still run old files{after}. {next} when it suits you."),
    }
}

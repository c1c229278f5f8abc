//! `history`: past runs that acted, newest first, or the last one in full.

use super::command::Answer;
use crate::cli::{Common, Format};
use crate::render::history::{list, one};
use crate::render::text::Style;
use crate::sys::state::Store;
use anyhow::Result;
use serde_json::{json, Value};

/// What has happened. As JSON the last one is the report just as it was printed then.
pub fn history(store: &Store, last: bool, number: usize, common: &Common, style: &Style) -> Result<Answer> {
    if last {
        let text = match common.format {
            Format::Json => format!("{}\n", store.last_report()?),
            _ => match store.last_run() {
                Some(run) => one(&run, style),
                None => "No run has acted yet.\n".to_owned(),
            },
        };
        return Ok(Answer { text, ..Answer::default() });
    }
    let (mut runs, gaps) = store.history()?;
    runs.truncate(number);
    let text = match common.format {
        Format::Json => {
            let runs: Vec<Value> = runs.iter().map(row).collect();
            format!("{}\n", json!({ "schema": 1, "runs": runs, "gaps": gaps }))
        }
        _ => list(&runs, style),
    };
    let error = gaps.join("; ");
    Ok(Answer { text, error, ..Answer::default() })
}

fn row(run: &crate::model::history::PastRun) -> Value {
    let packages: Vec<&str> =
        run.transaction.iter().flat_map(|row| &row.packages).map(|package| package.name.as_str()).collect();
    let owners: Vec<Value> = run
        .owners
        .iter()
        .map(|owner| {
            let actions: Vec<&str> = owner.steps.iter().map(|step| step.action.as_str()).collect();
            json!({ "kind": owner.kind, "name": owner.name, "uid": owner.uid, "actions": actions, "proof": owner.proof })
        })
        .collect();
    json!({ "time": run.time, "exit_code": run.exit_code, "packages": packages, "owners": owners })
}

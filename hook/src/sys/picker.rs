//! A list on a terminal from which somebody picks.

use anyhow::{bail, Context, Result};
use dialoguer::console::Term;
use dialoguer::MultiSelect;

/// An entry, and whether it is picked at first.
pub type Entry = (String, bool);

/// Lets somebody pick with the arrow keys, space and enter; the indices of what was picked, `None` where
/// they turned away.
pub fn pick(title: &str, entries: &[Entry]) -> Result<Option<Vec<usize>>> {
    let terminal = Term::stderr();
    if !terminal.is_term() || !super::host::input_is_terminal() {
        bail!("--interactive needs a terminal to ask on");
    }
    let list = MultiSelect::new().with_prompt(title).items_checked(entries.iter().cloned()).report(false);
    list.interact_on_opt(&terminal).context("ask on the terminal")
}

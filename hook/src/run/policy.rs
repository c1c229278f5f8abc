//! `policy check` and `policy show`.

use crate::cli::PolicyCommand;
use crate::model::policy::{schema, Rule};
use crate::sys::config::{self, Loaded, Sources};
use crate::sys::unit_files;
use anyhow::{anyhow, Result};
use std::path::Path;

/// Checks or shows the policy; the text to print. An error is a fault in a policy file.
pub fn policy(command: &PolicyCommand, root: &Path) -> Result<String> {
    let sources = Sources::below(root);
    match command {
        PolicyCommand::Check { files } if files.is_empty() => {
            let loaded = config::load(&sources).map_err(|errors| anyhow!("{errors}"))?;
            let mut text = warnings(&loaded, &sources);
            let count = loaded.policy.rules.len();
            text.push_str(&format!("{} files with {count} rules: no faults\n", loaded.files.len()));
            Ok(text)
        }
        PolicyCommand::Check { files } => {
            let (mut text, mut faults) = (String::new(), Vec::new());
            for file in files {
                match config::load_file(file) {
                    Ok(loaded) => {
                        text.push_str(&warnings(&loaded, &sources));
                        text.push_str(&format!("{}: {} rules, no faults\n", file.display(), loaded.policy.rules.len()));
                    }
                    Err(errors) => faults.push(errors.to_string()),
                }
            }
            match faults.is_empty() {
                true => Ok(text),
                false => Err(anyhow!("{}", faults.join("\n"))),
            }
        }
        PolicyCommand::Schema => Ok(format!("{:#}\n", schema())),
        PolicyCommand::Show => {
            let loaded = config::load(&sources).map_err(|errors| anyhow!("{errors}"))?;
            config::to_yaml(&loaded.policy)
        }
    }
}

/// What is allowed and hardly meant: rules that can never match, units that do not exist. The shipped
/// policy names what other machines have.
fn warnings(loaded: &Loaded, sources: &Sources) -> String {
    let own = |rule: &Rule| !rule.source.file.starts_with(&sources.vendor);
    let named =
        loaded.policy.named_units().filter(|(rule, name)| own(rule) && !unit_files::exists(&sources.root, name));
    let missing = named.map(|(rule, name)| {
        format!("{}: there is no unit {}", rule.source, crate::model::text::escape(name.as_bytes()))
    });
    loaded.warnings.iter().cloned().chain(missing).map(|warning| format!("warning: {warning}\n")).collect()
}

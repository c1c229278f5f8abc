//! `policy check` and `policy show`.

use crate::cli::PolicyCommand;
use crate::sys::config::{self, Sources};
use anyhow::{anyhow, Result};
use std::path::Path;

/// Checks or shows the policy; the text to print. An error is a fault in a policy file.
pub fn policy(command: &PolicyCommand, root: &Path) -> Result<String> {
    let sources = Sources::below(root);
    match command {
        PolicyCommand::Check { files } if files.is_empty() => {
            let loaded = config::load(&sources).map_err(|errors| anyhow!("{errors}"))?;
            let mut text: String = loaded.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
            let count = loaded.policy.rules.len();
            text.push_str(&format!("{} files with {count} rules: no faults\n", loaded.files.len()));
            Ok(text)
        }
        PolicyCommand::Check { files } => {
            let (mut text, mut faults) = (String::new(), Vec::new());
            for file in files {
                match config::load_file(file) {
                    Ok(loaded) => {
                        text.extend(loaded.warnings.iter().map(|warning| format!("warning: {warning}\n")));
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
        PolicyCommand::Show => {
            let loaded = config::load(&sources).map_err(|errors| anyhow!("{errors}"))?;
            config::to_yaml(&loaded.policy)
        }
    }
}

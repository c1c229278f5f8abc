//! Whether units exist, as files: without asking a manager, also in another root.

use std::path::Path;

/// Where unit files lie (systemd.unit(5)), of the system's manager and of users'.
const FOLDERS: [&str; 12] = [
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/transient",
    "run/systemd/generator",
    "run/systemd/generator.early",
    "run/systemd/generator.late",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
    "etc/systemd/user",
    "run/systemd/user",
    "usr/lib/systemd/user",
];
const SCRIPTS: &str = "etc/init.d";

/// Whether there is a unit of this name, or the template that it is an instance of; yes where nothing is
/// known of units at all.
pub fn exists(root: &Path, name: &str) -> bool {
    let folders: Vec<_> = FOLDERS.iter().map(|folder| root.join(folder)).filter(|folder| folder.is_dir()).collect();
    let scripts = root.join(SCRIPTS);
    if name.contains('/') || (folders.is_empty() && !scripts.is_dir()) {
        return true;
    }
    let template = name.split_once('@').and_then(|(stem, rest)| Some(format!("{stem}@.{}", rest.rsplit_once('.')?.1)));
    let names = [Some(name.to_owned()), template];
    let is_file = |name: &String| folders.iter().any(|folder| folder.join(name).symlink_metadata().is_ok());
    let is_script = scripts.join(name.trim_end_matches(".service")).exists();
    // Made by programs, or by nobody but systemd itself.
    let made = name.ends_with(".scope") || name.ends_with(".slice");
    made || is_script || names.iter().flatten().any(is_file)
}

//! On which installed packages a package depends, by itself or through others.

use crate::database::{section, unread, Database};
use reexec_plugin_abi::rust::Sink;
use reexec_plugin_paths::{reached, Folders};
use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;

/// Says on which packages each of the packages depends.
pub fn dependencies(root: &Path, packages: &[&[u8]], sink: &mut Sink<'_>) -> Result<(), String> {
    let mut folders = Folders::below(root);
    let Some(database) = Database::find(&mut folders)? else { return Ok(()) };
    let installed = Installed::read(&database, sink)?;
    for (index, package) in packages.iter().enumerate() {
        for name in installed.closure(package) {
            sink.dependency(index, name);
        }
    }
    Ok(())
}

/// What each installed package stands for, and what it depends on: names without versions.
struct Installed {
    names: Vec<Vec<u8>>,
    depends: Vec<Vec<Vec<u8>>>,
    providers: HashMap<Vec<u8>, Vec<usize>>,
}

/// The name in `name>=1.0`, `libx.so=2-64` or `name: why`.
fn name_in(relation: &[u8]) -> Vec<u8> {
    let end = relation.iter().position(|byte| b"<>=: ".contains(byte)).unwrap_or(relation.len());
    relation[..end].to_vec()
}

impl Installed {
    fn read(database: &Database, sink: &mut Sink<'_>) -> Result<Installed, String> {
        let mut all = Installed { names: Vec::new(), depends: Vec::new(), providers: HashMap::new() };
        let mut text = Vec::new();
        for entry in database.entries()? {
            if let Err(error) = database.read(&entry, "desc", &mut text) {
                // Removed between the listing and now: then it provides nothing.
                if error.kind() != std::io::ErrorKind::NotFound {
                    sink.message(&unread(&database.file(&entry, "desc"), &error));
                }
                continue;
            }
            let index = all.names.len();
            all.names.push(entry.name().to_vec());
            all.depends.push(section(&text, b"%DEPENDS%").map(name_in).collect());
            let provided = section(&text, b"%PROVIDES%").map(name_in);
            for name in std::iter::once(entry.name().to_vec()).chain(provided) {
                all.providers.entry(name).or_default().push(index);
            }
        }
        Ok(all)
    }

    fn closure(&self, package: &[u8]) -> Vec<&[u8]> {
        let first = self.names.iter().position(|name| name == package);
        let next = |one: &usize| {
            let providers = self.depends[*one].iter().filter_map(|name| self.providers.get(name));
            Ok::<_, Infallible>(providers.flatten().copied().collect())
        };
        let Ok(found) = reached(first.into_iter().collect(), next);
        found.into_iter().map(|index| self.names[index].as_slice()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::tests::bare;
    use reexec_plugin_abi::rust::Recorder;

    #[test]
    fn what_is_depended_on_through_others_and_by_another_name_is_found() {
        let root = bare();
        for (folder, desc) in [
            ("daemon-1-1", "%NAME%\ndaemon\n\n%DEPENDS%\npython-foo>=1\nmail=2\ngone\n\n%OPTDEPENDS%\nother: x\n\n"),
            ("python-foo-2-1", "%DEPENDS%\npython-bar\ndaemon\n\n"),
            ("python-bar-1-1", "%NAME%\npython-bar\n"),
            ("exim-1-1", "%PROVIDES%\nmail=2\n\n"),
            ("other-1-1", "%NAME%\nother\n"),
        ] {
            root.write(&format!("var/lib/pacman/local/{folder}/desc"), desc.as_bytes());
        }
        let packages: [&[u8]; 3] = [b"daemon", b"other", b"unheard-of"];
        let said = Recorder::dependencies(3, |sink| dependencies(root.path(), &packages, sink)).expect("an answer");
        assert_eq!(said[0], ["exim", "python-bar", "python-foo"]);
        assert!(said[1..].iter().all(Vec::is_empty), "{said:?}");
    }
}

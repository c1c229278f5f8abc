//! User names, from `/etc/passwd` only: a name service may hang, and a number is good enough then.

use std::collections::HashMap;
use std::path::Path;

/// Names by user id.
#[derive(Debug, Default)]
pub struct Users(HashMap<u32, String>);

impl Users {
    /// The users that the file below `root` knows.
    pub fn of(root: &Path) -> Users {
        let text = std::fs::read(root.join("etc/passwd")).unwrap_or_default();
        let mut users = HashMap::new();
        for line in text.split(|&byte| byte == b'\n') {
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let mut fields = line.split(':');
            if let (Some(name), Some(Ok(uid))) = (fields.next(), fields.nth(1).map(str::parse)) {
                users.entry(uid).or_insert_with(|| name.to_owned());
            }
        }
        Users(users)
    }

    /// The name of a user.
    pub fn name(&self, uid: u32) -> Option<&str> {
        self.0.get(&uid).map(String::as_str)
    }
}

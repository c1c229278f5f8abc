//! User names, from `/etc/passwd` only: a name service may hang, and a number is good enough then.

use anyhow::{ensure, Context, Result};
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

    /// What `USER`, `USER:GROUP` or `:GROUP` stands for, by name or by number.
    pub fn parse_owner(root: &Path, text: &str) -> Result<(Option<u32>, Option<u32>)> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        ensure!(!user.is_empty() || !group.is_empty(), "expected USER, USER:GROUP or :GROUP");
        let number = |file: &str, kind: &str, name: &str| -> Result<Option<u32>> {
            if name.is_empty() {
                return Ok(None);
            }
            let text = std::fs::read(root.join("etc").join(file)).unwrap_or_default();
            let lines = text.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
            let mut fields =
                lines.map(|line| line.split(':')).filter_map(|mut line| Some((line.next()?, line.nth(1)?)));
            let found = fields.find(|(one, _)| *one == name).and_then(|(_, id)| id.parse().ok());
            Ok(Some(found.or_else(|| name.parse().ok()).with_context(|| format!("no {kind} {name}"))?))
        };
        Ok((number("passwd", "user", user)?, number("group", "group", group)?))
    }

    /// The name of a user.
    pub fn name(&self, uid: u32) -> Option<&str> {
        self.0.get(&uid).map(String::as_str)
    }
}

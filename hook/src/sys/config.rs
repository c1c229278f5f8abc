//! The admin's policy files: found, trusted, read; what they mean is the model's.
//!
//! `serde_yaml` says what the values are, `saphyr-parser` where they stand. Both read the same text, and
//! a text on which they differ is refused.

mod marks;
mod problems;
mod slips;
mod trust;

pub use problems::{ConfigError, ConfigErrors};

use super::clock;
use crate::model::policy::{
    doubts, unknown_windows, Fragment, Input, Key, Layer, Node, Place, Policy, Problem, Tier, Value,
};
use crate::model::text::escape_path;
use marks::{Marked, Shape};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use trust::Found;

/// Where policy files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The folder that all three lie in; it and every folder below it must be trusted.
    pub root: PathBuf,
    /// The folder of the shipped policy.
    pub vendor: PathBuf,
    /// The admin's file.
    pub main: PathBuf,
    /// The admin's folder.
    pub dropins: PathBuf,
}

impl Default for Sources {
    fn default() -> Self {
        Sources::below(Path::new("/"))
    }
}

impl Sources {
    /// The files of the system that lies in this folder.
    pub fn below(root: &Path) -> Sources {
        Sources {
            root: root.to_owned(),
            vendor: root.join("usr/lib/reexec/policy.d"),
            main: root.join("etc/reexec/policy.yaml"),
            dropins: root.join("etc/reexec/policy.d"),
        }
    }
}

/// A policy, and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The policy.
    pub policy: Policy,
    /// The files that were read, the lowest first.
    pub files: Vec<PathBuf>,
    /// What is allowed and yet hardly meant.
    pub warnings: Vec<String>,
}

/// Reads the policy of a system. One problem in any file and there is no policy at all.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let mut loading = Loading::default();
    let dropins = loading.names(&sources.root, &sources.dropins);
    let mut vendor = loading.names(&sources.root, &sources.vendor);
    vendor.retain(|name| !dropins.contains(name));

    loading.tier(&sources.root, paths(&sources.vendor, &vendor));
    loading.tier(&sources.root, vec![sources.main.clone()]);
    loading.tier(&sources.root, paths(&sources.dropins, &dropins));
    loading.finish()
}

/// Reads one file that the caller named, and no other.
pub fn load_file(path: &Path) -> Result<Loaded, ConfigErrors> {
    let mut loading = Loading::default();
    loading.named(path);
    loading.finish()
}

/// Reads the shipped policy, and one file that the caller named in the place of all of the
/// admin's: what the shipped policy protects stays protected.
pub fn load_file_over(sources: &Sources, path: &Path) -> Result<Loaded, ConfigErrors> {
    let mut loading = Loading::default();
    let vendor = loading.names(&sources.root, &sources.vendor);
    loading.tier(&sources.root, paths(&sources.vendor, &vendor));
    loading.named(path);
    loading.finish()
}

/// A policy in the form of a policy file, as `policy show` prints it.
pub fn to_yaml(policy: &Policy) -> anyhow::Result<String> {
    Ok(serde_yaml::to_string(policy)?)
}

fn paths(folder: &Path, names: &[OsString]) -> Vec<PathBuf> {
    names.iter().map(|name| folder.join(name)).collect()
}

/// Collects what was read and what was wrong.
#[derive(Debug, Default)]
struct Loading {
    tiers: Vec<Tier>,
    files: Vec<PathBuf>,
    warnings: Vec<String>,
    errors: Vec<ConfigError>,
    /// The text of each file, for the excerpt of what is found when all are read.
    texts: HashMap<PathBuf, String>,
}

impl Loading {
    /// The policy files of a folder, in byte order.
    fn names(&mut self, root: &Path, folder: &Path) -> Vec<OsString> {
        let mut names = trust::names(root, folder).unwrap_or_else(|why| {
            self.errors.push(ConfigError::of_file(folder, why));
            Vec::new()
        });
        // A dot or another ending is how editors and package managers put a file aside.
        names.retain(|name| !name.as_bytes().starts_with(b"."));
        for name in names.iter().filter(|name| name.as_bytes().ends_with(b".yml")) {
            let path = escape_path(&folder.join(name));
            self.warnings.push(format!("{path}: not read: its name does not end in .yaml"));
        }
        names.retain(|name| Path::new(name).extension() == Some(OsStr::new("yaml")));
        names
    }

    fn tier(&mut self, root: &Path, paths: Vec<PathBuf>) {
        let mut tier = Tier::new();
        for path in paths {
            match trust::read(root, &path) {
                Ok(Found::Bytes(bytes)) => tier.extend(self.layer(path, &bytes)),
                Ok(Found::Absent | Found::Masked) => {}
                Err(why) => self.errors.push(ConfigError::of_file(&path, why)),
            }
        }
        self.tiers.push(tier);
    }

    fn named(&mut self, path: &Path) {
        match trust::read_named(path) {
            Ok(bytes) => {
                let tier = self.layer(path.to_owned(), &bytes).into_iter().collect();
                self.tiers.push(tier);
            }
            Err(why) => self.errors.push(ConfigError::of_file(path, why)),
        }
    }

    fn layer(&mut self, file: PathBuf, bytes: &[u8]) -> Option<Layer> {
        self.files.push(file.clone());
        self.texts.insert(file.clone(), decode(bytes).unwrap_or_else(|(text, _)| text));
        match parse(&file, bytes) {
            Ok(fragment) => Some(Layer { file, fragment }),
            Err(errors) => {
                self.errors.extend(errors);
                None
            }
        }
    }

    fn finish(mut self) -> Result<Loaded, ConfigErrors> {
        for (file, problem) in unknown_windows(&self.tiers) {
            let text = self.texts.get(&file).map_or("", String::as_str);
            self.errors.push(ConfigError::in_text(&file, text, problem));
        }
        if !self.errors.is_empty() {
            return Err(ConfigErrors(self.errors));
        }
        self.warnings.extend(doubts(&self.tiers));
        let policy = Input::merge(self.tiers).settle();
        self.warnings.extend(policy.doubts());
        Ok(Loaded { policy, files: self.files, warnings: self.warnings })
    }
}

/// Reads one file's bytes.
fn parse(file: &Path, bytes: &[u8]) -> Result<Fragment, Vec<ConfigError>> {
    let text = decode(bytes).map_err(|(text, problem)| vec![ConfigError::in_text(file, &text, problem)])?;
    let fragment = read_yaml(&text).and_then(|root| match root {
        Some(root) => Fragment::read(&root, &clock::zone),
        None => Ok(Fragment::default()),
    });
    fragment.map_err(|problems| {
        let error = |problem| ConfigError::in_text(file, &text, problem);
        problems.into_iter().map(error).collect()
    })
}

/// The text without byte order mark and with plain line ends; or what there is of it, for the
/// excerpt, and what is wrong.
fn decode(bytes: &[u8]) -> Result<String, (String, Problem)> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let faulty = match std::str::from_utf8(bytes) {
        Ok(_) => text.chars().position(is_refused),
        Err(error) => Some(plain_chars(&bytes[..error.valid_up_to()])),
    };
    let Some(faulty) = faulty else {
        return Ok(text);
    };
    let place = place_of(&text, faulty);
    let problem = match std::str::from_utf8(bytes) {
        Ok(_) => {
            let code = text.chars().nth(faulty).map_or(0, u32::from);
            Problem::at(place, format!("a control character (U+{code:04X})"))
        }
        Err(_) => Problem::at(place, "not UTF-8"),
    };
    Err((text, problem))
}

/// Control characters, and those that one YAML version takes for the end of a line.
fn is_refused(c: char) -> bool {
    let breaks = ['\u{85}', '\u{2028}', '\u{2029}', '\u{feff}'];
    (c.is_control() && c != '\n' && c != '\t') || breaks.contains(&c)
}

/// Characters once line ends are plain.
fn plain_chars(valid: &[u8]) -> usize {
    let text = String::from_utf8_lossy(valid);
    text.chars().count() - text.matches("\r\n").count()
}

fn place_of(text: &str, index: usize) -> Place {
    let mut place = Place { line: 1, column: 1, width: 1 };
    for c in text.chars().take(index) {
        if c == '\n' {
            place = Place { line: place.line + 1, column: 1, width: 1 };
        } else {
            place.column += 1;
        }
    }
    place
}

/// The one function that reads YAML; `None` for a text without any value.
fn read_yaml(text: &str) -> Result<Option<Node>, Vec<Problem>> {
    let Some(marked) = marks::read(text)? else {
        return Ok(None);
    };
    let value = serde_yaml::from_str(text).map_err(|error| vec![refused(text, &error)])?;
    place_values(marked, value).map(Some).map_err(|problem| vec![problem])
}

fn refused(text: &str, error: &serde_yaml::Error) -> Problem {
    let message = error.to_string();
    match error.location() {
        Some(at) => {
            let place = format!(" at line {} column {}", at.line(), at.column());
            slips::explain(text, at.line(), at.column(), &message.replace(&place, ""))
        }
        None => Problem::of_file(format!("not YAML: {message}")),
    }
}

/// Gives each value its place.
fn place_values(marked: Marked, value: serde_yaml::Value) -> Result<Node, Problem> {
    let place = marked.place;
    let value = match (marked.shape, value) {
        (Shape::Scalar(_), serde_yaml::Value::Null) => Value::Null,
        (Shape::Scalar(_), serde_yaml::Value::Bool(truth)) => Value::Bool(truth),
        (Shape::Scalar(_), serde_yaml::Value::Number(number)) => Value::Number(number.to_string()),
        (Shape::Scalar(marked), serde_yaml::Value::String(text)) if marked == text => Value::Text(text),
        (Shape::List(marked), serde_yaml::Value::Sequence(values)) if marked.len() == values.len() => {
            let entries = marked.into_iter().zip(values);
            let nodes = entries.map(|(marked, value)| place_values(marked, value));
            Value::List(nodes.collect::<Result<_, _>>()?)
        }
        (Shape::Map(marked), serde_yaml::Value::Mapping(values)) if marked.len() == values.len() => {
            let entries = marked.into_iter().zip(values);
            let nodes = entries.map(|((text, at, marked), (key, value))| match key {
                serde_yaml::Value::String(key) if key != text => Err(two_ways(at)),
                _ => Ok((Key { place: at, text }, place_values(marked, value)?)),
            });
            Value::Map(nodes.collect::<Result<_, _>>()?)
        }
        (Shape::Scalar(_) | Shape::List(_) | Shape::Map(_), _) => return Err(two_ways(place)),
    };
    Ok(Node { place, value })
}

fn two_ways(place: Place) -> Problem {
    Problem::at(place, "YAML that can be read in two ways").hint("write it in a plainer form")
}

#[cfg(test)]
mod tests;

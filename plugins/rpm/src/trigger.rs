//! What rpm's file triggers, dnf, libdnf5 and zypp say when they call the hook: bytes in, paths and
//! changes out. Pure.

use crate::frame::Frame;
use reexec_plugin_paths::{lines, shown, Troubles};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// Longest line: `PATH_MAX`, and some more.
const MAX_LINE: usize = 8192;
/// Most paths that are looked at: more than a whole distribution installs.
const MAX_PATHS: usize = 500_000;

/// Who calls. The first argument of the trigger says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A file trigger: paths on standard input, or none (`%transfiletriggerpostun`).
    Paths,
    /// A program beside rpm, behind or before the whole transaction: packages, or nothing at all.
    Transaction,
}

impl Dialect {
    /// By the trigger's arguments; without any a list of paths is expected.
    fn of(arguments: &[&[u8]]) -> Result<Dialect, String> {
        let Some(first) = arguments.first() else {
            return Ok(Dialect::Paths);
        };
        match *first {
            b"transfiletriggerin"
            | b"transfiletriggerun"
            | b"transfiletriggerpostun"
            | b"filetriggerin"
            | b"filetriggerun"
            | b"filetriggerpostun" => Ok(Dialect::Paths),
            b"dnf4" | b"libdnf5" | b"zypp" => Ok(Dialect::Transaction),
            other => Err(format!(
                "\"{}\" is no trigger of rpm: one of transfiletriggerin, transfiletriggerun, \
                 transfiletriggerpostun, dnf4, libdnf5, zypp",
                shown(other)
            )),
        }
    }
}

/// What the input says.
#[derive(Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// Who said it.
    pub dialect: Dialect,
    /// Absolute paths.
    pub paths: Vec<&'a [u8]>,
    /// Packages that change.
    pub changes: Vec<Change>,
    /// What could not be understood.
    pub troubles: Vec<String>,
}

/// What is done with one package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Name without architecture.
    pub name: String,
    /// Architecture.
    pub architecture: String,
    /// `[EPOCH:]VERSION-RELEASE` that goes; `None` for none, or where it is not said: zypp does not say what
    /// an upgrade replaces.
    pub old: Option<String>,
    /// The same of what comes.
    pub new: Option<String>,
}

/// Parses a trigger's input by its arguments. An error names arguments that nobody knows.
pub fn parse<'a>(arguments: &[&[u8]], input: &'a [u8]) -> Result<Input<'a>, String> {
    let dialect = Dialect::of(arguments)?;
    let mut reader = Reader::default();
    match dialect {
        Dialect::Paths => reader.paths(input),
        Dialect::Transaction => reader.transaction(input),
    }
    Ok(reader.end(dialect))
}

#[derive(Debug, Default)]
struct Reader<'a> {
    paths: Vec<&'a [u8]>,
    changes: Vec<Change>,
    /// Where a package, by name and architecture, stands among the changes.
    rows: HashMap<(String, String), usize>,
    troubles: Troubles,
}

impl<'a> Reader<'a> {
    fn paths(&mut self, input: &'a [u8]) {
        let mut more = 0usize;
        for line in lines(input) {
            if line.is_empty() {
                continue;
            }
            if line.len() > MAX_LINE {
                self.troubles.add("line too long", || format!("{} bytes", line.len()));
            } else if !line.starts_with(b"/") || line.contains(&0) {
                self.troubles.add("not understood", || format!("\"{}\"", shown(line)));
            } else if self.paths.len() < MAX_PATHS {
                self.paths.push(line);
            } else {
                more += 1;
            }
        }
        if more > 0 {
            self.troubles.add("too many paths", || format!("the first {MAX_PATHS} are looked at, {more} are not"));
        }
    }

    /// zypp's frames or the body of one, libdnf5's answer, or nothing.
    fn transaction(&mut self, input: &[u8]) {
        for frame in input.split(|byte| *byte == 0) {
            let frame = frame.trim_ascii();
            let body = Frame::parse(frame).map_or(frame, |frame| frame.body).trim_ascii();
            if body.is_empty() {
                continue;
            }
            match serde_json::from_slice::<Said>(body) {
                Ok(said) => self.said(said),
                Err(error) => self.troubles.add("not understood", || format!("\"{}\": {error}", shown(body))),
            }
        }
    }

    fn said(&mut self, said: Said) {
        match said {
            Said::Steps { steps } => steps.into_iter().for_each(|step| self.step(step)),
            Said::Reply { packages } => {
                packages.trans_packages.into_iter().for_each(|package| self.package(package));
            }
            Said::Refusal { message } => self.troubles.add("libdnf5", || message),
        }
    }

    /// A step of zypp; one without a type is no change, one behind a commit without a stage was not
    /// reached, and one of stage `err` failed, perhaps half-way: its files are looked at all the same.
    fn step(&mut self, step: Step) {
        let of = step.solvable;
        if !is_name(&of.n) {
            return self.troubles.add("not understood", || format!("a package named \"{}\"", shown(of.n.as_bytes())));
        }
        let version = evr(&of.e, &of.v, &of.r);
        let change = Change { name: of.n, architecture: of.a, ..Change::default() };
        match step.kind.as_deref() {
            Some("+" | "M") => self.changes.push(Change { new: Some(version), ..change }),
            Some("-") => self.changes.push(Change { old: Some(version), ..change }),
            Some(_) | None => {}
        }
    }

    /// A package of libdnf5: what goes and what comes of one name are two rows.
    fn package(&mut self, package: Package) {
        let Some((name, version, architecture)) = nevra(&package.full_nevra) else {
            return self
                .troubles
                .add("not understood", || format!("the package \"{}\"", shown(package.full_nevra.as_bytes())));
        };
        let key = (name.to_owned(), architecture.to_owned());
        let at = *self.rows.entry(key).or_insert_with_key(|(name, architecture)| {
            let (name, architecture) = (name.clone(), architecture.clone());
            self.changes.push(Change { name, architecture, ..Change::default() });
            self.changes.len() - 1
        });
        match package.direction.as_str() {
            "IN" => self.changes[at].new = Some(version),
            _ => self.changes[at].old = Some(version),
        }
    }

    fn end(self, dialect: Dialect) -> Input<'a> {
        Input { dialect, paths: self.paths, changes: self.changes, troubles: self.troubles.lines() }
    }
}

/// The two forms of JSON. Fields that are not named here are passed over: newer versions add some.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Said {
    /// The body of zypp's COMMITBEGIN and COMMITEND.
    Steps {
        #[serde(rename = "TransactionStepList")]
        steps: Vec<Step>,
    },
    /// libdnf5's answer to a question for `trans_packages`.
    Reply {
        #[serde(rename = "return")]
        packages: Packages,
    },
    /// libdnf5 could not answer.
    Refusal { message: String },
}

#[derive(Debug, Deserialize)]
struct Step {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    solvable: Solvable,
}

/// Name, epoch, version, release and architecture; the epoch is left out when it is 0.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Solvable {
    n: String,
    e: Value,
    v: String,
    r: String,
    a: String,
}

#[derive(Debug, Deserialize)]
struct Packages {
    trans_packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    direction: String,
    full_nevra: String,
}

/// Whether a package can have that name; it is looked up in the database and shown to people.
fn is_name(name: &str) -> bool {
    const MAX: usize = 256;
    !name.is_empty() && name.len() <= MAX && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

fn evr(epoch: &Value, version: &str, release: &str) -> String {
    let epoch = match epoch {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
    };
    match epoch.as_str() {
        "" | "0" => format!("{version}-{release}"),
        epoch => format!("{epoch}:{version}-{release}"),
    }
}

/// `libx-0:1-1.x86_64` is `libx`, `1-1` and `x86_64`.
fn nevra(text: &str) -> Option<(&str, String, &str)> {
    let (rest, architecture) = text.rsplit_once('.')?;
    let (rest, release) = rest.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    let version = version.strip_prefix("0:").unwrap_or(version);
    is_name(name).then(|| (name, format!("{version}-{release}"), architecture))
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! captured {
        ($name:literal) => {
            include_bytes!(concat!("../tests/captured/", $name)).as_slice()
        };
    }

    fn change(name: &str, architecture: &str, old: Option<&str>, new: Option<&str>) -> Change {
        let own = str::to_owned;
        Change { name: own(name), architecture: own(architecture), old: old.map(own), new: new.map(own) }
    }

    fn read<'a>(argument: &str, input: &'a [u8]) -> Input<'a> {
        parse(&[argument.as_bytes()], input).expect("a known trigger")
    }

    #[test]
    fn file_triggers_give_paths_with_or_without_their_name() {
        let library = &b"/usr/lib/x86_64-linux-gnu/libprobe.so.1"[..];
        let input = captured!("rpm-4.18-upgrade-transfiletriggerin");
        assert_eq!(read("transfiletriggerin", input).paths, [b"/usr/lib/p/same", library]);
        assert_eq!(parse(&[], input).expect("paths"), read("transfiletriggerin", input));
        let input = captured!("rpm-4.18-upgrade-transfiletriggerun");
        assert_eq!(read("transfiletriggerun", input).paths, [b"/usr/lib/p/gone", &b"/usr/lib/p/same"[..], library]);
        let input = captured!("rpm-4.18-itself-transfiletriggerun");
        assert!(read("transfiletriggerun", input).paths.contains(&&b"/usr/bin/reexec"[..]));
        let none = read("transfiletriggerpostun", b"");
        assert_eq!((none.paths, none.troubles), (vec![], vec![]));
    }

    #[test]
    fn zypp_names_what_comes_with_and_without_lengths() {
        let comes = |name, own, version| change(name, own, None, Some(version));
        let expected = [comes("libx", "x86_64", "2-1"), comes("newn", "noarch", "1-1"), comes("xd", "x86_64", "2-1")];
        for input in [
            captured!("zypp-17.25-commitbegin"),
            captured!("zypp-17.25-commitend"),
            captured!("zypp-17.38-commitbegin"),
            captured!("zypp-17.38-commitend"),
        ] {
            let said = read("zypp", input);
            assert_eq!((said.changes, said.troubles), (expected.to_vec(), vec![]));
        }
        let steps = br#"{"TransactionStepList": [
            {"type": "-", "stage": "ok", "solvable": {"n": "gone", "e": "3", "v": "1", "r": "2", "a": "noarch"}},
            {"type": "M", "solvable": {"n": "kernel", "e": 1, "v": "6", "r": "1", "a": "x86_64"}},
            {"solvable": {"n": "untouched"}}, {"type": "?", "solvable": {"n": "untouched"}}, {"type": "+", "new": 1},
            {"type": "+", "solvable": {"n": "../x", "v": "1", "r": "1"}}]}"#;
        let said = read("zypp", steps);
        let expected = [change("gone", "noarch", Some("3:1-2"), None), change("kernel", "x86_64", None, Some("1:6-1"))];
        assert_eq!(said.changes, expected);
        assert_eq!(said.troubles, ["not understood: a package named \"\", a package named \"../x\""]);
    }

    #[test]
    fn libdnf5_names_what_goes_and_what_comes_in_two_rows() {
        let said = read("libdnf5", captured!("libdnf5-5.4-reply"));
        assert_eq!(said.changes, [change("libx", "x86_64", Some("1-1"), Some("2-1"))]);
        let said = read("libdnf5", captured!("libdnf5-5.4-error"));
        assert_eq!(said.troubles, ["libdnf5: Unknown operation \"nonsense\""]);
        let plain = read("libdnf5", b"");
        assert_eq!((plain.dialect, plain.changes, plain.troubles), (Dialect::Transaction, vec![], vec![]));
    }

    #[test]
    fn what_cannot_be_understood_is_counted_and_shown_in_part() {
        for (input, expected) in [
            (&b"relative\n/nul\0\n\n/usr/ok"[..], "not understood: \"relative\", \"/nul\0\""),
            (b"a\nb\nc\nd\ne\n", "not understood: \"a\", \"b\", \"c\" and 2 more"),
            (&[b'/'; 9000], "line too long: 9000 bytes"),
        ] {
            assert_eq!(read("transfiletriggerin", input).troubles, [expected]);
        }
        for input in [&b"{\"TransactionStepList\": [{"[..], b"\xff\xfe", b"[]", b"COMMITEND\n\n{\0"] {
            let troubles = read("zypp", input).troubles;
            assert!(troubles.len() == 1 && troubles[0].starts_with("not understood: "), "{troubles:?}");
        }
        let why = parse(&[b"frobnicate"], b"").expect_err("no trigger");
        assert!(why.starts_with("\"frobnicate\" is no trigger of rpm: one of transfiletriggerin, "), "{why}");
    }

    #[test]
    fn endless_lists_are_read_in_linear_time_and_cut() {
        let paths = b"/\n".repeat(10_000_000);
        let row = |number| format!("{{\"direction\": \"OUT\", \"full_nevra\": \"p{number}-0:1-1.noarch\"}},");
        let rows: String = (0..200_000).map(row).collect();
        let reply = format!("{{\"return\": {{\"trans_packages\": [{}]}}}}", rows.trim_end_matches(','));
        let begun = std::time::Instant::now();
        let said = read("transfiletriggerin", &paths);
        assert_eq!(said.paths.len(), MAX_PATHS);
        assert_eq!(said.troubles, ["too many paths: the first 500000 are looked at, 9500000 are not"]);
        assert_eq!(read("libdnf5", reply.as_bytes()).changes.len(), 200_000);
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    }
}

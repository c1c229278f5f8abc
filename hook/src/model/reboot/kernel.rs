//! The running kernel against those that could be booted: by release, flavour and build.

use crate::model::verdict::words;
use std::cmp::Ordering;

words! {
    /// What is said of the running kernel.
    KernelStatus {
        /// It was not looked at, and the reason stands beside it.
        Skipped = "skipped",
        /// No kernel to boot was found.
        Unknown = "unknown",
        /// None that could be booted is newer.
        Current = "current",
        /// The same release was built anew.
        Rebuilt = "rebuilt",
        /// A newer release of the same flavour is installed.
        Outdated = "outdated",
    }
}

/// The running kernel, as uname(2) says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// `6.1.0-18-amd64`
    pub release: String,
    /// `#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)`
    pub version: String,
}

/// A kernel that could be booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its release.
    pub release: String,
    /// The whole of what its header says; `None` where only the file's name tells the release.
    pub banner: Option<String>,
}

/// The running kernel, the one that a reboot would bring, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Release of the running one.
    pub running: String,
    /// The newest of its flavour; `None` where none was found.
    pub expected: Option<String>,
    /// What follows.
    pub status: KernelStatus,
    /// Why it was skipped or is not known; empty otherwise.
    pub why: String,
}

impl Default for Kernel {
    fn default() -> Kernel {
        Kernel::skipped(&Running::default(), "not looked at")
    }
}

impl Kernel {
    /// One that was not looked at.
    pub fn skipped(running: &Running, why: &str) -> Kernel {
        Kernel { running: running.release.clone(), expected: None, status: KernelStatus::Skipped, why: why.to_owned() }
    }

    /// Compares. Where no image has the running kernel's flavour, the flavour was changed, and all of
    /// them count. A running kernel that is newer than all of them was booted from elsewhere.
    pub fn of(running: &Running, images: &[Image]) -> Kernel {
        let mut same: Vec<&Image> =
            images.iter().filter(|image| flavour(&image.release) == flavour(&running.release)).collect();
        if same.is_empty() {
            same = images.iter().collect();
        }
        let newest = same.into_iter().max_by(|a, b| release_order(&a.release, &b.release));
        let Some(newest) = newest else {
            let why = "no kernel image was found".to_owned();
            return Kernel { status: KernelStatus::Unknown, why, ..Kernel::skipped(running, "") };
        };
        let status = match release_order(&newest.release, &running.release) {
            Ordering::Greater => KernelStatus::Outdated,
            Ordering::Less => KernelStatus::Current,
            // An equal release from another file of that name: the banner names the build.
            Ordering::Equal => match images.iter().find(|image| image.release == running.release) {
                Some(Image { banner: Some(banner), .. }) if !banner.contains(running.version.trim()) => {
                    KernelStatus::Rebuilt
                }
                _ => KernelStatus::Current,
            },
        };
        Kernel { running: running.release.clone(), expected: Some(newest.release.clone()), status, why: String::new() }
    }

    /// Why a reboot is needed for it.
    pub fn reason(&self) -> Option<String> {
        let expected = self.expected.as_deref().unwrap_or_default();
        match self.status {
            KernelStatus::Outdated => Some(format!("kernel {} is installed, {} is running", expected, self.running)),
            KernelStatus::Rebuilt => Some(format!("kernel {} was built anew since it was booted", self.running)),
            KernelStatus::Skipped | KernelStatus::Unknown | KernelStatus::Current => None,
        }
    }
}

/// What tells `6.1.0-18-amd64` from `6.1.0-18-rt-amd64`: the words at the end that are no number, and
/// what stands behind a `+` (`.x86_64+debug`). Debian writes the release that it was built for there, too
/// (`6.12.43+deb13-amd64`): an upgrade from one to the next changes no flavour.
fn flavour(release: &str) -> String {
    let (main, plus) = release.split_once('+').unwrap_or((release, ""));
    let parts: Vec<&str> = main.split('-').collect();
    let is_word = |part: &&&str| {
        let candidate = ["rc", "pre", "test", "git"]
            .iter()
            .any(|tag| part.strip_prefix(tag).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())));
        part.starts_with(|first: char| first.is_ascii_alphabetic()) && !candidate
    };
    let mut words: Vec<&str> = parts.iter().skip(1).rev().take_while(is_word).copied().collect();
    words.reverse();
    let built_for = plus.split('-').next().unwrap_or_default();
    let is_debians = built_for.strip_prefix("deb").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    match plus.split_once('-') {
        Some((_, flavour)) if is_debians => format!("{flavour}+"),
        _ => format!("{}+{plus}", words.join("-")),
    }
}

/// Orders releases as people and boot loaders do: numbers by value, a candidate (`rc`, `~`) before
/// what it is a candidate of.
pub fn release_order(a: &str, b: &str) -> Ordering {
    let (a, b) = (tokens(a), tokens(b));
    for index in 0..a.len().max(b.len()) {
        let order = match (a.get(index), b.get(index)) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(token), None) => ends_against(token),
            (None, Some(token)) => ends_against(token).reverse(),
            (None, None) => Ordering::Equal,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// How a longer release stands to the one that ends here.
fn ends_against(token: &Token) -> Ordering {
    match token {
        Token::Candidate(_) => Ordering::Less,
        Token::Word(_) | Token::Number(_) => Ordering::Greater,
    }
}

/// The order of the variants is that of releases.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Token {
    Candidate(String),
    Word(String),
    Number(u64),
}

fn tokens(release: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for part in release.split(['.', '-', '_', '+']) {
        let mut rest = part;
        while !rest.is_empty() {
            let digit = rest.starts_with(|first: char| first.is_ascii_digit());
            let end = rest.find(|c: char| c.is_ascii_digit() != digit).unwrap_or(rest.len());
            let (token, tail) = rest.split_at(end);
            tokens.push(match digit {
                true => Token::Number(token.parse().unwrap_or(u64::MAX)),
                false if token.starts_with('~') || ["rc", "pre", "test", "git"].contains(&token) => {
                    Token::Candidate(token.to_owned())
                }
                false => Token::Word(token.to_owned()),
            });
            rest = tail;
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(release: &str, banner: Option<&str>) -> Image {
        Image { release: release.into(), banner: banner.map(|build| format!("{release} (x@y) {build}")) }
    }

    #[test]
    fn the_newest_of_the_running_flavour_decides() {
        use KernelStatus::{Current, Outdated, Rebuilt, Unknown};
        let build = "#1 SMP Debian 6.1.76-1";
        for (running, images, expected, status) in [
            ("6.1.0-18-amd64", vec![image("6.1.0-18-amd64", Some(build))], Some("6.1.0-18-amd64"), Current),
            ("6.1.0-18-amd64", vec![image("6.1.0-18-amd64", None)], Some("6.1.0-18-amd64"), Current),
            (
                "6.1.0-18-amd64",
                vec![image("6.1.0-18-amd64", Some("#1 SMP Debian 6.1.80-1"))],
                Some("6.1.0-18-amd64"),
                Rebuilt,
            ),
            (
                "6.1.0-9-amd64",
                vec![image("6.1.0-18-amd64", Some(build)), image("6.1.0-9-amd64", Some(build))],
                Some("6.1.0-18-amd64"),
                Outdated,
            ),
            // From one release of Debian to the next.
            (
                "6.1.0-9-amd64",
                vec![image("6.1.0-9-amd64", Some(build)), image("6.12.43+deb13-amd64", None)],
                Some("6.12.43+deb13-amd64"),
                Outdated,
            ),
            // Another flavour is no upgrade, unless the running one is installed no more.
            (
                "6.1.0-9-amd64",
                vec![image("6.1.0-9-amd64", Some(build)), image("6.1.0-18-rt-amd64", None)],
                Some("6.1.0-9-amd64"),
                Current,
            ),
            ("6.1.0-9-amd64", vec![image("6.1.0-18-cloud-amd64", None)], Some("6.1.0-18-cloud-amd64"), Outdated),
            // Booted newer than all: of a boot loader's own, or of a build that was removed.
            ("6.9.1-amd64", vec![image("6.1.0-18-amd64", Some(build))], Some("6.1.0-18-amd64"), Current),
            ("6.1.0-9-amd64", vec![], None, Unknown),
        ] {
            let running = Running { release: running.into(), version: build.into() };
            let kernel = Kernel::of(&running, &images);
            assert_eq!((kernel.expected.as_deref(), kernel.status), (expected, status), "{running:?} {images:?}");
            assert_eq!(kernel.reason().is_some(), matches!(status, Outdated | Rebuilt));
        }
    }

    #[test]
    fn flavours_of_all_distributions_are_told_apart() {
        for (release, expected) in [
            ("6.1.0-18-amd64", "amd64+"),
            ("6.1.0-18-rt-amd64", "rt-amd64+"),
            ("5.15.0-91-generic", "generic+"),
            ("6.6.8-200.fc39.x86_64", "+"),
            ("6.6.8-200.fc39.x86_64+debug", "+debug"),
            ("6.6.8-arch1-1", "+"),
            ("6.6.8-zen1-1-zen", "zen+"),
            ("6.1.70-1-lts", "lts+"),
            ("6.4.0-150600.21-default", "default+"),
            ("6.7.0-rc3", "+"),
            ("6.12.43+deb13-amd64", "amd64+"),
            ("6.12.43+deb13-cloud-amd64", "cloud-amd64+"),
            ("6.12.117+deb12-rt-amd64", "rt-amd64+"),
            ("6.12.43+deb13", "+deb13"),
            ("6.6.31+rpt-rpi-v8", "+rpt-rpi-v8"),
        ] {
            assert_eq!(flavour(release), expected, "{release}");
        }
    }

    #[test]
    fn releases_are_ordered_by_number_and_a_candidate_comes_first() {
        for (older, newer) in [
            ("6.1.0-9-amd64", "6.1.0-18-amd64"),
            ("6.6.9-200.fc39.x86_64", "6.6.10-100.fc39.x86_64"),
            ("6.7.0-rc7", "6.7.0"),
            ("6.7.0-rc2-amd64", "6.7.0-rc10-amd64"),
            ("6.7.0~rc2", "6.7.0"),
            ("6.6", "6.6.1"),
            ("5.14.0-427.el9.x86_64", "5.14.0-427.13.1.el9_4.x86_64"),
        ] {
            assert_eq!(release_order(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(release_order(newer, older), Ordering::Greater, "{newer} {older}");
        }
        assert_eq!(release_order("6.1.0-18-amd64", "6.1.0-18-amd64"), Ordering::Equal);
    }
}

//! What was typed.

use crate::model::policy::duration;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Finds who still runs replaced files after a package upgrade, acts by policy, and proves it.
#[derive(Debug, Parser)]
#[command(name = "reexec", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// What was typed: `words` with the program's own name before them.
    pub fn typed(words: &[OsString]) -> Result<Cli, clap::Error> {
        match Cli::quickly(words) {
            Some(command) => Ok(Cli { command }),
            None => Cli::try_parse_from(words),
        }
    }

    /// The command, where it is one that package managers and monitors call and nothing is wrong with its
    /// arguments. To describe those of all commands, which help and errors need, some forty pages more are written
    /// to, and copied for each plugin.
    fn quickly(words: &[OsString]) -> Option<Command> {
        fn of<A: Args>(words: &[OsString], make: fn(A) -> Command) -> Option<Command> {
            alone(&words[1..]).ok().map(make)
        }
        match words.get(1)?.to_str()? {
            "hook" => of(words, Command::Hook),
            "apply" => of(words, Command::Apply),
            "report" | "needs-restart" => of(words, Command::Report),
            "plan" => of(words, Command::Plan),
            _ => None,
        }
    }
}

/// These arguments alone, of words with the program's or a command's name before them.
fn alone<A: Args>(words: &[OsString]) -> Result<A, clap::Error> {
    let described = A::augment_args(clap::Command::new("reexec"));
    A::from_arg_matches(&described.try_get_matches_from(words)?)
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Who runs old files now (read-only)
    #[command(visible_alias = "needs-restart")]
    Report(ReportArguments),
    /// What apply would do, and by which rule
    Plan(Common),
    /// The evidence, the verdict and the rule for a pid, a unit or a path
    Explain {
        /// A pid, a unit's name or an absolute path
        what: OsString,
        /// What to look at and how to tell.
        #[command(flatten)]
        common: Common,
    },
    /// Do what the policy says, and prove it
    Apply(ApplyArguments),
    /// Called by a package manager's trigger
    Hook(HookArguments),
    /// Check or show the policy
    Policy {
        /// What to do with it.
        #[command(subcommand)]
        command: PolicyCommand,
        /// Folder that holds the system
        #[arg(long, value_name = "DIR", default_value = "/", global = true)]
        root: PathBuf,
    },
    /// Past runs: what was stale, what was done, what was proven
    History {
        /// Only the last one, in full
        #[arg(long)]
        last: bool,
        /// How many of them
        #[arg(short = 'n', long, value_name = "NUMBER", default_value = "20", conflicts_with = "last")]
        number: usize,
        /// What to look at and how to tell.
        #[command(flatten)]
        common: Common,
    },
    /// Put files in place so that each is whole at every instant; then judge, act and prove
    Replace(ReplaceArguments),
    /// Run a command that installs something; then say what it replaced and how, act and prove
    Run {
        /// The command and its arguments, behind `--`
        #[arg(required = true, last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
        /// Act on nothing that it replaced; say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Where what is said is written to, since the command has standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// What to look at and how to tell.
        #[command(flatten)]
        common: Common,
    },
    /// Is everything wired, and does it work?
    Doctor(Common),
    /// The update service: asks its sources for something new, installs it, and proves it
    Watch(WatchArguments),
}

/// What a report is asked for.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// Print the JSON Schema of the answer, and look at nothing
    #[arg(long, exclusive = true)]
    pub schema: bool,
    /// Of needrestart's forms only these parts (for its stand-in)
    #[arg(long, value_enum, value_delimiter = ',', hide = true)]
    pub parts: Vec<Part>,
    /// What to look at and how to tell.
    #[command(flatten)]
    pub common: Common,
}

/// When and how far it is acted.
#[derive(Debug, Args)]
pub struct ApplyArguments {
    /// Wait until packages have not been changed for a while, then act on what triggers said
    #[arg(long)]
    pub after_transaction: bool,
    /// Act inside the hook, while the package manager waits
    #[arg(long, hide = true, conflicts_with = "after_transaction")]
    pub inline: bool,
    /// Stop before the first step
    #[arg(long)]
    pub dry_run: bool,
    /// Also what waits for a window, or for a reboot
    #[arg(long, conflicts_with = "after_transaction")]
    pub now: bool,
    /// Pick on a terminal what is done
    #[arg(short, long, conflicts_with_all = ["after_transaction", "inline"])]
    pub interactive: bool,
    /// What to look at and how to tell.
    #[command(flatten)]
    pub common: Common,
}

/// How the update service works.
#[derive(Debug, Args)]
pub struct WatchArguments {
    /// Look once, and end
    #[arg(long)]
    pub once: bool,
    /// Time between two looks when nobody asks
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    pub every: Duration,
    /// At most so much is added to that by chance
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    pub jitter: Duration,
    /// Least time between two looks, however often somebody asks
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = time)]
    pub gap: Duration,
    /// Deadline of a source's `check`
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = time)]
    pub check: Duration,
    /// Deadline of a source's `install`
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    pub install: Duration,
    /// Where users ask for a look, unless the service manager passes a socket
    #[arg(long, value_name = "PATH", default_value = "/run/reexec-watch.socket")]
    pub socket: PathBuf,
    /// Folder that holds the sources, in etc/reexec/update.d
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
}

fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).ok_or_else(|| "a number and its unit: 500ms, 5s, 2m, 1h".to_owned())
}

/// A part of what needrestart tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The running kernel.
    Kernel,
    /// The processor's microcode.
    Microcode,
    /// Who runs old files.
    Processes,
}

/// What to do with the policy.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Find faults in the system's policy, or in these files
    Check {
        /// Policy files
        files: Vec<PathBuf>,
    },
    /// Print the merged policy
    Show,
    /// Print a JSON Schema of policy files, for editors
    Schema,
}

/// A call of a trigger.
#[derive(Debug, Args)]
pub struct HookArguments {
    /// The plugin that understands the trigger
    pub manager: String,
    /// Whether the files are still to be replaced
    #[arg(long, value_enum, default_value = "post")]
    pub phase: Phase,
    /// Exit with what `report` would, not always with 0
    #[arg(long)]
    pub strict: bool,
    /// Say nothing: for a caller that reads what it does not understand
    #[arg(short, long)]
    pub quiet: bool,
    /// The trigger's own arguments
    #[arg(value_name = "ARG")]
    pub arguments: Vec<OsString>,
    /// Folder that holds the system whose packages changed
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Where the plugins are
    #[arg(long, value_name = "DIR", hide = true)]
    pub plugins: Option<PathBuf>,
    /// Where /proc is mounted
    #[arg(long, value_name = "DIR", default_value = "/proc", hide = true)]
    pub proc: PathBuf,
}

impl HookArguments {
    /// What the other commands take, as far as the hook has it.
    pub fn common(&self) -> Common {
        Common {
            format: Format::Text,
            claims: None,
            all: false,
            policy: None,
            proc: self.proc.clone(),
            root: self.root.clone(),
            plugins: self.plugins.clone(),
            mappings: MappingSource::Auto,
            threads: None,
            quiet: false,
            verbose: false,
            color: Color::Never,
        }
    }
}

/// Files to put in place.
#[derive(Debug, Args)]
pub struct ReplaceArguments {
    /// The new file; `-` for standard input
    #[arg(required_unless_present_any = ["manifest", "recover"], requires = "target")]
    pub new: Option<PathBuf>,
    /// The path that it takes
    pub target: Option<PathBuf>,
    /// Everything below the folder NEW takes its place below the folder TARGET
    #[arg(long, conflicts_with_all = ["manifest", "folder"])]
    pub set: bool,
    /// Files and their places: lines of NEW, a tab, and TARGET
    #[arg(long, value_name = "FILE", conflicts_with = "new")]
    pub manifest: Option<PathBuf>,
    /// Exchange the folder TARGET and the folder NEW; a link TARGET is made to lead to NEW
    #[arg(long, conflicts_with = "manifest")]
    pub folder: bool,
    /// Finish or take back what a killed call left, and do nothing else
    #[arg(long, conflicts_with_all = ["new", "manifest"])]
    pub recover: bool,
    /// Replace the file that a symbolic link TARGET leads to
    #[arg(long)]
    pub follow: bool,
    /// Whose owner, permissions and extended attributes the file gets
    #[arg(long, value_enum, default_value = "old", value_name = "WHOSE")]
    pub attributes: Attributes,
    /// Permissions, octal
    #[arg(long, value_name = "MODE", value_parser = octal)]
    pub mode: Option<u32>,
    /// Owner, and group behind a colon; names or numbers
    #[arg(long, value_name = "USER[:GROUP]")]
    pub owner: Option<String>,
    /// The new file must have the digest that this list (of sha256sum) names for it
    #[arg(long, value_name = "SUMS")]
    pub sha256: Option<PathBuf>,
    /// A minisign signature of NEW, or of the list of digests, that must be good
    #[arg(long, value_name = "FILE", requires = "key")]
    pub signature: Option<PathBuf>,
    /// The public key of whoever may sign
    #[arg(long, value_name = "FILE", requires = "signature")]
    pub key: Option<PathBuf>,
    /// Put the old file back where a unit does not come up and stay up with the new one
    #[arg(long)]
    pub undo_if_unproven: bool,
    /// Put in place only; the next `reexec apply` judges and acts
    #[arg(long, conflicts_with = "undo_if_unproven")]
    pub later: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What to look at and how to tell.
    #[command(flatten)]
    pub common: Common,
}

impl ReplaceArguments {
    /// What is to take which place; `None` where a manifest says so.
    pub fn pair(&self) -> Option<(&Path, &Path)> {
        Some((self.new.as_deref()?, self.target.as_deref()?))
    }

    /// Whether the file is to have other attributes than the one that stands there.
    pub fn changes_attributes(&self) -> bool {
        self.mode.is_some() || self.owner.is_some() || self.attributes == Attributes::New
    }
}

/// Whose attributes a file gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Attributes {
    /// Those of the file that stands there; of the new one where none does.
    Old,
    /// Those of the new file.
    New,
}

fn octal(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| "expected permissions such as 755 or 0644".to_owned())
}

/// Before or after the files are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Phase {
    /// Before.
    Pre,
    /// After.
    Post,
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one object, described by `reexec report --schema`.
    Json,
    /// The batch lines of `needrestart -b`.
    Needrestart,
    /// What `needrestart -p` prints, with a Nagios plugin's exit code.
    Nagios,
    /// For Prometheus.
    Openmetrics,
    /// What `dnf needs-restarting` prints: one line a process; exit code 1 if there is one.
    #[value(name = "dnf")]
    Processes,
    /// The same with `--services`: one line a service.
    #[value(name = "dnf-services")]
    Services,
    /// The same with `--reboothint`: exit code 1 if a reboot is needed.
    #[value(name = "dnf-reboothint")]
    RebootHint,
}

/// Where mappings are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MappingSource {
    /// The fastest that knows all that is asked for.
    Auto,
    /// The text of `maps`.
    Text,
    /// `PROCMAP_QUERY`.
    Query,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What all commands that look take.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Form of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Paths that were replaced, one a line; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub claims: Option<PathBuf>,
    /// Also fresh processes and data files
    #[arg(long)]
    pub all: bool,
    /// Use this policy file in the place of those in /etc/reexec
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Where /proc is mounted
    #[arg(long, value_name = "DIR", default_value = "/proc", hide = true)]
    pub proc: PathBuf,
    /// Folder that holds the system: its policy, package database and claims
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Where the plugins are
    #[arg(long, value_name = "DIR", hide = true)]
    pub plugins: Option<PathBuf>,
    /// Where mappings are read from
    #[arg(long, value_enum, default_value = "auto", hide = true)]
    pub mappings: MappingSource,
    /// How many threads look
    #[arg(long, value_name = "NUMBER", hide = true)]
    pub threads: Option<usize>,
    /// Say nothing: the exit code is the answer
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say on what evidence
    #[arg(short, long)]
    pub verbose: bool,
    /// Use colours
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: Color,
}

impl Common {
    /// Whether it is the running system that is asked about, by its own `/proc`.
    pub fn is_of_running_system(&self) -> bool {
        self.proc == Path::new("/proc") && self.root == Path::new("/")
    }

    /// As it is where nothing is typed.
    pub fn untyped() -> Common {
        alone(&["reexec".into()]).unwrap_or_else(|error| error.exit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        ["reexec"].into_iter().chain(line.split_whitespace()).map(OsString::from).collect()
    }

    #[test]
    fn what_is_parsed_quickly_is_what_the_whole_parser_says() {
        for line in [
            "report",
            "needs-restart --format nagios -q",
            "report --parts kernel,microcode --root /x --all --threads 2",
            "report --schema",
            "plan --policy /etc/p.yaml --color never",
            "apply --after-transaction --verbose",
            "apply --now --dry-run --claims -",
            "apply -iv",
            "hook dpkg",
            "hook --phase pre --quiet pacman -- --strange --words",
            "hook dpkg triggered /usr/lib --strict --root /x",
        ] {
            let quick = Cli::quickly(&words(line)).expect(line);
            let whole = Cli::try_parse_from(words(line)).expect(line).command;
            assert_eq!(format!("{quick:?}"), format!("{whole:?}"), "{line}");
        }
    }

    #[test]
    fn help_and_errors_are_those_of_the_whole_parser() {
        for line in [
            "",
            "--help",
            "report --help",
            "apply --version",
            "report --nothing",
            "report --schema --all",
            "apply --now --after-transaction",
            "hook",
            "plan --format strange",
            "hook --phase never dpkg",
        ] {
            assert!(Cli::quickly(&words(line)).is_none(), "{line}");
            let told = Cli::typed(&words(line)).expect_err(line).to_string();
            assert_eq!(told, Cli::try_parse_from(words(line)).expect_err(line).to_string());
        }
    }
}

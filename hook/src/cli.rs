//! What was typed.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Finds who still runs replaced files after a package upgrade, acts by policy, and proves it.
#[derive(Debug, Parser)]
#[command(name = "reexec", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Who runs old files now (read-only)
    #[command(visible_alias = "needs-restart")]
    Report(Common),
}

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For machines: one object, described in reexec(1).
    Json,
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
    /// Use this policy file and no other
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

/// Arguments that are handed to a plugin as they are.
pub type Arguments = Vec<OsString>;

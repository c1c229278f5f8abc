//! The only code that touches the machine. It decides nothing.

pub mod boot;
pub mod clock;
pub mod config;
pub mod content;
pub mod files;
pub mod host;
pub mod input;
pub mod journal;
pub mod loader;
pub mod mappings;
pub mod perform;
pub mod plugin;
pub mod procs;
pub mod progress;
pub mod raw;
pub mod spaces;
pub mod state;
pub mod systemd;
pub mod users;

//! What the plugins have in common: lines of big texts, names that are looked for, and folders with
//! their links followed. Nothing in here knows a package manager.

#![forbid(unsafe_code)]

pub mod folders;
pub mod lines;
pub mod names;
pub mod reach;
pub mod trial;
pub mod troubles;

pub use folders::Folders;
pub use lines::{lines, shown, split_path, Lines};
pub use names::Names;
pub use reach::reached;
pub use troubles::Troubles;

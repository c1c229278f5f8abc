//! What runs an old file after an upgrade, whose it is, what to do about it, and the proof.
//!
//! `model` decides with values and touches nothing; `sys` touches the machine and decides nothing;
//! `run` is the order of the steps; `render` turns a report into text. See `ARCHITECTURE.md`.

pub mod cli;
pub mod model;
pub mod render;
pub mod run;
pub mod sys;

//! One file per command: the order of the steps. The only place that sees both `model` and `sys`.

pub mod apply;
pub mod aside;
pub mod claims;
pub mod closer;
pub mod command;
pub mod desk;
pub mod doctor;
pub mod explain;
pub mod history;
pub mod hook;
pub mod look;
pub mod modules;
pub mod names;
pub mod packages;
pub mod policy;
pub mod protect;
pub mod report;
pub mod scan;
pub mod scanner;
pub mod scripts;
pub mod sights;
pub mod steps;
pub mod traces;
pub mod wait;

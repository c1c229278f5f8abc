//! One file per command: the order of the steps. The only place that sees both `model` and `sys`.

pub mod aside;
pub mod claims;
pub mod report;
pub mod scan;
pub mod scripts;

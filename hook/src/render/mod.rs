//! A report in the form that was asked for. Nothing is looked up here.

pub mod bracketed;
pub mod explain;
pub mod history;
pub mod journal;
pub mod json;
pub mod needrestart;
pub mod openmetrics;
pub mod replaced;
pub mod restarting;
pub mod style;
pub mod text;

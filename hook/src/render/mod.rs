//! A report in the form that was asked for. Nothing is looked up here.

pub mod json;
pub mod text;

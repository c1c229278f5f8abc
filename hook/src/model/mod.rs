//! Values and judgements: no I/O, no clock, no environment.

#![forbid(unsafe_code)]

pub mod claim;
pub mod file;
pub mod owner;
pub mod policy;
pub mod text;
pub mod verdict;

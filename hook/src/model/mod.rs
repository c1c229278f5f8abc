//! Values and judgements: no I/O, no clock, no environment.

#![forbid(unsafe_code)]

pub mod answers;
pub mod claim;
pub mod damage;
pub mod data;
pub mod file;
pub mod guard;
pub mod health;
pub mod history;
pub mod image;
pub mod init;
pub mod journal;
pub mod judge;
pub mod kinship;
pub mod mapping;
pub mod marks;
pub mod note;
pub mod old;
pub mod owner;
pub mod pending;
pub mod plan;
pub mod policy;
pub mod process;
pub mod proof;
pub mod reboot;
pub mod replace;
pub mod report;
pub mod resting;
pub mod script;
pub mod starts;
pub mod text;
pub mod time;
pub mod unit;
pub mod verdict;
pub mod watch;

//! Reads rpm's file triggers, what dnf, libdnf5 and zypp say beside them, and rpm's database.
//!
//! Never forks and never asks rpm: the database is an SQLite file, opened read-only.

#![deny(unsafe_code)]

pub mod bent;
mod busy;
mod claims;
mod database;
mod dependencies;
pub mod frame;
pub mod header;
mod owners;
#[cfg(test)]
mod sample;
pub mod trigger;

reexec_plugin_abi::export! {
    name: "rpm",
    read: claims::read,
    expand: claims::expand,
    owners: owners::owners,
    busy: busy::busy,
    dependencies: dependencies::dependencies,
}

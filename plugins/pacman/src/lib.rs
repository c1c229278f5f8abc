//! Reads what pacman's hooks are told and pacman's local database.
//!
//! Never forks and never asks pacman: everything is in text files below `DBPath`.

#![deny(unsafe_code)]

mod busy;
mod claims;
mod config;
mod database;
mod dependencies;
mod mtree;
mod owners;
pub mod trigger;

reexec_plugin_abi::export! {
    name: "pacman",
    read: claims::read,
    expand: claims::expand,
    owners: owners::owners,
    busy: busy::busy,
    dependencies: dependencies::dependencies,
}

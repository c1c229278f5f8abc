//! Reads dpkg triggers and the dpkg database.
//!
//! Never forks and never asks dpkg: everything is in text files below `/var/lib/dpkg`.

#![deny(unsafe_code)]

mod busy;
mod claims;
mod database;
mod dependencies;
mod owners;
mod status;
pub mod trigger;

reexec_plugin_abi::export! {
    name: "dpkg",
    read: claims::read,
    expand: claims::expand,
    owners: owners::owners,
    busy: busy::busy,
    dependencies: dependencies::dependencies,
}

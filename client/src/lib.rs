//! What a daemon links to be asked to execute itself anew after an upgrade, under the same pid, with
//! its listening sockets and its connections.
//!
//! ```no_run
//! use reexec_client::{notify, Answer, Client, Handover};
//! use std::net::TcpListener;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut client = Client::start()?;                  // first of all
//! let http = match client.inherited().take("http") {  // from systemd, or from the program before
//!     Some(fd) => TcpListener::from(fd),
//!     None => TcpListener::bind("[::1]:8080")?,
//! };
//! client.listen()?;                                   // in the process that stays
//! notify::ready()?;
//! loop {
//!     // … poll `client.as_fd()` beside the daemon's own descriptors; at a safe point:
//!     if client.asked()?.is_some() {
//!         client.answer(&Answer::Will);
//!         let failed = client.execute(&Handover::new().pass("http", &http)?);
//!         // Still here: everything is as it was, and whoever asked was told.
//!         # break Err(failed.into());
//!     }
//! }
//! # }
//! ```
//!
//! The conversation is described in `PROTOCOL.md`, the whole in `docs/daemon-authors.md`.

mod client;
mod descriptors;
mod error;
mod handover;
mod listener;
mod program;
mod raw;
mod trial;
mod trust;

#[cfg(feature = "ask")]
pub mod ask;
pub mod notify;
pub mod poke;
pub mod protocol;
#[cfg(test)]
mod scratch;

pub use client::Client;
pub use descriptors::Inherited;
pub use error::Error;
pub use handover::Handover;
pub use listener::Asked;
pub use program::{OwnFile, Program};
pub use protocol::Answer;
pub use trust::Doubt;

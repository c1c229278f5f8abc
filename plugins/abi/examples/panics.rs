//! A plugin in Rust whose every function goes wrong in its own way: for the tests of the loader.

use reexec_plugin_abi::rust::{Sink, State, Trigger};
use std::path::Path;

/// Panics once more when it is dropped.
struct Twice;

impl Drop for Twice {
    fn drop(&mut self) {
        panic!("while dropping");
    }
}

fn read(_: &Trigger<'_>, _: &mut Sink<'_>) -> Result<(), String> {
    let empty: &[u8] = &[];
    std::hint::black_box(empty[std::hint::black_box(7)]);
    Ok(())
}

fn expand(_: &Path, _: &[&[u8]], _: &mut Sink<'_>) -> Result<(), String> {
    std::panic::panic_any(Twice)
}

fn owners(_: &Path, _: &[&[u8]], _: &mut Sink<'_>) -> Result<(), String> {
    Err("the database is on the moon".to_owned())
}

fn busy(_: &Path, _: &mut Sink<'_>) -> Result<State, String> {
    extern "C" fn boundary() {
        panic!("across a boundary");
    }
    boundary();
    Ok(State::Idle)
}

reexec_plugin_abi::export! {
    name: "panics",
    read: read,
    expand: expand,
    owners: owners,
    busy: busy,
}

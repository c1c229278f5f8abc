//! What apt says on a hook's standard input.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reexec_dpkg::trigger::{check, parse};

fuzz_target!(|input: &[u8]| check(&parse(input)));

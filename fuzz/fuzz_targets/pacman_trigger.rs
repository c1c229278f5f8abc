//! What a hook of pacman is told on its standard input.

#![no_main]

use libfuzzer_sys::fuzz_target;
use reexec_pacman::trigger::{check, parse};

fuzz_target!(|input: &[u8]| check(input, &parse(input)));

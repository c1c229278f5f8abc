//! Bent bytes for the parser of triggers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| reexec_rpm::bent::trigger(bytes));

//! Bent bytes for the parser of headers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| reexec_rpm::bent::header(bytes));

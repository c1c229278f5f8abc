//! The only code that touches the machine. It decides nothing.

pub mod plugin;

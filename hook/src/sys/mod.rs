//! The only code that touches the machine. It decides nothing.

//! Reads dpkg triggers and the dpkg database.

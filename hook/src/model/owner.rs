//! Whose a process is.

use super::verdict::words;
use serde::{Deserialize, Serialize};

words! {
    /// The kinds of owners.
    OwnerKind {
        /// A unit of the system manager.
        Service = "service",
        /// A unit of a user's manager.
        UserService = "user-service",
        /// A login session.
        Session = "session",
        /// A container.
        Container = "container",
        /// PID 1.
        Init = "init",
        /// A user's manager.
        UserManager = "user-manager",
        /// Nobody that we know of.
        Loose = "loose",
    }
}

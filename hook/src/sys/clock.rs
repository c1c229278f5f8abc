//! The clocks.

use super::raw::{clock, Clock};
use crate::model::file::Stamp;
use jiff::tz::TimeZone;

/// Now, in nanoseconds since 1970.
pub fn now() -> Stamp {
    clock(Clock::Realtime)
}

/// When the machine came up, on the clock that files are dated with. Process start times count from
/// here (proc_pid_stat(5), field 22), time asleep included.
pub fn boot() -> Stamp {
    now() - clock(Clock::Boottime)
}

/// The moment of a start time in clock ticks (`USER_HZ` is 100 on every Linux).
pub fn of_ticks(boot: Stamp, ticks: u64) -> Stamp {
    boot + Stamp::from(ticks) * 10_000_000
}

/// The rules of a time zone by its name, or of the machine's own.
pub fn zone(name: Option<&str>) -> Option<TimeZone> {
    match name {
        Some(name) => TimeZone::get(name).ok(),
        None => Some(TimeZone::system()),
    }
}

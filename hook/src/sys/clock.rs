//! The clocks.

use super::raw::{clock, processor_time, Clock};
use crate::model::file::Stamp;
use jiff::tz::TimeZone;
use std::num::NonZeroU64;

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

/// Whole seconds since boot in which the machine was awake.
pub fn awake() -> u32 {
    u32::try_from(clock(Clock::Monotonic) / 1_000_000_000).unwrap_or(u32::MAX)
}

/// The processor time of a process, in nanoseconds ([`processor_time`]); `None` where it had none, or ended.
pub fn ran(pid: i32) -> Option<NonZeroU64> {
    NonZeroU64::new(processor_time(pid)?)
}

/// Whether processor time is counted as it is spent. Where the processor's own clock cannot be relied on the kernel
/// counts ticks, and who runs less than one may have had none (`sched_clock` of kernel/sched/clock.c).
pub fn counts_all_that_runs() -> bool {
    /// The shortest tick, in nanoseconds.
    const TICK: Stamp = 1_000_000;
    let before = clock(Clock::Thread);
    (1..TICK).contains(&(clock(Clock::Thread) - before))
}

/// The rules of a time zone by its name, or of the machine's own.
pub fn zone(name: Option<&str>) -> Option<TimeZone> {
    match name {
        Some(name) => TimeZone::get(name).ok(),
        None => Some(TimeZone::system()),
    }
}

//! The two clocks of a trace: [`Clock`].

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};

use crate::event::Time;

/// The wall clock as it stood when the trace began: a step of it afterwards does not disturb the order of events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Time);

impl Clock {
    /// Reads both clocks.
    pub(crate) fn now() -> Self {
        // OK because the clock is there since 2.6.39; all times would then be since the start of the trace.
        let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
        Self(Time { boot, wall: SystemTime::now() })
    }

    /// When they were read.
    pub(crate) fn start(self) -> Time {
        self.0
    }

    /// The same moment by both clocks; it may lie before the trace began.
    pub(crate) fn at(self, boot: Duration) -> Time {
        let Time { boot: start, wall } = self.0;
        let wall = match boot.checked_sub(start) {
            Some(after) => wall.checked_add(after),
            None => wall.checked_sub(start.saturating_sub(boot)),
        };
        // OK because only a time beyond what the system can express comes to this.
        Time { boot, wall: wall.unwrap_or(SystemTime::UNIX_EPOCH) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that distances on one clock are distances on the other, before the start too.
    #[test]
    fn both_clocks_go_at_the_same_pace() {
        let clock = Clock::now();
        let start = clock.start();
        let second = Duration::from_secs(1);
        assert_eq!(clock.at(start.boot + second).wall, start.wall + second);
        assert_eq!(clock.at(start.boot - Duration::from_millis(1)).wall, start.wall - Duration::from_millis(1));
    }

    /// Check that nonsense from a backend does not end the trace.
    #[test]
    fn a_time_beyond_all_measure_does_not_panic() {
        assert_eq!(Clock::now().at(Duration::MAX).wall, SystemTime::UNIX_EPOCH);
    }
}
